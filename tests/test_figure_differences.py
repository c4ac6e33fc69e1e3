"""The comparison of figures: it sees what a reader would see, and nothing smaller."""

import io
import re
import runpy
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
comparison = runpy.run_path(str(ROOT / "tools" / "figure_differences.py"))
PIXEL = 0.75  # in points
X = np.linspace(0, 6, 40)


def draw(*, colours=("red", "blue"), styles=("-", "--"), markers=("o", "s"), label="lag",
         shift=0.0, ticks=None, curves=2, image=None, salt="a", rotation=0.0, x=X) -> str:
    """A figure with two curves; `shift` moves one point of the first by so many points."""
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        figure = Figure(figsize=(4, 3))
        canvas, ax = FigureCanvasSVG(figure), figure.subplots()
        ax.set(xlim=(0, 6), ylim=(-2, 2), xlabel=label)
        height = ax.get_window_extent().height * 72 / figure.dpi
        first, second = np.sin(x), np.cos(x)
        first[5] += shift * 4 / height
        for y, colour, style, marker in list(zip((first, second), colours, styles, markers,
                                                 strict=True))[:curves]:
            ax.plot(x, y, style, color=colour, marker=marker, markevery=7, label=colour[:1])
        ax.legend(["one", "two"][:curves], loc="upper right")
        ax.tick_params(axis="x", rotation=rotation)
        if ticks:
            ax.set_xticks(ticks)
        if image is not None:
            ax.imshow(image, extent=(1, 2, -2, -1), cmap="gray", vmin=0, vmax=1, aspect="auto")
        buffer = io.BytesIO()
        canvas.print_svg(buffer)
    return buffer.getvalue().decode()


def differences(stored: str, drawn: str) -> list[str]:
    return list(comparison["differences"](stored, drawn))


PICTURE = np.linspace(0, 1, 12).reshape(3, 4)
STORED = draw(image=PICTURE)


def test_a_figure_is_the_same_as_itself_drawn_again():
    assert differences(STORED, draw(image=PICTURE)) == []


def test_ids_and_metadata_do_not_count():
    drawn = draw(image=PICTURE, salt="b")
    assert drawn != STORED and 'id="figure_1"' in drawn
    assert differences(STORED, re.sub(r"<dc:date>.*", "<dc:date>now</dc:date>", drawn)) == []


@pytest.mark.parametrize("shift, seen", [(0.4 * PIXEL, False), (0.6 * PIXEL, True)])
def test_a_point_counts_from_half_a_pixel_on(shift, seen):
    assert bool(differences(STORED, draw(image=PICTURE, shift=shift))) is seen


@pytest.mark.parametrize(
    "change",
    [
        {"colours": ("blue", "red")},
        {"styles": ("--", "-")},
        {"markers": ("s", "o")},
        {"label": "log"},
        {"curves": 1},
        {"ticks": [0, 2, 4, 6.5]},
        {"rotation": 0.3},
        {"image": 1 - PICTURE},
        {"image": PICTURE + np.eye(3, 4) * 0.1},
        {"image": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_reader_would_see_is_reported(change):
    assert differences(STORED, draw(**{"image": PICTURE, **change}))


def test_a_shade_that_nobody_sees_is_not():
    assert differences(STORED, draw(image=PICTURE + 0.01)) == []


def test_swapped_curves_are_reported():
    """The same two paths in the same order, their colours exchanged."""
    stored = draw(styles=("-", "-"), markers=("", ""))
    drawn = draw(styles=("-", "-"), markers=("", ""), colours=("blue", "red"))
    assert len(stored) == len(drawn)
    found = differences(stored, drawn)
    assert any("#0000ff" in line for line in found)


@pytest.mark.parametrize(
    "pattern, by",
    [
        (r'<use [^>]*style="fill: #ff0000[^>]*/>', ""),
        (r'<g id="line2d_1">', '<g id="line2d_1"><path d="M 0 0"/>'),
        (r'clip-path="[^"]*" ', ""),
    ],
)
def test_a_missing_or_a_new_element_is_reported(pattern, by):
    drawn, count = re.subn(pattern, by, STORED, count=1)
    assert count == 1
    assert differences(STORED, drawn) and differences(drawn, STORED)


def path(*points: tuple[float, float], close: str = "") -> str:
    return ('<svg xmlns="http://www.w3.org/2000/svg"><path d="M '
            + " L ".join(f"{x} {y}" for x, y in points) + close + '"/></svg>')


STRAIGHT = path((0, 0), (10, 0))


@pytest.mark.parametrize(
    "points, same",
    [
        ([(0, 0), (5, 0.2), (10, 0)], True),  # one point more or less, on the line
        ([(0, 0), (5, 0.6), (10, 0)], False),
        ([(0, 0), (5, 0), (9, 0)], False),  # it ends elsewhere
        ([(0, 0), (5, 0), (20, 0), (10, 0)], False),
        ([(0, 0)], False),
    ],
)
def test_points_left_out_of_a_line_do_not_count(points, same):
    assert (differences(STRAIGHT, path(*points)) == []) is same
    assert (differences(path(*points), STRAIGHT) == []) is same


def test_an_outline_with_other_corners_counts():
    triangle = [(0, 0), (10, 0), (10, 10)]
    assert differences(path(*triangle, close=" z"), path(*triangle, (5, 5), close=" z"))


def test_a_difference_says_where_and_by_how_much():
    (line,) = differences(path((0, 0), (10, 0)), path((0, 0), (10, 3)))
    assert line == ("figure: d M 0 0 L 10 3 is drawn, M 0 0 L 10 0 is stored "
                    "(up to 4.0 px apart)")


@pytest.mark.parametrize(
    "stored, drawn, same",
    [
        ('<g transform="translate(1 2)"/>', '<g transform="translate(1.3 2)"/>', True),
        ('<g transform="translate(1 2)"/>', '<g transform="translate(1.4 2)"/>', False),
        ('<g transform="scale(0.1 -0.1)"/>', '<g transform="scale(0.2 -0.1)"/>', False),
        ('<g transform="rotate(30)"/>', '<g transform="rotate(30.2)"/>', False),
        ('<g transform="rotate(30)"/>', '<g transform="scale(30)"/>', False),
        ("<text>2</text>", "<text>3</text>", False),
        ('<g id="a"/><g id="b"/><use href="#a"/>', '<g id="c"/><g id="d"/><use href="#c"/>', True),
        ('<g id="a"/><g id="b"/><use href="#a"/>', '<g id="a"/><g id="b"/><use href="#b"/>', False),
        ('<use href="#a"/>', '<use href="#b"/>', False),  # neither is there
    ],
)
def test_transforms_texts_and_references_count(stored, drawn, same):
    found = differences(*(f"<svg>{inner}</svg>" for inner in (stored, drawn)))
    assert (found == []) is same
