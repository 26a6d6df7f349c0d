"""A field in LAMMPS: the same run as with `drive`, on one, two and four processes; its errors."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import lammps_runs
from helpers.mpi_programs import ENVIRONMENT, Case, mpi_command, results

from ase_equivar import EquivarCalculator, EquivarWarning, SumRuleWarning
from ase_equivar.dynamics import read_field_log

pytest.importorskip("lammps", reason="needs LAMMPS: the extra lammps")
pytest.importorskip("mpi4py", reason="needs mpi4py: the extra lammps")

PROGRAM = str(lammps_runs.__file__)
STEPS = 200


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EquivarWarning)  # atoms are far off their places
        return lammps_runs.driven_run(STEPS)


FEW_CALLS = ("field_run", {"steps": 20, "update_interval": 2})


@pytest.fixture(scope="module")
def on_one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One program for all that runs on one process, and its folder."""
    folder = tmp_path_factory.mktemp("one")
    failing = {"rank": 0, "step": 5}
    cases = {
        "run": ("field_run", {"steps": STEPS}),
        "few calls": FEW_CALLS,
        "restarted": ("restarted_run", {"folder": str(folder)}),
        "failing": ("failing_run", failing),
        "interrupted": ("failing_run", {**failing, "interrupted": True}),
        "doubtful": ("doubtful_run", {}),
        "refusals": ("refusals", {}),
        "warned": ("warned", {}),
    }
    return {**dict(zip(cases, results(PROGRAM, 1, *cases.values()), strict=True)), "folder": folder}


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same for two processes."""
    folder = tmp_path_factory.mktemp("two")
    cases: dict[str, Case] = {
        field: ("field_run", {"steps": 6, "field": field, "log": str(folder / f"{field}.log")})
        for field in ("wave on oxygen", "displacement")
    }
    cases["run"] = ("field_run", {"steps": STEPS, "lammps_units": "real"})
    cases["few calls"] = FEW_CALLS
    cases["doubtful"] = ("doubtful_run", {})
    cases["polar"] = ("polar_run", {})
    cases["warned"] = ("warned", {})
    return {**dict(zip(cases, results(PROGRAM, 2, *cases.values()), strict=True)), "folder": folder}


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 4])
def test_it_is_the_run_of_drive(
    n: int, expected: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """In a sheared crystal, with atoms that go to other processes and through faces of the box."""
    if n == 4:
        [found] = results(PROGRAM, n, ("field_run", {"steps": STEPS}))
    else:
        found = request.getfixturevalue({1: "on_one", 2: "on_two"}[n])["run"]
    assert np.abs(np.array(found["positions"]) - expected["positions"]).max() < 1e-6
    assert np.abs(np.array(found["born_charges"]) - expected["born_charges"]).max() < 1e-5
    assert np.abs(np.array(found["born_charges"]).sum(axis=0)).max() < 1e-10
    # LAMMPS and ASE have constants of nature that differ in the eighth digit
    assert found["work"] == pytest.approx(expected["work"], rel=1e-7)
    assert np.abs(np.array(found["dipole"]) - expected["dipole"]).max() < 1e-5
    assert found["time"] == pytest.approx(STEPS * lammps_runs.TIMESTEP)
    assert abs(expected["work"]) > 1
    assert found["wrapped"] > 0
    assert (found["migrated"] > 0) == (n > 1)


@pytest.mark.slow
def test_shares_agree_and_energy_minus_work_is_constant(
    on_one: dict[str, Any], on_two: dict[str, Any]
) -> None:
    """LAMMPS' total energy has the work subtracted; Z* of every second step are good enough."""
    one, two = on_one["few calls"], on_two["few calls"]
    assert one["told_work"] == one["work"]
    assert one["energy_drift"] == pytest.approx(0, abs=1e-3 * abs(one["work"]))
    for name in ("positions", "born_charges", "work", "dipole"):
        assert np.abs(np.subtract(one[name], two[name])).max() < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("field", ["wave on oxygen", "displacement"])
