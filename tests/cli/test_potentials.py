"""Potentials by name: each makes its package's calculator, or says how to get it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from helpers.command_line import assert_one_line_error, run
from helpers.paths import REPOSITORY

from ase_equivar.cli import inputs
from ase_equivar.cli.potentials import POTENTIALS
from ase_equivar.phonons import force_constants
from ase_equivar.units import THZ_TO_CM

NEQUIX_WEIGHTS = REPOSITORY.parent / "shared/potentials/nequix-oam-1-pft.nqx"


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


def test_weights_of_nequix_from_a_file(packages, tmp_path, monkeypatch):
    """Nequix writes converted weights beside its file: never into the user's folder."""

    class Converting(Recorded):
        def __init__(self, *, model_path, **options):
            super().__init__(**options)
            path = Path(model_path)
            self.weights = path.read_bytes()
            (path.parent / "nequix-mp-1.pt").touch()

    monkeypatch.setattr(sys.modules["nequix.calculator"], "NequixCalculator", Converting)
    file = tmp_path / "mine.nqx"
    file.write_bytes(b"weights")
    made = inputs.forces_calculator(f"nequix:{file}", None)
    assert made.weights == b"weights"
    assert made.made_with[1] == {"backend": "torch", "use_kernel": False}
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(FileNotFoundError, match=r"no file .*other.nqx"):
        inputs.forces_calculator(f"nequix:{tmp_path / 'other.nqx'}", None)


@pytest.mark.slow
@pytest.mark.skipif(not NEQUIX_WEIGHTS.is_file(), reason=f"there are no {NEQUIX_WEIGHTS}")
def test_real_weights_of_nequix():
    """TO of MgO in the measured lattice: Jasperse et al., Phys. Rev. 146, 526 (1966)."""
    pytest.importorskip("nequix", reason="nequix is not installed")
    forces = inputs.forces_calculator(f"nequix:{NEQUIX_WEIGHTS}", "cpu")
    phonon = force_constants(bulk("MgO", "rocksalt", a=4.212), forces, (1, 1, 1), progress=False)
    frequencies = phonon.run_qpoints([[0, 0, 0]]).frequencies[0] * THZ_TO_CM
    np.testing.assert_allclose(frequencies[3:], 401, rtol=0.03)


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
