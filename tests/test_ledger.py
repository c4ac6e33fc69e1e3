"""The ledger lists what this build executed, and refuses claims and checks that lack each other."""

import re
import subprocess
from types import SimpleNamespace

import nbformat
import pytest
from docutils import nodes
from docutils.utils import new_document
from test_site import CHAPTER, TOC, Book, extension, yaml

ledger = extension("ledger")
CLAIM = ledger.Claim("book/one", "clm-a", "theorem", "Title", "this book")
CHECK = ledger.Check("book/one", "clm-a", "what", "1 < 2", "a reason")
LEMMA = CLAIM._replace(label="clm-b", kind="lemma", title="Other", source="classical")
LATER = CLAIM._replace(docname="book/two", label="clm-c")
LEDGER = "# Ledger\n\n## Numbers\n\n:::{ledger-summary}\n:::\n\n## Papers\n\n:::{ledger}\n:::\n"
CHECKS = """from fractions import Fraction
import sympy
from lowdim.checks import assert_identity, check
x = sympy.Symbol("x")
assert_identity("clm-a/identity", (x + 1)**2, x**2 + 2*x + 1)
check("clm-a/fractions", Fraction(1, 3) + Fraction(1, 6), Fraction(1, 2), why="by hand")
check("clm-a/runs", 10, 10, why="all ten runs, an exact count; SymPy, exact")
check("clm-a/rank", [2, 3], [2, 3], why="exact ranks")
check("clm-a/floats", 0.25, 0.25, why="a power of two")
check("clm-a/bound", Fraction(1, 3), below=Fraction(1, 2), why="no equation")"""


def with_ledger(root, text=CHAPTER, code='print("PASS clm-a/what: 0.25 < 2 (a reason)")'):
    book = Book(root)
    chapters = [*TOC["chapters"], {"file": "book/ledger"}]
    (root / "_toc.yml").write_text(yaml.safe_dump(TOC | {"chapters": chapters}))
    (root / "book" / "ledger.md").write_text(LEDGER)
    book.write_chapter(text, code)
    return book


def store_output(book, text):
    path = book.root / "book" / "chapter.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    notebook.cells[1].execution_count = 1
    nbformat.write(notebook, path)


def test_it_lists_and_counts_the_executed_checks_and_links_both_ways(tmp_path):
    text = CHAPTER.replace(":::{prf:theorem} Title", ":::{prf:theorem} The case of (a)")
    book = with_ledger(tmp_path / "book", text, CHECKS)
    store_output(book, "PASS clm-a/bound: 0.125 < 2 (stored long ago)\n")
    run = book.build()
    assert run.returncode == 0, run.stderr
    page = book.page("ledger")
    assert "1 claims (1 theorem) and 6 checks, of which 2 are identities that hold exactly" in page
    assert "bound</a>: 0.3333 &lt; 0.5 " in page and "(no equation)" in page
    assert "identity</a>: identity holds <" in page
    assert "fractions</a>: identity holds in fractions <" in page
    assert "0.125" not in page and "stored long ago" not in page
    assert re.search(r'<dt id="ledger-clm-a"><a [^>]*href="chapter.html#clm-a"[^>]*>Theorem', page)
    assert "</a> The case of (a) <" in page and "this book" in page
    link = r'href="ledger.html#ledger-clm-a">6 checks in the ledger'
    assert re.search(link, book.page("chapter"))
    # Every line leads to its cell, and the headings stand beside those of the page, in Contents.
    assert len(re.findall('href="chapter.html#check-a-identity">', page)) == 6
    cell = r'<div class="cell[^"]*" id="check-a-identity">'
    assert re.search(cell, book.page("chapter"))
    contents = page[page.index('id="pst-page-toc-nav"') :]
    assert re.findall('href="#([^"]+)"', contents) == ["numbers", "papers", "ledger-chapter"]
    assert re.search(r'</section>\s*<section id="ledger-chapter">\s*<h2>', page)


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
        assert f"ledger: {sentence}" in run.stdout


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


def test_every_fault_is_named_once_with_its_page():
    claims = [CLAIM, CLAIM._replace(docname="book/two"), LEMMA._replace(docname="book/two")]
    checks = [CHECK._replace(claim="clm-b")]
    assert ledger.faults(claims, checks) == [
        ("book/two", "the claim clm-a is stated twice, first in book/one"),
        ("book/one", "the check clm-b/what belongs to a claim of another page"),
        ("book/one", "the claim clm-a has no executed check")]


