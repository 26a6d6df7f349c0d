"""Tables of modes and spectra."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from helpers.polar_phonons import X, Y

from ase_equivar.dielectric import (
    dielectric_function,
    infrared_modes,
    lyddane_sachs_teller,
    static_dielectric,
)
from ase_equivar.io import write_infrared_json, write_modes_csv, write_spectrum_csv
from ase_equivar.units import FrequencyUnit


def read_csv(path):
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kinds = {name: str if name == "label" else float for name in rows[0]}
    return {name: np.array([kind(row[name]) for row in rows]) for name, kind in kinds.items()}


@pytest.mark.parametrize(
    ("unit", "per_thz", "label"),
    [("cm", 33.35641, "cm⁻¹"), ("THz", 1.0, "THz"), ("meV", 4.135668, "meV")],
)
def test_spectrum_csv(low, tmp_path, unit, per_thz, label):
    spectrum = dielectric_function(low, 0.3, np.linspace(0.5, 20, 30))
    assert FrequencyUnit(unit).label == label
    write_spectrum_csv(tmp_path / "x.csv", spectrum, FrequencyUnit(unit))
    columns = read_csv(tmp_path / "x.csv")
    close = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(
        columns[f"frequency_{unit}"], per_thz * spectrum.frequencies, **close
    )
    for name, (a, b) in {"xx": (0, 0), "zz": (2, 2), "xz": (0, 2), "yz": (1, 2)}.items():
        np.testing.assert_allclose(columns[f"re_{name}"], spectrum.epsilon[:, a, b].real, **close)
        np.testing.assert_allclose(columns[f"im_{name}"], spectrum.epsilon[:, a, b].imag, **close)
    np.testing.assert_allclose(columns["loss_y"], -(1 / spectrum.epsilon[:, 1, 1]).imag, **close)
    np.testing.assert_allclose(columns["reflectivity_y"], spectrum.reflectivity(Y, X), **close)
    mean = np.einsum("waa->w", spectrum.epsilon) / 3
    np.testing.assert_allclose(columns["im_powder"], mean.imag, **close)
    np.testing.assert_allclose(columns["loss_powder"], -(1 / mean).imag, **close)


def test_modes_csv_and_json(phonons, tmp_path):
    phonon = phonons["wurtzite"]
    modes = infrared_modes(phonon)
    write_modes_csv(tmp_path / "modes.csv", modes)
    columns = read_csv(tmp_path / "modes.csv")
    np.testing.assert_allclose(columns["frequency_cm"], [m.frequency_cm for m in modes], rtol=1e-6)
    np.testing.assert_allclose(
        columns["strength_zz"], [m.strength[2, 2] for m in modes], atol=1e-6, rtol=1e-6
    )
    assert columns["active"].sum() == 2
    assert sorted(columns["label"]) == ["A1", "B1", "B1", "E1", "E2", "E2"]

    dielectric = static_dielectric(modes)
    spectrum = dielectric_function(modes, 0.3, np.linspace(0.5, 20, 30))
    checks = lyddane_sachs_teller(phonon, dielectric)
    write_infrared_json(tmp_path / "x.json", modes, dielectric, spectrum, checks)
    content = json.loads((tmp_path / "x.json").read_text())
    np.testing.assert_allclose(content["epsilon_static"], dielectric.static)
    np.testing.assert_allclose(
        np.sum([mode["strength"] for mode in content["modes"]], axis=0), content["epsilon_ionic"],
        atol=1e-9,
    )  # fmt: skip
    read = np.array(content["spectrum"]["epsilon_real"]) + 1j * np.array(
        content["spectrum"]["epsilon_imaginary"]
    )
    np.testing.assert_allclose(read, spectrum.epsilon)
    assert [check["direction"] for check in content["lyddane_sachs_teller"]] == np.eye(3).tolist()
