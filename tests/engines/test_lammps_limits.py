"""A field in LAMMPS beyond plain crystals: charged slabs, boxes that change, thermostats."""

from __future__ import annotations

import subprocess
import warnings
from typing import Any

import numpy as np
import pytest
from ase import units
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.constraints import FixAtoms
from ase.md.verlet import VelocityVerlet
from helpers import lammps_limits
from helpers.lammps_runs import FIELD, SPRING, TIMESTEP, crystal
from helpers.mpi_programs import ENVIRONMENT, mpi_command, results

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics import drive
from ase_equivar.units import UC_PER_CM2

pytest.importorskip("lammps", reason="needs LAMMPS: the extra lammps")
pytest.importorskip("mpi4py", reason="needs mpi4py: the extra lammps")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ase_equivar.EquivarWarning"),  # atoms are far off
]
PROGRAM = str(lammps_limits.__file__)


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One program of two processes for all runs, and its folder."""
    folder = tmp_path_factory.mktemp("two")
    cases: dict[str, dict[str, Any]] = {
        "charged_slab_run": {"folder": str(folder)},
        "deformed_run": {},
        "thermostatted_run": {},
    }
    return {**dict(zip(cases, results(PROGRAM, 2, *cases.items()), strict=True)), "folder": folder}


def test_a_charged_slab_moves_as_with_drive(on_two: dict[str, Any]) -> None:
    found = on_two["charged_slab_run"]
    atoms = lammps_limits.slab()
    moving = atoms.copy()
    springs = HarmonicForceField(atoms.copy(), hessian_x=SPRING * np.eye(3 * len(atoms)))
    moving.calc = EquivarCalculator(
        HarmonicCalculator(springs),
        dtype="float64",
        device="cpu",
        total_charge=lammps_limits.CHARGE,
    )
    moving.set_constraint(FixAtoms([lammps_limits.HELD]))
    dyn = VelocityVerlet(moving, TIMESTEP * units.fs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        driven = drive(dyn, FIELD)
        dyn.run(8)
    assert np.abs(np.array(found["positions"]) - moving.positions).max() < 1e-6
    assert found["work"] == pytest.approx(driven.work, rel=1e-6)
    assert abs(driven.work) > 0.1
    born = np.array(found["born_charges"])
    assert np.abs(born - driven.born_charges).max() < 1e-5
    assert np.abs(born.sum(axis=0) - lammps_limits.CHARGE * np.eye(3)).max() < 1e-10


def test_a_dump_has_the_charges_of_all_atoms(on_two: dict[str, Any]) -> None:
    lines = (on_two["folder"] / "born.dump").read_text().splitlines()
    last = len(lines) - lines[::-1].index("ITEM: TIMESTEP")
    assert lines[last] == "8"
    n = len(lammps_limits.slab())
    rows = np.array([line.split() for line in lines[-n:]], dtype=float)
    np.testing.assert_array_equal(rows[:, 0], np.arange(1, n + 1))
    found = rows[:, 1:].reshape(n, 3, 3)
    np.testing.assert_allclose(found, on_two["charged_slab_run"]["born_charges"], atol=1e-14)


def test_charges_are_those_in_the_box_of_the_step(on_two: dict[str, Any]) -> None:
    """Not in the one at the start, and the polarization refers to its volume."""
    found = on_two["deformed_run"]
    atoms = crystal((2, 1, 1))
    before = atoms.cell.array.copy()
    atoms.set_cell(found["cell"])
    atoms.positions = found["positions"]
    calculator = EquivarCalculator(dtype="float64", device="cpu")
    expected = calculator.get_property("born_charges", atoms)
    assert np.abs(np.array(found["born_charges"]) - expected).max() < 1e-9
    change = np.array(found["dipole"]) / atoms.get_volume() / UC_PER_CM2
    np.testing.assert_allclose(found["polarization_change"], change, rtol=1e-9)
    atoms.set_cell(before)
    in_old_box = calculator.get_property("born_charges", atoms)
    assert np.abs(in_old_box - expected).max() > 0.05


def test_a_box_that_is_flipped_moves_no_atom() -> None:
    """LAMMPS chooses other vectors of the same lattice where a box becomes too oblique."""
    left, flipped = results(
        PROGRAM, 1, ("oblique_run", {"flip": "no"}), ("oblique_run", {"flip": "yes"})
    )
    assert abs(left["shear"] - flipped["shear"]) > 1
    assert flipped["work"] == pytest.approx(left["work"], rel=1e-6)
    for name, change in left["displacements"].items():
        np.testing.assert_allclose(flipped["displacements"][name], change, atol=1e-7)
    np.testing.assert_allclose(
        flipped["polarization_change"], left["polarization_change"], rtol=1e-6, atol=1e-9
    )


def test_pair_potentials_and_thermostats_conserve_their_energy(on_two: dict[str, Any]) -> None:
    """LAMMPS' own account of fix nvt, from which the work of the field is subtracted."""
    start, middle, end = on_two["thermostatted_run"]["conserved"]
    work = on_two["thermostatted_run"]["work"]
    assert abs(work) > 0.1
    assert middle == pytest.approx(start, abs=5e-3 * abs(work))
    assert end == pytest.approx(start, abs=5e-3 * abs(work))


def test_atoms_that_others_have_moved_between_runs() -> None:
    """At constant D the field went on with a polarization that was no longer the atoms'."""
    [told] = results(PROGRAM, 1, ("rearranged_runs", {}))
    [moved] = told["moved"]["warnings"]
    assert "moved by up to 0.04 Å between two runs" in moved  # relative to the mean of all
    [removed] = told["removed"]["warnings"]
    assert "removed or added between two runs" in removed
    for name in ("shifted", "left", "left at constant D"):
        assert told[name]["warnings"] == []
        assert told[name]["error"] == ""
        assert told[name]["work"] != 0
    assert (
        "the polarization that a constant D needs is unknown"
        in (told["moved at constant D"]["error"])
    )


def test_lost_atoms_stop_the_run() -> None:
    [told] = results(PROGRAM, 1, ("lost_run", {}))
    assert "there were 10 atoms, now there are 9" in told["error"]


def test_old_neighbor_lists_end_a_run_that_needs_ghosts() -> None:
    """On a single process, which has no ghosts, atoms may go as far as they like."""
    [alone] = results(PROGRAM, 1, ("stale_run", {}))
    assert alone["step"] == 6
    command = mpi_command(PROGRAM, 2, ("stale_run", {}))
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=ENVIRONMENT)
    assert done.returncode != 0
    assert "since LAMMPS last built its neighbor lists" in done.stderr
    assert "use 'neighbor 2.0 bin' or less" in done.stderr
