"""The tool that stores the chapters: canonical form, and what it refuses to write."""

import base64
import io
import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "tools" / "notebooks.py"
tool = SimpleNamespace(**runpy.run_path(str(SCRIPT)))


def untidy(*sources):
    cells = [new_markdown_cell("# Title"), *map(new_code_cell, sources)]
    language = {"name": "python", "version": "3.0"}
    nb = new_notebook(cells=cells, metadata={"widgets": {}, "language_info": language})
    nb.cells[-1].metadata = {"scrolled": True, "tags": ["hide-input"], "execution": {"start": 1}}
    return nb


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


@pytest.fixture
def stored(tmp_path):
    def write(*sources):
        path = tmp_path / "chapter.ipynb"
        path.write_text(tool.dumps(untidy(*sources)), encoding="utf-8")
        return path

    return write


def run(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_canonical_drops_what_depends_on_machine_clock_or_editor():
    nb = tool.canonical(untidy("1 + 1", "2"))
    assert [cell.id for cell in nb.cells] == ["cell-00", "cell-01", "cell-02"]
    assert [cell.execution_count for cell in nb.cells[1:]] == [1, 2]
    assert nb.cells[-1].metadata == {"tags": ["hide-input"]}
    assert set(nb.metadata) == {"kernelspec", "language_info"}
    assert nb.metadata.language_info == {"name": "python"}


def test_canonical_is_pure_and_idempotent():
    nb = untidy("1")
    before = tool.dumps(nb)
    once = tool.canonical(nb)
    assert tool.dumps(nb) == before
    assert tool.canonical(once) == once


def names(nb):
    return [cell.id for cell in tool.canonical(nb).cells]


def test_a_new_cell_changes_no_line_of_the_others_but_their_counts():
    def lines(cell):
        return [line for line in json.dumps(cell, indent=1).splitlines() if "_count" not in line]

    nb = untidy("1", "2", "3")
    for cell in nb.cells[1:]:
        cell.outputs = [new_output("execute_result", data={"text/plain": "1"})]
    old = tool.canonical(nb)
    nb = tool.deepcopy(old)
    nb.cells.insert(2, new_code_cell("new"))
    new = tool.canonical(nb)
    assert new.cells.pop(2).id == "cell-04"
    assert list(map(lines, new.cells)) == list(map(lines, old.cells))
    assert [cell.execution_count for cell in new.cells[1:]] == [1, 3, 4]
    assert [cell.outputs[0].execution_count for cell in new.cells[1:]] == [1, 3, 4]


def test_moving_a_cell_keeps_every_id():
    nb = tool.canonical(untidy("1", "2", "3"))
    nb.cells.insert(1, nb.cells.pop())
    assert names(nb) == ["cell-00", "cell-03", "cell-01", "cell-02"]


@pytest.mark.parametrize(
    "given, kept",
    [
        ([None, None, None], ["cell-00", "cell-01", "cell-02"]),
        (["cell-07", "3f0d8f6e", "cell-01"], ["cell-07", "cell-08", "cell-01"]),
        (["cell-05", "cell-05", "cell-02"], ["cell-05", "cell-06", "cell-02"]),
        (["cell-99", None, "a0b1"], ["cell-99", "cell-100", "cell-101"]),
        (["cell-007", "cell-7", "cell-x"], ["cell-00", "cell-01", "cell-02"]),
    ],
)
def test_a_cell_keeps_its_id_and_a_new_one_gets_a_free_number(given, kept):
    nb = untidy("1", "2")
    for cell, name in zip(nb.cells, given, strict=True):
        del cell["id"]
        cell.update({} if name is None else {"id": name})
    assert names(nb) == kept
    assert names(tool.canonical(nb)) == kept


@pytest.mark.parametrize(
    "jupyter, kept",
    [
        ({"source_hidden": True}, {"jupyter": {"source_hidden": True}}),
        ({"source_hidden": True, "outputs_hidden": True}, {"jupyter": {"source_hidden": True}}),
        ({"source_hidden": False, "outputs_hidden": True}, {}),
        ({}, {}),
    ],
)
def test_a_folded_source_is_kept_and_a_folded_output_is_not(jupyter, kept):
    nb = untidy("1")
    nb.cells[1].metadata = tool.nbformat.from_dict({"jupyter": jupyter, "collapsed": True})
    assert tool.canonical(nb).cells[1].metadata == kept


def test_a_message_calls_a_cell_as_jupyter_numbers_it():
    cells = tool.canonical(untidy("1", "2")).cells
    cells.insert(2, cells[0])
    assert tool.cell_name(cells, 3) == "cell-02 (In [2])"
    assert tool.cell_name(cells, 2) == "cell-00 (text, 3 of 4)"


def test_streams_merge_only_with_a_neighbour_of_the_same_name():
    streams = [stream("a"), stream("b"), stream("c", "stderr"), stream("d")]
    merged = tool.merge_streams(streams)
    assert [(out.name, out.text) for out in merged] == [
        ("stdout", "ab"),
        ("stderr", "c"),
        ("stdout", "d"),
    ]


@pytest.mark.parametrize(
    "found, wanted, key",
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "a[1].b"),
        ({"a": 1}, {"a": 1, "b": None}, "b"),
        ({"a": [1]}, {"a": [1, 2]}, "a"),
        ({"a": 1}, {"a": 1}, None),
    ],
)
def test_difference_names_the_first_key(found, wanted, key):
    assert tool.difference(found, wanted) == key


