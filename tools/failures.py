"""A failing check in words: `FAIL clm-a/what: 0.76 = 0.75 within 0.001 (why)` says "is not"."""

import re

ANSI = re.compile(r"\x1b\[[0-9;]*m")
FAIL = re.compile(r"AssertionError: (FAIL clm-[a-z0-9-]+/[a-z0-9-]+: .*)")
RELATION = re.compile(r" (= |< |> |in (?=\())")


def sentences(text: str) -> list[str]:
    """The failing checks that a traceback or a build's output tells of, each once, in words."""
    lines = FAIL.findall(ANSI.sub("", text))
    return [readable(line) for line in dict.fromkeys(line.rstrip() for line in lines)]


def readable(line: str) -> str:
    """`0.76 = 0.75` is false in a line that failed: `0.76 is not 0.75`, `3 is not < 2`."""
    label, _, verdict = line.partition(": ")
    places = list(RELATION.finditer(verdict))
    if not places:
        return line
    # An expression of SymPy may hold relations of its own, and stands on the left.
    place = places[0]
    if "(SymPy" in verdict:
        place = next((one for one in reversed(places) if one[1] == "= "), place)
    said = " is not " if place[1] == "= " else f" is not {place[1]}"
    return f"{label}: {verdict[: place.start()]}{said}{verdict[place.end() :]}"
