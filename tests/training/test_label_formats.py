"""Labels as other programs write them, each on a tensor that is not symmetric."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers.structures import triclinic

from ase_equivar.training.data import read_frames
from ase_equivar.training.sections import DataConfig


def rows(matrix: np.ndarray, tag: str = "v") -> str:
    return "".join(f"<{tag}>{' '.join(f'{x:.10f}' for x in row)}</{tag}>" for row in matrix)


def vasprun(atoms: Atoms, charges: np.ndarray, dielectric: np.ndarray) -> str:
    """What VASP writes of a calculation with LEPSILON, as far as it is read.

    In the array born_charges, one set per ion holds three rows: the first index is the field, the
    second the displacement (VASP wiki, LEPSILON; phonopy takes the same rows into BORN).
    """
    structure = (
        f"<crystal><varray name='basis'>{rows(atoms.cell.array)}</varray></crystal>"
        f"<varray name='positions'>{rows(atoms.get_scaled_positions())}</varray>"
    )
    ions = "".join(f"<set>{rows(tensor)}</set>" for tensor in charges)
    energy = "<energy><i name='e_fr_energy'>-1.0</i><i name='e_0_energy'>-1.0</i></energy>"
    return (
        "<?xml version='1.0'?><modeling><kpoints>"
        "<varray name='kpointlist'><v>0 0 0</v></varray><varray name='weights'><v>1</v></varray>"
        "</kpoints>"
        "<atominfo><array name='atoms'><set>"
        + "".join(f"<rc><c>{symbol}</c><c>1</c></rc>" for symbol in atoms.symbols)
        + f"</set></array></atominfo><structure name='initialpos'>{structure}</structure>"
        f"<calculation><scstep>{energy}</scstep><structure>{structure}</structure>{energy}"
        f"<varray name='dielectric_dft'>{rows(dielectric)}</varray>"
        f"<array name='born_charges'><dimension dim='1'>ion</dimension>{ions}</array>"
        "</calculation></modeling>"
    )


@pytest.fixture
def label() -> tuple[Atoms, np.ndarray, np.ndarray]:
    atoms = triclinic()
    rng = np.random.default_rng(7)
    charges = rng.normal(size=(len(atoms), 3, 3))
    charges -= charges.mean(axis=0)
    assert np.abs(charges - charges.transpose(0, 2, 1)).max() > 0.5
    half = rng.normal(size=(3, 3)) * 0.2
    return atoms, charges, 3.0 * np.eye(3) + half + half.T


def test_vasprun(tmp_path: Path, label: tuple[Atoms, np.ndarray, np.ndarray]) -> None:
    """Without a word of what the labels are called."""
    atoms, charges, dielectric = label
    (tmp_path / "vasprun.xml").write_text(vasprun(atoms, charges, dielectric))
    (frame,), rejected = read_frames([str(tmp_path / "vasprun.xml")], DataConfig((), ()))
    assert not rejected
    np.testing.assert_allclose(frame.born_charges, charges, atol=1e-9)
    assert frame.dielectric is not None
    np.testing.assert_allclose(frame.dielectric, dielectric, atol=1e-9)
    np.testing.assert_allclose(frame.atoms.positions, atoms.positions, atol=1e-8)


@pytest.mark.parametrize("name", ["born_effective_charges", "bec", "REF_becs", "apt"])
def test_columns_of_other_names(
    tmp_path: Path, label: tuple[Atoms, np.ndarray, np.ndarray], name: str
) -> None:
    """ASE's own is found by itself, the others when they are named."""
    atoms, charges, dielectric = label
    atoms.set_array(name, charges.reshape(-1, 9))
    atoms.info["dielectric_tensor"] = dielectric
    ase.io.write(tmp_path / "x.extxyz", atoms)
    usual = name == "born_effective_charges"
    config = DataConfig((), ()) if usual else DataConfig((), (), born_charges=name)
    (frame,), _ = read_frames([str(tmp_path / "x.extxyz")], config)
    np.testing.assert_allclose(frame.born_charges, charges, atol=1e-7)
    assert frame.dielectric is not None
    np.testing.assert_allclose(frame.dielectric, dielectric, atol=1e-7)
