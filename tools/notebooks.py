"""Execute the chapters and store them in one canonical form, so that a diff shows what changed.

    python tools/notebooks.py                 execute and store every notebook of book/
    python tools/notebooks.py 03_moments      only these (names or paths)
    python tools/notebooks.py --check         change nothing; exit 1 where the form is not canonical
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from time import perf_counter
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode

BOOK = Path(__file__).resolve().parents[1] / "book"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
CELL_METADATA = {"mystnb", "tags", "jupyter"}
CELL_ID = re.compile(r"cell-(\d{2}|[1-9]\d{2,})")
CELL_TIMEOUT = 300  # seconds; a whole chapter takes 30, so a cell that needs more is stuck


class ExecutionError(Exception):
    """A cell failed, wrote to stderr, or never ended; the message names it."""


def canonical(nb: NotebookNode) -> NotebookNode:
    """The notebook without a trace of machine, clock and editor.

    Kept are sources, outputs, ids once given, and the cell metadata `mystnb`, `tags` and
    `jupyter.source_hidden`; there is no language version, no timing, no widget state. The counts
    say that the outputs come from one run from top to bottom, and are what readers and messages
    call a cell by. So a new cell moves the counts after it, and changes no other line of theirs.
    """
    nb = deepcopy(nb)
    nb.nbformat, nb.nbformat_minor = 4, 5
    nb.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    count = 0
    for cell, name in zip(nb.cells, stable_ids(nb.cells), strict=True):
        cell.id = name
        cell.source = cell.source.rstrip()
        cell.metadata = nbformat.from_dict(kept_metadata(cell.metadata))
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.outputs = merge_streams(cell.outputs)
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
    return nb


def stable_ids(cells: Sequence[NotebookNode]) -> list[str]:
    """The ids that the cells have; a cell without one gets the next number that is free.

    An editor's random id counts as none, and so does the second of two that are equal.
    """
    given = [cell.get("id", "") for cell in cells]
    kept = {name for name in given if CELL_ID.fullmatch(name)}
    free = 1 + max((int(name.removeprefix("cell-")) for name in kept), default=-1)
    names = []
    for name in given:
        if name in kept:
            kept.remove(name)
        else:
            name, free = f"cell-{free:02d}", free + 1
        names.append(name)
    return names


def kept_metadata(metadata: NotebookNode) -> dict[str, Any]:
    """What the book reads of a cell's metadata; of `jupyter`, only that its source is folded."""
    kept = {key: metadata[key] for key in CELL_METADATA if metadata.get(key)}
    if kept.pop("jupyter", {}).get("source_hidden"):
        kept["jupyter"] = {"source_hidden": True}
    return kept


def cell_name(cells: Sequence[NotebookNode], position: int) -> str:
    """How messages call a cell: its id, and `In [n]` as Jupyter numbers code, else its place."""
    count = sum(cell.cell_type == "code" for cell in cells[: position + 1])
    code = cells[position].cell_type == "code"
    place = f"In [{count}]" if code else f"text, {position + 1} of {len(cells)}"
    return f"{cells[position].get('id', 'no id')} ({place})"


