"""One unit per word: each documented time, frequency, field and polarization names the one unit."""

import importlib
import inspect
import pkgutil
import re
from functools import cached_property
from pathlib import Path

import pytest

import ase_equivar

WORDS = {
    "fs": (
        "time", "times", "start_time", "timestep", "duration", "equilibration", "period", "rise",
        "width", "correlation_time", "longest_step",
    ),
    "THz": ("frequency", "frequencies", "damping"),
    "V/Å": ("field", "electric_field", "strength", "amplitude", "coercive_field"),
    "µC/cm²": ("polarization", "polarization_change", "remanent_polarization", "change", "quanta"),
    "A/cm²": ("current_density",),
    "cm²/(V s)": ("mobility", "mobility_error"),
    "Å/fs": ("velocity", "velocity_error"),
    "1/fs": ("friction",),
}  # fmt: skip
UNIT_OF = {word: unit for unit, words in WORDS.items() for word in words}
OTHERWISE = {
    # A name of the table above that stands for something else here.
    ("dielectric.DielectricFunction.reflectivity", "polarization"),  # a direction
    ("dielectric.InfraredMode", "strength"),  # of an oscillator, no unit
    ("dynamics.loop_residual", "amplitude"),  # of displacements, Å
}
PACKAGES = ("fields", "dynamics", "dynamics.experiments", "dielectric", "phonons", "plotting")
ENTRY = re.compile(r"^(?P<names>\w+(?:, \w+)*)(?: : .*)?$")


def public():
    """Return each public function, class, method and property of the packages, by its name."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(f"ase_equivar.{package}")
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing):
                for attribute, value in vars(thing).items():
                    if (
                        not attribute.startswith("_")
                        and isinstance(value, property | cached_property)
                    ) or (not attribute.startswith("_") and inspect.isfunction(value)):
                        found[f"{package}.{name}.{attribute}"] = value
            if inspect.isclass(thing) or inspect.isfunction(thing):
                found[f"{package}.{name}"] = thing
    return found


def entries(docstring):
    """Return the names and texts of the parameters and attributes that a docstring describes."""
    found, names = {}, []
    inside = False
    for line in inspect.cleandoc(docstring or "").splitlines():
        if line in ("Parameters", "Attributes"):
            inside, names = True, []
        elif line in ("Returns", "Raises", "Warns", "Notes"):
            inside = False
        elif inside and (match := ENTRY.match(line)):
            names = match["names"].split(", ")
            found |= dict.fromkeys(names, "")
        elif inside and line.startswith("    "):
            for name in names:
                found[name] += f" {line.strip()}"
    return found


def stated():
    """Return (where, word, text) for every documented use of a word that has one unit."""
    for where, thing in public().items():
        described = entries(thing.__doc__)
        last = where.rpartition(".")[2]
        if isinstance(thing, property | cached_property) and last in UNIT_OF:
            described[last] = thing.__doc__ or ""
        for word, text in described.items():
            if word in UNIT_OF and (where, word) not in OTHERWISE:
                yield where, word, text


@pytest.mark.parametrize(("where", "word", "text"), [*stated()])
def test_each_word_states_its_one_unit(where, word, text):
    unit = UNIT_OF[word]
    assert re.search(rf"(?<![\w/]){re.escape(unit)}(?![\w/])", text), (
        f"{where}: {word} is in {unit}, and its text does not say so: {text!r}"
    )


def test_the_words_are_in_use():
    """So that a renamed argument does not leave the table without a word."""
    assert {word for _, word, _ in stated()} == set(UNIT_OF)


def test_arguments_of_these_names_are_all_described():
    described = {(where, word) for where, word, _ in stated()}
    missing = [
        (where, name)
        for where, thing in public().items()
        if inspect.isfunction(thing)
        for name in inspect.signature(thing).parameters
        if name in UNIT_OF and (where, name) not in described | OTHERWISE and name != "field"
    ]
    assert not missing


def test_no_text_about_fields_speaks_of_the_time_unit_of_ase():
    for module in pkgutil.walk_packages(ase_equivar.__path__, "ase_equivar."):
        if module.name.split(".")[1] not in ("fields", "dynamics", "dielectric", "plotting", "cli"):
            continue
        source = importlib.util.find_spec(module.name).origin
        text = " ".join(Path(source).read_text(encoding="utf-8").split())
        assert not re.search(r"ASE('s)? unit\b", text), f"{module.name} speaks of ASE's unit"
