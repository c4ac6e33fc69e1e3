"""Run the checks of the chapters on students of other seeds, and list those that fail.

    python tools/reseed.py 10                  every notebook of book/, seeds 10-19
    python tools/reseed.py 10 03_memoryless    only these (names or paths)

Every random start takes its seeds from the line `seeds = range(10)` of the Setup cell, which
becomes `seeds = range(s, s + 10)` in a temporary copy of the book: nothing in book/ changes. Drawn
teachers, sampled sequences and designs keep their own seeds. A check that fails is recorded and
the chapter goes on; a cell that raises anything else has failed as well. Exit status 1 if any did.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode
from notebooks import BOOK, CELL_TIMEOUT, canonical, cell_name, locate, merge_streams

SEEDS = re.compile(r"^seeds = range\(10\)$", re.MULTILINE)
STARTS = re.compile(r"\bseeded_rnns\(|^\s*seeds\b", re.MULTILINE)  # has random starts
TOGETHER = 2  # chapters at a time

# Stands before the first cell. What a check raises is printed in place of its verdict, with the
# line of its call. The chapters import both functions later, so they get these.
RECORDING = """
def _recording():
    import functools
    import sys

    from lowdim import checks

    def recorded(verdict):
        @functools.wraps(verdict)
        def call(*values, **options):
            try:
                return verdict(*values, **options)
            except AssertionError as failure:
                print(f"FAIL@{sys._getframe(1).f_lineno} {failure}")
        return call

    for name in ("check", "assert_identity"):
        setattr(checks, name, recorded(getattr(checks, name)))

_recording()
del _recording
"""
RECORDED = re.compile(r"FAIL@(\d+) FAIL (.*)")


class Outcome(NamedTuple):
    """What a chapter's checks said: how many were called, and a line for each failure."""

    calls: int
    failures: list[str]
    seconds: float


def shifted(nb: NotebookNode, shift: int) -> NotebookNode:
    """The notebook with seeds shift … shift + 9; ValueError without the one line that says so."""
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    if (found := sum(len(SEEDS.findall(cell.source)) for cell in code)) != 1:
        raise ValueError(f"the line `seeds = range(10)` stands {found} times, not once")
    for cell in code:
        cell.source = SEEDS.sub(f"seeds = range({shift}, {shift + 10})", cell.source)
        cell.outputs = []
    return nb


class Event(NamedTuple):
    """A check that was called, or a cell that raised something else; `failure` is "" for PASS."""

    is_check: bool
    failure: str


def events(nb: NotebookNode) -> Iterator[Event]:
    """What an executed notebook says of its checks, cell by cell; a failure begins with its cell.

    After a crash the rest of its cell did not run, and later cells may fail for want of it.
    """
    for position, cell in enumerate(nb.cells):
        where = cell_name(nb.cells, position)
        for output in merge_streams(cell.get("outputs", ())):
            if output.output_type == "error":
                yield Event(False, f"{where}: {output.ename}: {output.evalue}")
            for line in output.get("text", "").splitlines():
                if match := RECORDED.fullmatch(line):
                    yield Event(True, f"{where}, line {match[1]}: {match[2]}")
                elif line.startswith("PASS clm-"):
                    yield Event(True, "")


def run(nb: NotebookNode, folder: Path) -> Outcome:
    """Execute every cell in a fresh kernel started in `folder`, whatever fails on the way."""
    start = perf_counter()
    # An extra cell, so that no line number moves; it is taken off again, so that no count does.
    nb.cells.insert(0, nbformat.v4.new_code_cell(RECORDING))
    client = NotebookClient(nb, kernel_name="python3", timeout=CELL_TIMEOUT, allow_errors=True,
                            resources={"metadata": {"path": str(folder)}})
    stuck = []
    try:
        client.execute()
    except (CellControlSignal, DeadKernelError) as error:
        stuck.append(f"not run to its end: {str(error).strip().splitlines()[0]}")
    prelude = nb.cells.pop(0)
    if any(output.output_type == "error" for output in prelude.outputs):
        stuck.append(f"the checks cannot be recorded: {prelude.outputs[-1].evalue}")
    found = list(events(nb))
    calls = sum(event.is_check for event in found)
    failures = [event.failure for event in found if event.failure]
    failures += stuck if calls else [*stuck, "no check was called"]
    return Outcome(calls, failures, perf_counter() - start)


def reseed(path: Path, shift: int, scratch: Path) -> Outcome:
    """Run one notebook with other seeds, in a copy of its folder, if it has random starts."""
    nb = canonical(nbformat.v4.reads(path.read_text(encoding="utf-8")))
    if not any(STARTS.search(cell.source) for cell in nb.cells if cell.cell_type == "code"):
        return Outcome(0, [], 0.0)
    try:
        nb = shifted(nb, shift)
    except ValueError as error:
        return Outcome(0, [str(error)], 0.0)
    folder = Path(tempfile.mkdtemp(dir=scratch))
    shutil.copytree(path.resolve().parent, folder, dirs_exist_ok=True)
    return run(nb, folder)


def seed(text: str) -> int:
    """The shift of the command line: a whole number, not negative."""
    if not re.fullmatch(r"\d{1,9}", text):
        raise argparse.ArgumentTypeError(f"got {text!r}; say, for example, make reseed SHIFT=10")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shift", type=seed, metavar="SHIFT", help="the first of ten seeds")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all of book/*.ipynb")
    options = parser.parse_args(arguments)
    paths = [locate(name) for name in options.names] or sorted(BOOK.glob("*.ipynb"))
    if absent := [str(path) for path in paths if not path.is_file()]:
        parser.error(f"no such notebook: {', '.join(absent)}")
    failed: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(TOGETHER) as pool:
        jobs = {pool.submit(reseed, path, options.shift, Path(scratch)): path for path in paths}
        for done, job in enumerate(as_completed(jobs), 1):
            name, outcome = jobs[job].stem, job.result()
            failed |= {name: outcome.failures} if outcome.failures else {}
            print(f"{done} of {len(paths)}: {name}, checks: {outcome.calls}, failures: "
                  f"{len(outcome.failures)}, {outcome.seconds:.0f} s", flush=True)
    for name in sorted(failed):
        print(f"\n{name}")
        print(*failed[name], sep="\n")
    count = sum(map(len, failed.values()))
    print(f"\nseeds {options.shift}-{options.shift + 9}: failures: {count}", flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
