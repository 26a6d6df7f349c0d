"""The command `piezo`."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from ase.build import bulk
from helpers.command_line import assert_one_line_error, run
from helpers.elastic_springs import ElasticSprings

from ase_equivar import EquivarCalculator
from ase_equivar.cli import inputs
from ase_equivar.dielectric import piezoelectric

pytestmark = pytest.mark.filterwarnings("ignore::ase_equivar.warning_types.EquivarWarning")
E14 = "0 0 0 -.4 0 0  0 0 0 0 -.4 0  0 0 0 0 0 -.4"


def salt():
    """Zincblende, of elements that the small model knows."""
    return bulk("NaCl", "zincblende", a=5.8)


@pytest.fixture
def salt_file(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: ElasticSprings(salt(), 4.5))
    path = tmp_path / "salt.extxyz"
    salt().write(path)
    return path


def test_piezo(salt_file, model, tmp_path):
    outputs = [tmp_path / name for name in ("p.csv", "p.json")]
    result = run(
        "piezo", salt_file, "--model", model, "--dielectric-tensor", 3.1, "--clamped", E14,
        *(part for path in outputs for part in ("-o", path)),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    clamped = np.zeros((3, 6))
    clamped[(0, 1, 2), (3, 4, 5)] = -0.4
    calc = EquivarCalculator(model=model)
    made = piezoelectric(
        salt(), ElasticSprings(salt(), 4.5), calc, clamped=clamped, dielectric_tensor=3.1,
        progress=False,
    )  # fmt: skip
    text = " ".join(result.output.split())
    assert "ε∞: as given, forces: sevennet-l3i5, clamped-ion part: as given" in text
    for value in (made.total[0, 3], made.strain_coefficients[2, 5], made.free_dielectric[1, 1]):
        assert f"{value:.3f}" in text
    content = json.loads(outputs[1].read_text(encoding="utf-8"))
    assert content["calculation"]["clamped"] == "as given"
    for name, tensor in (
        ("e_total_C_m2", made.total),
        ("d_total_pC_N", made.strain_coefficients),
        ("elastic_relaxed_GPa", made.elastic_relaxed),
        ("epsilon_0_constant_stress", made.free_dielectric),
        ("internal_displacements_A", made.internal_displacements),
    ):
        np.testing.assert_allclose(content[name], tensor, atol=1e-6 * np.abs(tensor).max())
    with open(outputs[0], newline="", encoding="utf-8") as file:
        rows = {(row["tensor"], row["row"]): row for row in csv.DictReader(file)}
    assert float(rows["e_total_C_m2", "y"]["xz"]) == pytest.approx(made.total[1, 4])
    assert float(rows["elastic_relaxed_GPa", "xy"]["xy"]) == pytest.approx(
        made.elastic_relaxed[5, 5]
    )


def test_without_clamped_part_all_is_called_ionic(salt_file, model, tmp_path):
    path = tmp_path / "p.json"
    result = run("piezo", salt_file, "--model", model, "-o", path)
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "clamped-ion part: not known" in text
    assert "d, ionic part (pC/N)" in text
    assert "total" not in text
    assert "ε0 at constant stress need" in text
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["e_total_C_m2"] is None
    assert content["epsilon_0_constant_stress"] is None


def test_bad_input_is_refused_before_work(salt_file, nacl_file, model, tmp_path, monkeypatch):
    def nothing(*_, **__):
        raise AssertionError("options are looked at before forces and models are")

    monkeypatch.setattr(inputs, "forces_calculator", nothing)
    monkeypatch.setattr(inputs, "equivar_calculator", nothing)
    slab = salt()
    slab.cell[2] = [0, 0, 20]
    slab.write(tmp_path / "slab.extxyz")
    for arguments, message in (
        ((nacl_file,), "zero by symmetry: its point group m-3m has a center of inversion"),
        ((tmp_path / "slab.extxyz",), "Å of vacuum"),
        ((salt_file, "-o", "x.png"), r"x\.png"),
        ((salt_file, "-o", "no/x.csv"), "no folder no"),
        ((salt_file, "--clamped", "1 2 3"), "18 numbers, .* not 3"),
        ((salt_file, "--clamped", "one"), "--clamped takes numbers"),
        ((salt_file, "--clamped", E14.replace("-.4", "nan")), "--clamped is not finite"),
        ((salt_file, "--step", "0.5"), "step reaches 0.5"),
        ((salt_file, "--relax", "all"), "--relax is 'all'"),
        ((salt_file, "--dielectric-tensor", "0.5"), "lowest eigenvalue of dielectric_tensor"),
    ):
        assert_one_line_error(run("piezo", *arguments, "--model", model), 2, message)
