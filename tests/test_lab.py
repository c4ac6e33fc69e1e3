"""The copies for JupyterLab: numbers, plain Markdown, what is folded, and whose the copies are."""

import asyncio
import json
import runpy
import shutil
from pathlib import Path

import nbformat
import pytest
from lab import SVG, copies, digest, main, put
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebooks import canonical, dumps, not_canonical
from numbering import BookError, read_book
from traitlets.config import Config

ROOT = Path(__file__).resolve().parents[1]
BIB = """
@article{one2001, author = {von Ćirić, Ana}, title = {T}, journal = {J}, year = {2001}}
@article{two2002, author = {Li, Bo and Pranic, Miroslav S. and Ö, C}, title = {T}, year = {2002},
 journal = {J}}
@misc{undated, author = {{\\'C}iri{\\'c}, Ana and Li, Bo}, title = {T}}
"""
TOC = """
root: book/index
parts:
  - chapters: [{file: book/notation}]
  - {caption: I, numbered: true, chapters: [{file: book/01_one}, {file: book/02_two}]}
  - {caption: II, numbered: true, chapters: [{file: book/03_three}]}
  - chapters: [{file: book/ledger}]
"""
CLAIM = """:::{prf:theorem} A title with $a_1$
:label: clm-one
:class: src-s1

The body of {eq}`eq-one`:

$$
a=\\begin{pmatrix}1\\\\
2\\end{pmatrix}
$$

```
:::{code}
```
:::"""
EQUATION = "$$\na<b\n$$ (eq-one)"
PNG = {"image/png": "aGk=", "image/svg+xml": "<svg/>", "text/plain": "<Figure>"}
FIGURE = {"mystnb": {"figure": {"name": "fig-one", "caption": "What {prf:ref}`clm-one` says."}}}


def drawing(name="fig-one"):
    metadata = json.loads(json.dumps(FIGURE).replace("fig-one", name))
    return new_code_cell("plt.show()", metadata=metadata,
                         outputs=[new_output("display_data", data=PNG)])


@pytest.fixture
def book(tmp_path):
    """book(*cells of chapter 1, two=cells of chapter 2, …): the root of a small book."""
    def write(*one, two=(), three=(), index=(), ledger=""):
        folder = tmp_path / "book"
        folder.mkdir(exist_ok=True)
        (tmp_path / "_toc.yml").write_text(TOC)
        (folder / "references.bib").write_text(BIB)
        (folder / "notation.md").write_text("# Notation\n")
        (folder / "ledger.md").write_text(f"# Ledger\n\n{ledger}")
        pages = {"index": index, "01_one": one, "02_two": two, "03_three": three}
        for name, cells in pages.items():
            given = [new_markdown_cell(c) if isinstance(c, str) else c for c in cells]
            nb = new_notebook(cells=[new_markdown_cell(f"# The page {name[3:]}"), *given])
            (folder / f"{name}.ipynb").write_text(dumps(canonical(nb)), encoding="utf-8")
        return tmp_path

    return write


def copied(root, name="01_one"):
    return copies(read_book(root))[name].cells


def plain(book, text, **others):
    """What becomes of one markdown cell, its pieces joined."""
    cells = copied(book(text, **{"two": [EQUATION, CLAIM, drawing()], **others}))[1:-1]
    return "\n\n".join(cell.source for cell in cells)


# Numbers ------------------------------------------------------------------------------------


def test_numbers_run_through_the_parts_and_each_kind_has_its_own(book):
    other = CLAIM.replace("prf:theorem", "prf:lemma").replace("eq-one", "eq-two")
    root = book(CLAIM, other.replace("clm-one", "clm-two"), EQUATION, "$$b$$ (eq-two)", drawing(),
                three=[CLAIM.replace("clm-one", "clm-three"), drawing("fig-three"),
                       ":::{exercise} Hm\n:label: ex-three\n\nHow?\n:::"],
                index=[CLAIM.replace("clm-one", "clm-zero"), drawing("fig-zero")])
    found = {label: (target.page, target.text) for label, target in read_book(root).targets.items()}
    assert found == {
        "clm-zero": ("index", "Theorem 1"), "fig-zero": ("index", "Fig. 1"),
        "clm-one": ("01_one", "Theorem 1.1"), "clm-two": ("01_one", "Lemma 1.2"),
        "eq-one": ("01_one", "(1.1)"), "eq-two": ("01_one", "(1.2)"),
        "fig-one": ("01_one", "Fig. 1.1"), "clm-three": ("03_three", "Theorem 3.1"),
        "fig-three": ("03_three", "Fig. 3.1"), "ex-three": ("03_three", "Exercise 3.1"),
    }


