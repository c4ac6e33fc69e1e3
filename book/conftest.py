"""What `pytest --nbval` does with a chapter besides: compares figures, and names what failed.

nbval runs every cell and compares what it printed. Here the figures that it drew are compared with
the stored ones, and the run ends with one line for each failing cell: chapter, cell as Jupyter
numbers it, and what failed.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from failures import ANSI, sentences
from figure_differences import differences
from nbval.plugin import IPyNbCell

ROOT = Path(__file__).resolve().parents[1]
SVG = "image/svg+xml"
SHOWN = 5  # differences of one figure; a shifted axis moves everything on it


def listed_figures() -> set[tuple[str, str]]:
    """(file, name) of the figures that rounding decides, from the allow list."""
    entries = tomllib.loads((ROOT / "tests" / "allow_list.toml").read_text("utf-8"))
    return {(entry["file"], entry["name"]) for entry in entries.get("figure", [])}


def figures(outputs: list) -> list[str]:
    return [output["data"][SVG] for output in outputs if SVG in output.get("data", {})]


def figure_complaints(stored: list, drawn: list) -> Iterator[str]:
    """How the figures among a cell's stored outputs differ from those that it drew."""
    for kind in ("image/png", "image/jpeg"):
        shown = [output.get("data", {}) for output in [*stored, *drawn]]
        if any(kind in data and SVG not in data for data in shown):
            yield f"{kind}, which nobody compares, stands where an SVG belongs"
    old, new = figures(stored), figures(drawn)
    if len(old) != len(new):
        yield f"{len(new)} figures are drawn, {len(old)} are stored"
    for pair in zip(old, new, strict=False):
        yield from differences(*pair)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    yield
    if isinstance(item, IPyNbCell):
        name = item.cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        file = item.path.relative_to(ROOT).as_posix()
        found = list(figure_complaints(item.cell.outputs, item.test_outputs or []))
        if found and (file, name) not in listed_figures():
            more = [f"and {len(found) - SHOWN} more differences"] if len(found) > SHOWN else []
            item.raise_cell_error("The figure is not the stored one",
                                  "\n".join([*found[:SHOWN], *more]))


def pytest_terminal_summary(terminalreporter) -> None:
    """Under xdist too: it reads the reports, which come from the workers as text."""
    reports = [report for outcome in ("failed", "error")
               for report in terminalreporter.stats.get(outcome, [])
               if ".ipynb::Cell " in report.nodeid]
    if reports:
        terminalreporter.section("cells that failed")
        for report in reports:
            chapter, _, number = report.nodeid.partition("::Cell ")
            for line in said(report.longreprtext):
                terminalreporter.line(f"{chapter}, In [{int(number) + 1}]: {line}")


def said(text: str) -> list[str]:
    """The failing checks that a report tells of; of any other trouble its last line."""
    lines = [line.strip() for line in ANSI.sub("", text).splitlines() if line.strip()]
    titles = [line.partition(": ")[2] for line in lines if line.startswith("Cell ")]
    if titles[:1] == ["Cell execution caused an exception"]:
        titles = lines[-1:]
    return sentences(text) or titles[:1] or lines[-1:]
