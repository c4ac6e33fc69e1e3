"""Write copies of the chapters that plain JupyterLab shows as the book does: `make lab`.

    python tools/lab.py [FOLDER]         from book/ to _build/lab/, or to another folder

JupyterLab does not read MyST: it would show raw references, theorems without a number, no caption,
and every solution. In the copies all that is plain Markdown, long proofs and solutions are folded,
and a figure is a raster, which JupyterLab shows before anything is run and in a dark theme too.

A copy belongs to its reader. One whose cells were changed is never overwritten: if its chapter has
changed as well, it is moved aside, and a line says where to.
"""

import hashlib
import re
import sys
from collections.abc import Iterator
from copy import deepcopy
from itertools import count
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from notebooks import KERNEL, dumps
from numbering import Book, BookError, Page, read_book
from plain_markdown import AFTER_SOLUTION, ANCHOR, BREAK, LINK, SOLUTION, Text

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / "_build" / "lab"
# JupyterLab gives a raster a light ground in a dark theme, and an SVG none.
SVG = re.compile(r'set_matplotlib_formats\("svg".*\)')
# JupyterLab folds from a heading to the next one.
STRAY = "what follows a solution begins with a heading or is an exercise, else it would be folded"


def copies(book: Book) -> dict[str, NotebookNode]:
    """The notebook of every page, by its name."""
    pages = {page.name: list(copied(book, page)) for page in book.pages}
    cells = [cell for page in pages.values() for cell in page]
    # Links lead to cells: JupyterLab would not find an element that is out of sight.
    home = {label: cell.id for cell in cells for label in ANCHOR.findall(cell.source)}
    for cell in cells:
        linked = LINK.sub(lambda found: home.get(found[1], found[1]), cell.source)
        cell.source = ANCHOR.sub("", linked)
    return {page.name: notebook(book, page, pages[page.name]) for page in book.pages}


def notebook(book: Book, page: Page, cells: list[NotebookNode]) -> NotebookNode:
    made = new_notebook(cells=cells, metadata={"kernelspec": KERNEL,
                                               "language_info": {"name": "python"}})
    labels = {label: text for label, (name, text) in book.targets.items() if name == page.name}
    made.metadata.lab = {"made": digest(made), "labels": labels}
    return made


def copied(book: Book, page: Page) -> Iterator[NotebookNode]:
    """The cells of a page, those with text split wherever a link leads to."""
    section, solved = "", False  # solved: a solution has ended, and no heading has come since
    for position, cell in enumerate(page.cells):
        if cell.cell_type == "code":
            pieces = list(code(book, cell, folded=section == "Setup"))
        else:
            try:
                plain = Text(book).plain(cell.source)
            except BookError as error:
                raise BookError(f"{page.place(position)}: {error}") from None
            pieces = list(text(plain, cell.id))
            section = [section, *re.findall(r"^## (.+)$", plain, re.MULTILINE)][-1]
        for piece in pieces:
            solved = solved or piece.source == AFTER_SOLUTION
            if solved and piece.source != AFTER_SOLUTION:
                if not ANCHOR.sub("", piece.source).startswith("#") or piece.cell_type == "code":
                    raise BookError(f"{page.place(position)}: {STRAY}")
                solved = False
            if piece.source != AFTER_SOLUTION:
                yield piece
        if position == 0:
            pieces[0].source = pieces[0].source.replace(page.title, page.numbered_title, 1)
            if page is book.pages[0]:
                yield new_markdown_cell(contents(book), id="contents")
    if page is not book.pages[0]:
        yield new_markdown_cell(neighbours(book, page), id="neighbours")


def text(plain: str, name: str) -> Iterator[NotebookNode]:
    """A cell for each piece, called by the label that it begins with."""
    for place, piece in enumerate(plain.replace(AFTER_SOLUTION, f"{AFTER_SOLUTION}{BREAK}")
                                  .split(BREAK)):
        if piece := piece.strip("\n"):
            label = ANCHOR.match(piece)
            cell = new_markdown_cell(piece, id=label[1] if label else f"{name}-{place}")
            if piece.startswith(SOLUTION):
                cell.metadata["jp-MarkdownHeadingCollapsed"] = True
            yield cell


def code(book: Book, cell: NotebookNode, folded: bool) -> Iterator[NotebookNode]:
    """A code cell with its rasters; where it shows a figure, the caption in a cell below."""
    cell = deepcopy(cell)
    figure = cell.metadata.get("mystnb", {}).get("figure")
    folded = folded or figure or cell.metadata.get("jupyter", {}).get("source_hidden")
    cell.metadata = nbformat.from_dict({"jupyter": {"source_hidden": True}} if folded else {})
    cell.source = SVG.sub('set_matplotlib_formats("retina")', cell.source)
    for output in cell.outputs:
        if "image/png" in output.get("data", {}):
            output.data.pop("image/svg+xml", None)
    if figure:
        cell.id = figure["name"]
    yield cell
    if figure:
        caption = f"**{book.targets[figure['name']].text}** {figure['caption']}"
        yield new_markdown_cell(Text(book).plain(caption), id=f"{cell.id}-caption")


def contents(book: Book) -> str:
    """What a page of the book has at its side."""
    lines = (f"- [{page.numbered_title}]({page.name}.ipynb)" for page in book.pages[1:])
    return "\n".join(["## Contents", "", *lines])


def neighbours(book: Book, page: Page) -> str:
    at = book.pages.index(page)
    ways = [("← ", other, "") for other in book.pages[at - 1 : at]]
    ways += [("", other, " →") for other in book.pages[at + 1 : at + 2]]
    links = [f"{left}[{other.numbered_title}]({other.name}.ipynb){right}"
             for left, other, right in ways]
    return "---\n\n" + " · ".join(links)


def digest(nb: NotebookNode) -> str:
    """Of what a reader writes: kinds and sources of the cells, not what a run leaves."""
    written = "\0".join(f"{cell.cell_type}\n{cell.source.rstrip()}" for cell in nb.cells)
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def put(made: NotebookNode, path: Path) -> str | None:
    """Write a copy, but not over a reader's own; a sentence if that one was moved aside."""
    if not path.exists():
        path.write_text(dumps(made), encoding="utf-8")
        return None
    try:
        there = nbformat.v4.reads(path.read_text("utf-8"))
        origin = there.metadata.lab.made
        theirs = digest(there) != origin
    except (AttributeError, ValueError):  # no copy of ours, so somebody wrote it
        origin, theirs = None, True
    if theirs and origin == made.metadata.lab.made:
        return None
    aside = next(name for at in count(1)
                 if not (name := path.with_name(f"{path.stem}-yours-{at}.ipynb")).exists())
    if theirs:
        path.rename(aside)
    path.write_text(dumps(made), encoding="utf-8")
    return f"{path.name} is new; the one that you changed is now {aside.name}" if theirs else None


def main(folder: Path = LAB) -> int:
    try:
        made = copies(read_book(ROOT))
    except BookError as error:
        print(f"No copies for JupyterLab: {error}")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    for name, copy in made.items():
        if moved := put(copy, folder / f"{name}.ipynb"):
            print(moved)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