def test_what_stands_in_code_or_in_a_comment_is_not_counted(book):
    fenced = f"````\n{CLAIM}\n````\n\n<!-- {CLAIM}\n{EQUATION} -->"
    assert set(read_book(book(fenced, CLAIM, EQUATION)).targets) == {"clm-one", "eq-one"}


def test_the_titles_carry_the_numbers_of_the_chapters(book):
    made = copies(read_book(book(two=[EQUATION])))
    assert made["03_three"].cells[0].source == "# 3. The page three"
    assert made["index"].cells[0].source.startswith("# The page")
    assert "- [2. The page two](02_two.ipynb)" in made["index"].cells[1].source
    assert made["02_two"].cells[-1].source == (
        "---\n\n← [1. The page one](01_one.ipynb) · [3. The page three](03_three.ipynb) →")


# Plain Markdown -----------------------------------------------------------------------------

IN_TWO = "02_two.ipynb#cell-id="


@pytest.mark.parametrize(
    "source, wanted",
    [
        ("{prf:ref}`clm-one`", f"[Theorem 2.1]({IN_TWO}clm-one)"),
        ("{prf:ref}`our theorem <clm-one>`", f"[our theorem]({IN_TWO}clm-one)"),
        ("See {numref}`fig-one`.", f"See [Fig. 2.1]({IN_TWO}fig-one)."),
        ("Words first: $$a$$ (eq-own)\n\n{eq}`eq-own`",
         "Words first: $$a\\tag{1.1}\n$$\n\n[(1.1)](01_one.ipynb#cell-id=cell-01-0)"),
        ("by {eq}`eq-one`,\nso", f"by [(2.1)]({IN_TWO}eq-one),\nso"),
        ("{ref}`clm-one`", f"[Theorem 2.1]({IN_TWO}clm-one)"),
        ("{doc}`notation`", "[Notation](notation.ipynb)"),
        ("[a](ledger.md), [b](02_two.ipynb#x)", "[a](ledger.ipynb), [b](02_two.ipynb#x)"),
        ("[a](other.md) [b](https://host/x.md)", "[a](other.md) [b](https://host/x.md)"),
        ("{cite:t}`one2001`", "von\N{NO-BREAK SPACE}Ćirić [\\[2001\\]](references.ipynb)"),
        ("{cite:p}`two2002, one2001`", "\\[[Li *et al.*, 2002](references.ipynb), "
                                       "[von\N{NO-BREAK SPACE}Ćirić, 2001](references.ipynb)\\]"),
        ("{cite:p}`undated`", "\\[[Ćirić and Li, n.d.](references.ipynb)\\]"),
        ("`{prf:ref}` and `` `{eq}`x`` ``", "`{prf:ref}` and `` `{eq}`x`` ``"),
        ("```\n{eq}`x`\n:::{note}\n```", "```\n{eq}`x`\n:::{note}\n```"),
        ("~~~md\n$ {eq}`x`\n~~~", "~~~md\n$ {eq}`x`\n~~~"),
        ("$a\\{b\\}`c`$ {eq}`eq-one`", f"$a\\{{b\\}}`c`$ [(2.1)]({IN_TWO}eq-one)"),
        ("costs \\$5 and {eq}`eq-one` \\$6", f"costs \\$5 and [(2.1)]({IN_TWO}eq-one) \\$6"),
        ("$$\n{a}`b`\n$$", "$$\n{a}`b`\n$$"),
        ("$$a$$ (eq-own)\n\n{eq}`eq-own`",
         "$$a\\tag{1.1}\n$$\n\n[(1.1)](01_one.ipynb#cell-id=eq-own)"),
        ("{term}`lag`, {term}`lags <lag>`", "lag, lags"),
        (":::{glossary}\nOne\nTwo\n  By {eq}`eq-one`,\n  so.\n\nThree\n  $h$.\n:::",
         f"- **One, Two**: By [(2.1)]({IN_TWO}eq-one), so.\n- **Three**: $h$."),
        (":::{note}\nText `a`.\n:::", "> **Note**\n>\n> Text `a`."),
        (":::{admonition} Mind *this*\nText.\n:::", "> **Mind *this***\n>\n> Text."),
        (":::{prf:proof}\nClear.\n:::", "*Proof.* Clear. □"),
        (":::{prf:proof}\nSo\n\n$$a$$\n:::", "*Proof.* So\n\n$$a$$\n\n□"),
        ("::::{dropdown} The proof: *by* $n$\n\n"
         ":::{prf:proof}\nClear by {eq}`eq-one`.\n:::\n\n::::",
         "<details>\n<summary>The proof: <em>by</em> $n$</summary>\n\n*Proof.* Clear by "
         f"[(2.1)]({IN_TWO}eq-one). □\n\n</details>"),
        (":::{note}\n:class: dropdown\n\nText.\n:::",
         "<details>\n<summary>Note</summary>\n\nText.\n\n</details>"),
    ],
)
def test_a_text_becomes_plain(book, source, wanted):
    assert plain(book, source) == wanted


