"""What holds for the repository as a whole: imports, public functions, switches, pins, papers.

Each rule is a function that yields complaints; beside its test on the repository stands one that
feeds it something broken.
"""

import ast
import doctest
import importlib
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lowdim"
SKIPPED_FOLDERS = {".git", ".venv", ".venv-lock", "_build", "node_modules", "__pycache__"}
SKIPPED_FOLDERS |= {".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"}


def repository_files(root: Path) -> list[Path]:
    """Files that git tracks or would; without git, all files that are not built."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
        paths = [root / name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = sorted(root.rglob("*"))
    inside = [path for path in paths if not SKIPPED_FOLDERS & set(path.relative_to(root).parts)]
    return [path for path in inside if path.is_file()]


def repository_texts(root: Path) -> dict[str, str]:
    """The text files of the repository by their path from its root."""
    texts = {}
    for path in repository_files(root):
        content = path.read_bytes()
        if b"\0" not in content:
            texts[path.relative_to(root).as_posix()] = content.decode("utf-8")
    return texts


@pytest.fixture(scope="module")
def texts():
    found = repository_texts(ROOT)
    assert "tests/test_repository.py" in found
    return found


def package_sources() -> dict[str, str]:
    """The sources of lowdim by their path inside the package."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in paths}


def dotted(node: ast.AST) -> str:
    """`a.b.c` for a chain of attributes; what is not a name becomes an empty part."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


# Imports of lowdim --------------------------------------------------------------------------

EVERYWHERE = {"inputs", "rnn"}
MAY_IMPORT = {
    "__init__": set(),
    "inputs": set(),
    "rnn": {"inputs"},
    "structure": EVERYWHERE,
    "teachers": EVERYWHERE | {"structure"},
    "loss": EVERYWHERE | {"structure"},
    "alternation": EVERYWHERE,
    "positivity": set(),
    "proposals": set(),
    "intervals": EVERYWHERE | {"positivity", "proposals"},
    "moments": EVERYWHERE | {"structure", "alternation", "intervals"},
    "descent_kernel": EVERYWHERE,
    "flow": EVERYWHERE | {"loss", "descent_kernel"},
    "near_zero": EVERYWHERE,
    "saddles": EVERYWHERE,
    "tables": set(),
    "ntk": EVERYWHERE | {"loss"},
    "recordings": EVERYWHERE,
    "networks": EVERYWHERE,
    "checks": set(),
    "figures": set(),
    "live": set(),
}


def module_of(path: str) -> str:
    """The module of lowdim that a file belongs to; all of live/ counts as one."""
    return path.split("/")[0].removesuffix(".py")


def imported(path: str, tree: ast.Module) -> Iterator[str]:
    """Absolute dotted names of all imports of a file of lowdim, nested ones included."""
    package = ["lowdim", *path.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def import_complaints(sources: dict[str, str]) -> Iterator[str]:
    """The table above, no star, no cycle, no utils, matplotlib in figures only."""
    graph: dict[str, set[str]] = {}
    for path, source in sources.items():
        module = module_of(path)
        if module not in MAY_IMPORT:
            yield f"{path}: the module {module} is not in the table of imports"
        if "utils" in Path(path).stem:
            yield f"{path}: a module says in its name what it holds"
        names = list(imported(path, ast.parse(source)))
        own = {name.split(".")[1] for name in names if name.startswith("lowdim.")} - {module}
        graph.setdefault(module, set()).update(own)
        for name in sorted(own - MAY_IMPORT.get(module, set())):
            yield f"{path}: {module} may not import {name}"
        if any(name.endswith(".*") for name in names):
            yield f"{path}: import *"
        if module != "figures" and any(name.split(".")[0] == "matplotlib" for name in names):
            yield f"{path}: only figures imports matplotlib"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"imports in a circle: {' -> '.join(error.args[1])}"


def test_lowdim_keeps_the_table_of_imports():
    assert list(import_complaints(package_sources())) == []


@pytest.mark.parametrize(
    "sources, said",
    [
        ({"rnn.py": "from lowdim.loss import f"}, "rnn may not import loss"),
        ({"rnn.py": "def f():\n    import lowdim.loss"}, "rnn may not import loss"),
        ({"flow.py": "from lowdim import teachers"}, "flow may not import teachers"),
        ({"checks.py": "from .rnn import f"}, "checks may not import rnn"),
        ({"live/page.py": "from ..rnn import f"}, "live may not import rnn"),
        ({"checks.py": "from lowdim.inputs import f"}, "checks may not import inputs"),
        ({"inputs.py": "from lowdim.rnn import f"}, "inputs may not import rnn"),
        ({"ntk.py": "from lowdim.rnn import *"}, "import *"),
        ({"ntk.py": "import matplotlib.pyplot as plt"}, "only figures"),
        ({"plots.py": ""}, "not in the table"),
        ({"live/utils.py": ""}, "says in its name"),
        ({"rnn.py": "import lowdim.flow", "flow.py": "from .rnn import f"}, "in a circle"),
    ],
)
def test_a_forbidden_import_is_reported(sources, said):
    assert any(said in complaint for complaint in import_complaints(sources))


LONGEST = 250  # lines of one module of lowdim; all of live/, its script included, counts as one


def sizes(sources: dict[str, str]) -> Counter[str]:
    """Lines of each module."""
    lines: Counter[str] = Counter()
    for path, source in sources.items():
        lines[module_of(path)] += len(source.splitlines())
    return lines


def test_every_module_of_lowdim_is_small():
    scripts = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8")
               for path in PACKAGE.rglob("*.js")}
    found = sizes(package_sources() | scripts)
    assert {"rnn", "checks"} <= found.keys()
    assert {module: lines for module, lines in found.items() if lines > LONGEST} == {}


def test_a_long_module_is_seen():
    assert sizes({"live/a.py": "x\n" * 200, "live/b.js": "y\n" * 51})["live"] > LONGEST


# The public functions of lowdim -------------------------------------------------------------


def public(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def unannotated(function: ast.FunctionDef, method: bool) -> list[str]:
    """Parameters without annotation, and `return`; `self` or `cls` of a method needs none."""
    inputs = function.args
    positional = [*inputs.posonlyargs, *inputs.args][int(method) :]
    every = [*positional, *inputs.kwonlyargs, inputs.vararg, inputs.kwarg]
    missing = [arg.arg for arg in every if arg and arg.annotation is None]
    return missing + ([] if function.returns else ["return"])


def interface_complaints(path: str, source: str) -> Iterator[str]:
    """Annotations everywhere, and a docstring of at least two lines."""
    for node in public(ast.parse(source).body):
        lines = [line for line in (ast.get_docstring(node) or "").splitlines() if line.strip()]
        if len(lines) < 2:
            yield f"{path}: {node.name} has a docstring of {len(lines)} lines, at least 2"
        functions = [(node, False)]
        if isinstance(node, ast.ClassDef):
            members = [item for item in public(node.body) if isinstance(item, ast.FunctionDef)]
            functions = [
                (item, "staticmethod" not in map(dotted, item.decorator_list)) for item in members
            ]
        for function, method in functions:
            if missing := unannotated(function, method):
                yield f"{path}: {node.name}.{function.name} lacks annotations: {missing}"


def test_public_functions_are_annotated_and_documented():
    found = [
        c for path, text in package_sources().items() for c in interface_complaints(path, text)
    ]
    assert not found, "\n".join(found)


DOCUMENTED = '    """One line.\n\n    And another.\n    """\n'


@pytest.mark.parametrize(
    "source, said",
    [
        (f"def f(a: int):\n{DOCUMENTED}", "lacks annotations: ['return']"),
        (f"def f(a, *rest, b: int) -> int:\n{DOCUMENTED}", "lacks annotations: ['a', 'rest']"),
        (f"class A:\n{DOCUMENTED}    def f(self, a) -> int: ...", "A.f lacks annotations: ['a']"),
        ('def f() -> int:\n    """One line."""', "a docstring of 1 lines"),
        ("class A:\n    a: int", "a docstring of 0 lines"),
    ],
)
def test_a_bare_interface_is_reported(source, said):
    assert any(said in complaint for complaint in interface_complaints("rnn.py", source))


def test_a_private_function_needs_no_docstring():
    assert list(interface_complaints("rnn.py", "def _f(a): ...")) == []


def test_doctests_pass():
    results = []
    for path in package_sources():
        name = "lowdim." + path.removesuffix(".py").replace("/", ".")
        results.append(doctest.testmod(importlib.import_module(name.removesuffix(".__init__"))))
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) > 0, "no doctest was run"


# No global state ----------------------------------------------------------------------------

GLOBAL_CALLS = re.compile(
    r"torch\.(random\.|cuda\.|mps\.)?(manual_seed(_all)?|seed)$"
    r"|torch\.set_(?!grad_enabled)\w+$"
    r"|torch\.use_deterministic_algorithms$"
    r"|(np|numpy)\.(seterr|set_printoptions|random\.\w+)$"
    r"|random\.(seed|random|gauss|choice|shuffle|uniform)$"
    r"|(.*\.)?rcParams\.\w+$"
    r"|(plt|pyplot|matplotlib|mpl)\.(use|rc|rcdefaults|switch_backend|set_loglevel)$"
    r"|(.*\.)?style\.use$"
    r"|os\.(putenv|chdir)$"
    r"|(.*\.)?environ\.(update|setdefault|pop)$"
    r"|warnings\.\w+(filter|filterwarnings)$"
)
GLOBAL_NAMES = {"manual_seed", "set_default_dtype", "set_default_device", "set_num_threads"}
GLOBAL_OBJECTS = re.compile(r"(^|\.)(rcParams|environ|backends)(\.|$)")
DRAWS = re.compile(
    r"torch\.(rand\w*|normal|bernoulli|multinomial|poisson)$|.*\.(normal|uniform|bernoulli|random)_$"
)


def written(node: ast.AST) -> Iterator[str]:
    """Dotted names of what a statement assigns to or deletes, subscripts taken off."""
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete):
        for target in targets:
            yield dotted(target.value if isinstance(target, ast.Subscript) else target)


def global_complaints(path: str, source: str) -> Iterator[str]:
    """No global seed, dtype, thread count, style or environment; every draw has a generator."""
    for node in ast.walk(ast.parse(source)):
        name = dotted(node.func) if isinstance(node, ast.Call) else ""
        place = f"{path}:{getattr(node, 'lineno', 0)}"
        if GLOBAL_CALLS.match(name):
            yield f"{place}: {name} touches global state"
        if isinstance(node, ast.ImportFrom) and GLOBAL_NAMES & {a.name for a in node.names}:
            yield f"{place}: imports what touches global state"
        if DRAWS.match(name) and "generator" not in {keyword.arg for keyword in node.keywords}:
            yield f"{place}: {name} draws without a generator"
        for target in written(node):
            if GLOBAL_OBJECTS.search(target):
                yield f"{place}: writes to {target}"


def test_lowdim_touches_no_global_state():
    found = [c for path, text in package_sources().items() for c in global_complaints(path, text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "torch.manual_seed(0)",
        "torch.set_default_dtype(torch.float64)",
        "torch.set_num_threads(1)",
        "from torch import manual_seed",
        "np.random.seed(0)",
        "x = np.random.randn(3)",
        "plt.rcParams['font.size'] = 9",
        "del rcParams['font.size']",
        "matplotlib.rcParams.update(style)",
        "plt.style.use('ggplot')",
        "os.environ['A'] = 'b'",
        "torch.backends.mkldnn.enabled = False",
        "x = torch.randn(3)",
        "x = torch.randn_like(y)",
        "x.normal_()",
    ],
)
def test_global_state_is_reported(line):
    assert list(global_complaints("rnn.py", line))


@pytest.mark.parametrize(
    "line",
    [
        "with plt.rc_context(style): pass",
        "g = torch.Generator().manual_seed(0)",
        "x = torch.randn(3, generator=g)",
        "with torch.no_grad(): pass",
        "size = plt.rcParams['font.size']",
    ],
)
def test_local_state_is_allowed(line):
    assert list(global_complaints("rnn.py", line)) == []


# Switches that could hide a failure ---------------------------------------------------------

ALLOW_LIST = "tests/allow_list.toml"
EXEMPT = {ALLOW_LIST, "tests/test_repository.py"}  # these two must name the switches
SWITCHES = {
    "nbval-ignore-output": r"nbval-ignore-output",
    "nbval-skip": r"nbval-skip",
    "NBVAL_": r"NBVAL_",
    "raises-exception": r"raises-exception",
    "skip-execution": r"skip-execution",
    "allow_errors": r"allow_errors\W{1,4}[Tt]rue|raise_on_error\W{1,4}[Ff]alse",
    "skip": r"(pytest|mark)\.skip(if)?\b|unittest\.skip|\bskipTest\b",
    "xfail": r"\bxfail\b",
    "importorskip": r"\bimportorskip\b",
    "--ignore": r"--(ignore|ignore-glob|deselect)(?![\w-])|\bcollect_ignore",
    "nitpick_ignore": r"nitpick_ignore",
    "suppress_warnings": r"suppress_warnings",
    "filterwarnings": r"filterwarnings|simplefilter|PYTHONWARNINGS|-W[ =]?ignore",
    "axe exclude": r"\.exclude\(",
    "axe disableRules": r"disableRules|enabled\W{1,4}false",
    "test.skip": r"\b(test|it|describe)\.(skip|todo|only|fixme)\b|\bskip: ",
    "pragma: no": r"pragma:\s*no",
    "noqa": r"#\s*(ruff:\s*)?noqa",
    "type: ignore": r"type:\s*ignore",
    "|| true": r"\|\|\s*(true\b|:)",
    "set +e": r"\bset \+e\b",
    "continue-on-error": r"continue-on-error",
    "make ignores a status": r"^\t@?-\w",
}


def switches(texts: dict[str, str]) -> Counter[tuple[str, str]]:
    """How often each switch stands in each file: (pattern, file) -> count."""
    return Counter(
        (name, path)
        for path, text in texts.items()
        if path not in EXEMPT
        for name, pattern in SWITCHES.items()
        for _ in re.finditer(pattern, text, re.MULTILINE)
    )


def switch_complaints(texts: dict[str, str], allowed: list[dict]) -> Iterator[str]:
    """Every switch is allowed with its exact count and a reason; every entry still matches."""
    entries = Counter((entry["pattern"], entry["file"]) for entry in allowed)
    counts = {(entry["pattern"], entry["file"]): entry["count"] for entry in allowed}
    found = switches(texts)
    for entry in allowed:
        if len(entry.get("reason", "").split()) < 5:
            yield f"{entry['file']}: {entry['pattern']!r} needs a reason of at least 5 words"
        if entry["pattern"] not in SWITCHES:
            yield f"{entry['file']}: {entry['pattern']!r} is no pattern of the test"
    for name, path in sorted(entries | found):
        if entries[name, path] > 1:
            yield f"{path}: {name!r} is allowed twice"
        if found[name, path] != counts.get((name, path), 0):
            yield (
                f"{path}: {name!r} stands {found[name, path]} times, "
                f"{ALLOW_LIST} allows {counts.get((name, path), 0)}"
            )


def test_switches_that_hide_failures_are_allowed_one_by_one(texts):
    allowed = tomllib.loads((ROOT / ALLOW_LIST).read_text("utf-8")).get("allow", [])
    found = list(switch_complaints(texts, allowed))
    assert not found, "\n".join(found)


SAMPLES = {
    "nbval-ignore-output": '"tags": ["nbval-ignore-output"]',
    "nbval-skip": "nbval-skip",
    "NBVAL_": "# NBVAL_IGNORE_OUTPUT",
    "raises-exception": '"raises-exception"',
    "skip-execution": '"skip-execution"',
    "allow_errors": "  allow_errors: true",
    "skip": "@pytest.mark.skipif(True)",
    "xfail": "@pytest.mark.xfail",
    "importorskip": "pytest.importorskip('torch')",
    "--ignore": "pytest --ignore=book",
    "nitpick_ignore": "nitpick_ignore: []",
    "suppress_warnings": "suppress_warnings: [x]",
    "filterwarnings": "warnings.simplefilter('ignore')",
    "axe exclude": "axe.exclude('.sidebar')",
    "axe disableRules": '{ "color-contrast": { enabled: false } }',
    "test.skip": "test.skip('one', run)",
    "pragma: no": "# pragma: no cover",
    "noqa": "import os  # noqa: F401",
    "type: ignore": "x = 1  # type: ignore",
    "|| true": "pytest || true",
    "set +e": "set +e",
    "continue-on-error": "continue-on-error: yes",
    "make ignores a status": "test:\n\t-pytest",
}


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_is_found(name):
    assert switches({"file": SAMPLES[name]}) == {(name, "file"): 1}


@pytest.mark.parametrize(
    "change, said",
    [
        ({}, None),
        ({"count": 2}, "stands 1 times"),
        ({"count": 0}, "stands 1 times"),
        ({"file": "gone.py"}, "gone.py: 'xfail' stands 0 times"),
        ({"pattern": "unknown"}, "is no pattern"),
        ({"reason": "it is needed"}, "at least 5 words"),
    ],
)
def test_an_entry_must_fit(change, said):
    reason = "the sixth word is the last"
    entry = {"pattern": "xfail", "file": "a.py", "count": 1, "reason": reason} | change
    found = list(switch_complaints({"a.py": SAMPLES["xfail"]}, [entry]))
    assert any(said in complaint for complaint in found) if said else not found


def test_no_entry_stands_twice():
    entry = {"pattern": "xfail", "file": "a.py", "count": 1, "reason": "one two three four five"}
    found = list(switch_complaints({"a.py": SAMPLES["xfail"]}, [entry, entry]))
    assert found == ["a.py: 'xfail' is allowed twice"]


# No trace of a machine ----------------------------------------------------------------------

MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|Users|root|work|tmp|farm)/\w+|[A-Z]:\\Users\\\w+")
# Names in two pieces, so that this file does not hold what it looks for.
HOSTS = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com"]
HOSTS += ["debian" + ".org", "ubuntu" + ".com", "ana" + "conda.org", "yarn" + "pkg.com"]


def trace_complaints(texts: dict[str, str]) -> Iterator[str]:
    """No absolute path of someone's machine and no host of a package registry."""
    hosts = re.compile("|".join(map(re.escape, HOSTS)))
    for path, text in texts.items():
        for pattern in (MACHINE_PATH, hosts):
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                yield f"{path}:{line}: {match[0]}"


