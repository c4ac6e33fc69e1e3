"""Build the book beside the last good one, and put it in its place only when nothing is wrong.

    python tools/build.py        in the root of the repository

A build that is refused, or broken off, leaves the pages of _build/html as they were, and the file
_build/refused says that they are older than the chapters. What refused the build is repeated last.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from failures import ANSI, sentences

HTML, REFUSED, NEXT = Path("_build/html"), Path("_build/refused"), Path("_build/next")
# --all: Sphinx takes a page that failed on a warning for up to date. Cells are cached for all that.
OPTIONS = ["--all", "-W", "-n", "--keep-going"]
# What the extension execution_cache says of a failing cell.
CELL = re.compile(r"ERROR: (.*?, (?:In \[\d+\]|a cell): )(.*)")
FAULT = re.compile(r"\b(?:WARNING|ERROR|CRITICAL): ")
# From here on Sphinx and Jupyter Book say where the pages lie, which is not where they will lie.
DONE = re.compile(r"build succeeded|build finished with problems")


def run_jupyter_book() -> tuple[int, list[str]]:
    """Its exit status and its output, which is shown as it comes."""
    book = Path(sys.executable).with_name("jupyter-book")
    command = [book, "build", ".", "--path-output", NEXT, *OPTIONS]
    env = os.environ | {"PYTHONUNBUFFERED": "1"}
    lines, finished = [], False
    with subprocess.Popen(command, env=env, text=True, encoding="utf-8", errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in process.stdout:
            lines.append(ANSI.sub("", line.rstrip()))
            finished = finished or bool(DONE.search(lines[-1]))
            if not finished:
                print(line, end="", flush=True)
            # What follows a failing cell is a plea to report a bug of Sphinx.
            finished = finished or bool(CELL.search(lines[-1]))
    return process.returncode, lines


def faults(lines: list[str]) -> list[str]:
    """The warnings of a build, then its failing cells with the check in words; each once."""
    cells = [match for line in lines if (match := CELL.search(line))]
    said = [place + ("; ".join(sentences(error)) or error) for place, error in
            (match.groups() for match in cells)]
    here = f"{Path.cwd()}{os.sep}"
    warnings = [line.partition(here)[2] or line for line in lines
                if FAULT.search(line) and not CELL.search(line)
                and not (cells and "CellExecutionError" in line)]
    return list(dict.fromkeys([*warnings, *said]))


def main() -> int:
    shutil.rmtree(NEXT, ignore_errors=True)
    NEXT.mkdir(parents=True)
    REFUSED.write_text("The last make book was refused or broken off.\n", encoding="utf-8")
    status, lines = run_jupyter_book()
    built = NEXT / "_build" / "html"
    if status or not (built / "index.html").is_file():
        shutil.rmtree(NEXT)
        print("\n".join(["", "The book was not built, because:", *faults(lines)]))
        if not faults(lines):
            print("\n".join(lines[-20:]))
        if HTML.is_dir():
            print("The pages in _build/html are those of the last good build.")
        return 1
    shutil.rmtree(HTML, ignore_errors=True)
    built.rename(HTML)
    shutil.rmtree(NEXT)
    REFUSED.unlink()
    print("Open _build/html/index.html in a browser (or run: make serve)")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Broken off: the pages in _build/html, if any, are those of the last good build.")
