"""What an EquivarCalculator keeps, and when it must not."""

from __future__ import annotations

import copy
import json
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.verlet import VelocityVerlet
from helpers.told_warnings import told
from helpers.toy_network import ToyNetwork

from ase_equivar import (
    EquivarCalculator,
    SumRuleWarning,
    VacuumWarning,
    field_forces,
    load_model,
    read_extxyz,
    write_extxyz,
)
from ase_equivar.dynamics import drive
from ase_equivar.inference.model_files import model_folder
from ase_equivar.warning_types import MetalWarning


@pytest.fixture
def salt() -> Atoms:
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.rattle(0.1, seed=0)
    return atoms


@pytest.mark.parametrize("used", [False, True])
def test_copies_and_pickles_give_the_same(salt: Atoms, used: bool) -> None:
    calc = EquivarCalculator(LennardJones(rc=5), electric_field=(0, 0, 0.1))
    reference = EquivarCalculator().get_property("born_charges", salt)
    if used:
        calc.get_property("forces", salt)
    for other in (copy.deepcopy(calc), pickle.loads(pickle.dumps(calc))):
        np.testing.assert_array_equal(other.get_property("born_charges", salt), reference)
        np.testing.assert_array_equal(
            other.get_property("forces", salt), calc.get_property("forces", salt)
        )


class NoStress(LennardJones):
    """Gives forces, and fails at stress."""

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> object:
        if name == "stress" and allow_calculation:
            raise RuntimeError("no stress today")
        return super().get_property(name, atoms, allow_calculation)


def test_a_failure_leaves_no_forces_without_field(salt: Atoms) -> None:
    field = (0.0, 0.0, 1.0)
    calc = EquivarCalculator(NoStress(rc=5), electric_field=field, stress_without_field=True)
    with pytest.raises(RuntimeError, match="no stress today"):
        calc.calculate(salt, ["forces", "stress"])
    plain = LennardJones(rc=5).get_property("forces", salt)
    expected = plain + field_forces(calc.get_property("born_charges", salt), field)
    np.testing.assert_allclose(calc.get_property("forces", salt), expected, atol=1e-12)


def test_a_change_inside_the_wrapped_calculator_is_noticed(salt: Atoms) -> None:
    inner = LennardJones(rc=5, epsilon=1.0)
    calc = EquivarCalculator(inner)
    before = calc.get_property("energy", salt)
    inner.parameters["epsilon"] = 2.0
    inner.reset()
    assert calc.get_property("energy", salt) == pytest.approx(2 * before)
    inner.parameters["epsilon"] = 3.0
    inner.reset()
    assert calc.get_property("energy") == pytest.approx(3 * before)  # without atoms, too
    outer = EquivarCalculator(EquivarCalculator(inner))
    outer.get_property("forces", salt)
    outer.calculator.electric_field = (0.0, 0.2, 0.0)  # type: ignore[union-attr]
    np.testing.assert_allclose(
        outer.get_property("forces", salt), outer.calculator.get_property("forces", salt)
    )


class RefillsItsArrays:
    """No calculator of ASE's classes: it fills the same arrays for all atoms."""

    name = "refills"
    implemented_properties = ("energy", "forces", "magmoms")

    def __init__(self) -> None:
        self.results = {"forces": np.zeros((2, 3)), "magmoms": np.zeros(2)}

    def get_property(self, name: str, atoms: Atoms, allow_calculation: bool = True) -> object:
        self.results["forces"][:] = -atoms.positions
        self.results["magmoms"][:] = atoms.positions[:, 1]
        return self.results.get(name, 0.5 * float((atoms.positions**2).sum()))


@pytest.mark.parametrize("in_drive", [False, True])
def test_results_stay_though_a_calculator_fills_its_arrays_again(
    salt: Atoms, in_drive: bool
) -> None:
    inner = RefillsItsArrays()
    if in_drive:
        salt.calc = inner
        charges = np.array([np.eye(3), -np.eye(3)])
        drive(VelocityVerlet(salt, 0.1), [0.0, 0.0, 0.1], born_charges=charges)
    else:
        salt.calc = EquivarCalculator(inner)
    before = {name: salt.calc.get_property(name, salt) for name in ("forces", "magmoms")}
    elsewhere = salt.copy()
    elsewhere.positions += [0.3, 0.2, -0.1]
    inner.get_property("energy", elsewhere)
    for name, value in before.items():
        np.testing.assert_array_equal(salt.calc.get_property(name, salt), value)


def test_results_of_a_single_point_calculator_are_passed_through(salt: Atoms) -> None:
    calc = EquivarCalculator(SinglePointCalculator(salt, energy=-3.5))
    assert calc.get_property("energy", salt) == -3.5
    assert "energy" in calc.implemented_properties


