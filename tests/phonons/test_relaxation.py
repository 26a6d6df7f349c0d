"""What is relaxed: nothing, positions or the cell; and ε∞ as it was measured."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.io import write
from helpers.command_line import assert_one_line_error, run, triclinic_salt
from helpers.given_charges import GivenCharges, triclinic_pair
from helpers.springs import Springs

from ase_equivar.cli import inputs
from ase_equivar.phonons import lo_to_splitting, make_phonon, nac_params, polar_phonon, relax
from ase_equivar.warning_types import CellChangeWarning, InputWarning, NotRelaxedWarning


def alloy():
    """Two metals in a triclinic cell that is a little too large for EMT."""
    atoms = bulk("Cu", "fcc", a=3.95).repeat((2, 1, 1))
    atoms.symbols[1] = "Ag"
    atoms.set_cell(atoms.cell.array + 0.1 * np.random.default_rng(1).normal(size=(3, 3)), True)
    atoms.positions[1] += [0.1, -0.05, 0.08]
    return atoms


def test_positions_are_relaxed_in_the_cell_given():
    atoms = alloy()
    relaxed = relax(atoms, EMT(), "positions", fmax=0.01)
    np.testing.assert_array_equal(relaxed.cell.array, atoms.cell.array)
    assert np.abs(relaxed.positions - atoms.positions).max() > 0.02
    relaxed.calc = EMT()
    assert np.linalg.norm(relaxed.get_forces(), axis=1).max() < 0.01
    assert np.abs(relaxed.get_stress()).max() > 1e-3
    untouched = relax(atoms, EMT(), "none")
    np.testing.assert_array_equal(untouched.positions, atoms.positions)
    with pytest.raises(ValueError, match="give none, positions or cell"):
        relax(atoms, EMT(), "all")


@pytest.mark.parametrize(("a", "words"), [(3.68, "larger"), (4.2, "smaller"), (None, None)])
def test_another_volume_is_told(a, words):
    """EMT's own lattice constant of silver is 4.06 Å."""
    atoms = bulk("Ag", "fcc", a=a or 4.04)
    if a is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            relax(atoms, EMT(), "cell")
        return
    with pytest.warns(CellChangeWarning, match=rf"% {words} in volume"):
        relax(atoms, EMT())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"dielectric_tensor": 2.33}, np.diag([2.33] * 3)),
        ({"dielectric_tensor": [2.3, 2.4, 2.5]}, np.diag([2.3, 2.4, 2.5])),
        (
            {"dielectric_tensor": [2.3, 0.1, 0.2, 0.1, 2.4, 0, 0.2, 0, 2.5]},
            [[2.3, 0.1, 0.2], [0.1, 2.4, 0], [0.2, 0, 2.5]],
        ),
        ({"refractive_index": 1.53}, np.diag([1.53**2] * 3)),
        ({"refractive_index": (1.5, 1.6, 1.7)}, np.diag([2.25, 2.56, 2.89])),
    ],
)
def test_a_measured_tensor_takes_the_place_of_the_models(given, expected):
    source = GivenCharges({"Li": 1.1, "Br": -1.1}, 3.0 * np.eye(3))
    params = nac_params(make_phonon(triclinic_pair()), source, **given)
    np.testing.assert_allclose(params["dielectric"], expected, atol=1e-12)
    np.testing.assert_allclose(params["born"][0], 1.1 * np.eye(3))


@pytest.mark.slow
def test_gaps_go_as_the_inverse_of_the_tensor():
    """Of one polar mode in a cubic crystal: LO² − TO² = const/ε∞."""
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    jumps = {}
    for epsilon in (2.0, 3.0):
        phonon = polar_phonon(
            atoms,
            Springs(atoms, 4.5),
            GivenCharges({"Na": 1.1, "Cl": -1.1}),
            supercell=(1, 1, 1),
            refractive_index=epsilon**0.5,
            progress=False,
        )
        pair = lo_to_splitting(phonon)[0].pairs[0]
        jumps[epsilon] = pair.lo**2 - pair.to**2
    assert jumps[2.0] / jumps[3.0] == pytest.approx(1.5, rel=1e-6)
    with pytest.raises(ValueError, match="not both"):
        nac_params(
            make_phonon(atoms), GivenCharges({}), dielectric_tensor=2.0, refractive_index=1.5
        )


@pytest.mark.slow
def test_commands_name_what_they_used(tmp_path, model, monkeypatch):
    atoms = triclinic_salt()
    file = tmp_path / "salt.extxyz"
    write(file, atoms)
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Springs(atoms, 4.5))
    output = tmp_path / "a.json"
    arguments = (file, "--model", model, "--output", output)
    options = ("--supercell", 1, 1, 1, "--relax", "positions")
    result = run("infrared", *arguments, *options, "--refractive-index", "1.5 1.6 1.7")
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "relaxed: positions, in the cell given" in words
    assert "ε∞: as given" in words
    content = json.loads(output.read_text())
    assert content["calculation"]["relax"] == "positions"
    assert content["calculation"]["epsilon_infinity"] == "as given"
    np.testing.assert_allclose(np.diag(content["epsilon_infinity"]), [2.25, 2.56, 2.89])
    result = run("born", *arguments, "--dielectric-tensor", "2.33")
    assert result.exit_code == 0, result.output
    assert "ε∞, as given" in result.output
    content = json.loads(output.read_text())
    assert content["epsilon_infinity"] == "as given"
    np.testing.assert_allclose(content["dielectric_tensor"], 2.33 * np.eye(3))
    result = run("infrared", *arguments, "--relax", "yes")
    assert_one_line_error(result, 2, "give none, positions or cell")
    for option, value, message in (
        ("--dielectric-tensor", "large", "takes numbers"),
        ("--dielectric-tensor", "2 3", "shape"),
        ("--dielectric-tensor", "0.5", "lowest eigenvalue"),
        ("--refractive-index", "0.5", "give 1 or more"),
    ):
        result = run("born", *arguments, option, value)
        assert_one_line_error(result, 2, message)


class Exchange(Calculator):
    """Neighbors with equal moments attract each other along x, others repel."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        moments = atoms.get_initial_magnetic_moments()
        forces = np.zeros((len(atoms), 3))
        pull = 0.08 * moments * np.roll(moments, -1)  # from each atom to the next
        forces[:, 0] = pull - np.roll(pull, 1)
        self.results = {"energy": 0.0, "forces": forces}


def test_forces_that_symmetry_forbids_are_told():
    """Positions alone make the four atoms equivalent, moments do not."""
    atoms = Atoms("Mn4", [[2.5 * i, 0, 0] for i in range(4)], cell=[10, 3, 3], pbc=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        relax(atoms, Exchange(), "positions")
    atoms.set_initial_magnetic_moments([1, 1, -1, -1])
    with pytest.warns(NotRelaxedWarning, match=r"forces of up to 0\.16 eV/Å are left"):
        relax(atoms, Exchange(), "positions")


def test_constraints_are_ignored_and_that_is_told():
    atoms = alloy()
    free = relax(atoms, EMT(), "positions", fmax=0.01)
    atoms.set_constraint(FixAtoms([0]))
    with pytest.warns(InputWarning, match=r"constraints of the structure \(FixAtoms\) are ignored"):
        relaxed = relax(atoms, EMT(), "positions", fmax=0.01)
    np.testing.assert_allclose(relaxed.positions, free.positions, atol=1e-12)
