"""The form of a chapter: how a notebook is read, and one small function per rule.

A rule takes a Chapter (or, at the end of this file, the whole Book) and yields complaints
`(cell, sentence)`; a chapter that keeps the rule yields nothing.
"""

import ast
import math
import re
import runpy
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from statistics import median
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from lowdim.checks import (
    BREAK_LABEL,
    CHECK_LINE,
    CLAIMS,
    PASS_LINE,
    PROVED,
    SOURCES,
    VERDICTS,
)

ROOT = Path(__file__).resolve().parents[1]
tool = runpy.run_path(str(ROOT / "tools" / "notebooks.py"))

TRAINING = {"gradient_descent", "kernel_descent"}
BULLETS = ["Reading time:", "Running time:", "Needs:", "You will be able to:"]
SECTIONS = [
    "Question and answer",
    "Setup",
    "Objects",
    "Experiment",
    "Break it",
    "Exercises",
    "What was not shown",
]

COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
CODE_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1[ \t]*$", re.DOTALL | re.MULTILINE)
CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
DISPLAY = re.compile(r"\$\$.*?\$\$(?:[ \t]*\(([\w:.-]+)\))?", re.DOTALL)
FORMULA = re.compile(r"(?<![\\$])\$[^$]+\$")
FENCE = re.compile(r"^:{3,}(\{[^}]*\})?", re.MULTILINE)
OPENING = re.compile(r"^(:{3,})\{([^}]+)\}[ \t]*(.*)$")
OPTION = re.compile(r"^:([a-z-]+):[ \t]*(.*)$", re.MULTILINE)
HEADING = re.compile(r"^#+ .*$", re.MULTILINE)
TARGET = re.compile(r"^\(([\w:.-]+)\)=[ \t]*$", re.MULTILINE)
CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
REFERENCE = re.compile(r"\{(eq|prf:ref|numref|ref)\}`(?:[^`<]*<)?([^`<>]+)>?`")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|Users|root|work|tmp|farm)/")
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")  # six digits: "640x480" is a size
TIMING = re.compile(
    r"Wall time|CPU times|\b\d+\.\d+ ?s\b|\b\d+(\.\d+)? ?(ms|µs|us|ns|seconds?|minutes?|it/s)\b"
)


class Limits(NamedTuple):
    """The sizes of a chapter, in one table; CONTRIBUTING.md has a row for each."""

    words: int = 3500  # to read, the folded ones included
    words_in_in_short: int = 60
    words_in_question_and_answer: int = 150
    fewest_code_cells: int = 15
    most_code_cells: int = 30
    lines_in_a_cell: int = 25
    lines_in_the_median_cell: int = 6
    lines_in_setup: int = 8
    lines_not_folded: int = 8  # of a check cell or a proof; a longer one is folded
    characters_in_a_line: int = 100  # of code; a proof's lines are counted as long as this
    figures: int = 6
    fewest_exercises: int = 3
    fewest_checks_of_a_theorem: int = 2
    fewest_words_in_a_reason: int = 3


LIMITS = Limits()
SEEDS_LINE = "seeds = range(10)"  # tools/reseed.py rewrites it
CHANGE = "**Change, predict, run.**"
FORMATS = {"image/png", "image/svg+xml"}  # a viewer that trusts no SVG shows the other

Complaint = tuple[int | None, str]


class Directive(NamedTuple):
    name: str
    title: str
    options: dict[str, str]
    body: list[str]
    closed: bool

    @property
    def label(self) -> str:
        return self.options.get("label", "")


class Piece(NamedTuple):
    """A code cell, or that part of a markdown cell which lies in one level-2 section."""

    cell: int
    kind: str
    section: int
    title: str
    text: str
    outputs: list[NotebookNode]
    metadata: dict

    @property
    def checks(self) -> list[str]:
        """The claims that the first line of a check cell names; empty for other cells."""
        match = CHECK_LINE.fullmatch(self.text.split("\n", 1)[0].rstrip())
        return match[1].split(", ") if match else []

    @property
    def is_figure(self) -> bool:
        return bool(images(self.outputs)) or "plt.show()" in self.text

    @property
    def is_folded(self) -> bool:
        return "hide-input" in self.metadata.get("tags", [])


