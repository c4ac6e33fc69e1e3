"""The ledger lists what this build executed, and refuses claims and checks that lack each other."""

import re

import nbformat
import pytest
from test_site import CHAPTER, TOC, Book, extension, yaml

ledger = extension("ledger")
CLAIM = ledger.Claim("book/one", "clm-a", "theorem", "Title", "this book")
CHECK = ledger.Check("book/one", "clm-a", "what", "1 < 2", "a reason")


def with_ledger(root, text=CHAPTER, code='print("PASS clm-a/what: 0.25 < 2 (a reason)")'):
    book = Book(root)
    chapters = [*TOC["chapters"], {"file": "book/ledger"}]
    (root / "_toc.yml").write_text(yaml.safe_dump(TOC | {"chapters": chapters}))
    (root / "book" / "ledger.md").write_text("# Ledger\n\n:::{ledger}\n:::\n")
    book.write_chapter(text, code)
    return book


def store_output(book, text):
    path = book.root / "book" / "chapter.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    notebook.cells[1].execution_count = 1
    nbformat.write(notebook, path)


def test_it_lists_the_executed_numbers_and_links_both_ways(tmp_path):
    book = with_ledger(tmp_path / "book")
    store_output(book, "PASS clm-a/what: 0.125 < 2 (stored long ago)\n")
    run = book.build()
    assert run.returncode == 0, run.stderr
    page = book.page("ledger")
    assert "1 claims and 1 checks" in page
    assert "what</span></code>: 0.25 &lt; 2 " in page and "(a reason)" in page
    assert "0.125" not in page and "stored long ago" not in page
    assert re.search(r'<dt id="ledger-clm-a"><a [^>]*href="chapter.html#clm-a">Theorem', page)
    assert "this book" in page
    assert re.search(r'href="ledger.html#ledger-clm-a">1 check in the ledger', book.page("chapter"))


def test_each_fault_stops_the_build_with_a_sentence(tmp_path):
    again = CHAPTER[CHAPTER.index(":::{prf:theorem}") : CHAPTER.index(":::{prf:proof}")]
    text = CHAPTER.replace(":::{exercise}", again.replace("clm-a", "clm-bare") + again
                           + ":::{exercise}")
    code = ('print("PASS clm-a/what: 1 < 2 (x)"); print("PASS clm-a/what: 1 < 2 (x)")\n'
            'print("PASS clm-lost/what: 1 < 2 (x)")')
    run = with_ledger(tmp_path / "book", text, code).build()
    assert run.returncode != 0
    for sentence in ("the claim clm-bare has no executed check", "the claim clm-a is stated twice",
                     "the check clm-lost/what belongs to no claim",
                     "the check clm-a/what is printed twice"):
        assert f"ledger: {sentence}" in run.stderr


def test_a_whole_book_has_no_fault():
    other = CLAIM._replace(label="clm-b"), CHECK._replace(claim="clm-b")
    assert ledger.faults([CLAIM, other[0]], [CHECK, CHECK._replace(what="more"), other[1]]) == []


@pytest.mark.parametrize("claims, checks, sentence", [
    ([CLAIM], [], "the claim clm-a has no executed check"),
    ([], [CHECK], "the check clm-a/what belongs to no claim"),
    ([CLAIM, CLAIM._replace(docname="book/two")], [CHECK],
     "the claim clm-a is stated twice, first in book/one"),
    ([CLAIM], [CHECK, CHECK._replace(measured="3 < 4")], "the check clm-a/what is printed twice"),
    ([CLAIM], [CHECK._replace(docname="book/two")],
     "the check clm-a/what belongs to a claim of another page"),
])
def test_a_fault_is_one_sentence(claims, checks, sentence):
    assert [found for _, found in ledger.faults(claims, checks)] == [sentence]


@pytest.mark.parametrize("line, read", [
    ("PASS clm-a/what: <1e-9 < 1e-6 (a (nested) reason)",
     ("clm-a", "what", "<1e-9 < 1e-6", "a (nested) reason")),
    ("PASS clm-a/b-c: largest of 3: 1 = 1 exactly (x)",
     ("clm-a", "b-c", "largest of 3: 1 = 1 exactly", "x")),
    ("PASS clm-a/m: 0.5 in (0, 1) (both sides)", ("clm-a", "m", "0.5 in (0, 1)", "both sides")),
    ("PASS clm-a/s: 0 = 0 (SymPy, exact: 4 entries)",
     ("clm-a", "s", "0 = 0", "SymPy, exact: 4 entries")),
])
def test_lines_are_read_as_checks_prints_them(line, read):
    assert ledger.VERDICT.findall(line) == [read]