@pytest.mark.parametrize("line, read", [
    ("PASS clm-a/what: <1e-9 < 1e-6 (a (nested) reason)",
     ("clm-a", "what", "<1e-9 < 1e-6", "a (nested) reason")),
    ("PASS clm-a/b-c: largest of 3: 1 = 1 exactly (x)",
     ("clm-a", "b-c", "largest of 3: 1 = 1 exactly", "x")),
    ("PASS clm-a/m: 0.5 in (0, 1) (both sides)", ("clm-a", "m", "0.5 in (0, 1)", "both sides")),
    ("PASS clm-a/s: 0 = 0 (SymPy, exact: 4 entries)",
     ("clm-a", "s", "0 = 0", "SymPy, exact: 4 entries")),
    ("PASS clm-a/f: 0.5 = 0.5 in fractions (as in (i))",
     ("clm-a", "f", "0.5 = 0.5 in fractions", "as in (i)")),
])
def test_a_page_is_collected_as_checks_prints_it(line, read):
    """Verdicts in the outputs of cells only, claims with title, kind and source."""
    document = new_document("page")
    box = nodes.admonition("", nodes.section(), classes=["proof", "lemma", "src-s2"],
                           label="clm-a", realtype="lemma", title=" (Of part (a))")
    bare = nodes.admonition(label="clm-b", realtype="theorem", title=" (B)", classes=["dropdown"])
    other = nodes.admonition(label="def-a", realtype="definition", title="", classes=[])
    output = nodes.container("", nodes.literal_block(text=f"{line}\nother"),
                             classes=["cell_output"])
    source = nodes.container("", nodes.literal_block(text=line), classes=["cell_input"])
    cell = nodes.container("", source, output, classes=["cell"])
    document += [box, bare, other, cell, nodes.literal_block(text=line)]
    app = SimpleNamespace(env=SimpleNamespace(docname="book/one"))
    ledger.collect(app, document)
    claims, checks = ledger.everything(app.env)
    assert claims == [("book/one", "clm-a", "lemma", "Of part (a)", "after S2"),
                      ("book/one", "clm-b", "theorem", "B", "")]
    assert checks == [("book/one", *read, anchor := f"check-a-{read[1]}")]
    assert cell["ids"] == [anchor]
    ledger.purge(app, app.env, "book/one")
    assert ledger.everything(app.env) == ([], [])


def test_the_summary_counts_identities_and_no_counts_of_runs():
    measured = ["0 = 0", "0.5 = 0.5 in fractions", "largest of 2: 0 = 0 in fractions",
                "10 = 10 exactly", "0 = 0 exactly", "10 = 0", "0 = 0 within 1e-09", "0.5 < 1"]
    checks = [CHECK._replace(measured=words, why=why) for words in measured
              for why in ("SymPy, exact", "an exact rank, in fractions")]
    said = ledger.said([CLAIM] * 3 + [LEMMA], checks)
    assert said.startswith("4 claims (3 theorems, 1 lemma) and 16 checks, of which 6 are "
                           "identities that hold exactly")


@pytest.mark.parametrize("measured, words", [
    ("0 = 0", "identity holds"), ("0.5 = 0.5 in fractions", "identity holds in fractions"),
    ("largest of 24: 0 = 0 in fractions", "24 identities hold in fractions"),
    ("0 = 0 exactly", "0 = 0 exactly"), ("10 = 10 exactly", "10 = 10 exactly"),
    ("0 = 0 within 1e-09", "0 = 0 within 1e-09"), ("worst of 2: 1 < 2", "worst of 2: 1 < 2")])
def test_an_identity_is_said_in_words(measured, words):
    assert ledger.in_words(measured) == words


def test_the_numbers_say_with_what_they_were_made(tmp_path):
    said = ledger.made_with(tmp_path)
    assert re.fullmatch(r"Executed with Python 3\.\d+\.\d+, numpy [\d.]+, scipy .*, numba [\d.]+\.",
                        said)
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "First"]):
        author = ["-c", "user.name=A", "-c", "user.email=a@b.invalid"]
        subprocess.run(["git", *author, *command], cwd=tmp_path, check=True)
    assert re.fullmatch(rf"{re.escape(said)} Commit [0-9a-f]{{7,}}\.", ledger.made_with(tmp_path))


CHECKED = [CHECK._replace(anchor="check-a-what"), CHECK._replace(claim="clm-b", what="x"),
           CHECK._replace(claim="clm-b", what="y", measured="0 = 0", why="SymPy, exact"),
           CHECK._replace(docname="book/two", claim="clm-c")]


def two_pages(**options):
    """A stand-in for Sphinx that has read two pages, the second one first."""
    env = SimpleNamespace(
        toc_secnumbers={"book/one": {"": (1,)}},
        titles={"book/one": nodes.title(text="One"), "book/two": nodes.title(text="Two")},
        toc_fignumbers={"book/one": {"theorem": {"clm-a": (1, 2), "clm-b": (1, 3)}}}, **options)
    ledger.entries(env)["book/two"] = [LATER], CHECKED[3:]
    ledger.entries(env)["book/one"] = [CLAIM, LEMMA], CHECKED[:3]
    builder = SimpleNamespace(get_relative_uri=lambda start, end: f"{start} to {end}")
    return SimpleNamespace(env=env, builder=builder)