def test_a_statement_is_a_quotation_that_nothing_leaves(book):
    """Formulas on one line, and code with the mark of the quotation on each of its own."""
    assert copied(book(EQUATION, CLAIM))[2].source == """\
> **Theorem 1.1** (A title with $a_1$) · *after S1*
>
> The body of [(1.1)](01_one.ipynb#cell-id=eq-one):
>
> $$ a=\\begin{pmatrix}1\\\\ 2\\end{pmatrix} $$
>
> ```
> :::{code}
> ```"""


@pytest.mark.parametrize(
    "source, said",
    [
        ("{prf:ref}`clm-none`", "no label 'clm-none'"),
        ("{eq}`clm one`", "no label 'clm one'"),
        ("{cite:t}`none`", "no 'none' in references.bib"),
        ("{doc}`none`", "no page none"),
        ("{kbd}`x`", "the role {kbd}"),
        (":::{figure} x\n:::", "the directive figure"),
        ("```{code-cell}\nx\n```", "the directive code-cell"),
        (":::{note}\nText", "never closed"),
        ("(a-target)=\n# Title", "(a-target)="),
        ("::::\n", "`::::`"),
        (":::{prf:remark}\nText\n:::", "Remark needs a label"),
        (CLAIM, "the label clm-one stands twice"),
    ],
)
def test_what_cannot_be_written_stops_and_names_the_cell(book, source, said):
    with pytest.raises(BookError) as error:
        plain(book, source)
    assert said in str(error.value)
    assert str(error.value).startswith(("01_one, cell-01 (text, 2 of 2): ", "02_two, cell-02 ("))


# Cells --------------------------------------------------------------------------------------

SOLUTION = """## Exercises

:::{exercise} Hm
:label: ex-one

How?
:::

:::{solution-start} ex-one
:class: dropdown
:::

So:"""
END = ":::{solution-end}\n:::"


def test_a_solution_is_folded_with_the_code_in_it(book):
    following = f"{END}\n\n:::{{exercise}} Ha\n:label: ex-two\n\nWhy?\n:::"
    cells = copied(book(SOLUTION, new_code_cell("x = 1"), following, "## End"))
    assert [cell.source for cell in cells[1:-1]] == [
        "## Exercises", "### Exercise 1.1 (Hm)\n\nHow?", "#### Solution to Exercise 1.1", "So:",
        "x = 1", "### Exercise 1.2 (Ha)\n\nWhy?", "## End"]
    assert [cell.id for cell in cells][2::4] == ["ex-one", "ex-two"]
    folded = [cell.source for cell in cells if cell.metadata.get("jp-MarkdownHeadingCollapsed")]
    assert folded == ["#### Solution to Exercise 1.1"]


@pytest.mark.parametrize("rest", [[f"{END}\n\nText."], [END, "Text."], [END, new_code_cell("1")]])
def test_what_a_solution_would_hide_is_an_error(book, rest):
    with pytest.raises(BookError, match="begins with a heading"):
        copied(book(SOLUTION, new_code_cell("x = 1"), *rest))


def test_a_figure_is_a_raster_with_its_caption_below_and_its_code_folded(book):
    cells = copied(book(EQUATION, CLAIM, drawing()))
    figure, caption = cells[3:5]
    assert figure.id == "fig-one" and figure.metadata == {"jupyter": {"source_hidden": True}}
    assert set(figure.outputs[0].data) == {"image/png", "text/plain"}
    assert caption.source == (
        "**Fig. 1.1** What [Theorem 1.1](01_one.ipynb#cell-id=clm-one) says.")


def test_setup_is_folded_and_draws_rasters(book):
    line = 'set_matplotlib_formats("svg", metadata={"Date": None})'
    hidden = new_code_cell("2", metadata={"jupyter": {"source_hidden": True}})
    cells = copied(book("## Setup", new_code_cell(f"import a\n{line}"), "## Objects",
                        new_code_cell("1"), hidden))
    setup, plain_one, folded = (cell for cell in cells if cell.cell_type == "code")
    assert setup.source == 'import a\nset_matplotlib_formats("retina")'
    assert [bool(cell.metadata) for cell in (setup, plain_one, folded)] == [True, False, True]


