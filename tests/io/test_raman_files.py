"""Raman modes and spectra in files, read back with other means."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from helpers.bond_polarizability import BondPolarizability
from helpers.polar_phonons import wurtzite

from ase_equivar.dielectric import raman_modes, raman_spectrum
from ase_equivar.io import write_raman_json, write_raman_modes_csv, write_raman_spectrum_csv
from ase_equivar.units import FrequencyUnit


@pytest.fixture(scope="module")
def found():
    phonon = wurtzite()
    modes = raman_modes(phonon, BondPolarizability(), progress=False)
    along = raman_modes(phonon, modes.derivative, direction=(0, 0, 1))
    grid = np.linspace(0, 20, 201)
    spectra = [
        raman_spectrum(modes, 0.3, frequencies=grid, wavelength=633.0, temperature=77.0),
        raman_spectrum(along, 0.3, "z(xx)-z", frequencies=grid),
    ]
    return modes, spectra


@pytest.mark.parametrize(("unit", "per_thz"), [("cm", 33.3564095), ("meV", 4.13566770)])
def test_spectra_side_by_side(found, tmp_path, unit, per_thz):
    modes, spectra = found
    path = tmp_path / "raman.csv"
    write_raman_spectrum_csv(path, spectra, FrequencyUnit(unit))
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == [f"shift_{unit}", "powder", "z(xx)-z"]
    table = np.array(rows, dtype=float)
    np.testing.assert_allclose(table[:, 0], per_thz * np.linspace(0, 20, 201), rtol=1e-7)
    for column, one in zip(table.T[1:], spectra, strict=True):
        np.testing.assert_allclose(column, one.intensity, rtol=1e-7)
    with pytest.raises(ValueError, match="spectra is empty"):
        write_raman_spectrum_csv(path, [], FrequencyUnit.CM)
    with pytest.raises(ValueError, match="over different frequencies"):
        write_raman_spectrum_csv(path, [spectra[0], raman_spectrum(modes, 0.3)], FrequencyUnit.CM)


def test_one_line_for_each_mode_with_its_tensor(found, tmp_path):
    modes, _ = found
    write_raman_modes_csv(tmp_path / "modes.csv", modes)
    with open(tmp_path / "modes.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    tensors = np.concatenate([mode.tensors for mode in modes])
    names = ("xx", "yy", "zz", "yz", "xz", "xy")
    for row, tensor in zip(rows, tensors, strict=True):
        values = [float(row[f"tensor_{name}_A2_per_sqrt_u"]) for name in names]
        expected = [tensor["xyz".index(a), "xyz".index(b)] for a, b in names]
        np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-12)
    silent = [row for row in rows if row["active"] == "0"]
    assert [row["label"] for row in silent] == ["B1", "B1"]
    assert {row["depolarization"] + row["step_error"] for row in silent} == {""}
    e2 = next(row for row in rows if row["label"] == "E2")
    assert (e2["degeneracy"], e2["depolarization"], e2["expected_error"]) == ("2", "0.75", "")


def test_json_holds_everything(found, tmp_path):
    modes, spectra = found
    sources = {"forces": "springs", "relax": "none"}
    write_raman_json(tmp_path / "raman.json", modes, spectra, calculation=sources)
    content = json.loads((tmp_path / "raman.json").read_text(encoding="utf-8"))
    assert content["calculation"] == sources
    assert content["symbols"] == ["Zn", "O", "Zn", "O"]
    assert content["step_A"] == 0.01
    powder, polarized = content["spectra"]
    assert (powder["laser_wavelength_nm"], powder["temperature_K"]) == (633.0, 77.0)
    assert powder["direction_of_q"] is None
    assert polarized["direction_of_q"] == [0.0, 0.0, 1.0]
    for mode, row in zip(modes, powder["modes"], strict=True):
        assert row["frequency_cm"] == pytest.approx(mode.frequency_cm)
        np.testing.assert_allclose(row["tensors_A2_per_sqrt_u"], mode.tensors)
        if not mode.is_active:
            assert row["step_error"] is None
    heights = [row["intensity_1e-30_cm2_per_sr"] for row in polarized["modes"]]
    np.testing.assert_allclose(heights, spectra[1].intensities)
    write_raman_json(tmp_path / "raman.json", modes)
    assert json.loads((tmp_path / "raman.json").read_text(encoding="utf-8"))["spectra"] == []