def test_executing_stores_outputs_in_canonical_form(stored):
    path = stored("print('one')\nprint('two')", "from pathlib import Path\nprint(Path.cwd().name)")
    assert run("--check", path)[0] == 1
    code, words = run(path)
    assert code == 0, words
    assert tool.not_canonical(path.read_text(encoding="utf-8")) is None
    cells = tool.nbformat.read(path, as_version=4).cells
    assert cells[1].outputs[0].text == "one\ntwo\n"
    assert cells[2].outputs[0].text == f"{path.parent.name}\n"
    assert run("--check", path)[0] == 0


def test_check_names_notebook_and_key_and_changes_nothing(stored):
    path = stored("1")
    before = path.read_bytes()
    code, words = run("--check", path)
    assert code == 1 and "chapter.ipynb: cells[0].id" in words
    assert path.read_bytes() == before


@pytest.mark.parametrize("line", ["1 / 0", "import sys\nprint('careful', file=sys.stderr)"])
def test_a_failing_cell_is_named_and_the_file_stays(stored, line):
    path = stored("1", line)
    before = path.read_bytes()
    code, words = run(path)
    assert code == 1 and "chapter.ipynb: cell-02 (In [2])" in words
    assert path.read_bytes() == before


def test_a_figure_is_stored_as_svg_and_as_the_same_raster_on_white(tmp_path):
    lines = ["import matplotlib.pyplot as plt",
             "from matplotlib_inline.backend_inline import set_matplotlib_formats",
             'set_matplotlib_formats("svg", metadata={"Date": None})',
             'plt.rcParams["figure.facecolor"] = "none"',
             "plt.subplots(figsize=(4, 2))[1].plot([0, 1])", "plt.show()"]
    nb = new_notebook(cells=[new_code_cell("\n".join(lines)), new_code_cell("sorted(globals())")])
    figures, names = zip(*(tool.execute(nb, tmp_path).cells for _ in range(2)), strict=True)
    rasters = [cell.outputs[-1].data["image/png"] for cell in figures]
    assert rasters[0] == rasters[1]
    assert "image/svg+xml" in figures[0].outputs[-1].data
    image = Image.open(io.BytesIO(base64.b64decode(rasters[0])))
    assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    assert figures[0].outputs[-1].metadata["image/png"] == {"width": image.width * 96 // 120}
    assert "draw_on_paper" not in names[0].outputs[0].data["text/plain"]


def test_layout_is_part_of_the_form(stored):
    path = stored("1")
    text = tool.dumps(tool.canonical(tool.nbformat.read(path, as_version=4)))
    assert tool.not_canonical(text) is None
    assert tool.not_canonical(text.rstrip("\n")).startswith("layout")


def test_an_unknown_name_is_an_error():
    code, words = run("--check", "no_such_chapter")
    assert code == 2 and "no_such_chapter" in words


def test_the_readme_shows_the_figure_of_the_front_page():
    readme_figure = runpy.run_path(str(ROOT / "tools" / "readme_figure.py"))
    shown = (ROOT / "book" / "_static" / "two_students.svg").read_text(encoding="utf-8")
    figure = readme_figure["first_figure"](ROOT / "book" / "index.ipynb")
    assert shown == readme_figure["on_white"](figure), "run make figures"
