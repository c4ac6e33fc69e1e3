"""Execute a chapter again when something that it computes with has changed, and only then.

The execution cache compares a notebook's cells with those it has stored. It does not look at what
the cells import or read, so it would serve outputs of code that is no longer there. Here every
chapter has a cache folder named after a hash of all else that decides its outputs: another hash,
an empty folder. Every page that executes also says which chapter of how many it is, and a failing
cell is reported by its number.
"""

import ast
import hashlib
import json
import platform
import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

logger = logging.getLogger(__name__)
NOT_LOADED = {".ipynb", ".md", ".bib"}  # pages, which no chapter reads
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def digest(root: Path, notebook: Path) -> str:
    """A hash of all that decides the outputs of a notebook of `root`, its own cells left out.

    That is the version of Python, the locked dependencies, the settings and data files under
    book/, and the modules of lowdim that the notebook imports, with those that they import and
    the files of installed packages that they read. Docstrings and comments do not count.
    """
    total = hashlib.sha256(platform.python_version().encode())
    files = [root / "constraints.txt", *loadable(root / "book")]
    modules = imported_modules(root, code_of(notebook))
    for path in sorted({*files, *modules, *companions(modules)}):
        if path.is_file():
            content = hashlib.sha256(substance(path)).hexdigest()
            total.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    for name, path in sorted(installed_files(modules).items()):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        total.update(f"{name} {content}\n".encode())
    return total.hexdigest()[:16]


def loadable(book: Path) -> Iterator[Path]:
    """Files of the book that a chapter could load: matplotlibrc, data, scripts beside it."""
    for path in book.rglob("*"):
        parts = path.relative_to(book).parts
        hidden = any(part.startswith((".", "_")) for part in parts)
        if not hidden and path.suffix not in NOT_LOADED and path.name != "conftest.py":
            yield path


def code_of(notebook: Path) -> list[str]:
    """The sources of its code cells without IPython's magic lines."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return [re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE) for source in sources]


def imported_modules(root: Path, sources: list[str]) -> set[Path]:
    """The files of lowdim that the sources import, and that these import in turn."""
    package = root / "lowdim"
    found: set[Path] = set()
    waiting = {path for source in sources for path in imports(package, source, package.parent)}
    while waiting:
        path = waiting.pop()
        found.add(path)
        waiting |= set(imports(package, path.read_text(encoding="utf-8"), path.parent)) - found
    return found


def imports(package: Path, source: str, folder: Path) -> Iterator[Path]:
    """The files of the package that one source names; all of them if it cannot be parsed."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        yield from package.rglob("*.py")
        return
    names = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = folder.parents[node.level - 2] if node.level > 1 else folder
            base = ".".join(above.relative_to(package.parent).parts) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.append(node.value)  # import_module("lowdim.flow"), python -m lowdim.flow
    for name in names:
        first, *rest = name.split(".")
        if first == package.name and all(part.isidentifier() for part in rest):
            yield from files_of(package, rest)


def files_of(package: Path, parts: list[str]) -> Iterator[Path]:
    """The modules that an import of `package.a.b` runs: every `__init__` on the way, and b."""
    for depth in range(len(parts) + 1):
        place = package.joinpath(*parts[:depth])
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                yield path


def companions(modules: set[Path]) -> Iterator[Path]:
    """What is no Python beside these modules: scripts and data that they may read."""
    for folder in {path.parent for path in modules}:
        yield from (path for path in folder.iterdir() if path.suffix != ".py")


def installed_files(modules: Iterable[Path]) -> dict[str, Path]:
    """By name, the files of installed packages that modules list in a table INSTALLED.

    The table is a literal, {"package==version": {"folder/file": …}}, as in lowdim.recordings.
    """
    found = {}
    for module in modules:
        for node in ast.parse(module.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "INSTALLED":
                for requirement, names in ast.literal_eval(node.value).items():
                    package = requirement.partition("==")[0]
                    spec = find_spec(package)
                    places = (spec and spec.submodule_search_locations) or ["missing"]
                    found |= {f"{package}/{name}": Path(places[0], name) for name in names}
    return found


def substance(path: Path) -> bytes:
    """The content of a file; of a module what it does, without docstrings and comments."""
    if path.suffix != ".py":
        return path.read_bytes()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef
                                | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            node.body[0] = ast.Pass()
    return ast.dump(tree).encode()


def place_cache(app: Sphinx, docname: str, source: list[str]) -> None:
    """Before a page is read, point myst-nb at the cache folder of its chapter."""
    env = app.env
    if is_notebook(env, docname):
        env.chapters_read = getattr(env, "chapters_read", 0) + 1
        logger.info("chapter %d of %d: %s", env.chapters_read, env.chapters_to_read, docname)
        root = Path(app.srcdir)
        cache = root / "_build" / ".jupyter_cache" / digest(root, Path(env.doc2path(docname)))
        env.mystnb_config = env.mystnb_config.copy(execution_cache_path=str(cache))


def count_chapters(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    env.chapters_read = 0
    env.chapters_to_read = sum(is_notebook(env, docname) for docname in docnames)


def is_notebook(env: BuildEnvironment, docname: str) -> bool:
    return str(env.doc2path(docname)).endswith(".ipynb")


def name_failing_cell(app: Sphinx, exception: Exception | None) -> None:
    """The chapter and the cell, as Jupyter numbers it, where execution stopped the build."""
    failed = exception.__cause__ if exception else None
    if hasattr(failed, "traceback"):
        # nbclient's message holds the traceback of IPython, which says "Cell In[7], line 2".
        number = re.search(r"Cell In\s*\[(\d+)\]", ANSI.sub("", str(failed)))
        chapter = Path(str(exception)).relative_to(app.srcdir).as_posix()
        cell = f"In [{number[1]}]" if number else "a cell"
        said = f"{failed.ename}: {failed.evalue}".splitlines()[0]
        logger.error("%s, %s: %s", chapter, cell, said)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-before-read-docs", count_chapters)
    app.connect("source-read", place_cache)
    app.connect("build-finished", name_failing_cell)
    # One process reads all pages: the count and the cache folder stand in its environment.
    return {"parallel_read_safe": False, "parallel_write_safe": True}