class Chapter(NamedTuple):
    name: str
    text: str
    cells: list[NotebookNode]
    pieces: list[Piece]

    @property
    def number(self) -> int:
        """The number in the name of the file; 0 for the front page."""
        return int(match[0]) if (match := re.match(r"\d+", self.name)) else 0

    @property
    def code(self) -> list[Piece]:
        return [piece for piece in self.pieces if piece.kind == "code"]

    @property
    def prose(self) -> list[Piece]:
        return [piece for piece in self.pieces if piece.kind == "markdown"]

    @property
    def markdown(self) -> str:
        return "\n\n".join(piece.text for piece in self.prose)

    def directives(self, *names: str) -> Iterator[tuple[Piece, Directive]]:
        """All directives in order, or those with one of the names."""
        for piece in self.prose:
            for directive in directives(piece.text):
                if not names or directive.name in names:
                    yield piece, directive

    def claims(self) -> list[tuple[Piece, Directive]]:
        return list(self.directives(*CLAIMS))


class Book(NamedTuple):
    chapters: list[Chapter]
    pages: dict[str, str]
    bibliography: str

    @property
    def markdown(self) -> dict[str, str]:
        return {chapter.name: chapter.markdown for chapter in self.chapters} | self.pages


# Reading ------------------------------------------------------------------------------------


def read(name: str, text: str) -> Chapter:
    """Parse the text of a notebook file."""
    cells = nbformat.v4.reads(text).cells
    return Chapter(name, text, cells, list(pieces(cells)))


