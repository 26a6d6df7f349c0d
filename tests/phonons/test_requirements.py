"""A Phonopy object that holds NaN, or an ε∞ that none can be, is refused by all that uses it."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from helpers.given_charges import NACL_BORN, NACL_DIELECTRIC

from ase_equivar.dielectric import infrared_modes
from ase_equivar.phonons import (
    angular_dispersion,
    apply_nac,
    bands,
    density_of_states,
    lo_to_splitting,
    make_phonon,
    supercell_for_length,
    write_born,
)

USES = {
    "splitting": lo_to_splitting,
    "bands": lambda phonon: bands(phonon, "GX", n_points=3),
    "density": lambda phonon: density_of_states(phonon, mesh_length=10.0, n_points=11),
    "dispersion": lambda phonon: angular_dispersion(phonon, n_angles=3),
    "infrared": infrared_modes,
}


def spoil_born(phonon):
    phonon.nac_params = phonon.nac_params | {"born": NACL_BORN * np.nan}


def spoil_in_place(phonon):
    phonon.nac_params["born"][0, 1, 1] = np.nan


def spoil_dielectric(phonon):
    phonon.nac_params = phonon.nac_params | {"dielectric": np.diag([2.0, np.nan, 2.0])}


def below_vacuum(phonon):
    phonon.nac_params = phonon.nac_params | {"dielectric": 0.3 * np.eye(3)}


def spoil_factor(phonon):
    phonon.nac_params = phonon.nac_params | {"factor": np.nan}


def spoil_force_constants(phonon):
    constants = phonon.force_constants.copy()
    constants[0, 0, 0, 0] = np.inf
    phonon.force_constants = constants


@pytest.mark.slow
@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (spoil_born, "born in nac_params is not finite"),
        (spoil_in_place, "born in nac_params is not finite"),
        (spoil_dielectric, "dielectric in nac_params is not finite"),
        (below_vacuum, "lowest eigenvalue of dielectric in nac_params is 0.3"),
        (spoil_factor, "factor in nac_params is nan"),
        (spoil_force_constants, "array of force constants of phonon is not finite"),
    ],
)
def test_what_became_nan_is_refused(nacl_phonon, use, spoil, named):
    apply_nac(nacl_phonon, (NACL_BORN, NACL_DIELECTRIC))
    spoil(nacl_phonon)
    with pytest.raises(ValueError, match=named):
        use(nacl_phonon)


def test_tensors_that_no_crystal_has(tmp_path):
    """LO at 2796 cm⁻¹ came of such an ε∞, without a word."""
    phonon = make_phonon(bulk("NaCl", "rocksalt", a=5.64))
    skew = NACL_DIELECTRIC.copy()
    skew[0, 2] += 0.4
    for wrong, named in (
        (0.05 * np.eye(3), "lowest eigenvalue"),
        (skew, "not symmetric"),
        (NACL_DIELECTRIC * (1 + 0.1j), "complex"),
        (NACL_DIELECTRIC > 0, "give real numbers"),
    ):
        with pytest.raises(ValueError, match=named):
            write_born(tmp_path / "BORN", phonon, (NACL_BORN, wrong))
        with pytest.raises(ValueError, match=named):
            write_born(tmp_path / "BORN", phonon, (NACL_BORN, None), dielectric_tensor=wrong)
    assert not (tmp_path / "BORN").exists()


@pytest.mark.parametrize("supercell", [(1000, 1000, 1000), (1e300, 1, 1), (np.nan, 1, 1), "222"])
def test_supercells_that_fill_the_memory(supercell):
    with pytest.raises(ValueError, match="supercell"):
        make_phonon(bulk("NaCl", "rocksalt", a=5.64), supercell)


@pytest.mark.parametrize("scale", [1e-3, 1e300, 1e-300])
def test_cells_without_sense(scale):
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.set_cell(atoms.cell * scale)
    for use in (make_phonon, supercell_for_length):
        with pytest.raises(ValueError, match="cell"):
            use(atoms)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", ["born", "dielectric"])
def test_parameters_changed_in_place_are_told(use, name):
    """phonopy goes on with the former ones, without a word."""
    phonon = make_phonon(bulk("NaCl", "rocksalt", a=5.64), (1, 1, 1))
    phonon.force_constants = np.einsum("ij,ab->ijab", [[1.0, -1.0], [-1.0, 1.0]], np.eye(3))
    apply_nac(phonon, (NACL_BORN.copy(), NACL_DIELECTRIC.copy()))
    USES[use](phonon)
    phonon.nac_params[name] = 1.1 * np.array(phonon.nac_params[name])
    with pytest.raises(ValueError, match=rf"nac_params\['{name}'\] was changed in place"):
        USES[use](phonon)
    phonon.nac_params = phonon.nac_params
    USES[use](phonon)
