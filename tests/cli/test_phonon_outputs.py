"""What `phonons` writes besides pictures, and files of programs with other units."""

from __future__ import annotations

import json

import ase.io
import numpy as np
import phonopy
import pytest
from ase import Atoms
from ase.build import graphene
from ase.calculators.calculator import Calculator
from ase.units import Bohr, Rydberg
from helpers.command_line import assert_one_line_error, run, triclinic_salt
from helpers.springs import Springs
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from scipy.integrate import trapezoid

from ase_equivar.cli import inputs
from ase_equivar.phonons.cells import to_ase


@pytest.fixture
def crystal(tmp_path, monkeypatch) -> str:
    """A file of a triclinic salt, and springs for its forces."""
    atoms = triclinic_salt()
    ase.io.write(tmp_path / "salt.extxyz", atoms)
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Springs(atoms, 4.5))
    return str(tmp_path / "salt.extxyz")


@pytest.mark.slow
def test_files_hold_what_was_calculated(crystal, model, tmp_path):
    names = ["p.yaml", "b.csv", "a.json", "cell.cif", "cell.extxyz", "b.png"]
    outputs = [word for name in names for word in ("--output", tmp_path / name)]
    result = run(
        *("phonons", crystal, "--model", model, "--supercell", 2, 1, 1),
        *("--density", tmp_path / "d.csv", *outputs),
    )
    assert result.exit_code == 0, result.output
    assert len(result.output.split("written:")) == 8
    # phonopy reads what it needs of the yaml alone, Z* and ε∞ included, and finds the same bands
    theirs = phonopy.load(tmp_path / "p.yaml", log_level=0)
    table = np.genfromtxt(tmp_path / "b.csv", delimiter=",", names=True, dtype=None, encoding=None)
    line = table[5]  # not Γ
    theirs.run_qpoints([[line["q1"], line["q2"], line["q3"]]])
    ours = [line[f"corrected_{k}_THz"] for k in range(1, 13)]
    np.testing.assert_allclose(theirs.qpoints.frequencies[0], ours, atol=2e-4)
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["calculation"]["forces"] == "sevennet-l3i5"
    assert content["unit_cell"]["symbols"] == ["Na", "Na", "Cl", "Cl"]
    np.testing.assert_allclose(content["born_charges_primitive"], theirs.nac_params["born"])
    np.testing.assert_allclose(content["bands"][0]["corrected_THz"][5], ours, atol=1e-6)
    states = np.loadtxt(tmp_path / "d.csv", delimiter=",", skiprows=1)
    assert trapezoid(states[:, 2], states[:, 0]) == pytest.approx(12, rel=0.02)
    np.testing.assert_allclose(content["density_of_states"]["frequency_THz"], states[:, 0], 1e-6)
    for name in ("cell.cif", "cell.extxyz"):
        np.testing.assert_allclose(
            ase.io.read(tmp_path / name).cell.cellpar(),
            triclinic_salt().cell.cellpar(),
            atol=1e-4,
        )


def test_endings_that_tell_no_format(crystal, model, tmp_path):
    result = run("phonons", crystal, "--model", model, "--output", tmp_path / "a.odd")
    assert_one_line_error(result, 2, "tells no format")


def of_program(atoms: Atoms, springs: Calculator, program: str | None, folder) -> str:
    """phonopy's file for a program, in that program's units."""
    length, force = {None: (1.0, 1.0), "qe": (Bohr, Rydberg / Bohr), "abinit": (Bohr, 1.0)}[program]
    cell = PhonopyAtoms(
        numbers=atoms.numbers,
        cell=atoms.cell.array / length,
        scaled_positions=atoms.get_scaled_positions(),
    )
    theirs = Phonopy(cell, np.diag([2, 1, 1]), primitive_matrix="P", calculator=program)
    theirs.generate_displacements(distance=0.01 / length)
    forces = []
    for one in theirs.supercells_with_displacements:
        moved = to_ase(one)
        moved.set_cell(moved.cell.array * length, scale_atoms=True)
        forces.append(springs.get_forces(moved) / force)
    theirs.forces = forces
    theirs.produce_force_constants()
    theirs.save(folder / f"{program}.yaml", settings={"force_constants": True})
    return str(folder / f"{program}.yaml")


@pytest.mark.slow
@pytest.mark.parametrize("program", ["qe", "abinit"])
def test_files_in_units_of_other_programs_are_converted(program, model, tmp_path):
    atoms = triclinic_salt()
    springs = Springs(atoms, 4.5)
    files = [of_program(atoms, springs, name, tmp_path) for name in (None, program)]
    found = []
    for file in files:
        result = run("infrared", file, "--model", model, "--output", tmp_path / "a.json")
        assert result.exit_code == 0, result.output
        content = json.loads((tmp_path / "a.json").read_text())
        result = run("born", file, "--model", model, "--output", tmp_path / "BORN")
        assert result.exit_code == 0, result.output
        found.append((content, np.loadtxt(tmp_path / "BORN")))
    (expected, born), (converted, other_born) = found
    for key in ("frequency_THz", "intensity_D2_per_A2_u"):
        np.testing.assert_allclose(
            [mode[key] for mode in converted["modes"]],
            [mode[key] for mode in expected["modes"]],
            rtol=2e-4,
        )
    assert converted["volume_A3"] == pytest.approx(expected["volume_A3"])
    np.testing.assert_allclose(converted["epsilon_static"], expected["epsilon_static"], rtol=1e-3)
    np.testing.assert_allclose(other_born, born, atol=1e-4)


def test_units_that_no_program_is_named_for(model, tmp_path):
    atoms = triclinic_salt()
    file = of_program(atoms, Springs(atoms, 4.5), "qe", tmp_path)
    text = (tmp_path / "qe.yaml").read_text().replace("calculator: qe", "calculator: vasp")
    (tmp_path / "qe.yaml").write_text(text)
    assert_one_line_error(run("born", file, "--model", model), 2, "conflicts with calculator")


@pytest.mark.slow
def test_sheets_have_bands_without_the_correction(model, tmp_path, monkeypatch):
    sheet = graphene("BN", a=2.5, vacuum=5.0)
    sheet.pbc = True
    sheet.symbols = "NaCl"
    ase.io.write(tmp_path / "sheet.extxyz", sheet)
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Springs(sheet, 2.6))
    arguments = ("phonons", tmp_path / "sheet.extxyz", "--model", model, "--supercell", 2, 2, 1)
    assert_one_line_error(run(*arguments), 2, "--method none")
    result = run(*arguments, "--method", "none", "--output", tmp_path / "a.json")
    assert result.exit_code == 0, result.output
    assert "no correction" in result.output
    assert len(result.output.split("modes at Γ (cm⁻¹):")[1].splitlines()[0].split()) == 6
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["epsilon_infinity"] is None
    assert content["bands"][0]["corrected_THz"] is None
    result = run(*arguments, "--method", "none", "--angular", tmp_path / "a.png")
    assert_one_line_error(result, 2, "--method none leaves out")