def test_no_file_names_a_machine_or_a_registry(texts):
    found = list(trace_complaints(texts))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "see " + "/" + "home/someone/book",
        '"' + "/" + 'tmp/out"',
        "C:" + "\\Users\\someone",
        "https://" + HOSTS[0],
    ],
)
def test_a_trace_is_reported(text):
    (complaint,) = trace_complaints({"notes.md": f"one\n{text}"})
    assert complaint.startswith("notes.md:2: ")


@pytest.mark.parametrize("text", ["book/home/x", "https://a.org/home/x", "./tmp/x", "$TMP/work"])
def test_a_relative_path_or_address_is_no_trace(text):
    assert list(trace_complaints({"notes.md": text})) == []


# Pins ---------------------------------------------------------------------------------------


def pins(text: str) -> dict[str, str]:
    """Name -> specifier of a requirements file; comments, blank lines and options left out."""
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines()]
    parsed = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {canonicalize_name(one.name): str(one.specifier) for one in parsed}


def pin_complaints(requirements: str, constraints: str) -> Iterator[str]:
    """Exact versions, all of them in the lock, none local, and Jupyter Book 1."""
    direct, lock = pins(requirements), pins(constraints)
    for source, pinned in [("requirements.txt", direct), ("constraints.txt", lock)]:
        if not pinned:
            yield f"{source} pins nothing"
        for name, specifier in pinned.items():
            if not re.fullmatch(r"==[^,*]+", specifier):
                yield f"{source}: {name}{specifier} is not pinned with =="
            elif Version(specifier[2:]).local:
                yield f"{source}: {name}{specifier} has a local tag"
            elif name == "jupyter-book" and Version(specifier[2:]).major != 1:
                yield f"{source}: {name}{specifier} is not Jupyter Book 1"
    for name, specifier in direct.items():
        if lock.get(name) != specifier:
            yield f"{name}{specifier} is {name}{lock.get(name, ' (absent)')} in constraints.txt"


