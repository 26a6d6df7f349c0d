"""Labels out of a phonopy.yaml: symmetry, cells and units are phonopy's business."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr
from helpers.paths import CRYSTALS
from phonopy import Phonopy
from phonopy.file_IO import get_BORN_lines
from phonopy.structure.atoms import PhonopyAtoms

from ase_equivar.io import read_labels


def crystal() -> tuple[Atoms, np.ndarray, np.ndarray]:
    """Return the crystal of the test data whose Z* are the least symmetric, and symmetrized labels.

    Its atoms are related by symmetry, so that BORN holds a part of them.
    """
    frames = [atoms for atoms in ase.io.read(CRYSTALS, ":") if len(atoms) <= 24]
    charges = [atoms.arrays["born_charges"].reshape(-1, 3, 3) for atoms in frames]
    skew = [np.abs(z - z.transpose(0, 2, 1)).max() for z in charges]
    index = int(np.argmax(skew))
    atoms = frames[index]
    dielectric = np.array(atoms.info["electronic_dielectric_tensor"]).reshape(3, 3)
    return (
        Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True),
        charges[index],
        dielectric,
    )


@pytest.fixture(scope="module")
def label() -> tuple[Atoms, np.ndarray, np.ndarray]:
    from phonopy.structure.symmetry import symmetrize_borns_and_epsilon

    atoms, charges, dielectric = crystal()
    cell = PhonopyAtoms(atoms.symbols, cell=atoms.cell.array, positions=atoms.positions)
    charges, dielectric = symmetrize_borns_and_epsilon(charges, dielectric, cell, symprec=1e-5)
    return atoms, charges, dielectric


def write(
    folder: Path, label: tuple[Atoms, np.ndarray, np.ndarray], calculator: str | None = None
) -> Path:
    """Write phonopy_disp.yaml for a doubled cell whose primitive cell is one half, and BORN."""
    atoms, charges, dielectric = label
    length = Bohr if calculator == "qe" else 1.0
    cell = PhonopyAtoms(
        atoms.repeat((1, 2, 1)).symbols,
        cell=atoms.repeat((1, 2, 1)).cell.array / length,
        positions=atoms.repeat((1, 2, 1)).positions / length,
    )
    phonon = Phonopy(
        cell,
        supercell_matrix=np.diag([2, 1, 1]),
        primitive_matrix=np.diag([1, 0.5, 1]),
        calculator=calculator,
    )
    assert len(phonon.primitive) == len(atoms)
    phonon.generate_displacements()
    phonon.save(folder / "phonopy_disp.yaml")
    doubled = np.concatenate([charges, charges])
    lines = get_BORN_lines(
        cell,
        doubled,
        dielectric,
        primitive_matrix=np.diag([1, 0.5, 1]),
        supercell_matrix=np.diag([2, 1, 1]),
    )
    assert len(lines) - 2 < len(atoms)
    (folder / "BORN").write_text("\n".join(lines) + "\n")
    return folder / "phonopy_disp.yaml"


@pytest.mark.parametrize("calculator", [None, "qe"])
def test_born_beside_the_yaml(
    tmp_path: Path, label: tuple[Atoms, np.ndarray, np.ndarray], calculator: str | None
) -> None:
    """Atoms that symmetry relates get theirs, in the unit cell, twice the primitive one."""
    atoms, charges, dielectric = label
    assert np.abs(charges - charges.transpose(0, 2, 1)).max() > 0.1
    (found,) = read_labels(write(tmp_path, label, calculator))
    doubled = atoms.repeat((1, 2, 1))
    np.testing.assert_allclose(found.cell.array, doubled.cell.array, atol=1e-8)
    np.testing.assert_allclose(
        (found.get_scaled_positions() - doubled.get_scaled_positions() + 0.5) % 1, 0.5, atol=1e-8
    )
    results = found.calc.results
    expected = np.concatenate([charges, charges])
    np.testing.assert_allclose(results["born_effective_charges"], expected, atol=2e-6)
    np.testing.assert_allclose(results["dielectric_tensor"], dielectric, atol=2e-6)


def test_charges_in_the_yaml_come_first(
    tmp_path: Path, label: tuple[Atoms, np.ndarray, np.ndarray]
) -> None:
    import phonopy

    path = write(tmp_path, label)
    phonon = phonopy.load(path, is_nac=False, produce_fc=False, log_level=0)
    phonon.nac_params = {"born": 2 * label[1], "dielectric": label[2], "factor": 14.4}
    phonon.save(tmp_path / "phonopy.yaml")
    (found,) = read_labels(tmp_path / "phonopy.yaml")
    expected = 2 * np.concatenate([label[1], label[1]])
    np.testing.assert_allclose(found.calc.results["born_effective_charges"], expected, atol=1e-6)


def test_what_is_missing_or_damaged(
    tmp_path: Path, label: tuple[Atoms, np.ndarray, np.ndarray]
) -> None:
    path = write(tmp_path, label)
    with pytest.raises(
        ValueError, match=r"BORN is a BORN file, without a structure: .*phonopy.yaml"
    ):
        read_labels(tmp_path / "BORN")
    (tmp_path / "BORN").write_text((tmp_path / "BORN").read_text().rpartition("\n")[0][:-40])
    with pytest.raises(
        ValueError, match=r"phonopy, for the primitive cell of .*, cannot read .*BORN"
    ):
        read_labels(path)
    (tmp_path / "BORN").unlink()
    with pytest.raises(ValueError, match=r"has no Z\* \(nac_params\), and there is no file .*BORN"):
        read_labels(path)
    path.write_text("lattice: [1, 2\n")
    with pytest.raises(ValueError, match=r"phonopy cannot read .*phonopy_disp.yaml"):
        read_labels(path)
