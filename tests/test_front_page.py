"""What the front page says twice, it says alike: its tables, its map, the README, the contents."""

import re
import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
rules = runpy.run_path(str(ROOT / "tests" / "chapter_rules.py"))

README = (ROOT / "README.md").read_text("utf-8")
FRONT = rules["read"]("index.ipynb", (ROOT / "book" / "index.ipynb").read_text("utf-8"))
CHAPTERS = [rules["read"](path.name, path.read_text("utf-8"))
            for path in sorted((ROOT / "book").glob("[0-9]*.ipynb"))]


def chapter_rows(markdown):
    """The rows of a table of chapters, with links as they are inside of book/."""
    rows = re.findall(r"^\| \[\d.*\|$", markdown, re.MULTILINE)
    return [row.replace("](book/", "](") for row in rows]


def untitled(markdown, titles):
    """Statements in the first column of the table of dependencies whose title is another."""
    table = markdown.partition("| Statement | Needs |")[2]
    for row in re.findall(r"^\| (\{prf:ref\}.*?) \|", table, re.MULTILINE):
        for label, title in re.findall(r"\{prf:ref\}`([^`]+)` (.*?)(?=, \{prf:ref\}|$)", row):
            if titles.get(label) != title:
                yield f"{label} is called {title!r}, not {titles.get(label)!r}"


TITLES = {claim.label: claim.title for chapter in CHAPTERS for _, claim in chapter.claims()}


def test_the_tables_of_chapters_agree_and_list_every_chapter():
    rows = chapter_rows(FRONT.markdown)
    assert rows == chapter_rows(README)
    assert [re.search(r"\]\((.*?)\)", row)[1] for row in rows] == [c.name for c in CHAPTERS]


def test_the_map_leads_to_every_chapter():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    files = [entry["file"] for part in contents["parts"] for entry in part["chapters"]]
    (drawn,) = (cell.text for cell in FRONT.code if "pages = (" in cell.text)
    listed = re.findall(r'"(\d\d_\w+)"', drawn)
    assert [f"book/{name}" for name in listed] == [f for f in files if re.search(r"/\d\d_", f)]


def test_the_table_of_dependencies_calls_each_statement_by_its_title():
    assert list(untitled(FRONT.markdown, TITLES)) == []


@pytest.mark.parametrize("row, said", [
    ("| {prf:ref}`clm-a` Balance | nothing |", "clm-a is called 'Balance', not 'A title'"),
    ("| {prf:ref}`clm-a` A title, {prf:ref}`clm-b` B | x |", "clm-b is called 'B', not None"),
    ("| {prf:ref}`clm-a` A title | {prf:ref}`clm-b` |", None),
])
def test_another_title_is_seen(row, said):
    found = list(untitled(f"| Statement | Needs |\n|---|---|\n{row}", {"clm-a": "A title"}))
    assert found == ([said] if said else [])