def test_dependencies_are_pinned_and_locked():
    read = [(ROOT / name).read_text("utf-8") for name in ("requirements.txt", "constraints.txt")]
    assert list(pin_complaints(*read)) == []
    assert "jupyter-book" in pins(read[0])


@pytest.mark.parametrize(
    "requirements, constraints, said",
    [
        ("torch", "torch==2.9.0", "torch is not pinned"),
        ("torch>=2.9", "torch==2.9.0", "is not pinned"),
        ("torch==2.*", "torch==2.9.0", "is not pinned"),
        ("torch==2.9.0", "numpy==2.0", "torch (absent)"),
        ("torch==2.9.0", "torch==2.9.1", "torch==2.9.1 in constraints.txt"),
        ("torch==2.9.0", "torch==2.9.0+cpu", "local tag"),
        ("jupyter_book==2.0.0", "jupyter-book==2.0.0", "not Jupyter Book 1"),
        ("# nothing", "torch==2.9.0", "pins nothing"),
    ],
)
def test_a_loose_pin_is_reported(requirements, constraints, said):
    assert any(said in complaint for complaint in pin_complaints(requirements, constraints))


# Papers -------------------------------------------------------------------------------------

TARGETS = "book test pages lab edit serve bench lint figures constraints notebooks reseed".split()
TARGETS += ["clean", "help"]


