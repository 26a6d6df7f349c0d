"""Runs in folders: killed and called again, and told from other runs."""

import os

import numpy as np
import pytest
from ase.constraints import FixAtoms
from helpers.polar_crystal import PolarCrystal, ions

from ase_equivar.dynamics.experiments.thermal_run import CHECKPOINT_INTERVAL, MDSettings, field_run
from ase_equivar.fields.waveforms import SineField

SINE = SineField([0.11, -0.07, 0.16], frequency=14.0)
SETTINGS = MDSettings(temperature=50.0, timestep=0.2)


class Interrupted(PolarCrystal):
    """Stops the run when it is asked for forces for the n-th time."""

    def __init__(self, after, **settings):
        super().__init__(**settings)
        self.after = after

    def calculate(self, atoms=None, properties=("forces",), system_changes=()):
        if self.calls["forces"] == self.after:
            raise KeyboardInterrupt
        super().calculate(atoms, properties, system_changes)


def crystal(calculator=None):
    atoms = ions(velocities=False)
    atoms.calc = calculator or PolarCrystal(quadratic=0.4)
    return atoms


@pytest.mark.slow
@pytest.mark.parametrize("after", [5, 30, CHECKPOINT_INTERVAL + 7])
def test_run_that_was_stopped_goes_on(tmp_path, after):
    steps = CHECKPOINT_INTERVAL + 50
    with pytest.raises(KeyboardInterrupt):
        field_run(
            crystal(Interrupted(after, quadratic=0.4)), SINE, steps, SETTINGS, folder=tmp_path
        )
    found = field_run(crystal(), SINE, steps, SETTINGS, folder=tmp_path)
    whole = field_run(crystal(), SINE, steps, SETTINGS, folder=tmp_path / "whole")
    assert len(found.times) == steps + 1
    np.testing.assert_array_equal(found.polarization_change, whole.polarization_change)
    np.testing.assert_array_equal(found.work, whole.work)


def changed(**changes):
    """Return arguments of a run that differ in these from `crystal()` in SINE for 20 steps."""
    return {"atoms": crystal(), "field": SINE, "steps": 20, "md_settings": SETTINGS} | changes


def moved():
    atoms = crystal()
    atoms.positions[0, 2] += 0.01
    return atoms


def stretched():
    atoms = crystal()
    atoms.cell[2, 0] = 0.1
    return atoms


def held(*indices):
    atoms = crystal()
    atoms.set_constraint(FixAtoms(indices))
    return atoms


class Stiffer(PolarCrystal):
    """A little stiffer: at the sites all forces and Z* are the same, and the energy is not."""

    def calculate(self, *args, **settings):
        super().calculate(*args, **settings)
        self.results["energy"] += 0.1


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"atoms": moved()}, "positions, energy, forces, born_charges, forces_when_displaced"),
        ({"atoms": stretched()}, "cell"),
        ({"atoms": held(1)}, "constraints, momenta"),
        ({"atoms": crystal(Stiffer(quadratic=0.4))}, "energy"),
        ({"born_charges": np.zeros((3, 3, 3))}, "born_charges"),
        (
            {"md_settings": MDSettings(temperature=50.0, timestep=0.2, seed=1)},
            "md_settings, momenta",
        ),
        ({"field": 2 * SINE}, "field"),
        ({"field": lambda time: 2 * SINE(time)}, "field"),
        ({"steps": 30}, "steps"),
    ],
)
def test_folder_of_another_run_is_refused(tmp_path, changes, names):
    field_run(**changed(), folder=tmp_path)
    with pytest.raises(
        ValueError, match=rf"holds another run, which differs in {names} \(see run\.json\)"
    ):
        field_run(**changed(**changes), folder=tmp_path)
    field_run(**changed(), folder=tmp_path)


def test_atoms_that_are_held_do_not_move():
    atoms = held(1)
    md_settings = MDSettings(temperature=300.0, timestep=0.2, friction=0.1)
    run = field_run(atoms, SINE, 50, md_settings)
    np.testing.assert_array_equal(run.displacement["B"], 0)
    assert np.abs(run.displacement["Ti"][-1]).max() > 0.01


def test_centre_of_mass_is_held_without_constraints_and_only_once():
    for atoms in (crystal(), crystal()):
        md_settings = MDSettings(temperature=300.0, timestep=0.2, friction=0.1)
        md_settings.dynamics(atoms)
        md_settings.dynamics(atoms)
        assert [type(one).__name__ for one in atoms.constraints] == ["FixCom"]


@pytest.mark.parametrize("field", [SINE, lambda time: SINE(time)], ids=["waveform", "function"])
def test_results_are_the_same_with_and_without_a_folder(tmp_path, field):
    weak = 1e-3 * field if field is SINE else field
    here = field_run(crystal(), weak, 40, SETTINGS, interval=4)
    there = field_run(crystal(), weak, 40, SETTINGS, interval=4, folder=tmp_path)
    for name in vars(here):
        one, other = getattr(here, name), getattr(there, name)
        pairs = (
            zip(one.values(), other.values(), strict=True)
            if isinstance(one, dict)
            else [(one, other)]
        )
        for a, b in pairs:
            np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-300, err_msg=name)


def test_another_potential_with_the_same_minimum_is_another_run(tmp_path):
    """At rest, energy and forces of all springs are zero: results of others were given."""

    class Harder(PolarCrystal):
        def calculate(self, atoms=None, properties=("forces",), system_changes=()):
            super().calculate(atoms, properties, system_changes)
            for name in {"energy", "free_energy", *{"forces"}.intersection(properties)}:
                self.results[name] = 4.0 * self.results[name]

    at_rest, other = crystal(PolarCrystal()), crystal(Harder())
    for atoms in (at_rest, other):
        assert atoms.get_potential_energy() == 0
        assert not atoms.get_forces().any()
    first = field_run(at_rest, SINE, 10, SETTINGS, folder=tmp_path)
    again = field_run(at_rest, SINE, 10, SETTINGS, folder=tmp_path)
    np.testing.assert_array_equal(again.work, first.work)
    with pytest.raises(ValueError, match="another run, which differs in forces_when_displaced"):
        field_run(other, SINE, 10, SETTINGS, folder=tmp_path)


def test_folder_in_use_is_refused_before_any_force_and_free_after_a_kill(tmp_path):
    """The predecessor of a requeued job that still runs: both would write one log."""
    second = Interrupted(0, quadratic=0.4)

    class First(PolarCrystal):
        def calculate(self, *args, **kwargs):
            with pytest.raises(BlockingIOError, match=f"in use by process {os.getpid()} on "):
                field_run(crystal(second), SINE, 20, SETTINGS, folder=tmp_path)
            super().calculate(*args, **kwargs)

    field_run(crystal(First(quadratic=0.4)), SINE, 20, SETTINGS, folder=tmp_path)
    with pytest.raises(KeyboardInterrupt):  # it gets as far as its first force now
        field_run(crystal(second), SINE, 20, SETTINGS, folder=tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.json", "run.log", "run.npz"]