def test_diagnostics_cannot_be_written_to(salt: Atoms) -> None:
    calc = EquivarCalculator()
    calc.get_property("born_charges", salt)
    with pytest.raises(ValueError, match="read-only"):
        calc.diagnostics.raw_born_charges[:] = 100.0


def test_uncertainty_comes_with_the_charges(salt: Atoms, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call of the network for both; another total charge has another violation."""
    calc, calls = EquivarCalculator(), []
    network = calc.predictor._network
    original = network.forward
    monkeypatch.setattr(network, "forward", lambda graph: calls.append(1) or original(graph))
    calc.get_property("born_charges", salt)
    first = calc.get_property("born_charges_uncertainty", salt)
    calc.total_charge = 1.0
    assert (calc.get_property("born_charges_uncertainty", salt) > first).all()
    assert len(calls) == 1
    salt.positions[0, 0] += 0.1
    assert (calc.get_property("born_charges_uncertainty", salt) != first).all()
    assert len(calls) == 2


def test_each_polymorph_is_warned_of_and_no_step_of_an_md() -> None:
    calc = EquivarCalculator(model=ToyNetwork())  # breaks the sum rule by more than 1 e here
    with told() as caught:
        for a in (2.4, 2.401, 2.402, 2.6):
            calc.get_property("born_charges", bulk("Na", "sc", a=a))
    assert [w.category for w in caught] == [SumRuleWarning, MetalWarning] * 2
    assert {w.filename for w in caught} == {__file__}


def thick_slab() -> Atoms:
    atoms = bulk("MgO", "rocksalt", a=4.21, cubic=True) * (1, 1, 2)
    atoms.center(vacuum=4.0, axis=2)
    return atoms


@pytest.mark.parametrize(
    ("atoms", "reason"),
    [
        (graphene("BN", a=2.5, vacuum=6.0), "is not periodic in three directions"),
        (thick_slab(), r"has 5\.2 Å of vacuum"),  # 8 Å less two covalent radii of Mg
        (molecule("H2O", vacuum=5.0, pbc=True), "of vacuum"),
    ],
)
@pytest.mark.parametrize("name", ["born_charges", "born_effective_charges", "dielectric_tensor"])
def test_vacuum_is_warned_of_once_whatever_tensor_is_asked_for(
    atoms: Atoms, reason: str, name: str
) -> None:
    calc = EquivarCalculator()
    with told() as caught:
        for asked in (name, "born_charges", "dielectric_tensor"):
            atoms.positions += 0.01
            calc.get_property(asked, atoms)
    [warning] = [w for w in caught if w.category is VacuumWarning]
    assert re.search(reason + r".*Z\*/\(f \+ \(1 − f\) ε∞\)", str(warning.message))
    assert warning.filename == __file__


def test_vacuum_among_many_structures_is_warned_of(salt: Atoms) -> None:
    calc = EquivarCalculator()
    with pytest.warns(VacuumWarning, match=r"MgO, first of 2 such structures of 3, has 5\.2 Å"):
        calc.predict([salt, thick_slab(), graphene("BN", a=2.5, vacuum=6.0)])


def test_crystals_are_not_warned_of_vacuum(salt: Atoms) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", VacuumWarning)
        EquivarCalculator().get_property("born_charges", salt)
        EquivarCalculator().predict([salt])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"total_charge": None}, "total_charge is None"),
        ({"total_charge": "much"}, "total_charge is 'much'"),
    ],
)
def test_senseless_settings(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EquivarCalculator(**arguments)  # type: ignore[arg-type]


def test_a_name_is_no_calculator() -> None:
    with pytest.raises(TypeError, match="'sio2', which is no ASE calculator; the name of a model"):
        EquivarCalculator("sio2")  # type: ignore[arg-type]


def test_numbers_beyond_the_periodic_table_are_refused() -> None:
    atoms = Atoms(numbers=[11, 200], positions=[[0, 0, 0], [3, 0, 0]])
    with pytest.raises(ValueError, match="never seen number 200 "):
        EquivarCalculator().get_property("born_charges", atoms)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": None}, "must be objects"),
        ({"metadata": None}, "must be objects"),
        ({"network": {"architecture": "gated"}}, "describes no network that can be built"),
        (
            {"network": {"architecture": "gated", "elements": [14, 200]}},
            "describes no network that can be built",
        ),
        (
            {"network": {"architecture": "gated", "elements": [8], "irreps": ["0e"]}},
            "a tensor needs irreps besides the scalars",
        ),
    ],
)
def test_damaged_descriptions_are_named(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    source = model_folder("sio2")
    (tmp_path / "weights.safetensors").write_bytes((source / "weights.safetensors").read_bytes())
    config = json.loads((source / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path)


def test_files_hold_what_was_calculated_and_nothing_older(salt: Atoms, tmp_path: Path) -> None:
    """ε∞ of another source does not pass for a prediction; names of VASP do not confuse."""
    file = tmp_path / "POSCAR_1.extxyz"
    salt.info["electronic_dielectric_tensor"] = 99 * np.eye(3)
    salt.arrays["born_charges_uncertainty"] = np.array([9.0, 9.0])
    salt.calc = EquivarCalculator()
    charges = salt.get_property("born_charges")
    for name in ("dielectric_tensor", "born_charges_uncertainty"):
        salt.calc.results.pop(name)
    write_extxyz(file, salt)
    [back] = read_extxyz(file)
    assert set(back.calc.results) == {"born_charges", "born_effective_charges"}
    np.testing.assert_allclose(back.calc.results["born_charges"], charges, atol=1e-8)
    uncertainty = salt.get_property("born_charges_uncertainty")
    write_extxyz(file, salt)
    [back] = read_extxyz(file)
    np.testing.assert_allclose(
        back.calc.results["born_charges_uncertainty"], uncertainty, atol=1e-8
    )


class Silent(Calculator):
    """Lists nothing."""


def test_a_calculator_without_properties_gives_none(salt: Atoms) -> None:
    with pytest.raises(PropertyNotImplementedError):
        EquivarCalculator(Silent()).get_property("energy", salt)


class Gives:
    """No calculator of ASE's classes, without a name, that gives what it is told to."""

    def __init__(self, **results: object) -> None:
        self.results, self.implemented_properties = results, tuple(results)

    def get_property(self, name: str, atoms: Atoms, allow_calculation: bool = True) -> object:
        return self.results.get(name)


@pytest.mark.parametrize(
    ("results", "asked", "message"),
    [
        ({"forces": np.ones((1, 3))}, "forces", r"array of forces .* shape \(1, 3\)"),
        ({"forces": np.ones(3)}, "forces", r"array of forces .* shape \(3,\)"),
        ({"forces": np.ones((3, 3))}, "forces", r"array of forces .* shape \(3, 3\)"),
        ({"forces": np.full((2, 3), np.nan)}, "forces", r"array of forces .* not finite"),
        ({"forces": None}, "forces", r"array of forces .* is None"),
        ({"energy": np.nan}, "energy", r"the energy of the wrapped calculator is nan"),
        ({"stress": np.eye(3)}, "stress", r"the stress .* shape \(3, 3\)"),
    ],
)
def test_what_a_field_is_added_to_is_checked(
    salt: Atoms, results: dict[str, object], asked: str, message: str
) -> None:
    field = {"electric_field": (0.0, 0.0, 0.1), "model": "universal-polar"}
    calc = EquivarCalculator(Gives(**results), polarization_energy=True, **field)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        calc.get_property(asked, salt)


def test_a_calculator_without_a_name_is_written(salt: Atoms, tmp_path: Path) -> None:
    salt.calc = EquivarCalculator(Gives(forces=np.ones((2, 3))))  # type: ignore[arg-type]
    salt.get_forces()
    salt.write(tmp_path / "x.traj")
    assert salt.calc.todict()["calculator"] == "Gives"


def test_settings_are_taken_all_or_none(salt: Atoms) -> None:
    calc = EquivarCalculator()
    before = calc.get_property("born_charges", salt)
    for wrong, error in (
        ({"total_charge": "1e"}, ValueError),
        ({"model": "none-such"}, FileNotFoundError),
        ({"dtype": "float64"}, TypeError),
    ):
        with pytest.raises(error):
            calc.set(electric_field=(0, 0, 0.1), **wrong)
        assert calc.electric_field is None
        np.testing.assert_array_equal(calc.get_property("born_charges", salt), before)


@pytest.mark.parametrize("flag", ["stress_without_field", "polarization_energy"])
def test_flags_are_true_or_false(flag: str) -> None:
    with pytest.raises(TypeError, match=rf"{flag} is 'no'; give True or False"):
        EquivarCalculator(**{flag: "no"})  # type: ignore[arg-type]


def test_atoms_are_no_calculator(salt: Atoms) -> None:
    with pytest.raises(TypeError, match="is no ASE calculator"):
        EquivarCalculator(salt)  # type: ignore[arg-type]


def test_a_query_does_not_lose_the_structure(salt: Atoms) -> None:
    calc = EquivarCalculator(LennardJones(rc=5))
    calc.get_property("forces", salt)
    calc.set(electric_field=[0, 0, 0.1])
    assert calc.get_property("forces", allow_calculation=False) is None
    np.testing.assert_array_equal(calc.get_property("forces"), calc.get_property("forces", salt))
