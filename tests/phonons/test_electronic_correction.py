"""The correction of ε∞ of PBE, and where it is asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.io import write
from helpers.command_line import run, triclinic_salt
from helpers.given_charges import GivenCharges, triclinic_pair
from phonopy.file_IO import parse_BORN
from scipy.spatial.transform import Rotation

from ase_equivar.phonons import (
    apply_nac,
    corrected_dielectric,
    make_phonon,
    nac_params,
    write_born,
)

TURNED = Rotation.from_euler("xyz", (0.3, -0.7, 1.1)).as_matrix()
PREDICTED = TURNED @ np.diag([2.0, 6.25, 13.0]) @ TURNED.T
CHARGES = {"Li": 1.1, "Br": -1.1}


def test_each_principal_value_is_corrected():
    """ε − 1 = 1, 5.25 and 12 by the formula, worked out by hand with 0.051."""
    corrected = corrected_dielectric(PREDICTED)
    expected = [1 + 1 / 1.051**2, 1 + 5.25 / 1.116856**2, 1 + 12 / 1.176669**2]
    np.testing.assert_allclose(
        TURNED.T @ corrected @ TURNED, np.diag(expected), rtol=1e-5, atol=1e-12
    )
    assert np.array_equal(corrected, corrected.T)


def test_larger_values_lose_more_and_the_vacuum_nothing():
    np.testing.assert_allclose(corrected_dielectric(np.eye(3)), np.eye(3), atol=1e-12)
    before = np.array([1.0 + 1e-7, 1.5, 3.0, 9.0, 50.0])
    after = np.array([corrected_dielectric(one * np.eye(3))[0, 0] for one in before])
    assert (np.diff(after) > 0).all()
    assert (np.diff(after / before) < 0).all()


@pytest.mark.parametrize("kind", ["calculator", "atoms", "tuple"])
def test_the_tensor_of_any_source_is_corrected(kind):
    atoms = triclinic_pair()
    calc = GivenCharges(CHARGES, PREDICTED)
    source = {
        "calculator": calc,
        "atoms": atoms,
        "tuple": (np.array([1.1 * np.eye(3), -1.1 * np.eye(3)]), PREDICTED),
    }[kind]
    if kind == "atoms":
        atoms.calc = calc
    phonon = make_phonon(atoms)
    as_it_is = nac_params(phonon, source)
    params = nac_params(phonon, source, dielectric_tensor="corrected")
    np.testing.assert_allclose(as_it_is["dielectric"], PREDICTED, atol=1e-12)
    np.testing.assert_allclose(params["dielectric"], corrected_dielectric(PREDICTED), atol=1e-12)
    np.testing.assert_array_equal(params["born"], as_it_is["born"])
    phonon.force_constants = np.zeros((2, 2, 3, 3))
    apply_nac(phonon, source, dielectric_tensor="corrected")
    np.testing.assert_allclose(phonon.nac_params["dielectric"], params["dielectric"], atol=1e-12)


def test_born_file_holds_the_corrected_tensor(tmp_path):
    atoms = triclinic_pair()
    write_born(
        tmp_path / "BORN", atoms, GivenCharges(CHARGES, PREDICTED), dielectric_tensor="corrected"
    )
    read = parse_BORN(make_phonon(atoms).primitive, filename=str(tmp_path / "BORN"))
    np.testing.assert_allclose(read["dielectric"], corrected_dielectric(PREDICTED), atol=1e-7)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dielectric_tensor": "correct"}, "'correct'; give numbers, or \"corrected\""),
        ({"dielectric_tensor": "corrected", "refractive_index": 1.5}, "not both"),
    ],
)
def test_other_words_and_a_measured_index_beside_it_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        nac_params(make_phonon(triclinic_pair()), GivenCharges(CHARGES, PREDICTED), **given)


def test_a_source_without_a_tensor_has_nothing_to_correct():
    with pytest.raises(ValueError, match="does not provide dielectric_tensor"):
        nac_params(
            make_phonon(triclinic_pair()), GivenCharges(CHARGES), dielectric_tensor="corrected"
        )


def test_the_command_names_the_correction(tmp_path, model):
    file, output = tmp_path / "salt.extxyz", tmp_path / "born.json"
    write(file, triclinic_salt())
    plain = tmp_path / "plain.json"
    for path, options in ((plain, ()), (output, ("--dielectric-tensor", "corrected"))):
        result = run("born", file, "--model", model, "--output", path, *options)
        assert result.exit_code == 0, result.output
    assert "corrected (expected error 8 %)" in " ".join(result.output.split())
    before, after = (json.loads(path.read_text()) for path in (plain, output))
    assert before["epsilon_infinity"] == str(model)
    assert after["epsilon_infinity"] == f"{model}, corrected (expected error 8 %)"
    np.testing.assert_allclose(
        after["dielectric_tensor"], corrected_dielectric(before["dielectric_tensor"])
    )
    both = ("--dielectric-tensor", "corrected", "--refractive-index", "1.5")
    refused = run("born", file, "--model", model, *both)
    assert refused.exit_code == 2
    assert "not both" in refused.output


@pytest.mark.parametrize("kind", ["calculator", "tuple"])
def test_a_metal_is_refused_before_the_correction(kind):
    """Corrected, 200 is 68, which passed."""
    atoms = triclinic_pair()
    charges = np.array([1.1 * np.eye(3), -1.1 * np.eye(3)])
    source = {
        "calculator": GivenCharges(CHARGES, 200 * np.eye(3)),
        "tuple": (charges, 200 * np.eye(3)),
    }[kind]
    for asked in ("corrected", None):
        with pytest.raises(ValueError, match="200 is that of a metal"):
            nac_params(make_phonon(atoms), source, dielectric_tensor=asked)
    given = nac_params(make_phonon(atoms), source, dielectric_tensor=PREDICTED)
    np.testing.assert_allclose(given["dielectric"], PREDICTED, atol=1e-12)
