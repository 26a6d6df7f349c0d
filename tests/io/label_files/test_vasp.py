"""Labels of VASP, on tensors that are not symmetric."""

from __future__ import annotations

import gzip
import importlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.label_files import asymmetric_label, outcar, write_vaspout

from ase_equivar.io import read_labels


@pytest.mark.parametrize("version", [5, 6])
def test_outcar_is_field_first(tmp_path: Path, version: int) -> None:
    """Tables with like names, of other quantities, are not taken for Z* or ε∞."""
    atoms, charges, dielectric = asymmetric_label()
    (tmp_path / "OUTCAR").write_text(outcar(atoms, charges, dielectric, version=version))
    (found,) = read_labels(tmp_path / "OUTCAR")
    results = found.calc.results
    np.testing.assert_allclose(results["born_effective_charges"], charges, atol=6e-6)
    np.testing.assert_allclose(results["dielectric_tensor"], dielectric, atol=6e-7)
    np.testing.assert_allclose(found.positions, atoms.positions, atol=6e-6)
    np.testing.assert_allclose(found.cell.array, atoms.cell.array, atol=6e-10)
    assert list(found.symbols) == list(atoms.symbols)
    (tmp_path / "other.gz").write_bytes(gzip.compress((tmp_path / "OUTCAR").read_bytes()))
    (again,) = read_labels(tmp_path / "other.gz")
    np.testing.assert_array_equal(again.positions, found.positions)


def test_outcar_that_cannot_be_trusted(tmp_path: Path) -> None:
    atoms, charges, dielectric = asymmetric_label()
    text = outcar(atoms, charges, dielectric)
    path = tmp_path / "OUTCAR"
    path.write_text(text[: text.index("cummulative output)\n", text.index("|e|", 4000))])
    with pytest.raises(ValueError, match="OUTCAR has no Born effective charges: VASP gives them"):
        read_labels(path)
    path.write_text(text[: text.index(" ion    4", text.index("(including local field effects) "))])
    with pytest.raises(ValueError, match=r"Z\* in .*OUTCAR has 9 rows of 3 numbers, not 15"):
        read_labels(path)
    path.write_text(text.replace(" ion    5\n", " -----\n INTERNAL STRAIN TENSOR\n"))
    with pytest.raises(ValueError, match="has 12 rows of 3 numbers, not 15"):
        read_labels(path)
    moved = atoms.copy()
    moved.positions[2, 1] += 0.02
    second = outcar(moved, charges, dielectric)
    start = second.index("      direct lattice vectors")
    path.write_text(text + second[start:])
    with pytest.raises(ValueError, match=r"atoms or the cell move in .*OUTCAR.*vasprun.xml"):
        read_labels(path)


def test_vaspout_is_displacement_first(tmp_path: Path) -> None:
    atoms, charges, dielectric = asymmetric_label()
    order = np.argsort(atoms.numbers, kind="stable")
    atoms, charges = atoms[order], charges[order]
    write_vaspout(tmp_path / "vaspout.h5", atoms, charges, dielectric)
    (found,) = read_labels(tmp_path / "vaspout.h5")
    np.testing.assert_allclose(found.calc.results["born_effective_charges"], charges)
    np.testing.assert_allclose(found.calc.results["dielectric_tensor"], dielectric)
    np.testing.assert_allclose(found.positions, atoms.positions)
    np.testing.assert_allclose(found.cell.array, atoms.cell.array)
    assert list(found.symbols) == list(atoms.symbols)


def test_vaspout_agrees_with_phonopy(tmp_path: Path) -> None:
    """phonopy reads Z* of the file for its own phonons; no symmetry relates these atoms."""
    pytest.importorskip("phonopy", minversion="4.8", reason="phonopy 4.7 reads them transposed")
    vasp = importlib.import_module("phonopy.interface.vasp")
    atoms, charges, dielectric = asymmetric_label()
    order = np.argsort(atoms.numbers, kind="stable")
    write_vaspout(tmp_path / "vaspout.h5", atoms[order], charges[order], dielectric)
    borns, epsilon, _ = vasp.get_born_vaspout(tmp_path / "vaspout.h5")
    (found,) = read_labels(tmp_path / "vaspout.h5")
    np.testing.assert_allclose(found.calc.results["born_effective_charges"], borns, atol=1e-12)
    np.testing.assert_allclose(found.calc.results["dielectric_tensor"], epsilon, atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 3.5])
def test_vaspout_of_a_cell_that_changes(tmp_path: Path, scale: float) -> None:
    """Its atoms may stay where they are in the cell, or be written in the next one."""
    atoms, charges, dielectric = asymmetric_label()
    order = np.argsort(atoms.numbers, kind="stable")
    path = tmp_path / "vaspout.h5"
    write_vaspout(path, atoms[order], charges[order], dielectric)
    group = "intermediate/ion_dynamics"
    with h5py.File(path, "a") as file:
        steps = file[f"{group}/position_ions"][:]
        del file[f"{group}/position_ions"]
        file[f"{group}/position_ions"] = np.concatenate([steps, steps - [0.0, 1.0, 0.0]])
        vectors = atoms.cell.array / scale
        del file["input/poscar/lattice_vectors"], file["input/poscar/scale"]
        file["input/poscar/lattice_vectors"], file["input/poscar/scale"] = vectors, scale
        file[f"{group}/lattice_vectors"] = np.array([vectors, vectors])
    (found,) = read_labels(path)
    np.testing.assert_allclose(found.cell.array, atoms.cell.array)
    with h5py.File(path, "a") as file:
        strain = np.eye(3) + np.diag([0.0, 0.0, 0.002 / atoms.cell.lengths()[2]])
        file[f"{group}/lattice_vectors"][1] = vectors @ strain
    with pytest.raises(ValueError, match=r"atoms or the cell move in .*vaspout.h5"):
        read_labels(path)


def test_vaspout_without_labels_or_of_moving_atoms(tmp_path: Path) -> None:
    atoms, charges, dielectric = asymmetric_label()
    order = np.argsort(atoms.numbers, kind="stable")
    path = tmp_path / "vaspout.h5"
    write_vaspout(path, atoms[order], charges[order], None)
    (found,) = read_labels(path)
    assert "dielectric_tensor" not in found.calc.results
    with h5py.File(path, "a") as file:
        steps = file["intermediate/ion_dynamics/position_ions"][:]
        del file["intermediate/ion_dynamics/position_ions"]
        file["intermediate/ion_dynamics/position_ions"] = np.concatenate([steps, steps + 0.01])
    with pytest.raises(ValueError, match=r"atoms or the cell move in .*vaspout.h5"):
        read_labels(path)
    with h5py.File(path, "a") as file:
        del file["results/linear_response/born_charges"]
    with pytest.raises(ValueError, match=r"vaspout.h5 has no Born effective charges"):
        read_labels(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"h5py cannot read .*vaspout.h5"):
        read_labels(path)
    write_vaspout(path, atoms[order], charges[order][:4], dielectric)
    with pytest.raises(ValueError, match=r"Z\* of shape \(4, 3, 3\) for a structure of 5 atoms"):
        read_labels(path)
