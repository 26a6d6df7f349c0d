"""A calculator of another package that fails is named, with the property it was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.calculators.calculator import Calculator, CalculatorSetupError
from ase.md import VelocityVerlet
from helpers.command_line import assert_one_line_error, run
from helpers.structures import triclinic

from ase_equivar import EquivarCalculator
from ase_equivar.charge_source import read_charges
from ase_equivar.dielectric import polarization_change, trajectory_current
from ase_equivar.dynamics import drive
from ase_equivar.phonons import force_constants, make_phonon, nac_params

ERRORS = [KeyError("Na"), IndexError(), AttributeError("no x"), ValueError("bad"), TypeError("t")]
ERRORS += [AssertionError(), ZeroDivisionError("zero"), RecursionError("deep"), StopIteration()]


class Failing(Calculator):
    implemented_properties = ("energy", "forces", "born_effective_charges", "dielectric_tensor")

    def __init__(self, error: Exception, only: str = "") -> None:
        super().__init__()
        self.error, self.only = error, only

    def get_property(self, name, atoms=None, allow_calculation=True):
        if self.only in name:
            raise self.error
        return np.zeros((len(atoms), 3))


def expected(error: Exception, name: str) -> str:
    return f"Failing failed to give '{name}' of .*: {type(error).__name__}: "


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_name_calculator_and_property(error):
    atoms, calculator = triclinic(), Failing(error)
    uses = {
        "born_effective_charges": [
            lambda: read_charges(calculator)(atoms),
            lambda: nac_params(make_phonon(atoms), calculator),
            lambda: polarization_change(atoms, atoms, calculator),
            lambda: trajectory_current([atoms, atoms], calculator, 1.0),
        ],
        "forces": [
            lambda: force_constants(atoms, calculator, (1, 1, 1)),
            lambda: EquivarCalculator(calculator).get_property("forces", atoms),
        ],
    }
    for name, calls in uses.items():
        for call in calls:
            with pytest.raises(RuntimeError, match=expected(error, name)) as caught:
                call()
            assert caught.value.__cause__ is error


def test_the_first_charges_of_a_driven_run() -> None:
    atoms = triclinic()
    atoms.calc = Failing(KeyError("Na"), only="born")
    dynamics = VelocityVerlet(atoms, 1.0 * units.fs)
    with pytest.raises(RuntimeError, match=expected(KeyError(), "born_effective_charges")):
        drive(dynamics, [0, 0, 0.1])


def test_errors_of_ase_and_of_this_package_stay_as_they_are():
    with pytest.raises(CalculatorSetupError):
        read_charges(Failing(CalculatorSetupError("no program")))(triclinic())
    with pytest.raises(ValueError, match="never seen"):
        read_charges(EquivarCalculator(model="sio2"))(triclinic())


def test_commands_say_it_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_potential.py").write_text(
        "from ase.calculators.calculator import Calculator\n"
        "class Mine(Calculator):\n"
        "    implemented_properties = ('energy', 'forces', 'stress')\n"
        "    def calculate(self, *a, **k):\n"
        "        raise KeyError('Mg')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    triclinic().write(tmp_path / "a.cif")
    found = run("phonons", tmp_path / "a.cif", "--calculator", "my_potential:Mine")
    assert_one_line_error(found, 1, "the calculator Mine failed to give 'forces' of .*KeyError")