def lines(node):
    return [line for line in node.astext().splitlines() if line]


def test_the_list_has_every_claim_under_its_chapter_with_its_own_checks():
    app = two_pages(ledger_page="book/ledger")
    assert ledger.everything(app.env) == ([CLAIM, LEMMA, LATER], CHECKED)
    page = new_document("ledger")
    page += ledger.Ledger()
    ledger.fill(app, page, "book/ledger")
    one, two = page.children
    assert lines(one) == ["1. One", "Theorem 1.2 Title this book", "what: 1 < 2 (a reason)",
                          "Lemma 1.3 Other classical", "x: 1 < 2 (a reason)",
                          "y: identity holds (SymPy, exact)"]
    assert lines(two) == ["Two", "Theorem Title this book", "what: 1 < 2 (a reason)"]
    assert (one["ids"], two["ids"]) == (["ledger-one"], ["ledger-two"])
    assert [term["ids"] for term in one.findall(nodes.term)] == [["ledger-clm-a"], ["ledger-clm-b"]]
    assert [link["refuri"] for link in page.findall(nodes.reference)][:3] == [
        "book/ledger to book/one#clm-a", "book/ledger to book/one#check-a-what",
        "book/ledger to book/one#clm-b"]


def test_the_numbers_have_a_line_for_each_chapter_and_one_for_the_book():
    app = two_pages(ledger_page="book/ledger")
    app.srcdir = "."
    guess = CLAIM._replace(label="clm-d", kind="conjecture")
    *_, table = ledger.summary(app, [CLAIM, LEMMA, LATER, guess], CHECKED)
    assert [[cell.astext() for cell in row] for row in table.findall(nodes.row)] == [
        ["Chapter", "Proved", "Observed", "Conjectured", "Checks", "Identities"],
        ["1. One", "2", "0", "1", "3", "1"], ["Two", "1", "0", "0", "1", "0"],
        ["The book", "3", "0", "1", "4", "1"]]


def test_each_box_links_to_its_entry_if_there_is_a_ledger():
    def filled(app):
        boxes = [nodes.admonition("", nodes.section(), label=label, **kind) for label, kind in [
            ("clm-a", {"realtype": "theorem"}), ("clm-b", {"realtype": "lemma"}),
            ("def-a", {"realtype": "definition"}), ("clm-a", {})]]
        page = new_document("one")
        page += boxes
        ledger.fill(app, page, "book/one")
        return [[(link.astext(), link["refuri"]) for link in box.findall(nodes.reference)]
                for box in boxes]

    uri = "book/one to book/ledger#ledger-clm-"
    assert filled(two_pages(ledger_page="book/ledger")) == [
        [("1 check in the ledger", f"{uri}a")], [("2 checks in the ledger", f"{uri}b")], [], []]
    assert filled(two_pages()) == [[], [], [], []]


def test_the_ledger_is_written_anew_whenever_a_page_was_read_with_its_headings_once():
    env = two_pages(ledger_page="book/ledger").env
    title = nodes.list_item("", nodes.paragraph("", "", nodes.reference("", "Ledger")))
    env.tocs = {"book/ledger": nodes.bullet_list("", title)}
    for _ in range(2):
        assert ledger.rewrite(None, env) == ["book/ledger"]
    headings = [(link.astext(), link.get("anchorname")) for link in title.findall(nodes.reference)]
    assert headings == [("Ledger", None), ("1. One", "#ledger-one"), ("Two", "#ledger-two")]
    assert ledger.rewrite(None, two_pages().env) == []


def test_the_same_lines_are_set_apart_on_the_page():
    set_apart = extension("check_lines").mark_verdicts
    html = ("<div><pre><span></span>PASS clm-a/b: 1 &lt; 2 (x)\nPASS clm-a/c: 1 = 1 (y)\n"
            "PASS thm-a/b: 1 (z)\nPASS clm-a: 1 (z)\n</pre></div>\n")
    context = {"body": html}
    set_apart(None, "page", "page.html", context, doctree=None)
    assert context["body"] == html
    set_apart(None, "page", "page.html", context, doctree=True)
    mark = '<span class="verdict"><span class="pass">PASS</span> '
    assert context["body"] == (
        f"<div><pre><span></span>{mark}clm-a/b: 1 &lt; 2 (x)\n</span>"
        f"{mark}clm-a/c: 1 = 1 (y)\n</span>"
        "PASS thm-a/b: 1 (z)\nPASS clm-a: 1 (z)\n</pre></div>\n")
