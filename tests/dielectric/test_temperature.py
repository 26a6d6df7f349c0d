"""The kinetic temperature of a trajectory is that of its thermostat, whatever cannot move."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms, FixBondLengths, FixCartesian, FixCom, FixedPlane, FixSymmetry
from ase.io import iread, write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from helpers.structures import triclinic

from ase_equivar.dielectric import trajectory_current

KELVIN = 300.0
CHARGES = np.zeros(40)


def crystal():
    return triclinic() * (2, 2, 2)


def frames(constraints, n_frames=400, seed=3, drift=(0.0, 0.0, 0.0)):
    """Velocities of the canonical ensemble that constraints leave, none like the last one's."""
    rng = np.random.default_rng(seed)
    for _ in range(n_frames):
        atoms = crystal()
        atoms.set_constraint(constraints)
        sigma = np.sqrt(units.kB * KELVIN * atoms.get_masses())[:, None]
        momenta = sigma * rng.normal(size=(len(atoms), 3))
        moved = atoms.copy()
        moved.set_momenta(momenta)  # projects on what constraints leave
        atoms.set_constraint()
        atoms.set_momenta(moved.get_momenta() + atoms.get_masses()[:, None] * np.array(drift))
        atoms.set_constraint(constraints)
        yield atoms


def temperature(run):
    with pytest.warns(UserWarning, match="velocities and displacements"):
        return trajectory_current(run, CHARGES + np.arange(40) % 2, 1.0).temperature


HALF = FixAtoms(range(20))


@pytest.mark.slow
@pytest.mark.parametrize(
    "constraints",
    [
        [],
        [HALF],
        [FixCom()],
        [FixCartesian(range(30), mask=(False, True, True))],
        [FixedPlane(list(range(30)), (1.0, 2.0, 0.5))],
        [FixAtoms([0, 1]), FixBondLengths([(2, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 13)])],
    ],
    ids=["none", "atoms", "center", "coordinates", "plane", "bonds"],
)
def test_constraints_do_not_change_the_temperature(constraints):
    # The standard error is KELVIN sqrt(2/(60 · 400)) = 2.7 K or less.
    assert temperature(frames(constraints)) == pytest.approx(KELVIN, abs=8.0)


def test_atoms_that_never_move_count_as_held_where_a_file_says_nothing(tmp_path):
    run = list(frames([HALF]))
    for atoms in run:
        atoms.set_constraint()
    write(tmp_path / "run.extxyz", run)
    found = temperature(iread(tmp_path / "run.extxyz"))
    assert found == pytest.approx(KELVIN, abs=8.0)


@pytest.mark.slow
def test_a_common_velocity_is_no_temperature():
    still = temperature(frames([FixCom()]))
    drifting = list(frames([FixCom()], drift=(0.03, -0.02, 0.05)))
    for atoms in drifting:
        atoms.set_constraint()
    assert temperature(drifting) == pytest.approx(still, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("constraints", [[], [HALF], [FixCom()]], ids=["free", "half", "center"])
def test_langevin_runs_have_the_temperature_of_their_thermostat(constraints):
    atoms = crystal()
    atoms.set_constraint(constraints)
    atoms.calc = LennardJones(sigma=1.9, epsilon=0.05, rc=4.0)
    rng = np.random.default_rng(5)
    MaxwellBoltzmannDistribution(atoms, temperature_K=KELVIN, rng=rng)
    driver = Langevin(
        atoms, 2 * units.fs, temperature_K=KELVIN, friction=0.2 / units.fs, fixcm=False, rng=rng
    )
    driver.run(200)
    run = []
    for _ in range(150):
        driver.run(10)
        run.append(atoms.copy())
    assert temperature(run) == pytest.approx(KELVIN, abs=20.0)


def test_a_constraint_that_does_not_tell_is_warned_about():
    run = list(frames([], n_frames=3))
    run[0].set_constraint(FixSymmetry(run[0], verbose=False))
    with pytest.warns(UserWarning, match="degrees of freedom FixSymmetry removes"):
        temperature(run)
