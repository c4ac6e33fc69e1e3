"""The chapters keep the form that chapter_rules describes, and every rule can fail."""

import re
import runpy
from copy import deepcopy

import pytest
from chapter_rules import (
    BOOK_RULES,
    CHANGE,
    CHAPTER_RULES,
    LIMITS,
    NOTEBOOK_RULES,
    ROOT,
    SEEDS_LINE,
    Book,
    complaints,
    directives,
    labels,
    read,
    read_book,
    words,
)
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

FOLDER = ROOT / "book"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
CHAPTERS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
tool = runpy.run_path(str(ROOT / "tools" / "notebooks.py"))

# The book -----------------------------------------------------------------------------------


def test_the_book_has_chapters():
    assert CHAPTERS, f"no notebook NN_name.ipynb in {FOLDER}"


def test_every_notebook_is_the_index_or_a_numbered_chapter():
    assert {path.name for path in NOTEBOOKS} - {path.name for path in CHAPTERS} <= {"index.ipynb"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_form(path):
    notebook = read(path.name, path.read_text(encoding="utf-8"))
    rules = CHAPTER_RULES if path in CHAPTERS else NOTEBOOK_RULES
    found = [complaint for rule in rules for complaint in complaints(rule, notebook)]
    assert not found, "\n".join(found)


def table(markdown):
    """The rows `| a size | 1,234 |` of a text: a_size -> 1234."""
    rows = re.findall(r"^\| ([^|]+?) \| ([\d,]+) \|$", markdown, re.MULTILINE)
    return {name.lower().replace(" ", "_"): int(size.replace(",", "")) for name, size in rows}


def test_contributors_read_the_sizes_that_are_tested():
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert table(contributing) == LIMITS._asdict()
    assert SEEDS_LINE in contributing and CHANGE in contributing
    prose = re.sub(r"^\|.*|`[^`]*`", "", contributing, flags=re.MULTILINE)
    assert not re.search(r"\d+ (words|lines|code cells|figures|exercises)", prose), "said twice"


@pytest.mark.parametrize("rule", BOOK_RULES, ids=lambda rule: rule.__name__)
def test_book_keeps_the_form(rule):
    found = complaints(rule, read_book(FOLDER))
    assert not found, "\n".join(found)


# The parser ---------------------------------------------------------------------------------


def test_words_are_those_that_a_reader_reads():
    text = """\
## A heading

(target)=
Three *plain* words and $a + b$, `code here`. <!-- not this -->

$$ h_j = C A^j B $$ (eq-h)

:::{prf:theorem} Two more
:label: clm-x

inside.
:::

```python
not_counted = 1
```
"""
    assert words(text) == len("Three plain words and x code here Two more inside".split())


def test_directives_nest_and_say_whether_they_close():
    text = "::::{exercise} Outer\n:label: ex-a\n\n:::{note}\ninside\n:::\n::::\n\n:::{prf:proof}"
    outer, inner, last = directives(text)
    assert (outer.name, outer.title, outer.label) == ("exercise", "Outer", "ex-a")
    assert (inner.name, inner.body) == ("note", ["inside"])
    assert [outer.closed, inner.closed, last.closed] == [True, True, False]


@pytest.mark.parametrize(
    "source, found",
    [
        ("check('clm-a/x', 1, below=2, why='w')", ["clm-a/x:"]),
        ("for n in range(3):\n    checks.check(f'clm-a/x-{n}', n, why='w')", ["clm-a/x-"]),
        ("assert_identity(label='clm-a/x', lhs=0)", ["clm-a/x:"]),
        ("check('clm-a/' + name, 1)", [""]),
        ("check(f'{name}/x', 1)", [""]),
        ("checked('clm-a/x')", []),
        ("check('clm-a/x'", []),  # broken code: the rule `unfinished` reports it
    ],
)
def test_labels_are_read_from_the_source(source, found):
    assert labels(source) == found


# A good chapter -----------------------------------------------------------------------------

DRAWN = {"image/svg+xml": "<svg/>", "text/plain": "<Figure size 6x4>"}
IMAGE = new_output("display_data", data={"image/png": "aGk=", **DRAWN})
FIGURE = {
    "figure": {"name": "fig-decay", "caption": "The response decays."},
    "image": {"alt": "A falling curve."},
}


FOLDED = {"tags": ["hide-input"], "jupyter": {"source_hidden": True}}
OPENING = {
    "figure": {"name": "fig-idea", "caption": "The idea of the chapter."},
    "image": {"alt": "A falling point."},
}


def stdout(text):
    return new_output("stream", name="stdout", text=text)


def code(source, *outputs, **metadata):
    return new_code_cell(source, outputs=list(outputs), metadata=metadata)


def lines(start):
    return code("\n".join(f"a{start}_{i} = {i}" for i in range(6)))


def solution(label, cell, asked="What is it?"):
    return [
        new_markdown_cell(f":::{{exercise}} Ask\n:label: {label}\n\n{asked}\n:::"),
        new_markdown_cell(
            f":::{{solution-start}} {label}\n:label: sol-{label}\n:class: dropdown\n:::"
        ),
        cell,
        new_markdown_cell(":::{solution-end}\n:::"),
    ]


HEADER = """\
# A good chapter

**In short.** It keeps every rule.

- **Reading time:** 10 minutes.
- **Running time:** 5 seconds.
- **Needs:** nothing.
- **You will be able to:** break each rule.
"""
CLAIM = """\
## The claim

As {cite:t}`kalman1960` knew, by {eq}`eq-response`:

:::{prf:theorem} It decays
:label: clm-decay
:class: src-classical

It decays, as {numref}`fig-decay` shows.
:::

:::{prf:proof}
Obvious.
:::

:::{prf:observation} It looks smooth
:label: clm-smooth
:class: src-book

Seeds 0-9 look smooth, which {prf:ref}`clm-decay` permits.
:::
"""
CHECK = """\
# check: clm-decay, clm-smooth
check("clm-decay/bound", 1.0, below=2.0, why="as proved above")
for n in range(2):
    check(f"clm-decay/size-{n}", n, below=2, why="as proved above")
assert_identity("clm-smooth/zero", x - x)
"""
PASSED = """\
PASS clm-decay/bound: 1 < 2 (as proved above)
PASS clm-decay/size-0: 0 < 2 (as proved above)
PASS clm-decay/size-1: 1 < 2 (as proved above)
PASS clm-smooth/zero: 0 = 0 (SymPy, exact)
"""
BREAK = """\
# check: clm-decay
check("clm-decay/break-stable", 3.0, above=2.0, why="an unstable pole")
"""


def specimen():
    """The smallest chapter that keeps every rule."""
    return new_notebook(
        cells=[
            new_markdown_cell(HEADER),
            new_markdown_cell("## Question and answer"),
            code("show(idea)\nplt.show()", IMAGE, mystnb=OPENING, **FOLDED),
            new_markdown_cell("Does it decay? Yes, see {numref}`fig-idea`."),
            new_markdown_cell("## Setup"),
            code("import torch\nfrom lowdim.checks import check\nseeds = range(10)", **FOLDED),
            new_markdown_cell("## Objects\n\nThe response is\n\n$$ h_j = C A^j B $$ (eq-response)"),
            *[lines(start) for start in range(12)],
            new_markdown_cell(CLAIM),
            code(CHECK, stdout(PASSED)),
            new_markdown_cell("## Experiment: training\n\n**Prediction.** Below 1."),
            code("rnn = seeded_rnns(4, seeds, scale=1.0)"),
            code("trace = gradient_descent(rnn, h, lr=0.1, steps=9, record_every=1)"),
            code("ax.plot(trace.loss)\nplt.show()", IMAGE, mystnb=FIGURE, **FOLDED),
            new_markdown_cell("## Break it"),
            code(BREAK, stdout("PASS clm-decay/break-stable: 3 > 2 (an unstable pole)")),
            new_markdown_cell("## Exercises"),
            *solution("ex-one", code("x = 1")),
            *solution("ex-two", code("y = 2")),
            *solution("ex-three", code("z = 3"), f"{CHANGE} Double the pole."),
            new_markdown_cell("## What was not shown"),
            code("print(torch.__version__)", stdout("torch 2.9.0, seeds 0-9")),
        ]
    )


BIBLIOGRAPHY = "@article{kalman1960,\n  title = {Contributions},\n}\n"


def chapter(nb, tidy=True, name="99_specimen.ipynb"):
    return read(name, tool["dumps"](tool["canonical"](nb) if tidy else nb))


def book(nb, bibliography=BIBLIOGRAPHY):
    return Book([chapter(nb)], {"page.md": "A page without claims."}, bibliography)


@pytest.mark.parametrize("rule", CHAPTER_RULES, ids=lambda rule: rule.__name__)
def test_the_good_chapter_keeps(rule):
    assert complaints(rule, chapter(specimen())) == []


@pytest.mark.parametrize("rule", BOOK_RULES, ids=lambda rule: rule.__name__)
def test_the_book_of_the_good_chapter_keeps(rule):
    assert complaints(rule, book(specimen())) == []


# Every rule can fail ------------------------------------------------------------------------


def swap(old, new):
    """Replace a text in the one cell whose source or stored text has it."""

    def mutate(nb):
        streams = [out for cell in nb.cells for out in cell.get("outputs", ()) if "text" in out]
        places = [(cell, "source") for cell in nb.cells] + [(out, "text") for out in streams]
        found = [(owner, key) for owner, key in places if old in owner[key]]
        assert found, f"the specimen does not contain {old!r}"
        owner, key = found[0]
        owner[key] = owner[key].replace(old, new, 1)

    return mutate


def cell_of(nb, text):
    return next(i for i, cell in enumerate(nb.cells) if text in cell.source)


def drop(text):
    return lambda nb: nb.cells.pop(cell_of(nb, text))


def move(text, before):
    return lambda nb: nb.cells.insert(cell_of(nb, before), nb.cells.pop(cell_of(nb, text)))


def insert(before, *cells):
    def mutate(nb):
        at = cell_of(nb, before)
        nb.cells[at:at] = deepcopy(list(cells))

    return mutate


def outputs(text, *new):
    def mutate(nb):
        nb.cells[cell_of(nb, text)].outputs = deepcopy(list(new))

    return mutate


def figure(key, subkey, value):
    def mutate(nb):
        nb.cells[cell_of(nb, "plt.show()")].metadata["mystnb"][key][subkey] = value

    return mutate


def metadata(text, **new):
    def mutate(nb):
        nb.cells[cell_of(nb, text)].metadata.update(deepcopy(new))

    return mutate


def each(*mutations):
    return lambda nb: [mutate(nb) for mutate in mutations]


MANY = " many" * 160
LINES = "b = 1\n" * 10
HOME = "/" + "home/someone/book"
ANSWER = "## Question and answer"
FAILURES = {
    "header": [
        (swap("# A good chapter", "A good chapter"), "`# Title`"),
        (swap("**In short.** ", ""), "In short"),
        (swap("every rule.", MANY), "at most 60"),
        (swap("- **Needs:** nothing.\n", ""), "bullets"),
        (swap("**Needs:** nothing", "**Needs:**"), "bullets"),
        (swap("Does it decay?", "\n\n# Second title\n\n"), "one level-1 heading"),
        (insert("# A good chapter", code("1")), "begins with a markdown cell"),
    ],
    "sections": [
        (swap("## Objects", "## Things"), "## Objects"),
        (swap("## Setup", "## Break it"), "stands 2 times"),
        (swap("## Experiment: training", "## Trial"), "## Experiment"),
        (move("## Break it", "## Experiment"), "order"),
        (insert(ANSWER, new_markdown_cell("## Before")), "the first section"),
    ],
    "short_answer": [(swap("Does it decay?", MANY), "at most 150")],
    "opening_picture": [
        (drop("show(idea)"), "directly under"),
        (swap(ANSWER, f"{ANSWER}\n\nFirst a word."), "directly under"),
        (move("Does it decay?", "show(idea)"), "directly under"),
        (metadata("show(idea)", tags=[]), "directly under"),
    ],
    "setup": [
        (swap("import torch", LINES + "import torch"), "13 lines"),
        (insert("## Objects", code("1")), "2 code cells"),
    ],
    "seeds": [
        (swap(SEEDS_LINE, "seeds = range(20)"), "stands once, in Setup"),
        (swap(SEEDS_LINE, ""), "stands once, in Setup"),
        (each(swap(SEEDS_LINE, ""), swap("a0_0", f"{SEEDS_LINE}\na0_0")), "stands once, in Setup"),
        (swap("a0_0", "seeds = seeds[:3]\na0_0"), "nothing else is called seeds"),
        (swap("a0_0", "def f(seeds): ...\na0_0"), "nothing else is called seeds"),
        (swap("(4, seeds,", "(4, range(10),"), "do not come from `seeds`"),
        (swap("(4, seeds,", "(4, [0, 1],"), "do not come from `seeds`"),
        (swap("(4, seeds,", "(4, seeds=[0],"), "do not come from `seeds`"),
        (swap("(4, seeds,", "(4, seed_list,"), "do not come from `seeds`"),
        (
            each(swap("a0_0", "few = seeds[:3]\nfew = [1]\na0_0"), swap("(4, seeds,", "(4, few,")),
            "do not come from `seeds`",
        ),
        (swap("trace =", "lone = random_rnn(4, scale=1.0, generator=g)\ntrace ="), "is a start"),
        (swap("trace =", "lone = random_rnn(4, scale=1.0)\ntrace ="), "is a start"),
    ],
    "folding": [
        (metadata("import torch", tags=[]), "draws or sets up"),
        (metadata("ax.plot", tags=[]), "draws or sets up"),
        (swap("for n in range(2)", LINES + "for n in range(2)"), "a check cell of 14 lines"),
        (swap("Obvious.", "Long. " * 140), "a proof of 9 lines"),
        (swap("Obvious.", "Long.\n" * 9), "a proof of 9 lines"),
    ],
    "folds": [
        (metadata("a0_0", tags=["hide-output"]), "not ['hide-output']"),
        (metadata("a0_0", tags=["hide-input"]), "stand together"),
        (metadata("ax.plot", tags=[]), "stand together"),
    ],
    "provenance": [
        (outputs("torch.__version__", stdout("seeds 0-9")), "versions and seeds"),
        (outputs("torch.__version__", stdout("torch 2.9")), "versions and seeds"),
        (drop("torch.__version__"), "last code cell"),
    ],
    "directive_form": [
        (swap(":class: src-classical\n\n", ":class: src-classical\n"), "blank line"),
        (swap("Obvious.\n:::", "Obvious."), "never closed"),
        (swap("smooth, which {prf:ref}`clm-decay` permits.\n:::", "smooth."), "never closed"),
    ],
    "claim_form": [
        (swap(":label: clm-decay", ":label: thm-decay"), "'thm-decay'"),
        (swap(":label: clm-decay", ":label: clm-Decay"), "'clm-Decay'"),
        (swap(":class: src-classical", ":class: src-s4"), "the class"),
        (swap(":class: src-classical\n", ""), "the class"),
        (swap("{prf:theorem} It decays", "{prf:theorem}"), "title"),
        (swap("{prf:theorem}", "{prf:definition}"), "is not a claim"),
    ],
    "claims_checked": [
        (swap("# check: clm-decay, clm-smooth", "# check: clm-decay"), "clm-smooth has no check"),
        (move("# check: clm-decay, clm-smooth", "## The claim"), "no check cell after it"),
        (
            each(swap("clm-decay/size", "clm-smooth/size"), swap("/break-stable", "-x/break")),
            "has 1 checks",
        ),
    ],
    "check_cells": [
        (swap("# check: clm-decay, clm-smooth", "# all is well"), "is no check cell"),
        (swap("# check: clm-decay, clm-smooth", "# check clm-decay"), "first line"),
        (swap("# check: clm-decay, clm-smooth", "# check: clm-other"), "no claim of this chapter"),
        (swap('"clm-smooth/zero"', '"clm-decay/zero"'), "begins clm-smooth/"),
        (swap('"clm-smooth/zero"', '"clm-smoother/zero"'), "begins with none"),
        (swap('"clm-smooth/zero"', "name"), "begins with none"),
        (move("# check: clm-decay, clm-smooth", "## The claim"), "before it is stated"),
    ],
    "proofs": [
        (swap(":::{prf:proof}", ":::{note}"), "clm-decay has no proof"),
        (swap(":::{prf:proof}", "## Later\n\n:::{prf:proof}"), "clm-decay has no proof"),
        (swap("{prf:observation}", "{prf:lemma}"), "clm-smooth has no proof"),
    ],
    "broken_hypotheses": [
        (swap("/break-stable", "/stable"), "is not clm-…/break-…"),
        (swap("/bound", "/break-bound"), "belongs into"),
        (drop("/break-stable"), "checks no failure"),
    ],
    "stored_verdicts": [
        (swap("PASS clm-decay/bound: 1 < 2 (as proved above)\n", ""), "'clm-decay/bound:'"),
        (swap("PASS clm-decay/bound", "PASS clm-decay/bounded"), "'clm-decay/bound:'"),
        (swap("PASS clm-smooth", "done\nPASS clm-smooth"), "nothing else"),
        (outputs("clm-smooth/zero"), "0 PASS lines for 3 calls"),
        (outputs("a0_0", stdout("PASS clm-decay/x: 1")), "is no check cell"),
        (outputs("/break-stable", IMAGE), "nothing else"),
    ],
    "reasons": [
        (swap("2 (as proved above)", "2 (as above)"), "clm-decay/bound: 'as above' is no reason"),
        (swap("2 (an unstable pole)", "2 (x = 1)"), "'x = 1' is no reason"),
        (swap("0 = 0 (SymPy, exact)", "0 = 0 exactly (as above)"), "clm-smooth/zero: 'as above'"),
    ],
    "clean_outputs": [
        (outputs("a0_0", new_output("error", ename="ValueError")), "ValueError"),
        (outputs("a0_0", new_output("stream", name="stderr", text="w")), "stderr"),
        (outputs("a0_0", stdout("<object at 0x7f3a5c001d30>")), "an object address"),
        (outputs("a0_0", stdout(HOME)), "path of a machine"),
        (outputs("a0_0", new_output("display_data", data={"text/html": HOME})), "path of a"),
        (outputs("a0_0", stdout("took 1.3 s")), "a timing"),
        (outputs("a0_0", stdout("FAIL clm-decay/x")), "a failed check"),
    ],
    "figure_cells": [
        (swap("plt.show()", "plt.show();"), "ends with"),
        (swap("ax.plot(trace.loss)", 'check("clm-decay/x", 1)'), "holds no check"),
        (outputs("plt.show()", stdout("loss"), IMAGE), "exactly one image"),
        (outputs("plt.show()"), "exactly one image"),
        (outputs("plt.show()", new_output("display_data", data=DRAWN)), "without image/png"),
        (figure("figure", "name", "decay"), "figure.name"),
        (figure("figure", "caption", "It decays"), "figure.caption"),
        (figure("image", "alt", ""), "image.alt"),
        (outputs("a0_0", IMAGE), "figure.name"),
    ],
    "figures_used": [
        (swap("{numref}`fig-decay`", "the figure"), "no sentence refers"),
        (
            insert("## Break it", *[code("plt.show()", IMAGE, mystnb=FIGURE) for _ in range(5)]),
            "7 figures, at most 6",
        ),
    ],
    "sizes": [
        (swap("Obvious.", MANY * 22), "words, at most 3500"),
        (insert("## Break it", *[code("1") for _ in range(10)]), "33 code cells, not 15 to 30"),
        (each(*[drop(f"a{i}_0") for i in range(9)]), "14 code cells, not 15 to 30"),
        (swap("a0_0", LINES * 2 + "a0_0"), "26 lines, at most 25"),
        (swap("a0_0", "a" * 100), "at most 100"),
        (each(*[swap(f"a{i}_5", f"1\na{i}_5") for i in range(12)]), "the median cell has 7"),
    ],
    "enough_exercises": [
        (drop(":::{exercise} Ask\n:label: ex-two"), "2 exercises, at least 3"),
        (swap(CHANGE, "Predict."), "no exercise has the words"),
    ],
    "exercises": [
        (swap(":label: ex-one", ":label: one"), "ex-[a-z0-9-]+"),
        (swap("{solution-start} ex-one", "{solution-start} ex-two"), "0 solutions"),
        (swap(":class: dropdown", ":class: open"), "dropdown"),
        (drop(":::{solution-end}"), "no `solution-end`"),
        (drop("x = 1"), "runs no code"),
        (swap("## Exercises", "## Tasks"), "outside of the section"),
    ],
    "predictions": [
        (swap("**Prediction.**", "Prediction:"), "Prediction"),
        (
            each(
                swap("**Prediction.**", ""),
                insert("ax.plot", new_markdown_cell("**Prediction.** It will be so.")),
            ),
            "Prediction",
        ),
        (each(swap("gradient_descent", "look"), swap("**Prediction.**", "")), "Prediction"),
    ],
    "fences": [(swap(":::{prf:proof}", "```{prf:proof}"), "colon fence")],
    "formulas": [
        (swap("is\n\n$$", "is\n$$"), "blank line"),
        (swap("$$ h_j", r"$$ \newcommand{\a}{a} h_j"), "newcommand"),
        (swap("$$ h_j", r"$$ \def\a{a} h_j"), "def"),
    ],
    "raw_html": [
        (swap("Obvious.", "<b>Obvious.</b>"), "<b>"),
        (swap("Obvious.", 'See <a href="x">this.'), "<a href"),
    ],
    "unfinished": [
        (swap("Obvious.", "TODO: prove it."), "TODO"),
        (swap("a0_0", "%time a0_0"), "not plain Python"),
    ],
    "canonical_form": [],  # untidy files: test_a_file_that_is_not_canonical_is_reported
}
BOOK_FAILURES = {
    "unique_names": [
        (swap(":label: clm-smooth", ":label: clm-decay"), "clm-decay is given 2 times"),
        (swap(":label: ex-two", ":label: ex-one"), "ex-one is given 2 times"),
        (insert("## Break it", code("plt.show()", IMAGE, mystnb=FIGURE)), "fig-decay is given 2"),
        (swap("## Objects", "## Objects\n\n$$ 1 $$ (eq-response)"), "eq-response is given 2"),
    ],
    "targets_exist": [
        (swap("(eq-response)", "(eq-other)"), "eq-response"),
        (swap("{eq}`eq-response`", "{eq}`clm-decay`"), "{eq}`clm-decay`"),
        (swap("{prf:ref}`clm-decay`", "{prf:ref}`that <clm-gone>`"), "clm-gone"),
        (swap("{numref}`fig-decay`", "{numref}`Figure %s <fig-gone>`"), "fig-gone"),
    ],
    "citations": [
        (swap("{cite:t}`kalman1960`", "Kalman"), "cited nowhere"),
        (swap("`kalman1960`", "`kalman1960,ho1966`"), "ho1966 is not in"),
    ],
}


def cases(failures):
    return [
        pytest.param(rule, mutate, said, id=f"{rule}-{i}")
        for rule, mutations in failures.items()
        for i, (mutate, said) in enumerate(mutations)
    ]


def test_every_rule_is_shown_to_fail():
    assert set(FAILURES) == {rule.__name__ for rule in CHAPTER_RULES}
    assert set(BOOK_FAILURES) == {rule.__name__ for rule in BOOK_RULES}
    silent = [rule for rule, mutations in FAILURES.items() if not mutations]
    assert silent == ["canonical_form"]


@pytest.mark.parametrize("rule, mutate, said", cases(FAILURES))
def test_a_broken_chapter_is_reported(rule, mutate, said):
    nb = specimen()
    mutate(nb)
    (judge,) = [judge for judge in CHAPTER_RULES if judge.__name__ == rule]
    found = complaints(judge, chapter(nb))
    assert any(said in complaint for complaint in found), found
    assert all("99_specimen.ipynb" in complaint for complaint in found)


def keeps(rule, mutate):
    nb = specimen()
    mutate(nb)
    (judge,) = [judge for judge in CHAPTER_RULES if judge.__name__ == rule]
    return complaints(judge, chapter(nb)) == []


@pytest.mark.parametrize(
    "start",
    [
        "seeded_rnns(4, seeds[:3], scale=1.0)",
        "seeded_rnns(4, range(seeds[0], seeds[0] + 24), scale=1.0)",
        "few = seeds[:3]\nrnn = seeded_rnns(4, seeds=few, scale=1.0)",
        "[seeded_rnns(4, [seed], scale=1.0) for seed in seeds]",
        "for i, seed in enumerate(seeds):\n    one = seeded_rnns(4, [seed], scale=1.0)",
        "g = torch.Generator().manual_seed(seeds[0])\nrnn = random_rnn(4, scale=1.0, generator=g)",
        "random_rnn(4, scale=1.0, generator=g)  # moves g on",
        "rnn = seeded_rnns(4, seeds, scale=1.0)\nbest[seeds[0]] = rnn",
    ],
)
def test_a_start_may_take_its_seeds_from_the_line_of_setup_in_many_ways(start):
    assert keeps("seeds", swap("rnn = seeded_rnns(4, seeds, scale=1.0)", start))


def test_a_chapter_that_trains_nothing_needs_no_seeds():
    nothing = each(swap(SEEDS_LINE, ""), drop("seeded_rnns"), drop("gradient_descent"))
    assert keeps("seeds", nothing)
    drawn = "random_rnn(3, scale=1.0, generator=torch.Generator().manual_seed(0))"
    assert keeps("seeds", each(nothing, swap("a0_0 = 0", f"a0_0 = {drawn}")))


def test_the_front_page_has_seeds_and_no_section_setup():
    nb = specimen()
    swap("## Setup", "## Start")(nb)
    (rule,) = [rule for rule in NOTEBOOK_RULES if rule.__name__ == "seeds"]
    assert complaints(rule, chapter(nb, name="index.ipynb")) == []
    assert complaints(rule, chapter(nb))
    swap(SEEDS_LINE, "")(nb)
    assert complaints(rule, chapter(nb, name="index.ipynb"))


def test_a_long_proof_may_be_folded():
    proof = ":::{prf:proof}\nObvious.\n:::"
    long = ":::{prf:proof}\n" + "Long. " * 140 + "\n:::"
    folded = swap(proof, f"::::{{dropdown}} The proof\n\n{long}\n\n::::")
    assert keeps("folding", folded) and keeps("proofs", folded) and keeps("directive_form", folded)
    assert not keeps("folding", swap(proof, f"::::{{dropdown}} A remark\n\n::::\n\n{long}"))


def test_a_long_check_cell_may_be_folded():
    longer = swap("for n in range(2)", LINES + "for n in range(2)")
    assert keeps("folding", each(longer, metadata("clm-decay/size", **FOLDED)))


def test_a_short_chapter_is_long_enough():
    assert words(chapter(specimen()).markdown) < 100
    assert keeps("sizes", swap("Does it decay? Yes, see ", ""))


def test_a_complaint_calls_a_cell_as_jupyter_numbers_it():
    nb = specimen()
    each(swap("a0_0", "%time a0_0"), swap("Obvious.", "TODO"))(nb)
    (rule,) = [rule for rule in CHAPTER_RULES if rule.__name__ == "unfinished"]
    found = complaints(rule, chapter(nb))
    assert found[0].startswith("99_specimen.ipynb cell-07 (In [3]): not plain Python")
    assert found[1].startswith("99_specimen.ipynb cell-19 (text, 20 of ")


@pytest.mark.parametrize("rule, mutate, said", cases(BOOK_FAILURES))
def test_a_broken_book_is_reported(rule, mutate, said):
    nb = specimen()
    mutate(nb)
    (judge,) = [judge for judge in BOOK_RULES if judge.__name__ == rule]
    found = complaints(judge, book(nb))
    assert any(said in complaint for complaint in found), found


def test_a_doubled_bibliography_entry_is_reported():
    (rule,) = [rule for rule in BOOK_RULES if rule.__name__ == "citations"]
    (complaint,) = complaints(rule, book(specimen(), BIBLIOGRAPHY * 2))
    assert "kalman1960 is there 2 times" in complaint


def test_a_file_that_is_not_canonical_is_reported():
    (rule,) = [rule for rule in CHAPTER_RULES if rule.__name__ == "canonical_form"]
    nb = tool["canonical"](specimen())
    nb.cells[5].execution_count = 7
    (complaint,) = complaints(rule, chapter(nb, tidy=False))
    assert "cells[5].execution_count" in complaint
