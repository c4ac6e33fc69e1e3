"""The pages of the book in their order, and what each label in them is called.

Sphinx counts when the book is built, which takes minutes; here the same is counted in a second, and
tests/pages/lab.test.mjs compares every label with the built pages.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import nbformat
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from notebooks import cell_name
from pybtex.database import BibliographyData, parse_file

# One counter for everything that is stated, as _config.yml has it.
STATED = {f"prf:{kind}": kind.capitalize() for kind in (
    "theorem proposition lemma corollary observation conjecture definition remark example".split())}
NUMBERED = STATED | {"exercise": "Exercise"}

OPENING = re.compile(r"(:{3,})\{([^}]+)\}[ \t]*(.*)")
OPTION = re.compile(r":([a-z-]+):[ \t]*(.*)")
# What stands in a text, the first that fits at each place: in code and formulas nothing is a role.
TOKEN = re.compile(r"""
    (?P<escape> \\[\\`$] )
  | (?P<comment> <!--.*?--> )
  | ^(?P<directive> (?P<backticks>`{3,})\{(?P<name>[\w:-]+)\}[^\n]*\n .*? ^(?P=backticks) [ \t]*$ )
  | ^(?P<block> (?P<fence>`{3,}|~{3,}) [^\n]*\n .*? ^(?P=fence) [ \t]*$ )
  | \{(?P<role>[\w:-]+)\} `(?P<target>[^`]+)`
  | (?P<code> (?P<ticks>`+)(?!`) .+? (?<!`)(?P=ticks)(?!`) )
  | (?P<display> \$\$ (?P<formula>.+?) \$\$ ) (?: [ \t]* \((?P<label>[\w:.-]+)\) )?
  | (?P<inline> \$ [^$]+ \$ )
  | \]\( (?P<page>\w+) \.(?:md|ipynb) (?P<fragment>\#[^)\s]*)? \)
""", re.VERBOSE | re.DOTALL | re.MULTILINE)


class BookError(Exception):
    """A page holds what cannot be read or written as it stands; the message names the cell."""


class Page(NamedTuple):
    name: str
    number: int | None
    cells: list[NotebookNode]

    @property
    def title(self) -> str:
        return re.search(r"^# (.+)$", self.cells[0].source, re.MULTILINE)[1]

    @property
    def numbered_title(self) -> str:
        return f"{self.number}. {self.title}" if self.number else self.title

    def place(self, position: int) -> str:
        return f"{self.name}, {cell_name(self.cells, position)}"


class Target(NamedTuple):
    """Where a label stands, and the words by which the book refers to it."""

    page: str
    text: str


class Book(NamedTuple):
    pages: list[Page]
    targets: dict[str, Target]
    bibliography: BibliographyData

    @property
    def titles(self) -> dict[str, str]:
        return {page.name: page.title for page in self.pages}


def read_book(root: Path) -> Book:
    """What _toc.yml lists, numbered, and the bibliography."""
    pages = list(read_pages(root))
    return Book(pages, number(pages), parse_file(str(root / "book" / "references.bib")))


def read_pages(root: Path) -> Iterator[Page]:
    toc = yaml.safe_load((root / "_toc.yml").read_text("utf-8"))
    files = [(toc["root"], False)]
    files += [(chapter["file"], part.get("numbered", False))
              for part in toc["parts"] for chapter in part["chapters"]]
    numbers = count(1)
    for file, numbered in files:
        notebook = (root / file).with_suffix(".ipynb")
        if notebook.is_file():
            cells = nbformat.v4.reads(notebook.read_text("utf-8")).cells
        else:
            text = (root / file).with_suffix(".md").read_text("utf-8")
            cells = [new_markdown_cell(text, id="cell-00")]
        yield Page(notebook.stem, next(numbers) if numbered else None, cells)


def number(pages: list[Page]) -> dict[str, Target]:
    """Every label of the book. Pages without a number share their counters, as in Sphinx."""
    targets: dict[str, Target] = {}
    counters: Counter[tuple[int | None, str]] = Counter()
    for page in pages:
        for position, cell in enumerate(page.cells):
            for kind, words, label in labels(cell):
                if not label:
                    raise BookError(f"{page.place(position)}: {words.format('').strip()} needs a "
                                    "label, or nobody could say its number")
                if label in targets:
                    raise BookError(f"{page.place(position)}: the label {label} stands twice")
                counters[page.number, kind] += 1
                prefix = f"{page.number}." if page.number else ""
                said = words.format(f"{prefix}{counters[page.number, kind]}")
                targets[label] = Target(page.name, said)
    return targets


def labels(cell: NotebookNode) -> Iterator[tuple[str, str, str]]:
    """(counter, words with a place for the number, label) of what a cell states or shows."""
    if name := cell.metadata.get("mystnb", {}).get("figure", {}).get("name"):
        yield "figure", "Fig. {}", name
    if cell.cell_type != "markdown":
        return
    equations = (found["label"] for found in TOKEN.finditer(cell.source))
    yield from (("equation", "({})", label) for label in equations if label)
    lines = TOKEN.sub(without_code, cell.source).splitlines()
    for at, line in enumerate(lines):
        if (opening := OPENING.fullmatch(line.rstrip())) and opening[2] in NUMBERED:
            options = {}
            for option in map(OPTION.fullmatch, lines[at + 1 :]):
                if not option:
                    break
                options[option[1]] = option[2]
            kind = "stated" if opening[2] in STATED else opening[2]
            yield kind, f"{NUMBERED[opening[2]]} {{}}", options.get("label", "").strip()


def without_code(found: re.Match) -> str:
    """In code and in comments a colon fence is none."""
    return "" if found["block"] or found["comment"] else found[0]
