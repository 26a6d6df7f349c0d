"""Which program wrote a file; formats with labels that are not read are refused by name."""

from __future__ import annotations

from pathlib import Path

import ase.io
import pytest
from helpers.label_files import LABELS, RECORDED, asymmetric_label, outcar
from helpers.structures import triclinic

from ase_equivar.io import read_labels
from ase_equivar.io.label_files.reading import label_frames


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (".Version  9.6.2 of ANADDB\n", "an output of anaddb, .*give the DDB"),
        (".Version  9.6.2 of ABINIT\n", "the main output of ABINIT: give its DDB"),
        (
            " BEGIN header\n Number of ions         12\n",
            "a .phonon file, without Z.: give the .cas",
        ),
        (
            " DBCSR| CPU Multiplication driver\n CP2K| version string:  CP2K version 2023.1\n",
            "an output of CP2K.*extended XYZ",
        ),
    ],
)
def test_outputs_without_what_is_needed(tmp_path: Path, start: str, told: str) -> None:
    path = tmp_path / "some.out"
    path.write_text(start + "and so on\n" * 100)
    with pytest.raises(ValueError, match=rf"some\.out is {told}"):
        read_labels(path)


def test_real_outputs_without_charges_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pw\.out is an output of pw\.x, which has no Z\*"):
        read_labels(RECORDED / "pw.out")
    with pytest.raises(ValueError, match=r"output of anaddb, which names no atoms"):
        read_labels(LABELS / "LiH_triclinic_anaddb.out")


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nothing\.out"):
        read_labels(tmp_path / "nothing.out")
    ase.io.write(tmp_path / "x.cif", triclinic())
    with pytest.raises(ValueError, match=r"'born_charges'.*files with labels are .*vaspout\.h5"):
        read_labels(tmp_path / "x.cif")


def test_names_that_begin_like_another_format(tmp_path: Path) -> None:
    atoms, charges, _ = asymmetric_label()
    atoms.set_array("born_charges", charges.reshape(-1, 9))
    for name in ("BORN_all.extxyz", "BORN.xyz"):
        ase.io.write(tmp_path / name, atoms, format="extxyz")
        assert len(read_labels(tmp_path / name)) == 1
    for name in ("BORN", "BORN.NaCl", "BORN_pbe"):
        (tmp_path / name).write_text("14.4\n")
        with pytest.raises(ValueError, match="a BORN file, without a structure"):
            read_labels(tmp_path / name)


def test_one_structure_and_a_selection(tmp_path: Path) -> None:
    """Names do not matter; a selection is one of ASE's."""
    (tmp_path / "anything.txt").write_text(outcar(*asymmetric_label()))
    for selection in (":", "0", "-1", "::5"):
        (frame,) = label_frames(tmp_path / "anything.txt", selection)
        assert (frame.number, frame.total, frame.program) == (0, 1, "VASP")
    assert label_frames(tmp_path / "anything.txt", "1:") == []
    with pytest.raises(ValueError, match="1 structure, so there is no structure 3"):
        label_frames(tmp_path / "anything.txt", "3")
