"""Rows of the table of public functions: good values, bad ones, and what they are made of."""

from __future__ import annotations

import copy
import functools
import inspect
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator
from ase.md.verlet import VelocityVerlet

from ase_equivar import dielectric, dynamics, fields
from ase_equivar.dynamics.experiments import MDSettings
from helpers.bad_values import (
    ABSURD_FIELD,
    COUNT,
    NOT_NEGATIVE,
    NUMBER,
    POSITIVE,
    WHOLE,
    arrays_like,
    phonons,
    sources,
    tensors_like,
)
from helpers.driven_crystal import crystal
from helpers.harmonic_runs import BORN, ELECTRONIC, STEP, harmonic_run
from helpers.polar_crystal import CHARGES
from helpers.polar_phonons import rock_salt

FIELD = [0.1, -0.2, 0.3]
Z_STAR = CHARGES.reshape(3, 3, 3).transpose(1, 0, 2)
FIELDS = [*arrays_like(FIELD, 1.0), ABSURD_FIELD, [1.0, 2.0]]
SHORT = MDSettings(temperature=10.0, timestep=0.2, friction=0.05)


@functools.cache
def salt_once() -> tuple[Any, Any]:
    phonon = rock_salt()
    return phonon, dielectric.infrared_modes(phonon)


def salt() -> Any:
    return copy.deepcopy(salt_once()[0])


@functools.cache
def run() -> dielectric.Current:
    return dielectric.trajectory_current(harmonic_run(400), BORN, STEP, progress=False)


def driven(**options: Any) -> Any:
    atoms = crystal()
    wrong = options.pop("atoms", None)
    if wrong is not None:
        wrong.calc, atoms = atoms.calc, wrong
    timestep = options.pop("timestep", 0.2)
    return dynamics.drive(VelocityVerlet(atoms, timestep), options.pop("field", FIELD), **options)


@dataclass(frozen=True)
class Row:
    """A function, arguments that it takes, and those values of them that it must refuse.

    Functions of no argument among the good values make them anew for each call.
    """

    call: Callable[..., Any]
    bad: Mapping[str, Iterable[Any]]
    good: Mapping[str, Any]

    def __call__(self, **changed: Any) -> Any:
        arguments = {
            name: value() if inspect.isfunction(value) else value
            for name, value in {**self.good, **changed}.items()
        }
        return self.call(**arguments)


def row(call: Callable[..., Any], bad: Mapping[str, Iterable[Any]], **good: Any) -> Row:
    return Row(call, bad, good)


CHARGE_VALUES = arrays_like(Z_STAR, 1e3)
SALT_BORN = 1.086 * np.array([np.eye(3), -np.eye(3)])
SALT_DIELECTRIC = 2.43 * np.eye(3)
SALT_SOURCES = list(sources(SALT_BORN, SALT_DIELECTRIC))
NAC = {"source": SALT_SOURCES, "dielectric_tensor": tensors_like(SALT_DIELECTRIC)}
AMPLITUDES = [*arrays_like(FIELD, 1.0), ABSURD_FIELD, np.nan, 1e30, True, 1j]
SUPERCELLS = [*arrays_like([1, 1, 1], 1.0), (1000, 1000, 1000), (0, 1, 1), (1.5, 1, 1)]
GATED = {name: [*COUNT, 10**9] for name in ("channels", "interactions")} | {
    name: [*COUNT, 10**9] for name in ("radial_functions", "radial_hidden", "embedding")
} | {"cutoff": POSITIVE, "mean_neighbors": POSITIVE, "l_max": [*WHOLE, 10**9],
     "elements": [3, None, [0], [119], [1.5], ["H"], [True]]}  # fmt: skip


@functools.cache
def folder() -> Path:
    return Path(tempfile.mkdtemp())


def wave(name: str, **bad: Iterable[Any]) -> Row:
    good: dict[str, Any] = {"amplitude": FIELD, **dict.fromkeys(bad, 0.5)}
    return row(getattr(fields, name), {"amplitude": AMPLITUDES, **bad}, **good)


class BadCharges(Calculator):
    """Gives what it was given for Z*."""

    implemented_properties = ("born_effective_charges",)

    def __init__(self, charges: Any) -> None:
        super().__init__()
        self.charges = charges

    def get_property(self, *_: Any) -> Any:
        return self.charges


class BadPolarization(BadCharges):
    """Gives what it was given for P."""

    implemented_properties = ("polarization",)


def _constantly(value: Any) -> Callable[[float], Any]:
    return functools.partial(lambda given, _: given, value)


def spectrum() -> Any:
    return dielectric.DielectricFunction(np.ones(1), 2 * np.eye(3, dtype=complex)[None])


SALT_PHONONS = list(phonons(salt()))
POLAR_SOURCES = list(sources(Z_STAR, ELECTRONIC))
DIRECTIONS = [*arrays_like(FIELD), [0.0, 0.0, 0.0], [1.0, 0.0]]
AVERAGES = {"correlation_time": POSITIVE, "temperature": [*POSITIVE, 1e30], "n_blocks": [*COUNT, 1]}
TIMES = [*POSITIVE, 1e-9, 1e30]
PULSE = {"center": NUMBER, "width": POSITIVE, "frequency": NOT_NEGATIVE, "phase": NUMBER}
