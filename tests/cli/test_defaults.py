"""The commands start from the same defaults as the functions that they call."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from ase_equivar import dielectric, labelling, phonons, screening
from ase_equivar.cli.field_options import FieldRunOptions
from ase_equivar.cli.main import app
from ase_equivar.dynamics.experiments import MDSettings
from ase_equivar.engines.lammps import field_fix

CALLED: dict[str, tuple[Any, ...]] = {
    "born": (phonons.write_born,),
    "infrared": (phonons.polar_phonon,),
    "label": (labelling.Settings, labelling.label_all),
    "lammps": (field_fix,),
    "phonons": (phonons.polar_phonon,),
    "piezo": (dielectric.piezoelectric,),
    "raman": (dielectric.raman_modes, dielectric.raman_spectrum),
    "screen": (screening.Recipe, screening.screen),
}
COMMANDS = {command.callback.__name__: command.callback for command in app.registered_commands}


@pytest.mark.parametrize("name", CALLED)
def test_defaults_are_those_of_the_functions(name):
    command = inspect.signature(COMMANDS[name]).parameters
    compared = 0
    for function in CALLED[name]:
        for argument in inspect.signature(function).parameters.values():
            given = command[argument.name].default if argument.name in command else None
            if isinstance(given, (int, float)):
                assert given == argument.default, argument.name
                compared += 1
    assert compared


def test_runs_in_fields_start_from_the_defaults_of_md_settings():
    assert FieldRunOptions(Path("mgo.cif")).md_settings() == MDSettings()