def test_other_fields_and_the_log_are_those_of_drive(
    field: str, on_two: dict[str, Any], tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SumRuleWarning)
        expected = lammps_runs.driven_run(6, field, str(tmp_path / "drive.log"))
    assert np.abs(np.array(on_two[field]["positions"]) - expected["positions"]).max() < 1e-6
    one = read_field_log(tmp_path / "drive.log")
    two = read_field_log(on_two["folder"] / f"{field}.log")
    np.testing.assert_allclose(two.times, one.times, atol=1e-9)
    for name in ("electric_field", "work", "kinetic_energy", "potential_energy", "temperature",
                 "polarization_change"):  # fmt: skip
        expected_values = getattr(one, name)
        np.testing.assert_allclose(getattr(two, name), expected_values, rtol=1e-6, atol=1e-5)
        assert np.ptp(expected_values, axis=0).min() > 5e-4
    for symbol in lammps_runs.SYMBOLS:
        for name in ("transported_charge", "displacement"):
            np.testing.assert_allclose(
                getattr(two, name)[symbol], getattr(one, name)[symbol], atol=1e-5
            )
    np.testing.assert_allclose(two.largest_uncertainty, one.largest_uncertainty, rtol=1e-5)
    assert one.largest_uncertainty.min() > 0.01


@pytest.mark.slow
def test_a_restarted_run_goes_on_with_its_account(on_one: dict[str, Any]) -> None:
    found = on_one["restarted"]
    assert found["moved"] < 1e-10
    assert found["work"][1] == pytest.approx(found["work"][0], abs=1e-10)
    assert abs(found["work"][0]) > 0.1
    assert found["time"] == pytest.approx([12.0, 12.0])
    whole, parts = (read_field_log(on_one["folder"] / name) for name in ("whole.log", "run.log"))
    np.testing.assert_allclose(parts.times, np.arange(0, 13, 2))
    for name in ("times", "work", "potential_energy", "polarization_change", "electric_field"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-9)
    np.testing.assert_allclose(parts.displacement["Ti"], whole.displacement["Ti"], atol=1e-9)
    np.testing.assert_allclose(parts.largest_uncertainty, whole.largest_uncertainty, rtol=1e-9)
    old = read_field_log(on_one["folder"] / "old.log")  # its lines have one column less
    for name in ("times", "work", "potential_energy", "polarization_change"):
        np.testing.assert_allclose(getattr(old, name), getattr(whole, name), atol=1e-9)
    assert np.isnan(old.largest_uncertainty).all()
    assert "gap.log has no line at 6 fs, the present time of LAMMPS" in found["told"]["gap"]
    assert "exists, but this is a new run" in found["told"]["exists"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ase_equivar.EquivarWarning")  # the box is nearly empty
def test_a_process_may_have_neither_atoms_nor_ghosts() -> None:
    [found] = results(PROGRAM, 3, ("half_empty_run", {}))
    assert 0 in found["held"]
    atoms = lammps_runs.crystal((2, 1, 1))
    atoms.cell[0] *= 5
    calculator = EquivarCalculator(dtype="float64", device="cpu")
    expected = calculator.get_property("born_charges", atoms)
    np.testing.assert_allclose(found["born_charges"], expected, atol=1e-10)


@pytest.mark.slow
def test_processes_warn_once_of_what_the_calculator_warns_of_alone(
    on_one: dict[str, Any], on_two: dict[str, Any]
) -> None:
    """The calculator numbers atoms from 0, LAMMPS from 1."""
    one, two = told_in_the_end(on_one), told_in_the_end(on_two)
    assert list(one) == list(two)
    assert set(one) == {"SumRuleWarning", "UncertaintyWarning", "FieldWarning"}
    assert one["FieldWarning"] == two["FieldWarning"]
    assert "atoms were moved by up to" in one["FieldWarning"]
    of_one, of_two = one["UncertaintyWarning"], two["UncertaintyWarning"]
    expected = re.sub(r"(?<=atom |toms |.and )\d+(?=[ )])", lambda n: f"{int(n[0]) + 1}", of_one)
    expected = expected.replace("like BaTiO3 as the 4th structure", "like that of step 2")
    assert of_two == expected
    assert "an error of Z* of" in of_two
    assert "closer than" in of_two
    [violation] = re.findall(r"0\.\d\d e per atom\. ", one["SumRuleWarning"])
    assert f"in step 2 the raw Z* break the sum rule by {violation}" in two["SumRuleWarning"]


def told_in_the_end(run: dict[str, Any]) -> dict[str, str]:
    """Return the warnings after the atom was moved, by their category; there are none before."""
    before, moved, after = run["doubtful"]["told"]
    assert before == moved == []
    return dict(message.split(": ", 1) for message in after)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "told"), [("failing", "no field today"), ("interrupted", "KeyboardInterrupt()")]
)
def test_a_failing_field_stops_the_run(case: str, told: str, on_one: dict[str, Any]) -> None:
    assert told in on_one[case]["raised"]
    assert 5 <= on_one[case]["step"] <= 6