def read_book(folder: Path) -> Book:
    """The notebooks of a folder and its markdown pages."""
    return Book(
        [read(path.name, path.read_text("utf-8")) for path in sorted(folder.glob("*.ipynb"))],
        {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.md"))},
        (folder / "references.bib").read_text("utf-8"),
    )


def pieces(cells: list[NotebookNode]) -> Iterator[Piece]:
    section, title = 0, ""
    for index, cell in enumerate(cells):
        markdown = cell.cell_type == "markdown"
        for text in re.split(r"^(?=## )", cell.source, flags=re.MULTILINE) if markdown else [""]:
            if text.startswith("## "):
                section, title = section + 1, text.split("\n", 1)[0][3:].strip()
            if not markdown:
                outputs = cell.get("outputs", [])
                yield Piece(
                    index, cell.cell_type, section, title, cell.source, outputs, cell.metadata
                )
            elif text.strip():
                yield Piece(index, "markdown", section, title, text, [], cell.metadata)


def directives(text: str) -> Iterator[Directive]:
    """The colon-fence directives of a markdown text, nested ones included."""
    lines = text.splitlines()
    for start, line in enumerate(lines):
        if opening := OPENING.match(line):
            fence, name, title = opening.groups()
            rest = lines[start + 1 :]
            inside = list(takewhile(lambda line, fence=fence: line.rstrip() != fence, rest))
            opened = [inner[1] for inner in map(OPENING.match, inside) if inner]
            closed = len(inside) < len(rest) and fence not in opened
            options = [m.groups() for m in takewhile(bool, map(OPTION.match, inside))]
            body = inside[len(options) :]
            yield Directive(name, title.strip(), dict(options), body, closed)


def visible(text: str) -> str:
    """Markdown without comments, code and formulas; a formula in a sentence becomes one word."""
    for pattern, word in [(COMMENT, ""), (CODE_FENCE, ""), (DISPLAY, ""), (FORMULA, "x")]:
        text = pattern.sub(word, text)
    return text


def words(text: str) -> int:
    """How many words there are to read: no heading, fence, option, target or displayed formula."""
    text = visible(text)
    for pattern in (FENCE, OPTION, TARGET, HEADING):
        text = pattern.sub("", text)
    return len(re.findall(r"\S*[^\W_]\S*", text))


def code_lines(source: str) -> int:
    """Source lines that are not blank and not the comment that makes a check cell."""
    lines = [line.strip() for line in source.splitlines()]
    return sum(1 for line in lines if line and not line.startswith("# check:"))


def parsed(source: str) -> ast.Module:
    """The syntax tree of a cell; an empty one where it is broken, which `unfinished` reports."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.parse("")


def calls(source: str | ast.AST, names: set[str]) -> list[ast.Call]:
    """Calls of the named functions, as `f(…)` or `module.f(…)`."""
    return [
        node
        for node in ast.walk(parsed(source) if isinstance(source, str) else source)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in names
    ]


def argument(call: ast.Call, name: str, position: int) -> ast.expr | None:
    """An argument of a call, given by name or by its position."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return (named or call.args[position : position + 1] or [None])[0]


def names_in(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def stored_in(target: ast.AST) -> set[str]:
    """The names that an assignment to this target binds: neither x nor i in x[i]."""
    names = [node for node in ast.walk(target) if isinstance(node, ast.Name)]
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def bindings(tree: ast.AST) -> Iterator[tuple[set[str], ast.expr]]:
    """Names and the expression they are bound to: by assignment, in a loop, as an argument."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            if node.value is not None:
                for target in getattr(node, "targets", None) or [node.target]:
                    yield stored_in(target), node.value
        elif isinstance(node, ast.For | ast.comprehension):
            yield stored_in(node.target), node.iter
        elif isinstance(node, ast.arguments):  # which could be anything
            given = [*node.posonlyargs, *node.args, *node.kwonlyargs]
            yield {one.arg for one in given}, ast.Constant(None)


def derived(name: str, tree: ast.AST) -> set[str]:
    """The name itself, and all names that are bound to expressions in it and to nothing else."""
    bound = list(bindings(tree))
    found = {name}
    while True:
        more = {one for names, value in bound if names_in(value) & found for one in names}
        more -= {one for names, value in bound if not names_in(value) & found for one in names}
        if more <= found:
            return found
        found |= more


def labels(source: str) -> list[str]:
    """What a verdict's line begins with, per call: `label:`, or the literal start of an f-string.

    A label that is computed has no literal start and gives the empty string.
    """
    found = []
    for call in calls(source, VERDICTS):
        node = argument(call, "label", 0)
        if isinstance(node, ast.JoinedStr):
            head = node.values[0] if node.values else None
            found.append(head.value if isinstance(head, ast.Constant) else "")
        else:
            literal = isinstance(node, ast.Constant) and isinstance(node.value, str)
            found.append(f"{node.value}:" if literal else "")
    return found


def images(outputs: list[NotebookNode]) -> list[NotebookNode]:
    return [out for out in outputs if any(m.startswith("image/") for m in out.get("data", {}))]


def printed(outputs: list[NotebookNode]) -> str:
    """Everything that a reader of the outputs sees as plain text."""
    texts = [out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in outputs]
    return "".join(texts)


# Rules of one chapter -----------------------------------------------------------------------


def header(chapter: Chapter) -> Iterator[Complaint]:
    """Title, In short, then the four bullets."""
    first = next((piece for piece in chapter.pieces if piece.kind == "markdown"), None)
    if first is None or first.cell != 0:
        yield 0, "a chapter begins with a markdown cell, its header"
        return
    paragraphs = re.split(r"\n\s*\n", TARGET.sub("", first.text).strip())
    if not re.fullmatch(r"# \S.*", paragraphs[0]):
        yield 0, "the header begins with the line `# Title`"
    summary = paragraphs[1] if len(paragraphs) > 1 else ""
    if not summary.startswith("**In short.** "):
        yield 0, "the paragraph after the title begins with `**In short.** `"
    elif (count := words(summary.removeprefix("**In short.** "))) > LIMITS.words_in_in_short:
        yield 0, f"In short has {count} words, at most {LIMITS.words_in_in_short}"
    bullets = re.findall(r"^- \*\*([^*]+)\*\* \S", first.text, re.MULTILINE)
    if bullets != BULLETS:
        yield 0, f"the bullets of the header are {bullets}, not {BULLETS}"
    titles = re.findall(r"^# .*", CODE_FENCE.sub("", chapter.markdown), re.MULTILINE)
    if len(titles) > 1:
        yield None, f"a chapter has one level-1 heading, not {len(titles)}: {titles}"


def sections(chapter: Chapter) -> Iterator[Complaint]:
    """The required level-2 headings, in their order."""
    titles = list(
        {piece.section: piece.title for piece in chapter.pieces if piece.section}.values()
    )
    kinds = ["Experiment" if title.startswith("Experiment") else title for title in titles]
    for wanted in SECTIONS:
        count = kinds.count(wanted)
        if count == 0 or (count > 1 and wanted != "Experiment"):
            yield None, f"the heading `## {wanted}` stands {count} times"
    order = list(dict.fromkeys(kind for kind in kinds if kind in SECTIONS))
    if order != [wanted for wanted in SECTIONS if wanted in order]:
        yield None, f"the sections {titles} do not keep the order {SECTIONS}"
    if titles and (titles[0], titles[-1]) != (SECTIONS[0], SECTIONS[-1]):
        yield None, f"the first section is `{SECTIONS[0]}` and the last `{SECTIONS[-1]}`"


def short_answer(chapter: Chapter) -> Iterator[Complaint]:
    """Question and answer in few words."""
    parts = [piece for piece in chapter.prose if piece.title == "Question and answer"]
    count, most = sum(words(part.text) for part in parts), LIMITS.words_in_question_and_answer
    if count > most:
        yield parts[0].cell, f"Question and answer has {count} words, at most {most}"


def opening_picture(chapter: Chapter) -> Iterator[Complaint]:
    """Directly under the heading Question and answer stands a figure, its code folded."""
    pieces = [piece for piece in chapter.pieces if piece.title == "Question and answer"]
    first = pieces[1] if len(pieces) > 1 and not words(pieces[0].text) else None
    if pieces and not (first and first.kind == "code" and first.is_figure and first.is_folded):
        yield pieces[0].cell, "no figure with folded code stands directly under this heading"


def setup(chapter: Chapter) -> Iterator[Complaint]:
    """One short setup cell."""
    cells = [piece for piece in chapter.code if piece.title == "Setup"]
    if len(cells) != 1:
        yield None, f"the section Setup has {len(cells)} code cells, not one"
    for piece in cells:
        if (count := code_lines(piece.text)) > LIMITS.lines_in_setup:
            yield piece.cell, f"the setup cell has {count} lines, at most {LIMITS.lines_in_setup}"


def seeds(chapter: Chapter) -> Iterator[Complaint]:
    """Every random start takes its seeds from the line of Setup that `make reseed` shifts.

    In a section that trains, what random_rnn returns counts as a start, but a bare call of it only
    moves a generator on. Not seen is what random_rnn draws in one section and another trains.
    """
    tree = ast.Module([node for piece in chapter.code for node in parsed(piece.text).body], [])
    names = derived("seeds", tree)
    training = {piece.section for piece in chapter.code if calls(piece.text, TRAINING)}
    drawing = [piece for piece in chapter.code if calls(piece.text, {"seeded_rnns"})]
    lines = [(piece, line) for piece in chapter.code for line in piece.text.splitlines()]
    home = [piece.title for piece, line in lines if line == SEEDS_LINE]
    bound = sum("seeds" in targets for targets, _ in bindings(tree))
    wanted = home == ["Setup"] or (len(home) == 1 and not chapter.number)
    if (training or drawing or bound) and (not wanted or bound != 1):
        yield None, f"`{SEEDS_LINE}` stands once, in Setup, and nothing else is called seeds"
    for piece in chapter.code:
        cell = parsed(piece.text)
        bare = [node.value for node in ast.walk(cell) if isinstance(node, ast.Expr)]
        for call in calls(cell, {"seeded_rnns"}):
            given = argument(call, "seeds", 1)
            if given is None or not names_in(given) & names:
                yield piece.cell, f"the seeds of `{ast.unparse(call)}` do not come from `seeds`"
        for call in calls(cell, {"random_rnn"} if piece.section in training else set()):
            given = argument(call, "generator", len(call.args))
            if call not in bare and not (given and names_in(given) & names):
                yield piece.cell, f"`{ast.unparse(call)}` is a start without a seed of `seeds`"


def folding(chapter: Chapter) -> Iterator[Complaint]:
    """Code that draws, sets up or checks at length is folded, and so is a long proof."""
    for piece in filter(lambda piece: not piece.is_folded, chapter.code):
        count = code_lines(piece.text)
        if piece.is_figure or piece.title == "Setup":
            yield piece.cell, "a cell that draws or sets up is folded: tag it hide-input"
        elif piece.checks and count > LIMITS.lines_not_folded:
            yield piece.cell, f"a check cell of {count} lines is folded: tag it hide-input"
    for piece in chapter.prose:
        found = list(directives(piece.text))
        covers = ["\n".join(cover.body) for cover in found if cover.name == "dropdown"]
        folded = [inner for cover in covers for inner in directives(cover)]
        for proof in found:
            count = sum(math.ceil(len(line) / LIMITS.characters_in_a_line) for line in proof.body)
            long = proof.name == "prf:proof" and count > LIMITS.lines_not_folded
            if long and proof not in folded:
                yield piece.cell, f"a proof of {count} lines stands in a `::::{{dropdown}}`"


def folds(chapter: Chapter) -> Iterator[Complaint]:
    """What is folded in the book is folded in JupyterLab; an output is folded nowhere."""
    for piece in chapter.code:
        if other := sorted(set(piece.metadata.get("tags", [])) - {"hide-input"}):
            yield piece.cell, f"the only tag of a cell is hide-input, not {other}"
        if piece.is_folded != piece.metadata.get("jupyter", {}).get("source_hidden", False):
            yield piece.cell, "hide-input and jupyter.source_hidden stand together or not at all"


def provenance(chapter: Chapter) -> Iterator[Complaint]:
    """The last code cell stands in the last section and prints versions and seeds."""
    last = chapter.code[-1] if chapter.code else None
    if last is None or last.title != "What was not shown":
        yield last and last.cell, "the last code cell prints the provenance in What was not shown"
        return
    text = printed(last.outputs)
    if not re.search(r"\d+\.\d+", text) or not re.search(r"\bseeds?\b", text, re.IGNORECASE):
        yield last.cell, "the provenance cell prints versions and seeds"


def directive_form(chapter: Chapter) -> Iterator[Complaint]:
    """Every colon fence closes, and a blank line follows its options."""
    for piece, directive in chapter.directives():
        what = f"{directive.name} {directive.title or directive.label}"
        if not directive.closed:
            yield piece.cell, f"the fence of {what} is never closed"
        if directive.options and directive.body and directive.body[0].strip():
            yield piece.cell, f"{what} needs a blank line after its options"


def claim_form(chapter: Chapter) -> Iterator[Complaint]:
    """A claim has a title, a label `clm-…` and the source it comes from."""
    for piece, claim in chapter.claims():
        if not claim.title:
            yield piece.cell, f"the claim {claim.label} needs a title"
        if not re.fullmatch(r"clm-[a-z0-9-]+", claim.label):
            yield piece.cell, f"{claim.title}: the label {claim.label!r} is not clm-[a-z0-9-]+"
        if claim.options.get("class") not in SOURCES:
            yield piece.cell, f"{claim.label}: the class is one of {sorted(SOURCES)}"
    for piece, directive in chapter.directives():
        if directive.name not in CLAIMS and directive.label.startswith("clm-"):
            yield piece.cell, f"{directive.label}: a {directive.name} is not a claim"


def claims_checked(chapter: Chapter) -> Iterator[Complaint]:
    """Every claim has a check cell after it, and a theorem several verdicts."""
    for piece, claim in chapter.claims():
        after = [code for code in chapter.code if code.cell > piece.cell]
        if not any(claim.label in code.checks for code in after):
            yield piece.cell, f"{claim.label} has no check cell after it"
        found = [label for code in after for label in labels(code.text)]
        count = sum(label.startswith(f"{claim.label}/") for label in found)
        fewest = LIMITS.fewest_checks_of_a_theorem
        if claim.name == "prf:theorem" and count < fewest:
            yield piece.cell, f"the theorem {claim.label} has {count} checks, at least {fewest}"


def check_cells(chapter: Chapter) -> Iterator[Complaint]:
    """Verdicts are called in check cells, under the claims that these name, and after them."""
    stated = {claim.label: piece.cell for piece, claim in chapter.claims()}
    for piece in chapter.code:
        named, found = piece.checks, labels(piece.text)
        if re.match(r"\s*#\s*check\b", piece.text, re.IGNORECASE) and not named:
            yield piece.cell, "the first line of a check cell is `# check: clm-a[, clm-b]`"
        if found and not named:
            yield piece.cell, "calls check or assert_identity but is no check cell"
            continue
        for claim in named:
            if claim not in stated:
                yield piece.cell, f"names {claim}, which is no claim of this chapter"
            elif stated[claim] >= piece.cell:
                yield piece.cell, f"checks {claim} before it is stated"
            if not any(label.startswith(f"{claim}/") for label in found):
                yield piece.cell, f"names {claim} but no call has a label that begins {claim}/"
        for label in found:
            if not label.startswith(tuple(f"{claim}/" for claim in named)):
                yield piece.cell, f"the label {label!r} begins with none of {named} and a slash"


def proofs(chapter: Chapter) -> Iterator[Complaint]:
    """A proof follows a theorem before the next claim or section."""
    found = list(chapter.directives("prf:proof", *CLAIMS))
    for (piece, claim), after in zip(found, [*found[1:], None], strict=True):
        proved = after and after[1].name == "prf:proof" and after[0].section == piece.section
        if claim.name in PROVED and not proved:
            yield piece.cell, f"{claim.label} has no proof before the next claim or section"


def broken_hypotheses(chapter: Chapter) -> Iterator[Complaint]:
    """Break it checks failures under `clm-…/break-…`; such labels stand nowhere else."""
    count = 0
    for piece in chapter.code:
        inside = piece.title == "Break it"
        for label in labels(piece.text):
            breaks = bool(BREAK_LABEL.match(label))
            count += inside and breaks
            if inside and not breaks:
                yield piece.cell, f"the label {label!r} in Break it is not clm-…/break-…"
            if breaks and not inside:
                yield piece.cell, f"the label {label!r} belongs into the section Break it"
    if not count:
        yield None, "the section Break it checks no failure"


def stored_verdicts(chapter: Chapter) -> Iterator[Complaint]:
    """A check cell stores at least one PASS line a call, and nothing else; others store none."""
    for piece in chapter.code:
        text = printed(piece.outputs)
        lines = [line for line in text.splitlines() if line.strip()]
        passed = [line for line in lines if line.startswith("PASS clm-")]
        if not piece.checks:
            if passed:
                yield piece.cell, "prints PASS lines but is no check cell"
            continue
        found = labels(piece.text)
        if len(passed) < len(lines) or any(out.output_type != "stream" for out in piece.outputs):
            yield piece.cell, "a check cell prints PASS lines and nothing else"
        if len(passed) < len(found):
            yield piece.cell, f"stores {len(passed)} PASS lines for {len(found)} calls"
        for label in found:
            if not any(line.startswith(f"PASS {label}") for line in passed):
                yield piece.cell, f"stores no PASS line of {label!r}"


def reasons(chapter: Chapter) -> Iterator[Complaint]:
    """The reason of a bound says something on the ledger's page, away from its cell."""
    fewest = LIMITS.fewest_words_in_a_reason
    for piece in chapter.code:
        for claim, what, measured, why in PASS_LINE.findall(printed(piece.outputs)):
            if measured != "0 = 0" and words(why) < fewest:  # assert_identity gives its own
                yield piece.cell, f"{claim}/{what}: {why!r} is no reason of {fewest} words"


def clean_outputs(chapter: Chapter) -> Iterator[Complaint]:
    """Stored outputs are those of a run without failure, the same on every machine and day."""
    for piece in chapter.code:
        for out in piece.outputs:
            if out.output_type == "error":
                yield piece.cell, f"stores the error {out.ename}"
            if out.get("name") == "stderr":
                yield piece.cell, "stores output to stderr"
            if any(MACHINE_PATH.search(str(text)) for text in out.get("data", {}).values()):
                yield piece.cell, "stores a path of a machine"
        text = printed(piece.outputs)
        for what, pattern in [
            ("a path of a machine", MACHINE_PATH),
            ("an object address", ADDRESS),
            ("a timing", TIMING),
            ("a failed check", re.compile(r"\bFAIL\b")),
        ]:
            if match := pattern.search(text):
                yield piece.cell, f"prints {what}: {match[0]!r}"


def figure_cells(chapter: Chapter) -> Iterator[Complaint]:
    """A figure cell shows one image, prints nothing, checks nothing, and has name and texts."""
    for piece in filter(lambda piece: piece.is_figure, chapter.code):
        if len(piece.outputs) != 1 or len(images(piece.outputs)) != 1:
            yield piece.cell, "a figure cell stores exactly one image and nothing else"
        elif missing := sorted(FORMATS - piece.outputs[0].data.keys()):
            yield piece.cell, f"a figure without {missing[0]} is stored: run make notebooks"
        if calls(piece.text, VERDICTS):
            yield piece.cell, "a figure cell holds no check"
        if piece.text.rstrip().rsplit("\n", 1)[-1] != "plt.show()":
            yield piece.cell, "a figure cell ends with `plt.show()`"
        mystnb = piece.metadata.get("mystnb", {})
        figure = mystnb.get("figure", {})
        if not re.fullmatch(r"fig-[a-z0-9-]+", figure.get("name", "")):
            yield piece.cell, "mystnb.figure.name is not fig-[a-z0-9-]+"
        if not figure.get("caption", "").rstrip().endswith("."):
            yield piece.cell, "mystnb.figure.caption is not a text that ends with a full stop"
        if not mystnb.get("image", {}).get("alt", "").strip():
            yield piece.cell, "mystnb.image.alt is missing"


def figures_used(chapter: Chapter) -> Iterator[Complaint]:
    """Few figures, each referred to in the prose."""
    named = figure_names(chapter)
    if len(named) > LIMITS.figures:
        yield None, f"{len(named)} figures, at most {LIMITS.figures}"
    used = {target for role, target in references(chapter.markdown) if role == "numref"}
    for name in sorted(set(named) - used):
        yield None, f"no sentence refers to {{numref}}`{name}`"


def sizes(chapter: Chapter) -> Iterator[Complaint]:
    """Words, cells and lines within what a reader can hold."""
    count = sum(words(piece.text) for piece in chapter.prose)
    lines = [code_lines(piece.text) for piece in chapter.code]
    few, many = LIMITS.fewest_code_cells, LIMITS.most_code_cells
    if count > LIMITS.words:
        yield None, f"{count} words, at most {LIMITS.words}"
    if not few <= len(lines) <= many:
        yield None, f"{len(lines)} code cells, not {few} to {many}"
    if lines and (middle := median(lines)) > LIMITS.lines_in_the_median_cell:
        most = LIMITS.lines_in_the_median_cell
        yield None, f"the median cell has {middle} lines, at most {most}"
    for piece, count in zip(chapter.code, lines, strict=True):
        if count > LIMITS.lines_in_a_cell:
            yield piece.cell, f"the cell has {count} lines, at most {LIMITS.lines_in_a_cell}"
        width = max(map(len, piece.text.splitlines()), default=0)
        if width > (most := LIMITS.characters_in_a_line):
            yield piece.cell, f"a line has {width} characters, at most {most}"


def enough_exercises(chapter: Chapter) -> Iterator[Complaint]:
    """Several exercises, one of which has the reader change a number."""
    asked = [exercise for _, exercise in chapter.directives("exercise")]
    for _ in range(len(asked), LIMITS.fewest_exercises):  # a complaint for each that is missing
        yield None, f"{len(asked)} exercises, at least {LIMITS.fewest_exercises}"
    if not any(CHANGE in "\n".join(exercise.body) for exercise in asked):
        yield None, f"no exercise has the words {CHANGE}"


def exercises(chapter: Chapter) -> Iterator[Complaint]:
    """Each exercise has a hidden, executed solution."""
    gates = list(chapter.directives("solution-start", "solution-end"))
    for piece, exercise in chapter.directives("exercise"):
        label = exercise.label
        if not re.fullmatch(r"ex-[a-z0-9-]+", label):
            yield piece.cell, f"the label {label!r} of an exercise is not ex-[a-z0-9-]+"
        if piece.title != "Exercises":
            yield piece.cell, f"{label} stands outside of the section Exercises"
        starts = [i for i, (_, gate) in enumerate(gates) if gate.title == label]
        if len(starts) != 1:
            yield piece.cell, f"{label} has {len(starts)} solutions `solution-start`, not one"
            continue
        first, start = gates[starts[0]]
        last, end = (gates[starts[0] + 1 :] or [(None, None)])[0]
        if "dropdown" not in start.options.get("class", "").split():
            yield first.cell, f"the solution of {label} needs `:class: dropdown`"
        if end is None or end.name != "solution-end":
            yield first.cell, f"the solution of {label} has no `solution-end`"
        elif not any(first.cell < c.cell < last.cell and c.text.strip() for c in chapter.code):
            yield first.cell, f"the solution of {label} runs no code"


def predictions(chapter: Chapter) -> Iterator[Complaint]:
    """In each experiment the prediction stands before the first cell that trains.

    An experiment that trains nothing is predicted before its first code cell.
    """
    of = {piece.section: piece for piece in reversed(chapter.pieces)}
    for section, heading in sorted(of.items()):
        if not heading.title.startswith("Experiment"):
            continue
        code = [piece for piece in chapter.code if piece.section == section]
        first = next((piece for piece in code if calls(piece.text, TRAINING)), (code or [None])[0])
        before = [
            piece
            for piece in chapter.prose
            if piece.section == section and (first is None or piece.cell < first.cell)
        ]
        if not any("**Prediction.**" in piece.text for piece in before):
            cell = first.cell if first else heading.cell
            yield cell, f"no `**Prediction.**` stands before this cell of `{heading.title}`"


def fences(chapter: Chapter) -> Iterator[Complaint]:
    """Directives are colon fences: JupyterLab shows backtick directives as raw text."""
    for piece in chapter.prose:
        if match := re.search(r"^[ \t]*(`{3,}|~{3,})\{.*", piece.text, re.MULTILINE):
            yield piece.cell, f"a directive is a colon fence, not {match[0].strip()!r}"


def formulas(chapter: Chapter) -> Iterator[Complaint]:
    """No custom macros; a blank line before a labelled formula."""
    for piece in chapter.prose:
        if macro := re.search(
            r"\\(re)?newcommand\b|\\def(?![a-z])|\\DeclareMathOperator", piece.text
        ):
            yield piece.cell, f"no custom macros: {macro[0]}"
        for match in DISPLAY.finditer(piece.text):
            before = piece.text[: match.start()]
            if match[1] and not re.search(r"(\A|\n[ \t]*\n)[ \t]*\Z", before):
                yield piece.cell, f"the formula ({match[1]}) needs a blank line before it"


def raw_html(chapter: Chapter) -> Iterator[Complaint]:
    """No HTML tags in the prose."""
    for piece in chapter.prose:
        text = visible(CODE_SPAN.sub("", CODE_FENCE.sub("", piece.text)))
        if match := re.search(r"</?[A-Za-z][\w-]*(\s[^<>]*)?/?>", text):
            yield piece.cell, f"raw HTML: {match[0]}"


def unfinished(chapter: Chapter) -> Iterator[Complaint]:
    """No reminders to the authors, and code that Python can parse."""
    for piece in chapter.pieces:
        if match := re.search(r"\b(TODO|FIXME|XXX)\b", piece.text):
            yield piece.cell, f"unfinished: {match[0]}"
        if piece.kind == "code":
            try:
                ast.parse(piece.text)
            except SyntaxError as error:
                yield piece.cell, f"not plain Python: {error.msg} in line {error.lineno}"


def canonical_form(chapter: Chapter) -> Iterator[Complaint]:
    """The file is what tools/notebooks.py writes."""
    if key := tool["not_canonical"](chapter.text):
        yield None, f"{key} is not canonical: run tools/notebooks.py"


# Rules of the book --------------------------------------------------------------------------


def figure_names(chapter: Chapter) -> list[str]:
    figures = [piece.metadata.get("mystnb", {}).get("figure", {}) for piece in chapter.code]
    return [figure["name"] for figure in figures if figure.get("name")]


def references(markdown: str) -> list[tuple[str, str]]:
    """Role and target of every cross-reference."""
    return [(role, target.strip()) for role, target in REFERENCE.findall(markdown)]


def defined(book: Book) -> dict[str, list[str]]:
    """Everything that can be referred to, by the role that does it; a list, to see doubles."""
    found = {"eq": [], "prf:ref": [], "numref": [], "ref": []}
    for markdown in book.markdown.values():
        found["eq"] += [match[1] for match in DISPLAY.finditer(markdown) if match[1]]
        found["ref"] += TARGET.findall(markdown)
        for directive in directives(markdown):
            name = directive.label or directive.options.get("name", "")
            role = {"math": "eq", "figure": "numref"}.get(directive.name, "ref")
            if name:
                found["prf:ref" if directive.name.startswith("prf:") else role].append(name)
    for chapter in book.chapters:
        found["numref"] += figure_names(chapter)
    return found


def unique_names(book: Book) -> Iterator[Complaint]:
    """A label names one thing in the whole book."""
    names = Counter(name for names in defined(book).values() for name in names)
    for name, count in names.items():
        if count > 1:
            yield None, f"the label {name} is given {count} times"


def targets_exist(book: Book) -> Iterator[Complaint]:
    """Every cross-reference has a target of its kind."""
    targets = defined(book)
    anything = {name for names in targets.values() for name in names}
    for page, markdown in book.markdown.items():
        for role, target in references(markdown):
            if target not in (anything if role in ("ref", "numref") else targets[role]):
                yield None, f"{page}: {{{role}}}`{target}` has no target"


def citations(book: Book) -> Iterator[Complaint]:
    """Every key that is cited is in the bibliography, and every entry is cited."""
    entries = re.findall(r"^\s*@(?!comment|string)\w+\{([^,\s]+),", book.bibliography, re.MULTILINE)
    cited = set()
    for page, markdown in book.markdown.items():
        keys = [key.strip() for keys in CITATION.findall(markdown) for key in keys.split(",")]
        cited |= set(keys)
        for key in sorted(set(keys) - set(entries)):
            yield None, f"{page}: {key} is not in references.bib"
    for key in sorted(set(entries) - cited):
        yield None, f"references.bib: {key} is cited nowhere"
    for key, count in Counter(entries).items():
        if count > 1:
            yield None, f"references.bib: {key} is there {count} times"


NOTEBOOK_RULES: list[Callable[[Chapter], Iterator[Complaint]]] = [
    directive_form,
    claim_form,
    claims_checked,
    check_cells,
    proofs,
    stored_verdicts,
    reasons,
    clean_outputs,
    seeds,
    folds,
    figure_cells,
    figures_used,
    fences,
    formulas,
    raw_html,
    unfinished,
    canonical_form,
]
CHAPTER_RULES: list[Callable[[Chapter], Iterator[Complaint]]] = [
    *NOTEBOOK_RULES,
    header,
    sections,
    short_answer,
    opening_picture,
    setup,
    folding,
    provenance,
    broken_hypotheses,
    sizes,
    exercises,
    enough_exercises,
    predictions,
]
BOOK_RULES: list[Callable[[Book], Iterator[Complaint]]] = [unique_names, targets_exist, citations]


def complaints(rule: Callable, subject: Chapter | Book) -> list[str]:
    """What a rule has to say, each with chapter, cell and the name of the rule."""
    name = getattr(subject, "name", "book")
    found = []
    for cell, sentence in rule(subject):
        place = "" if cell is None else f" {tool['cell_name'](subject.cells, cell)}"
        found.append(f"{name}{place}: {sentence} [{rule.__name__}]")
    return found
