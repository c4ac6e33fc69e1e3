"""MyST, as the chapters use it, in plain Markdown: what any viewer of notebooks shows.

Directives become quotations, headings and folded parts, roles become links, and every number is
written in. What is unknown is an error: nothing is passed on raw.
"""

import re

from markdown_it import MarkdownIt
from numbering import NUMBERED, OPENING, OPTION, STATED, TOKEN, Book, BookError, Page, Target
from pybtex.database import BibliographyData, Entry
from pybtex.plugin import find_plugin

from lowdim.checks import PASS_LINE, SOURCES

REFERENCES = {"prf:ref", "numref", "eq", "ref"}
ADMONITIONS = {"note", "tip", "hint", "important", "warning", "admonition"}
SOLUTION = "#### Solution to "
BREAK, AFTER_SOLUTION = "\f", "\ue002"  # between cells; before what follows a solution
STANDS, LEADS = "\ue003{}\ue005", "\ue004{}\ue005"  # a label, and a link to one
ANCHOR, LINK = (re.compile(one.format("([^\ue005]+)")) for one in (STANDS, LEADS))
MASKED = re.compile("\ue000(\\d+)\ue001")  # code or a formula


class Text:
    """One markdown cell on its way into plain Markdown."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.kept: list[str] = []  # code and formulas, out of the way until the end

    def plain(self, source: str) -> str:
        """The same in plain Markdown, with a BREAK wherever another cell begins."""
        text = self.blocks(TOKEN.sub(self.token, source))
        if left := re.search(r"^:{3,}.*|\{[\w:-]+\}`.*|^\([\w:.-]+\)=", text, re.MULTILINE):
            raise BookError(f"`{left[0]}` cannot be written in plain Markdown")
        return "\n".join(map(self.restored, text.split("\n"))).strip("\n")

    def token(self, found: re.Match) -> str:
        if found["role"]:
            return self.role(found["role"], found["target"])
        if found["page"]:
            known = found["page"] in self.book.titles
            return f"]({found['page']}.ipynb{found['fragment'] or ''})" if known else found[0]
        if found["label"]:
            tag = self.target(found["label"]).text.strip("()")
            formula = f"$${found['formula'].rstrip()}\\tag{{{tag}}}\n$$"
            return STANDS.format(found["label"]) + self.keep(formula)
        if found["directive"]:
            return self.directive(found["name"], "", {}, "")
        return self.keep(found[0])

    def keep(self, text: str) -> str:
        self.kept.append(text)
        return f"\ue000{len(self.kept) - 1}\ue001"

    def restored(self, line: str) -> str:
        """With its code and formulas; within a quotation their lines are of the quotation."""
        quote = re.match("(?:> ?)*", ANCHOR.sub("", line))[0]

        def content(found: re.Match) -> str:
            kept = self.kept[int(found[1])]
            is_code = kept.startswith(("```", "~~~"))
            # JupyterLab takes formulas out before it reads quotations.
            return kept.replace("\n", f"\n{quote}" if is_code or not quote else " ")

        return MASKED.sub(content, line)

    # Roles

    def role(self, name: str, content: str) -> str:
        if name in ("cite:t", "cite:p"):
            return self.citation(name, content.split(","))
        explicit = re.fullmatch(r"(.+?)\s*<([^<>]+)>", content, re.DOTALL)
        words, label = explicit.groups() if explicit else ("", content)
        if name == "doc":
            if label not in self.book.titles:
                raise BookError(f"there is no page {label}")
            return f"[{words or self.book.titles[label]}]({label}.ipynb)"
        if name in REFERENCES:
            return self.link(label, words)
        if name == "term":
            return words or label
        raise BookError(f"the role {{{name}}} cannot be written in plain Markdown")

    def target(self, label: str) -> Target:
        if label not in self.book.targets:
            raise BookError(f"there is no label {label!r} in the book")
        return self.book.targets[label]

    def link(self, label: str, words: str = "") -> str:
        page, text = self.target(label)
        return f"[{words or text}]({page}.ipynb#cell-id={LEADS.format(label)})"

    def citation(self, name: str, keys: list[str]) -> str:
        """`Saxe *et al.* [2014]` in a sentence, `[Saxe *et al.*, 2014]` beside one."""
        found = []
        for key in map(str.strip, keys):
            if key not in self.book.bibliography.entries:
                raise BookError(f"there is no {key!r} in references.bib")
            entry = self.book.bibliography.entries[key]
            who, year = authors(entry), entry.fields.get("year", "n.d.")
            found.append(f"{who} [\\[{year}\\]](references.ipynb)" if name == "cite:t"
                         else f"[{who}, {year}](references.ipynb)")
        joined = ", ".join(found)
        return joined if name == "cite:t" else f"\\[{joined}\\]"

    # Blocks

    def blocks(self, text: str, inside: str = "") -> str:
        """The colon fences of a text, or of what stands inside one."""
        lines, done = text.split("\n"), []
        while lines:
            opening = OPENING.fullmatch((line := lines.pop(0)).rstrip())
            if not opening:
                done.append(line)
                continue
            fence, name, title = opening.groups()
            ends = [at for at, line in enumerate(lines) if line.rstrip() == fence]
            if not ends:
                raise BookError(f"the fence of {name} {title} is never closed")
            content, lines = lines[: ends[0]], lines[ends[0] + 1 :]
            options = {}
            while content and (option := OPTION.fullmatch(content[0].rstrip())):
                options[option[1]] = option[2]
                content.pop(0)
            body = self.blocks("\n".join(content), name).strip("\n")
            if name in NUMBERED and not inside:
                done.append(BREAK)
            done.append(self.directive(name, title.strip(), options, body))
        return "\n".join(done)

    def directive(self, name: str, title: str, options: dict[str, str], body: str) -> str:
        label, classes = options.get("label", ""), options.get("class", "").split()
        if name in STATED:
            source = [f" · *{SOURCES[one]}*" for one in classes if one in SOURCES]
            said = f"**{self.target(label).text}**{title and f' ({title})'}"
            return STANDS.format(label) + quoted("".join([said, *source]), body)
        if name == "exercise":
            said = f"### {self.target(label).text}{title and f' ({title})'}"
            return STANDS.format(label) + f"{said}\n\n{body}"
        if name == "prf:proof":
            return ended(f"*Proof.* {body}")
        if name == "dropdown" or (name in ADMONITIONS and "dropdown" in classes):
            return folded(title or name.capitalize(), body)
        if name in ADMONITIONS:
            return quoted(f"**{title or name.capitalize()}**", body)
        if name == "solution":
            return folded(f"Solution to {self.target(title).text}", body)
        if name == "solution-start":
            return f"{BREAK}{SOLUTION}{self.target(title).text}{BREAK}"
        if name == "solution-end":
            return f"{BREAK}{AFTER_SOLUTION}"
        if name == "ledger":
            return self.ledger()
        if name == "ledger-summary":
            return self.ledger_summary()
        if name == "glossary":
            return glossary(body)
        if name == "bibliography":
            return references(self.book.bibliography)
        raise BookError(f"the directive {name} cannot be written in plain Markdown")

    def ledger(self) -> str:
        """Every claim, with the checks whose verdicts its chapter stores."""
        lines = []
        for page in self.book.pages:
            claims = [label for label in self.claims() if self.target(label).page == page.name]
            lines += ["", f"### {page.numbered_title}", ""] if claims else []
            for label in claims:
                lines.append(f"- **{self.link(label)}**")
                lines += [f"  - `{what}`: {self.keep(escaped(f'{measured} ({why})'))}"
                          for claim, what, measured, why in verdicts(page) if claim == label]
        return "\n".join(lines)

    def ledger_summary(self) -> str:
        checks = sum(len(verdicts(page)) for page in self.book.pages)
        return f"{len(self.claims())} claims and {checks} checks."

    def claims(self) -> list[str]:
        return [label for label in self.book.targets if label.startswith("clm-")]


def verdicts(page: Page) -> list[tuple[str, ...]]:
    outputs = (output for cell in page.cells for output in cell.get("outputs", []))
    return [found for output in outputs for found in PASS_LINE.findall(output.get("text", ""))]


def quoted(head: str, body: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in [head, "", *body.split("\n")])


def folded(title: str, body: str) -> str:
    # In a line of HTML no Markdown is read.
    summary = f"<summary>{MarkdownIt().renderInline(title)}</summary>"
    return f"<details>\n{summary}\n\n{body}\n\n</details>"


def ended(proof: str) -> str:
    """With its box at the end of the last line, if that is a line of text."""
    last = proof.rsplit("\n", 1)[-1]
    alone = MASKED.fullmatch(last) or last.startswith(("> ", "<", "|", "```"))
    return f"{proof}\n\n□" if alone else f"{proof} □"


def glossary(body: str) -> str:
    """An item for each entry: its words, one a line, and the indented explanation."""
    items = []
    for entry in re.split(r"\n\s*\n", body):
        words = [line for line in entry.splitlines() if not line.startswith(" ")]
        explanation = [line.strip() for line in entry.splitlines() if line.startswith(" ")]
        items.append(f"- **{', '.join(words)}**: {' '.join(explanation)}")
    return "\n".join(items)


def escaped(text: str) -> str:
    return re.sub(r"([*_$<\[])", r"\\\1", text)


def authors(entry: Entry) -> str:
    """As the book cites: one name, two names, or the first and et al."""
    names = ["".join(f"{part}\N{NO-BREAK SPACE}" for part in person.rich_prelast_names)
             + " ".join(map(str, person.rich_last_names)) for person in entry.persons["author"]]
    return f"{names[0]} *et al.*" if len(names) > 2 else " and ".join(names)


def references(bibliography: BibliographyData) -> str:
    style, backend = (find_plugin(*which)() for which in
                      [("pybtex.style.formatting", "plain"), ("pybtex.backends", "markdown")])
    entries = style.format_bibliography(bibliography)
    return "\n".join(f"{at}. {' '.join(entry.text.render(backend).split())}"
                     for at, entry in enumerate(entries, 1))
