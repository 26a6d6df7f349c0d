"""Potentials by name: each makes its package's calculator, or says how to get it."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from ase.calculators.emt import EMT
from helpers.command_line import assert_one_line_error, run

from ase_equivar.cli import inputs
from ase_equivar.cli.potentials import POTENTIALS


class Recorded(EMT):
    """A calculator that remembers how it was made."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__()
        self.made_with = arguments, options


CLASSES = {
    "sevenn.calculator": "SevenNetCalculator",
    "nequix.calculator": "NequixCalculator",
    "mace.calculators": "mace_mp",
    "chgnet.model.dynamics": "CHGNetCalculator",
    "orb_models.forcefield.calculator": "ORBCalculator",
    "mattersim.forcefield": "MatterSimCalculator",
}


@pytest.fixture
def packages(monkeypatch):
    """All packages, but with calculators that only record."""
    pretrained = ModuleType("orb_models.forcefield.pretrained")
    pretrained.orb_v3_conservative_inf_omat = lambda **options: options
    for path, name in CLASSES.items():
        module = ModuleType(path)
        setattr(module, name, Recorded)
        parts = path.split(".")
        for k in range(1, len(parts)):
            monkeypatch.setitem(sys.modules, ".".join(parts[:k]), ModuleType(parts[k - 1]))
        monkeypatch.setitem(sys.modules, path, module)
    monkeypatch.setitem(sys.modules, "orb_models.forcefield.pretrained", pretrained)


@pytest.mark.parametrize("name", POTENTIALS)
def test_names_make_the_calculators_of_their_packages(name, packages):
    made = inputs.forces_calculator(name, "cpu")
    assert isinstance(made, Recorded)
    said = str(made.made_with)
    expected = {"sevennet-0": "7net-0", "sevennet-l3i5": "7net-l3i5", "nequix": "torch"}
    assert expected.get(name, "cpu") in said


def test_weights_of_nequix_from_a_file(packages, tmp_path):
    file = tmp_path / "mine.nqx"
    file.touch()
    made = inputs.forces_calculator(f"nequix:{file}", None)
    assert made.made_with[1]["model_path"] == str(file)
    with pytest.raises(FileNotFoundError, match=r"no file .*other.nqx"):
        inputs.forces_calculator(f"nequix:{tmp_path / 'other.nqx'}", None)


@pytest.mark.parametrize("name", POTENTIALS)
def test_absent_packages_are_told_in_a_line(name, monkeypatch, nacl_file, model):
    potential = POTENTIALS[name]
    monkeypatch.setitem(sys.modules, potential.module.split(".")[0], None)
    for module in list(sys.modules):
        if module.startswith(potential.module.split(".")[0] + "."):
            monkeypatch.setitem(sys.modules, module, None)
    result = run("phonons", nacl_file, "--model", model, "--calculator", name)
    assert_one_line_error(result, 2, f"pip install {potential.package}")
    assert potential.licence in " ".join(result.stderr.split())


@pytest.mark.slow
def test_a_real_one():
    pytest.importorskip("sevenn", reason="SevenNet is not installed")
    made = inputs.forces_calculator("sevennet-l3i5", "cpu")
    assert "forces" in made.implemented_properties


def test_unknown_names_list_the_known(nacl_file, model):
    result = run("phonons", nacl_file, "--model", model, "--calculator", "m3gnet")
    assert_one_line_error(result, 2, "there are sevennet-0, sevennet-l3i5, nequix")