def test_every_chapter_of_the_book_asks_for_rasters():
    for name, made in copies(read_book(ROOT)).items():
        code = "\n".join(cell.source for cell in made.cells if cell.cell_type == "code")
        assert ("plt.show()" in code) == ('set_matplotlib_formats("retina")' in code), name
        assert not SVG.search(code)
        nbformat.validate(made)


def test_the_ledger_lists_each_claim_with_its_verdicts(book):
    lines = "PASS clm-one/size: 0.5 < 1 (a*b)\nPASS clm-one/sum: 1 = 1 exactly (why)\n"
    check = new_code_cell("# check: clm-one", outputs=[new_output("stream", text=lines)])
    ledger = ":::{ledger-summary}\n:::\n\n:::{ledger}\n:::"
    found = copied(book(CLAIM, EQUATION, check, ledger=ledger), "ledger")[0].source
    assert found.endswith("""\
1 claims and 2 checks.


### 1. The page one

- **[Theorem 1.1](01_one.ipynb#cell-id=clm-one)**
  - `size`: 0.5 \\< 1 (a\\*b)
  - `sum`: 1 = 1 exactly (why)""")


# Whose the copies are -----------------------------------------------------------------------


@pytest.fixture
def made(book):
    return lambda text: copies(read_book(book(text)))["01_one"]


def saved(path, change):
    nb = nbformat.read(path, as_version=4)
    change(nb)
    nbformat.write(nb, path)
    return path.read_bytes()


def test_a_copy_that_was_only_run_is_renewed(made, tmp_path):
    path = tmp_path / "copy.ipynb"
    put(made("Old."), path)
    saved(path, lambda nb: nb.metadata.language_info.update(version="3"))
    assert put(made("New."), path) is None
    assert "New." in path.read_text()
    assert [one.name for one in tmp_path.glob("*.ipynb")] == ["copy.ipynb"]


def test_a_copy_that_was_changed_stays_while_its_chapter_does(made, tmp_path):
    path = tmp_path / "copy.ipynb"
    put(made("Old."), path)
    mine = saved(path, lambda nb: nb.cells.append(new_code_cell("mine")))
    assert put(made("Old."), path) is None
    assert path.read_bytes() == mine


@pytest.mark.parametrize("mine", [b"no notebook", b"{}", None])
def test_a_copy_that_was_changed_is_moved_aside_for_a_new_edition(made, tmp_path, mine):
    path = tmp_path / "copy.ipynb"
    for at in (1, 2):
        put(made("Old."), path)
        theirs = mine or saved(path, lambda nb: nb.cells.append(new_code_cell("mine")))
        path.write_bytes(theirs)
        said = put(made("New."), path)
        assert said == f"copy.ipynb is new; the one that you changed is now copy-yours-{at}.ipynb"
        assert (tmp_path / f"copy-yours-{at}.ipynb").read_bytes() == theirs
        assert digest(nbformat.read(path, as_version=4)) == made("New.").metadata.lab.made
        path.unlink()


def test_the_tool_writes_a_notebook_for_each_page(tmp_path):
    assert main(tmp_path / "a lab") == 0
    names = {path.stem for path in (tmp_path / "a lab").iterdir()}
    assert {"index", "01_impulse_response", "notation", "ledger", "references"} <= names


# Saving a chapter itself --------------------------------------------------------------------


def test_a_chapter_that_jupyterlab_saves_keeps_its_form(tmp_path):
    root = tmp_path / "a root"
    shutil.copytree(ROOT / "tools", root / "tools")
    for folder in ("book", "_build/lab"):
        (root / folder).mkdir(parents=True)
        nb = new_notebook(cells=[new_code_cell("1", metadata={"scrolled": True})])
        nb.metadata.language_info = {"name": "python", "version": "3"}
        (root / folder / "one.ipynb").write_text(dumps(nb))
    config = Config()
    runpy.run_path(str(root / "tools" / "jupyter" / "jupyter_server_config.py"),
                   init_globals={"get_config": lambda: config})
    for folder, kept in {root / "book": True, root / "_build" / "lab": False}.items():
        manager = config.ServerApp.contents_manager_class(root_dir=str(folder))
        asyncio.run(manager.save(asyncio.run(manager.get("one.ipynb")), "one.ipynb"))
        assert (not_canonical((folder / "one.ipynb").read_text()) is None) == kept
