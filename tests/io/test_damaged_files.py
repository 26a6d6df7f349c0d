"""Damaged files: what is damaged is named by file and frame, what is not is used."""

from __future__ import annotations

import gzip
import importlib
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers.training_runs import labelled, run_config, write
from typer.testing import CliRunner

from ase_equivar.cli.inputs import read_frames as read_all
from ase_equivar.cli.inputs import read_structure
from ase_equivar.cli.main import app
from ase_equivar.io.extxyz import read_extxyz
from ase_equivar.io.label_files.reading import read_labels
from ase_equivar.io.structure_files import read_apart, read_images
from ase_equivar.training.data import Rejected, read_frames
from ase_equivar.training.sections import DataConfig

LABELS = Path(__file__).parents[1] / "data" / "labels"
N_FRAMES = 6


def lines_of(folder: Path) -> tuple[list[Atoms], list[str], int]:
    """Frames, their file's lines, and how many of them a frame takes."""
    frames = labelled(N_FRAMES)
    lines = Path(write(folder / "whole.extxyz", frames)).read_text().splitlines(keepends=True)
    return frames, lines, len(lines) // N_FRAMES


def read(file: Path, text: str, part: str = "") -> tuple[list[np.ndarray], list[Rejected]]:
    file.write_text(text)
    kept, rejected = read_frames([f"{file}{part}"], DataConfig((), ()))
    return [frame.atoms.positions for frame in kept], rejected


def assert_same(positions: list[np.ndarray], frames: list[Atoms]) -> None:
    for found, atoms in zip(positions, frames, strict=True):
        assert np.allclose(found, atoms.positions, atol=1e-7)