def merge_streams(outputs: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream: where a kernel flushes is chance."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def dumps(nb: NotebookNode) -> str:
    """The text of a notebook file: sorted keys, indent 1, plain UTF-8, a final newline."""
    return nbformat.writes(nb) + "\n"


def difference(found: Any, wanted: Any, at: str = "") -> str | None:
    """The first key where two nested values differ, such as `cells[3].metadata.scrolled`."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = sorted(found.keys() | wanted.keys())
        pairs = [(f"{at}.{key}".lstrip("."), found.get(key), wanted.get(key)) for key in keys]
        missing = [f"{at}.{key}".lstrip(".") for key in keys if (key in found) != (key in wanted)]
    elif isinstance(found, list) and isinstance(wanted, list):
        pairs = [(f"{at}[{i}]", *pair) for i, pair in enumerate(zip(found, wanted, strict=False))]
        missing = [] if len(found) == len(wanted) else [at]
    else:
        return None if found == wanted else at
    inner = (difference(left, right, key) for key, left, right in pairs)
    return next((key for key in inner if key), missing[0] if missing else None)


def not_canonical(text: str) -> str | None:
    """The first key of a notebook file that is not canonical, None if there is none."""
    nb = nbformat.v4.reads(text)
    wanted = canonical(nb)
    layout = None if text == dumps(wanted) else "layout (key order, indent, final newline)"
    return difference(nb, wanted) or layout


def draw_on_paper() -> None:
    """Run in a kernel: beside its SVG a figure becomes a PNG on white.

    A program that trusts no SVG, such as JupyterLab before anything is run, shows that one, in a
    dark theme too. A chapter asks for SVG by taking away whatever else shows a Figure; what shows
    its base class stays.
    """
    from io import BytesIO

    from IPython import get_ipython
    from IPython.core.pylabtools import print_figure
    from PIL import Image

    def png(figure):
        drawn = Image.open(BytesIO(print_figure(figure, dpi=120, facecolor="white")))
        small = BytesIO()  # 256 colours: a third of the size
        palette = drawn.convert("RGB").quantize(dither=Image.Dither.NONE)
        palette.save(small, "png", optimize=True)
        # As large as the SVG: CSS has 96 pixels to the inch.
        return small.getvalue(), {"width": drawn.width * 96 // 120}

    formatters = get_ipython().display_formatter.formatters
    formatters["image/png"].for_type_by_name("matplotlib.figure", "FigureBase", png)


def execute(nb: NotebookNode, folder: Path) -> NotebookNode:
    """Run all cells in a fresh kernel started in `folder`; raise ExecutionError on any trouble."""
    nb = deepcopy(nb)
    prelude = f"{inspect.getsource(draw_on_paper)}\ndraw_on_paper()\ndel draw_on_paper"
    started: list[int] = []
    client = NotebookClient(
        nb,
        kernel_name="python3",
        timeout=CELL_TIMEOUT,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
        on_notebook_start=lambda notebook: client.kc.execute(prelude, silent=True),
        on_cell_execute=lambda cell, cell_index: started.append(cell_index),
    )
    try:
        client.execute()
    except (CellControlSignal, DeadKernelError) as error:
        at = started[-1] if started else 0
        raise ExecutionError(f"{cell_name(nb.cells, at)}: {str(error).strip()}") from error
    for position, cell in enumerate(nb.cells):
        name = cell_name(nb.cells, position)
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                raise ExecutionError(f"{name}: {output.ename}: {output.evalue}")
            if output.output_type == "stream" and output.name == "stderr":
                raise ExecutionError(f"{name} wrote to stderr: {output.text.strip()}")
    return nb


def store(path: Path) -> None:
    """Execute one notebook and write it back; a failure leaves the file as it was."""
    nb = canonical(nbformat.v4.reads(path.read_text(encoding="utf-8")))
    text = dumps(canonical(execute(nb, path.resolve().parent)))
    path.write_text(text, encoding="utf-8")


def locate(name: str) -> Path:
    """A path as it is, or the name of a notebook of the book with or without `.ipynb`."""
    path = Path(name)
    return path if path.exists() else BOOK / f"{path.name.removesuffix('.ipynb')}.ipynb"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, report the form")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all of book/*.ipynb")
    options = parser.parse_args(arguments)
    paths = [locate(name) for name in options.names] or sorted(BOOK.glob("*.ipynb"))
    if absent := [str(path) for path in paths if not path.is_file()]:
        parser.error(f"no such notebook: {', '.join(absent)}")
    failed = []
    for number, path in enumerate(paths, 1):
        start = perf_counter()
        if options.check:
            key = not_canonical(path.read_text(encoding="utf-8"))
            trouble = f"{key} is not canonical: run make notebooks" if key else None
        else:
            trouble = None
            try:
                store(path)
            except ExecutionError as error:
                trouble = f"{error}\n(the file is unchanged)"
        failed += [path.name] if trouble else []
        if trouble or not options.check:
            which = "" if options.check else f"{number} of {len(paths)}: "
            print(f"{which}{path.name}: {trouble or f'{perf_counter() - start:.1f} s'}", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