@pytest.mark.slow
def test_a_field_that_fails_on_one_process_ends_all() -> None:
    command = mpi_command(PROGRAM, 2, ("failing_run", {"rank": 1, "step": 3}))
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=ENVIRONMENT)
    assert done.returncode != 0
    assert "rank 1: the field in LAMMPS failed" in done.stderr
    assert "no field today" in done.stderr
    assert "RESULT" not in done.stdout


@pytest.mark.slow
def test_a_killed_process_ends_all() -> None:
    command = mpi_command(PROGRAM, 2, ("waiting_run", {}))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT
    ) as running:
        assert running.stdout is not None
        number = next(int(line) for line in running.stdout if line.strip().isdigit())
        time.sleep(0.2)
        os.kill(number, signal.SIGKILL)
        told, _ = running.communicate(timeout=60)
        assert running.returncode != 0
    assert "KILLED" in told.upper()


@pytest.mark.slow
def test_what_does_not_fit_is_refused(on_one: dict[str, Any]) -> None:
    told = on_one["refusals"]
    assert "atom type 1 has the mass 137.327, but Ti has 47.87" in told["order"]
    assert "elements names 2 atom types; LAMMPS has 3" in told["count"]
    assert "give the chemical symbol of each atom type" in told["text"]
    assert "never seen Ne" in told["unknown"]
    assert "its own electric_field" in told["own field"]
    assert "letters, digits and underscores" in told["identifier"]
    assert "already has a fix 'field'" in told["twice"]
    assert "minimize" in told["minimize"]
    assert "multiple time steps" in told["run_style"]
    assert "stress_without_field" in told["barostat"]
    assert "units lj" in told["lj"]
    assert "LAMMPS has no group 'nobody'" in told["group"]
    assert "define a LAMMPS group of them" in told["atoms"]
    assert "ConstantDisplacement in LAMMPS needs its dielectric_tensor" in told["dielectric"]
    assert "AppliedField in LAMMPS needs its dielectric_tensor" in told["applied"]
    assert told["steps after the error"] == 2
    assert told["inside"] == "[0.1, 0.0, 0.1]"
    assert "periodic in all directions" in told["film"]
    assert "the time step of 1 fs is too long for this field: at most 0.3333 fs" in told["fast"]


@pytest.mark.slow
def test_fields_are_warned_of_as_by_drive_once(
    on_one: dict[str, Any], on_two: dict[str, Any]
) -> None:
    for told in (on_one["warned"], on_two["warned"]):
        [charge], [along_b, along_c] = told["charge"], told["jump"]
        assert "the Z* of the atoms in the field sum to 0.5 e, so a uniform field" in charge
        assert "the field jumps by up to 0.323 V/Å between the faces of the cell along b" in along_b
        assert "along c" in along_c  # sheared towards b
        assert told["none"] == []


@pytest.mark.slow
def test_a_model_that_cannot_be_shared_is_refused_on_all_processes(on_two: dict[str, Any]) -> None:
    assert "universal-polar" in on_two["polar"]["raised"]
