"""The tool that runs the chapters on other seeds: what it shifts, and what it lists as failed."""

import subprocess
import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "reseed.py"
SETUP = "from lowdim.checks import assert_identity, check\n\nseeds = range(10)"
STEADY = '# check: clm-a\ncheck("clm-a/ten", len(seeds), 10, why="ten seeds at every shift")'
TUNED = """# check: clm-a
for seed in seeds[:2]:
    check(f"clm-a/seed-{seed}", seed, below=9.5, why="the seeds that it was tuned to")
assert_identity("clm-a/identity", seeds[0], 0)
check("clm-a/still-run", len(seeds), 10, why="after three failures")"""
CRASH = "below_ten = list(range(10))\nbelow_ten[seeds[0]]\ncheck('clm-a/hidden', 1, 2, why='1')"


@pytest.fixture
def stored(tmp_path):
    def write(name, *sources):
        cells = [new_markdown_cell("# Title"), *map(new_code_cell, sources)]
        path = tmp_path / f"{name}.ipynb"
        path.write_text(writes(new_notebook(cells=cells)), encoding="utf-8")
        return path

    return write


def run(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout if done.returncode < 2 else done.stderr


def test_at_shift_0_the_chapter_is_the_stored_one(stored):
    code, words = run(0, stored("tuned", SETUP, TUNED, "1 + 1"))
    assert code == 0, words
    assert "1 of 1: tuned, checks: 4, failures: 0," in words and "seeds 0-9: failures: 0" in words


def test_every_failure_is_listed_and_the_files_stay(stored):
    tuned = stored("tuned", SETUP, TUNED, "", CRASH, TUNED.replace("clm-a", "clm-b"))
    steady = stored("steady", SETUP, STEADY)
    folder = {path: path.read_bytes() for path in tuned.parent.iterdir()}
    code, words = run(10, tuned, steady)
    assert code == 1
    assert "tuned, checks: 8, failures: 7," in words and "steady, checks: 1, failures: 0," in words
    listed = words[words.index("\ntuned\n") :].splitlines()[2:]
    assert listed == [
        "cell-02 (In [2]), line 3: clm-a/seed-10: 10 < 9.5 (the seeds that it was tuned to)",
        "cell-02 (In [2]), line 3: clm-a/seed-11: 11 < 9.5 (the seeds that it was tuned to)",
        "cell-02 (In [2]), line 4: clm-a/identity: 10 = 0 (SymPy, exact)",
        "cell-04 (In [4]): IndexError: list index out of range",
        "cell-05 (In [5]), line 3: clm-b/seed-10: 10 < 9.5 (the seeds that it was tuned to)",
        "cell-05 (In [5]), line 3: clm-b/seed-11: 11 < 9.5 (the seeds that it was tuned to)",
        "cell-05 (In [5]), line 4: clm-b/identity: 10 = 0 (SymPy, exact)",
        "",
        "seeds 10-19: failures: 7",
    ]
    assert {path: path.read_bytes() for path in tuned.parent.iterdir()} == folder


def test_a_chapter_without_random_starts_is_left_out(stored):
    code, words = run(10, stored("algebra", "check = 1", "raise ValueError('seeds: none')"))
    assert code == 0 and "algebra, checks: 0, failures: 0, 0 s" in words, words


def test_a_chapter_runs_in_a_copy_of_its_folder(stored):
    leave = "from pathlib import Path\n\nPath('left.txt').write_text(Path('data.txt').read_text())"
    path = stored("writes", SETUP, leave, STEADY)
    (path.parent / "data.txt").write_text("1")
    code, words = run(3, path)
    assert code == 0, words
    assert {path.name for path in path.parent.iterdir()} == {"writes.ipynb", "data.txt"}


def test_a_chapter_that_cannot_be_judged_has_failed(stored):
    broken = {
        "other": (["seeds = range(20)", STEADY], "stands 0 times, not once"),
        "indented": (["  seeds = range(10)", STEADY], "stands 0 times, not once"),
        "missing": (["seeded_rnns(3, [0])", STEADY], "stands 0 times, not once"),
        "twice": ([SETUP, SETUP, STEADY], "stands 2 times, not once"),
        "silent": ([SETUP, "check"], "no check was called"),
        "killed": ([SETUP, "import os\nos._exit(1)", STEADY], "not run to its end"),
    }
    code, words = run(0, *(stored(name, *sources) for name, (sources, _) in broken.items()))
    assert code == 1
    for name, (_, said) in broken.items():
        assert said in words.split(f"\n\n{name}\n")[1].split("\n\n")[0], words


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "SHIFT"),
        ([""], "make reseed SHIFT=10"),
        (["ten"], "got 'ten'"),
        (["--", "-1"], "got '-1'"),
        (["0", "no_such_chapter"], "no_such_chapter"),
    ],
)
def test_a_call_that_makes_no_sense_is_an_error(arguments, said):
    code, words = run(*arguments)
    assert code == 2 and said in words, words