def citation_complaints(citation: str, version: str) -> Iterator[str]:
    """The keys that the format requires, a licence, and the version of the package."""
    found = yaml.safe_load(citation)
    for key in ("cff-version", "message", "title", "authors", "version", "license"):
        if not found.get(key):
            yield f"CITATION.cff lacks {key}"
    if str(found.get("version")) != version:
        yield f"CITATION.cff is of version {found.get('version')}, pyproject.toml of {version}"


def test_the_book_says_how_to_cite_it():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert list(citation_complaints((ROOT / "CITATION.cff").read_text("utf-8"), version)) == []


@pytest.mark.parametrize(
    "old, new, said",
    [("title: Book", "title:", "lacks title"), ("0.1.0", "0.2.0", "pyproject.toml of 0.1.0")],
)
def test_a_poor_citation_is_reported(old, new, said):
    keys = ["cff-version: 1.2.0", "message: Cite", "title: Book", "license: MIT"]
    good = "\n".join([*keys, "version: 0.1.0", "authors: [{name: A}]"])
    assert list(citation_complaints(good, "0.1.0")) == []
    found = list(citation_complaints(good.replace(old, new), "0.1.0"))
    assert any(said in complaint for complaint in found)


def make_commands(markdown: str) -> set[str]:
    """The targets of `make …` in code spans and code blocks."""
    blocks = re.findall(r"^```.*?^```|`[^`\n]+`", markdown, re.DOTALL | re.MULTILINE)
    return {target for block in blocks for target in re.findall(r"\bmake ([a-z][a-z-]*)", block)}


