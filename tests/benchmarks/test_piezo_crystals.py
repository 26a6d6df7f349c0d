"""The piezoelectric constants behind docs/validation.md, and their signs."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from helpers.elastic_springs import ElasticSprings
from helpers.given_charges import GivenCharges, quartz, triclinic_four
from helpers.paths import REPOSITORY
from scipy.spatial.transform import Rotation

from ase_equivar.dielectric import piezoelectric

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
from crystal_isometry import isometry, rotated
from piezo_crystals import CRYSTALS, measured_setting
from validation_piezoelectricity import axial_response, wurtzite

# Quartz, from the same paper as its e: GPa
C11, C12, C13, C14, C33, C44 = 86.74, 6.99, 11.91, -17.91, 107.2, 57.94


def measured(crystal: str, component: str) -> float:
    """Return the first of the values."""
    (found,) = (one for one in CRYSTALS[crystal].experiments if one.component == component)
    return float(found.values[0].split()[0].replace("−", "-"))


def quartz_tensors() -> tuple[np.ndarray, np.ndarray]:
    """Return e and C of quartz as measured."""
    e11, e14 = measured("SiO2", "e11"), measured("SiO2", "e14")
    e = np.array([[e11, -e11, 0, e14, 0, 0], [0, 0, 0, 0, -e14, -e11], [0] * 6])
    c = np.zeros((6, 6))
    c[:3, :3] = [[C11, C12, C13], [C12, C11, C13], [C13, C13, C33]]
    c[3, 0] = c[0, 3] = C14
    c[3, 1] = c[1, 3] = -C14
    c[4, 5] = c[5, 4] = C14
    c[3, 3] = c[4, 4] = C44
    c[5, 5] = (C11 - C12) / 2
    return e, c


def test_quartz_e_and_d_agree_in_size_and_sign():
    e, c = quartz_tensors()
    d = 1e3 * e @ np.linalg.inv(c)
    assert d[0, 0] == pytest.approx(measured("SiO2", "d11"), abs=0.02)
    assert d[0, 3] == pytest.approx(measured("SiO2", "d14"), abs=0.02)


def test_barium_titanate_e_and_d_agree():
    """By the elastic constants of the same paper, 1e11 N/m²."""
    c11, c12, c13, c33 = 2.751, 1.7897, 1.5155, 1.6486
    d33, d31 = measured("BaTiO3", "d33"), measured("BaTiO3", "d31")
    e33 = 0.1 * (2 * d31 * c13 + d33 * c33)
    e31 = 0.1 * (d31 * (c11 + c12) + d33 * c13)
    assert e33 == pytest.approx(measured("BaTiO3", "e33"), abs=0.02)
    assert e31 == pytest.approx(measured("BaTiO3", "e31"), abs=0.02)


OPERATIONS = [
    np.diag([x, y, z])
    for x, y, z in ((1, 1, 1), (-1, -1, 1), (-1, -1, -1), (1, 1, -1), (1, -1, -1), (-1, 1, 1))
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: str(np.diag(one)))
def test_every_setting_of_both_enantiomorphs_is_brought_to_the_measured_one(operation):
    e, c = quartz_tensors()
    signs = rotated(np.ones((3, 6)), operation) * np.diag(operation)[:, None]
    turned = c * np.outer(signs[0], signs[0])  # of the six strains
    given = rotated(e, operation)
    setting = measured_setting(given, turned)
    np.testing.assert_allclose(rotated(given, setting), e, atol=1e-12)


def test_a_wrong_sign_of_e14_is_not_hidden_by_the_setting():
    e, c = quartz_tensors()
    e[0, 3] *= -1
    e[1, 4] *= -1
    assert rotated(e, measured_setting(e, c))[0, 3] == pytest.approx(-measured("SiO2", "e14"))


@pytest.mark.parametrize("mirror", [1, -1], ids=["same", "enantiomorph"])
@pytest.mark.parametrize("atoms", [quartz(), triclinic_four()], ids=["quartz", "triclinic"])
def test_a_label_of_the_mirror_image_is_laid_over_the_crystal(atoms, mirror):
    """Axes, origin, order of atoms and handedness differ; the tensor of the sites must not."""
    operation = mirror * Rotation.random(random_state=3).as_matrix()
    order = np.random.default_rng(1).permutation(len(atoms))
    shift = np.array([0.3, 0.1, 0.7])
    other = Atoms(
        atoms.numbers[order],
        ((atoms.positions + shift) @ operation.T)[order],
        cell=atoms.cell.array @ operation.T,
        pbc=True,
    )
    e, _ = quartz_tensors()
    if len(atoms) == 4:
        e = np.random.default_rng(2).normal(size=(3, 6))
    found = isometry(other, atoms)
    assert found is not None
    assert np.linalg.det(found) == pytest.approx(mirror)
    np.testing.assert_allclose(rotated(rotated(e, operation), found), e, atol=1e-6)


def test_axial_strains_give_what_the_whole_tensors_do():
    atoms = bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.38)
    springs = ElasticSprings(atoms, 4.5)
    charges = {"Zn": 2.1, "O": -2.1}
    born = np.array([charges[symbol] * np.eye(3) for symbol in atoms.get_chemical_symbols()])
    clamped = wurtzite({"e31": 0.3, "e33": -0.6, "e15": 0.4})
    whole = piezoelectric(atoms, springs, (born, 4.0 * np.eye(3)), clamped=clamped, progress=False)
    axial = axial_response(atoms, springs, GivenCharges(charges), fmax=1e-6)
    assert axial.e33 == pytest.approx(whole.ionic[2, 2], rel=1e-3)
    assert axial.e31 == pytest.approx(whole.ionic[2, 0], rel=1e-3)
    d31, d33 = axial.strain_coefficients(*whole.total[2, [0, 2]])
    np.testing.assert_allclose([d31, d33], whole.strain_coefficients[2, [0, 2]], rtol=2e-3)
