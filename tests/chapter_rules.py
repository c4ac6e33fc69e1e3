"""The form of a chapter: how a notebook is read, and one small function per rule.

A rule takes a Chapter (or, at the end of this file, the whole Book) and yields complaints
`(cell, sentence)`; a chapter that keeps the rule yields nothing.
"""

import ast
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

from lowdim.checks import BREAK_LABEL, CHECK_LINE, CLAIMS, PROVED, SOURCES, VERDICTS

ROOT = Path(__file__).resolve().parents[1]
not_canonical = runpy.run_path(str(ROOT / "tools" / "notebooks.py"))["not_canonical"]

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


class Chapter(NamedTuple):
    name: str
    text: str
    cells: list[NotebookNode]
    pieces: list[Piece]

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


def calls(source: str, names: set[str]) -> list[ast.Call]:
    """Calls of the named functions, as `f(…)` or `module.f(…)`; none where the code is broken."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in names
    ]


def labels(source: str) -> list[str]:
    """What a verdict's line begins with, per call: `label:`, or the literal start of an f-string.

    A label that is computed has no literal start and gives the empty string.
    """
    found = []
    for call in calls(source, VERDICTS):
        named = [keyword.value for keyword in call.keywords if keyword.arg == "label"]
        node = (call.args or named or [None])[0]
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
    """Title, In short (at most 60 words), then the four bullets."""
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
    elif (count := words(summary.removeprefix("**In short.** "))) > 60:
        yield 0, f"In short has {count} words, at most 60"
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
    """Question and answer in at most 150 words."""
    parts = [piece for piece in chapter.prose if piece.title == "Question and answer"]
    if parts and (count := words("\n\n".join(part.text for part in parts))) > 150:
        yield parts[0].cell, f"Question and answer has {count} words, at most 150"


def setup(chapter: Chapter) -> Iterator[Complaint]:
    """One setup cell of at most 8 lines."""
    cells = [piece for piece in chapter.code if piece.title == "Setup"]
    if len(cells) != 1:
        yield None, f"the section Setup has {len(cells)} code cells, not one"
    for piece in cells:
        if (count := code_lines(piece.text)) > 8:
            yield piece.cell, f"the setup cell has {count} lines, at most 8"


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
    """Every claim has a check cell after it, and a theorem at least two verdicts."""
    for piece, claim in chapter.claims():
        after = [code for code in chapter.code if code.cell > piece.cell]
        if not any(claim.label in code.checks for code in after):
            yield piece.cell, f"{claim.label} has no check cell after it"
        found = [label for code in after for label in labels(code.text)]
        count = sum(label.startswith(f"{claim.label}/") for label in found)
        if claim.name == "prf:theorem" and count < 2:
            yield piece.cell, f"the theorem {claim.label} has {count} checks, at least 2"


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
    """At most 5 figures, each referred to in the prose."""
    named = figure_names(chapter)
    if len(named) > 5:
        yield None, f"{len(named)} figures, at most 5"
    used = {target for role, target in references(chapter.markdown) if role == "numref"}
    for name in sorted(set(named) - used):
        yield None, f"no sentence refers to {{numref}}`{name}`"


def sizes(chapter: Chapter) -> Iterator[Complaint]:
    """Prose, cells and lines within what good books keep."""
    prose = sum(words(piece.text) for piece in chapter.prose)
    cells = [code_lines(piece.text) for piece in chapter.code]
    ratio = prose / max(sum(cells), 1)
    if not 1500 <= prose <= 3000:
        yield None, f"{prose} words of prose, not 1500 to 3000"
    if not 15 <= len(cells) <= 25:
        yield None, f"{len(cells)} code cells, not 15 to 25"
    if cells and median(cells) > 6:
        yield None, f"the median cell has {median(cells)} lines, at most 6"
    if not 10 <= ratio <= 20:
        yield None, f"{ratio:.1f} words of prose a code line, not 10 to 20"
    for piece, count in zip(chapter.code, cells, strict=True):
        if count > 20:
            yield piece.cell, f"the cell has {count} lines, at most 20"
        if (width := max(map(len, piece.text.splitlines()), default=0)) > 100:
            yield piece.cell, f"a line has {width} characters, at most 100"


def exercises(chapter: Chapter) -> Iterator[Complaint]:
    """At least two exercises, each with a hidden, executed solution."""
    asked = list(chapter.directives("exercise"))
    if len(asked) < 2:
        yield None, f"{len(asked)} exercises, at least 2"
    gates = list(chapter.directives("solution-start", "solution-end"))
    for piece, exercise in asked:
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
    if key := not_canonical(chapter.text):
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
    clean_outputs,
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
    setup,
    provenance,
    broken_hypotheses,
    sizes,
    exercises,
    predictions,
]
BOOK_RULES: list[Callable[[Book], Iterator[Complaint]]] = [unique_names, targets_exist, citations]


def complaints(rule: Callable, subject: Chapter | Book) -> list[str]:
    """What a rule has to say, each with chapter, cell and the name of the rule."""
    name = getattr(subject, "name", "book")
    return [
        f"{name}{'' if cell is None else f' cell-{cell:02d}'}: {sentence} [{rule.__name__}]"
        for cell, sentence in rule(subject)
    ]