def make_complaints(makefile: str, readme: str) -> Iterator[str]:
    """Each target is there, phony (book and bench are folders too), and in the README."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    phony = set(" ".join(re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)).split())
    told = make_commands(readme)
    for target in TARGETS:
        if target not in targets:
            yield f"the Makefile has no target {target}"
        if target not in phony:
            yield f"the target {target} is not .PHONY"
        if target not in told:
            yield f"README.md does not mention `make {target}`"
    for target in sorted(told - targets):
        yield f"README.md mentions `make {target}`, which the Makefile does not have"


def test_readme_and_makefile_agree():
    makefile, readme = ((ROOT / name).read_text("utf-8") for name in ("Makefile", "README.md"))
    assert list(make_complaints(makefile, readme)) == []


def test_every_make_command_in_the_documents_exists(texts):
    targets = set(re.findall(r"^([a-z][a-z-]*):", texts["Makefile"], re.MULTILINE))
    for path in [path for path in texts if path.endswith(".md")]:
        assert make_commands(texts[path]) <= targets, path


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("lab:", "laboratory:", "the Makefile has no target lab"),
        ("PHONY: book", "PHONY:", "the target book is not .PHONY"),
        ("`make serve`", "`make it`", "README.md does not mention `make serve`"),
        ("`make serve`", "`make it`", "`make it`, which the Makefile does not have"),
    ],
)
def test_a_missing_target_is_reported(old, new, said):
    makefile = f".PHONY: {' '.join(TARGETS)}\n" + "\n".join(f"{name}:" for name in TARGETS)
    readme = "We make sure: " + " ".join(f"`make {name}`" for name in TARGETS)
    assert list(make_complaints(makefile, readme)) == []
    found = make_complaints(makefile.replace(old, new), readme.replace(old, new))
    assert any(said in complaint for complaint in found)


def test_files_are_found_with_and_without_git(tmp_path):
    for name in ("a.py", "_build/b.py", "sub/c.bin"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\0" if name.endswith("bin") else b"text")
    assert repository_texts(tmp_path) == {"a.py": "text"}
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    (tmp_path / "ignored.py").write_text("")
    assert set(repository_texts(tmp_path)) == {"a.py", ".gitignore"}
