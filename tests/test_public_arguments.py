"""Every public function and class refuses what is no number that it can use, by name.

The table has a row for each name in the ``__all__`` of the package and its subpackages; what is in
no row fails, and so does an argument that takes numbers and is not tried.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import pkgutil
import re
import warnings
from typing import Any

import pytest
from helpers import public_functions, public_physics, public_raman
from helpers.bad_values import is_named

import ase_equivar

TABLE = {**public_functions.ROWS, **public_physics.ROWS, **public_raman.ROWS}
NUMBERS = re.compile(r"\b(float|int|ArrayLike|NDArray|Array|Atoms|Phonopy|Source|ChargeSource)\b")
RESULTS = {
    "Diagnostics", "Prediction",
    "dielectric.BlockEstimate", "dielectric.CurrentSpectrum", "dielectric.DielectricFunction",
    "dielectric.InfraredMode", "dielectric.InfraredModes", "dielectric.IonicConductivity",
    "dielectric.LyddaneSachsTeller", "dielectric.PiezoelectricTensors",
    "dielectric.PolarizationChange",
    "dielectric.DielectricDerivative", "dielectric.RamanMode", "dielectric.RamanModes",
    "dielectric.RamanSpectrum",
    "dynamics.FieldRun", "dynamics.LoopWork", "dynamics.Observables", "dynamics.RefreshReport",
    "dynamics.experiments.FiniteFieldDielectric", "dynamics.experiments.HysteresisLoop",
    "dynamics.experiments.IonDrift", "dynamics.experiments.PulseResponse",
    "graph.Graph", "labelling.Label", "labelling.Progress",
    "network.RawTensors",
    "phonons.AngularDispersion", "phonons.BandSegment", "phonons.DensityOfStates",
    "phonons.GammaModes", "phonons.LoToPair", "phonons.LoToSplitting",
    "screening.Row",
    "screening.Summary",
}  # fmt: skip
"""What functions return: nobody makes them, but the package."""
STRUCTURES = {"labelling.label", "screening.screen_one", "write_extxyz", "io.write_extxyz",
              "dynamics.Drive", "labelling.label_all"}  # fmt: skip
"""These take structures as they come: a reason or a row is what is told of a bad one."""


COLLECTIONS = {"known", "order"}  # that a model knows, of atoms; in the hot path


def public() -> dict[str, Any]:
    """Return all public functions and classes that may take numbers, under their short names."""
    found = {}
    packages = [m.name for m in pkgutil.walk_packages(ase_equivar.__path__, "ase_equivar.")
                if m.ispkg]  # fmt: skip
    for package in ("ase_equivar", *packages):
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            try:
                thing = getattr(module, name)
            except ImportError as error:
                if type(error).__name__ == "OldE3nnError":
                    continue  # a name that this environment does not have
                raise
            is_class = inspect.isclass(thing)
            if is_class and issubclass(thing, enum.Enum | Exception | Warning):
                continue
            if is_class or inspect.isroutine(thing):
                found[f"{package}.{name}".removeprefix("ase_equivar.")] = thing
    return found


def number_arguments(thing: Any) -> set[str]:
    """Return the names of arguments whose annotations speak of numbers."""
    parameters = inspect.signature(thing).parameters.values()
    return {p.name for p in parameters if NUMBERS.search(str(p.annotation))}


@pytest.mark.parametrize("name", public())
def test_each_public_name_has_a_row(name):
    thing = public()[name]
    if name in RESULTS:
        assert dataclasses.is_dataclass(thing)
        return
    tried = {a for row in TABLE if row.split(" ")[0] == name for a in TABLE[row].bad}
    untried = number_arguments(thing) - tried - COLLECTIONS
    if name in STRUCTURES:
        untried -= {"atoms", "structures", "images"}
    assert not untried, f"{name}: no bad values are tried for {sorted(untried)}"


def test_lists_hold_nothing_that_is_gone():
    assert public().keys() >= RESULTS | STRUCTURES


@pytest.mark.parametrize("name", TABLE)
def test_good_values_are_taken(name):
    if name in ("screening.screen", "dynamics.drive of atoms", "labelling.label_all"):
        return  # without structures there is nothing to do
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        TABLE[name]()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "argument"),
    [(name, argument) for name, row in TABLE.items() for argument in row.bad],
)
def test_bad_values_are_refused_by_name(name, argument):
    row = TABLE[name]
    failures = []
    for value in row.bad[argument]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                row(**{argument: value})
        except (ValueError, TypeError) as error:
            if not is_named(str(error), argument):
                failures.append(f"{value!r:.60}: does not name it: {error!r}")
        except Exception as error:
            failures.append(f"{value!r:.60}: {error!r}")
        else:
            failures.append(f"{value!r:.60}: taken")
    assert not failures, "\n".join(failures)
