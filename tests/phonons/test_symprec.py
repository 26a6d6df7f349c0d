"""The tolerance of symmetry: told where a slightly larger one would find more."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from helpers.command_line import assert_one_line_error, run
from helpers.given_charges import GivenCharges, quartz, triclinic_four
from helpers.springs import Springs

from ase_equivar.dielectric.structure_pairs import is_polar
from ase_equivar.phonons import make_phonon, polar_phonon, relax
from ase_equivar.phonons.cells import primitive_cell
from ase_equivar.training.evaluate import crystal_system
from ase_equivar.warning_types import SymmetryWarning


def rounded(atoms: Atoms) -> Atoms:
    """Fractional coordinates of four digits, as in many a file."""
    other = atoms.copy()
    other.set_scaled_positions(atoms.get_scaled_positions().round(4))
    return other


def test_rounded_coordinates_are_told_and_the_tolerance_mends_them():
    atoms = rounded(quartz())
    with pytest.warns(SymmetryWarning, match="within 0.001 Å it would be P3_221"):
        low = make_phonon(atoms)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        high = make_phonon(atoms, symprec=1e-3)
        make_phonon(quartz())
        make_phonon(rounded(triclinic_four()))  # nothing to be found
    counts = []
    for phonon in (low, high):
        phonon.generate_displacements(distance=0.01)
        counts.append(len(phonon.supercells_with_displacements))
    assert counts[1] < counts[0]


def test_all_steps_use_the_tolerance():
    atoms = rounded(quartz())
    source = GivenCharges({"Si": 3.4, "O": -1.7}, 2.4 * np.eye(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error", SymmetryWarning)
        phonon = polar_phonon(
            atoms, Springs(quartz(), 3.0), source, supercell=(1, 1, 1), symprec=1e-3, progress=False
        )
    assert phonon.primitive_symmetry.dataset.number == 154


@pytest.mark.slow
@pytest.mark.parametrize("command", ["born", "phonons", "infrared", "screen"])
def test_commands(command, tmp_path, model):
    atoms = rounded(quartz())
    atoms.symbols = ["Na" if s == "Si" else "Cl" for s in atoms.symbols]
    file = tmp_path / "crystal.extxyz"
    write(file, atoms)
    output = {"born": "BORN", "screen": "table.csv", "phonons": "a.png", "infrared": "a.csv"}
    arguments = [file, "--model", model, "--output", tmp_path / output[command]]
    if command != "born":
        arguments += ["--calculator", "ase.calculators.emt:EMT"]
    told = "within 0.001 Å it would be"
    for tolerance, is_told in ((None, True), (1e-3, False)):
        extra = [] if tolerance is None else ["--symprec", tolerance]
        result = run(command, *arguments, *extra)
        text = " ".join(result.stderr.split())
        if command == "screen":
            text = (tmp_path / "table.csv").read_text()
            (tmp_path / "table.csv").unlink()
        assert (told in text) is is_told, text
    result = run(command, *arguments, "--symprec", "-1")
    assert result.exit_code == 2
    assert "symprec is -1" in result.stderr


def doubled() -> Atoms:
    """The last oxygen of quartz is there twice, as in files that list equivalent sites."""
    atoms = quartz()
    return atoms + atoms[[8]]


def test_an_atom_that_is_there_twice_is_named(tmp_path):
    atoms, springs = doubled(), Springs(quartz(), 3.0)
    message = r"atoms 8 and 9 are 0 Å apart. Is one of them there twice\?"
    for call in (make_phonon, primitive_cell, lambda crystal: relax(crystal, springs, "positions")):
        with pytest.raises(ValueError, match=message):
            call(atoms)
    with pytest.raises(ValueError, match=r"tolerance of 1 Å: atoms 0 and 1 are 0.741 Å apart"):
        make_phonon(Atoms("H2", [[0, 0, 0], [0, 0, 0.741]], cell=[3, 3, 3], pbc=True), symprec=1)
    assert is_polar(atoms)
    assert crystal_system(atoms) == "none"
    write(tmp_path / "crystal.extxyz", atoms)
    result = run("phonons", tmp_path / "crystal.extxyz", "--method", "none")
    assert_one_line_error(result, 2, "atoms 8 and 9 are 0 Å apart")


def test_a_molecule_without_a_cell_is_not_relaxed():
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.741]])
    with pytest.raises(ValueError, match="no cell of three vectors"):
        relax(atoms, Springs(quartz(), 3.0), "positions")
