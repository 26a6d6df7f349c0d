"""Fixtures that several files use: crystals of springs, and a small model and files for them."""

from __future__ import annotations

import copy
import sys

import pytest
from ase.build import bulk
from helpers.command_line import save_random_model, triclinic_salt
from helpers.given_charges import triclinic_pair
from helpers.polar_phonons import MAKERS
from helpers.springs import Springs
from phonopy import Phonopy

from ase_equivar.dielectric import infrared_modes
from ase_equivar.network.execution import deferred_compilation
from ase_equivar.phonons import force_constants


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Where e3nn is too old to be an oracle, what needs it is skipped, with the reason."""
    try:
        return (yield)
    except ImportError as error:
        if type(error).__name__ == "OldE3nnError":
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="session", autouse=True)
def kernels_at_once():
    """Compile kernels at their first use on a machine without a cache: tests are of kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deferred_compilation, "MOST_EDGES", -1)
        yield


@pytest.fixture(scope="session", autouse=True)
def sevennets_built_once():
    """Copies of one SevenNet, in 0.3 s instead of 1.4: tests load it dozens of times."""
    checkpoint = sys.modules.get("sevenn.checkpoint")
    if checkpoint is None:  # none of the tests that are run imports it
        yield
        return
    build, built = checkpoint.SevenNetCheckpoint.build_model, {}

    def build_once(self, **options):
        key = (str(self._checkpoint_path), *sorted(options.items()))
        if key not in built:
            built[key] = build(self, **options)
        return copy.deepcopy(built[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint.SevenNetCheckpoint, "build_model", build_once)
        yield


@pytest.fixture(scope="module")
def pair_phonon():
    atoms = triclinic_pair()
    return force_constants(atoms, Springs(atoms, 5.0), (2, 2, 2), progress=False)


@pytest.fixture
def nacl_phonon():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    return force_constants(atoms, Springs(atoms, 4.5), (2, 2, 2), progress=False)


@pytest.fixture(scope="module")
def phonons():
    return {name: make() for name, make in MAKERS.items()}


@pytest.fixture(params=MAKERS)
def phonon(request, phonons):
    return phonons[request.param]


@pytest.fixture(scope="module")
def low(phonons):
    return infrared_modes(phonons["triclinic"])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_random_model(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture
def nacl_file(tmp_path):
    path = tmp_path / "NaCl.cif"
    bulk("NaCl", "rocksalt", a=5.64, cubic=True).write(path)
    return str(path)


@pytest.fixture(scope="module")
def salt_phonon():
    atoms = triclinic_salt()
    return force_constants(atoms, Springs(atoms, 4.5), (2, 2, 2), progress=False)


@pytest.fixture
def salt_yaml(salt_phonon, tmp_path):
    path = tmp_path / "phonopy_params.yaml"
    Phonopy.save(salt_phonon, path, settings={"force_constants": True})
    return path