def test_garbled_frame_is_kept_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One number, one missing column, one unknown element; selected frames keep their numbers."""
    frames, lines, size = lines_of(tmp_path)
    lines[size + 4] = lines[size + 4].replace(".", ".x", 1)
    lines[3 * size + 3] = lines[3 * size + 3].rsplit(maxsplit=1)[0] + "\n"
    lines[4 * size + 2] = "Qq" + lines[4 * size + 2][2:]
    file = tmp_path / "x.extxyz"
    positions, rejected = read(file, "".join(lines))
    assert_same(positions, [frames[k] for k in (0, 2, 5)])
    assert [entry.frame for entry in rejected] == [1, 3, 4]
    assert "cannot be read: ValueError: could not convert string to float" in rejected[0].reason
    assert f"{file}, frame 3: cannot be read" in caplog.text
    positions, rejected = read(file, "".join(lines), "@1::2")
    assert_same(positions, [frames[5]])
    assert [(entry.file, entry.frame) for entry in rejected] == [(str(file), 1), (str(file), 3)]
    with pytest.raises(ValueError, match=r"x\.extxyz, frame 1: cannot be read"):
        read_extxyz(file)
    assert len(read_extxyz(file, "0:1")) == 1
    with pytest.raises(ValueError, match=r"x\.extxyz has 6 frames, so there is no frame 9"):
        read_images(file, "9")


def test_lost_lines_end_what_is_trusted(tmp_path: Path) -> None:
    """The frame that they were lost from swallows the start of the next."""
    frames, lines, size = lines_of(tmp_path)
    del lines[2 * size + 5 : 2 * size + 8]
    positions, rejected = read(tmp_path / "x.extxyz", "".join(lines))
    assert_same(positions, frames[:2])
    assert [entry.frame for entry in rejected] == [2, 3]
    assert rejected[0].reason.startswith("cannot be read")
    expected = f"line {3 * size + 1} should hold the number of atoms, but holds"
    assert expected in rejected[1].reason


def test_torn_end(tmp_path: Path) -> None:
    frames, lines, size = lines_of(tmp_path)
    positions, rejected = read(tmp_path / "x.extxyz", "".join(lines[: 4 * size + 5]))
    assert_same(positions, frames[:4])
    assert [entry.frame for entry in rejected] == [4]
    assert rejected[0].reason == f"there are lines for 3 of {size - 2} atoms only"


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_gzip(tmp_path: Path, damage: str) -> None:
    """Frames before the damage are used."""
    frames, lines, _ = lines_of(tmp_path)
    whole = gzip.compress("".join(lines).encode())
    file = tmp_path / "x.extxyz.gz"
    file.write_bytes(whole[: len(whole) // 2] if damage == "cut" else whole[:-8] + bytes(8))
    found = read_apart(file)
    good = [frame.atoms for frame in found if frame.atoms is not None]
    assert len(good) == len(found) - 1
    assert len(good) >= (N_FRAMES - 2 if damage == "flipped" else 1)
    assert_same([atoms.positions for atoms in good], frames[: len(good)])
    said = "end too early" if damage == "cut" else "are damaged"
    assert f"the compressed data {said}" in found[-1].trouble
    assert found[-1].number == len(good)
    with pytest.raises(ValueError, match=rf"frame {len(good)}: the compressed data {said}"):
        read_images(file)


@pytest.mark.parametrize("name", ["bz2", "lzma"])
def test_other_compressions_that_ase_knows(tmp_path: Path, name: str) -> None:
    """Read as ASE reads them; where the data are damaged, up to there."""
    frames, lines, _ = lines_of(tmp_path)
    whole = importlib.import_module(name).compress("".join(lines).encode())
    file = tmp_path / f"x.extxyz.{'xz' if name == 'lzma' else name}"
    file.write_bytes(whole)
    assert_same([atoms.positions for atoms in read_images(file)], frames)
    assert_same([atoms.positions for atoms in ase.io.read(file, ":")], frames)
    file.write_bytes(whole[:-30])
    *good, bad = read_apart(file)
    assert_same([frame.atoms.positions for frame in good], frames[: len(good)])
    assert "the compressed data are damaged (" in bad.trouble


def test_appended_gzip_is_whole(tmp_path: Path) -> None:
    """Two gzipped files, one after the other, are one."""
    frames, lines, _ = lines_of(tmp_path)
    file = tmp_path / "x.extxyz.gz"
    file.write_bytes(2 * gzip.compress("".join(lines).encode()))
    assert_same([atoms.positions for atoms in read_images(file)], 2 * frames)
    assert_same([atoms.positions for atoms in read_images(file, "-1")], frames[-1:])


def test_training_goes_on_without_the_damaged(tmp_path: Path) -> None:
    config = run_config(tmp_path)
    file = Path(config.data.train[0])
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-4]).replace("\n", "\r\n"))
    text = "output: model\ndata: {train: train.extxyz, valid: valid.extxyz}\nfit: {epochs: 1}\n"
    text += "network: {architecture: gated, channels: 4, interactions: 2, cutoff: 3.5}\n"
    (tmp_path / "run.yaml").write_text(text)
    result = CliRunner().invoke(app, ["train", str(tmp_path / "run.yaml"), "--no-progress"])
    assert result.exit_code == 0, result.output
    assert '"n_train": 7' in (tmp_path / "model" / "config.json").read_text()
    assert '"n_rejected": 1' in (tmp_path / "model" / "config.json").read_text()


def test_other_formats(tmp_path: Path) -> None:
    """As ASE reads them; frames that are not numbers are named there too."""
    frames = labelled(3)
    frames[1].positions[0, 0] = np.nan
    _, rejected = read_frames([write(tmp_path / "x.extxyz", frames)], DataConfig((), ()))
    (entry,) = rejected
    where = f"{tmp_path / 'x.extxyz'}, frame 1: the position of atom 0 (Na) is not finite: "
    assert str(entry).startswith(where)
    frames[0].write(tmp_path / "x.traj")
    assert read_apart(tmp_path / "x.traj", "-1")[0].number == 0
    (tmp_path / "x.cif").write_text("nonsense")
    with pytest.raises(ValueError, match=r"ASE .*x\.cif"):
        read_apart(tmp_path / "x.cif")


def test_frames_before_a_damaged_one_of_another_format_are_kept(tmp_path: Path) -> None:
    """The description of the last frame of a trajectory is damaged; an index counts it, too."""
    frames = labelled(3)
    file = tmp_path / "x.traj"
    ase.io.write(file, frames)
    data = file.read_bytes()
    place = data.rindex(b'"positions')
    file.write_bytes(data[:place] + b"?" + data[place + 1 :])
    found = read_apart(file)
    assert [frame.atoms is None for frame in found] == [False, False, True]
    assert "JSONDecodeError" in found[2].trouble
    assert read_apart(file, "-1")[0] == found[2]


def test_extended_xyz_of_another_name(tmp_path: Path) -> None:
    """It is told by what is in it, so its damaged frames cost no others either."""
    _, lines, size = lines_of(tmp_path)
    lines[size + 4] = lines[size + 4].replace(".", ".x", 1)
    (tmp_path / "run").write_text("".join(lines))
    found = read_apart(tmp_path / "run")
    assert [frame.number for frame in found if frame.atoms is None] == [1]
    assert len(found) == N_FRAMES


NOT_UNDERSTOOD = "incomplete or damaged, has another format, or its program's version"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("POSCAR", b"", "is an empty file"),
        ("x.extxyz", b"", "is an empty file"),
        ("x.traj", b"", "is an empty file"),
        ("x.cif", b"", "is an empty file"),
        ("x.rmc6f", b"(Version 6f format configuration file)\n", f"as rmc6f: .*{NOT_UNDERSTOOD}"),
        ("POSCAR", b"Na\n1\n1 0 0\n0 1\n", f"as vasp: .*{NOT_UNDERSTOOD}"),
        ("x.xsf", b"CRYSTAL\nPRIMVEC\n1 0 0\n", f"as xsf: .*{NOT_UNDERSTOOD}"),
        ("POSCAR", b"Na\n1\n1 0 0\xff\n", r"as vasp: its byte 10 is not text"),
        ("x.in", b"&control\n/\n", "as espresso-in: KeyError: 'Required section &SYSTEM not found"),
        ("x.extxyz", b'2\nProperties="species:S:1"\nNa\n', r"lines for 1 of 2 atoms only"),
    ],
)
def test_what_a_reader_stumbles_over_is_told_in_words(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_structure(path)
    with pytest.raises(ValueError, match=r"empty file|no structure|cannot read|lines for"):
        for _ in read_all(path):
            pass


@pytest.mark.parametrize("name", ["Na2S2O8.castep", "LiH_ph.out", "LiH_triclinic_DDB.gz"])
def test_outputs_with_labels_have_a_structure_though_ase_reads_none(name: str) -> None:
    path = LABELS / name
    with pytest.raises(ValueError, match="ASE"):
        read_images(path, "-1")
    atoms = read_structure(path)
    (expected,) = read_labels(path)
    assert atoms.calc is None
    assert_same([atoms.positions], [expected])
