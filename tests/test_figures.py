"""The plots: what the curves, bands and marks hold, and what is refused."""

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from lowdim.figures import (
    COLOURS,
    STYLE,
    box_diagram,
    impulse_responses,
    median_band,
    train_boundary,
)

pytestmark = pytest.mark.usefixtures("no_global_state")

TEACHER = np.array([1.0, 0.5, 0.25, 0.125])
SEEDS = np.arange(12.0).reshape(3, 4)  # three seeds: lowest, median, highest at every lag


@pytest.fixture
def ax():
    """Axes without pyplot, so that no window, backend or global figure is involved."""
    return Figure().subplots()


@pytest.fixture(autouse=True)
def rc_untouched():
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before


def curves(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def band_at(ax, x):
    """The lowest and highest ordinate of the first band at the abscissa x."""
    vertices = ax.collections[0].get_paths()[0].vertices
    heights = vertices[vertices[:, 0] == x, 1]
    return heights.min(), heights.max()


def assert_median_in_its_band(ax, x, samples, label):
    """Order statistics by hand: of N sorted values the quantile q stands at q (N - 1)."""
    line = curves(ax)[label]
    assert line.get_xdata().tolist() == list(x)
    for i, column in enumerate(np.sort(np.asarray(samples), axis=0).T):
        low, median, high = (np.interp(q * (len(column) - 1), range(len(column)), column)
                             for q in (0.1, 0.5, 0.9))
        assert line.get_ydata()[i] == pytest.approx(median, rel=1e-14)
        assert band_at(ax, x[i]) == pytest.approx((low, high), rel=1e-14)


def test_median_band_draws_the_median_in_its_10_90_band(ax):
    samples = np.random.default_rng(0).normal(size=(10, 4))
    assert median_band(ax, [0, 1, 2, 5], samples, label="run", colour="red") is ax
    assert_median_in_its_band(ax, [0, 1, 2, 5], samples, "run")
    assert curves(ax)["run"].get_color() == "red"
    assert to_rgb(ax.collections[0].get_facecolor()[0][:3]) == to_rgb("red")


def test_break_it_a_mean_for_a_median_is_seen(ax):
    samples = np.array([[0.0], [1.0], [100.0]])
    median_band(ax, [0], samples, label="run")
    curves(ax)["run"].set_ydata(samples.mean(0))
    with pytest.raises(AssertionError):
        assert_median_in_its_band(ax, [0], samples, "run")


def test_train_boundary_stands_between_the_last_trained_and_the_first_unseen_lag(ax):
    assert train_boundary(ax, 3) is ax
    assert ax.lines[0].get_xdata() == [2.5, 2.5]
    left, right = ax.texts
    assert (left.get_text().strip(), left.get_ha()) == ("trained", "right")
    assert (right.get_text().strip(), right.get_ha()) == ("unseen", "left")


def test_impulse_responses_draws_every_curve_and_names_it(ax):
    students = {"one": TEACHER / 2, "many": torch.from_numpy(SEEDS)}
    assert impulse_responses(ax, TEACHER, students, train_length=2) is ax
    drawn = curves(ax)
    assert list(drawn) == ["one", "many", "teacher"]
    assert drawn["teacher"].get_ydata().tolist() == TEACHER.tolist()
    assert (drawn["teacher"].get_linestyle(), drawn["teacher"].get_color()) == ("--", "black")
    assert drawn["one"].get_ydata().tolist() == (TEACHER / 2).tolist()
    assert drawn["many"].get_ydata().tolist() == SEEDS[1].tolist()
    assert all(line.get_xdata().tolist() == [0, 1, 2, 3] for line in drawn.values())
    assert [drawn["one"].get_color(), drawn["many"].get_color()] == list(COLOURS[:2])
    assert [line.get_xdata()[0] for line in ax.lines if line.get_label()[0] == "_"] == [1.5]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(drawn)
    assert "lag" in ax.get_xlabel() and "impulse response" in ax.get_ylabel()
    assert ax.get_title() == ""


def test_every_palette_colour_is_used_once_and_no_student_is_dropped(ax):
    impulse_responses(ax, TEACHER, {str(i): TEACHER * i for i in range(4)}, train_length=4)
    assert len({curves(ax)[str(i)].get_color() for i in range(4)}) == 4


def test_style_can_be_applied_and_the_figure_rendered(tmp_path):
    with matplotlib.rc_context(STYLE):
        figure = Figure()
        impulse_responses(figure.subplots(), TEACHER, {"many": SEEDS}, train_length=2)
        figure.savefig(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_inputs_are_not_modified(ax):
    teacher, seeds, x = TEACHER.copy(), SEEDS.copy(), np.arange(4.0)
    impulse_responses(ax, teacher, {"many": seeds}, train_length=2)
    median_band(ax, x, seeds, label="run")
    assert (teacher == TEACHER).all() and (seeds == SEEDS).all() and x.tolist() == [0, 1, 2, 3]


NAN = float("nan")


@pytest.mark.parametrize("teacher, students, train_length, argument", [
    ([], {}, 1, "teacher must"), ([[1.0]], {}, 1, "teacher must"), (1.0, {}, 1, "teacher must"),
    ([1.0, NAN], {}, 1, "teacher must be finite"), ([1j], {}, 1, "teacher must be real"),
    (["a"], {}, 1, "teacher must be real"), (None, {}, 1, "teacher must be real"),
    (TEACHER, {}, 0, "train_length"), (TEACHER, {}, 5, "train_length"),
    (TEACHER, {}, NAN, "train_length"), (TEACHER, {"s": [1.0]}, 2, "samples must be"),
    (TEACHER, {"s": TEACHER * NAN}, 2, "s must be finite"),
    (TEACHER, {"s": SEEDS[None]}, 2, "s must be real"), (TEACHER, {"s": []}, 2, "s must be real"),
    (TEACHER, {"s": TEACHER > 0}, 2, "s must be real"),
    (TEACHER, dict.fromkeys("vwxyz", TEACHER), 2, "students must be at most 4"),
])
def test_bad_impulse_responses_are_refused(ax, teacher, students, train_length, argument):
    with pytest.raises(ValueError, match=argument):
        impulse_responses(ax, teacher, students, train_length=train_length)


@pytest.mark.parametrize("x, samples, argument", [
    ([0, 1], [[1.0]], "samples must be"), ([0], [1.0], "samples must"), ([0], [[NAN]], "samples"),
    ([0], [[]], "samples must"), ([0], [[1j]], "samples must"), ([NAN], [[1.0]], "x must be"),
    ([], [[1.0]], "x must"), ([[0]], [[1.0]], "x must"), ([0], [["a"]], "samples must"),
    ([0], [[float("inf")]], "samples must be finite"),
])
def test_bad_bands_are_refused(ax, x, samples, argument):
    with pytest.raises(ValueError, match=argument):
        median_band(ax, x, samples, label="run")


@pytest.mark.parametrize("train_length", [0, -1, 0.5, NAN])
def test_bad_boundaries_are_refused(ax, train_length):
    with pytest.raises(ValueError, match="train_length"):
        train_boundary(ax, train_length)


BOXES = {"in": (0.0, 0.0), "up": (2.0, 1.0), "down": (2.0, -1.0)}


def test_box_diagram_draws_each_box_and_each_arrow_once(ax):
    arrows = {"black": ["in up $a b$", "up up loop"], "red": ["up in back", "down down below"]}
    assert box_diagram(ax, BOXES, arrows) is ax
    ax.figure.draw_without_rendering()
    texts = {text.get_text(): text for text in ax.texts if text.get_text()}
    assert list(texts) == [*BOXES, "$a b$", "loop", "back", "below"]
    assert [texts[word].get_position() for word in BOXES] == list(BOXES.values())
    marks = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert len(marks) == 4
    assert to_rgb(texts["back"].get_color()) == to_rgb("red")
    there, back = texts["$a b$"].get_position(), texts["back"].get_position()
    assert there[1] - there[0] / 2 > 0 > back[1] - back[0] / 2  # on both sides of the line
    assert texts["loop"].get_position()[1] > 1 and texts["below"].get_position()[1] < -1


@pytest.mark.parametrize("arrow", ["in out label", "out in label", "in", ""])
def test_an_arrow_without_its_boxes_is_refused(ax, arrow):
    with pytest.raises(ValueError, match="arrows must join two of the boxes"):
        box_diagram(ax, BOXES, {"black": [arrow]})
