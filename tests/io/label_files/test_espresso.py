"""Labels of Quantum ESPRESSO 6.7: LiH in a cell without symmetry, Z* calculated in both ways."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.label_files import LABELS, RECORDED

from ase_equivar.io import read_labels
from ase_equivar.io.label_files.espresso import read_response

PH = LABELS / "LiH_ph.out"
PW = LABELS / "LiH_pw.in"
CELL = [[2.9, 0.1, 0.2], [0.3, 3.1, -0.15], [-0.25, 0.4, 2.7]]


def test_forces_in_a_field_and_polarization_by_displacement_agree() -> None:
    """Read in the same order they differ by their convergence, transposed by 30 times more."""
    text = PH.read_text()
    both = read_response(text, 2)
    polarization = read_response(text.replace("(d Force / dE)", "(of something else)"), 2)
    difference = np.abs(both.born_charges - polarization.born_charges).max()
    assert 0 < difference <= 6e-5
    transposed = both.born_charges.transpose(0, 2, 1) - polarization.born_charges
    assert np.abs(transposed).max() > 1.2e-3
    assert polarization.born_charges[0].tolist() == [
        [1.07354, -0.00776, 0.00004],
        [-0.00797, 1.19003, -0.02390],
        [0.00058, -0.02495, 1.01743],
    ]


def test_charges_with_the_sum_rule_are_not_taken() -> None:
    """Later versions print both, without it first or last."""
    heading = "Effective charges (d Force / dE) in cartesian axis"
    text = PH.read_text()
    start, end = text.index(heading), text.index("     Representation #", text.index(heading))
    block = text[start:end]
    without = block.replace(heading, heading + " without acoustic sum rule applied (asr)", 1)
    applied = block.replace(heading, heading + " with asr applied: ", 1).replace("1.07359", "9.9")
    for both in (without + applied, applied + without):
        found = read_response(text[:start] + both + text[end:], 2)
        assert found.born_charges[0, 0].tolist() == [1.07359, -0.00776, 0.00005]


@pytest.mark.parametrize("label", ["H1", "H_a", "H-u", "h"])
@pytest.mark.parametrize("with_pw", [False, True])
def test_species_with_labels(tmp_path: Path, label: str, with_pw: bool) -> None:
    """As antiferromagnets and sites with Hubbard U have them."""
    text = PH.read_text()
    assert text.count("H    1.0080   tau(") == 1
    (tmp_path / "ph.out").write_text(text.replace("H    1.0080   tau(", f"{label} 1.0080   tau("))
    if with_pw:
        lines = [
            re.sub(r"^(\s*)H(\s)", rf"\1{label}\2", line) for line in PW.read_text().splitlines()
        ]
        (tmp_path / "pw.in").write_text("\n".join(lines) + "\n")
    [found], [expected] = read_labels(tmp_path / "ph.out"), read_labels(PH)
    assert found.get_chemical_symbols() == ["Li", "H"]
    assert (np.abs(found.cell.array - CELL).max() < 1e-6) == with_pw
    for name in ("born_effective_charges", "dielectric_tensor"):
        assert np.array_equal(found.calc.results[name], expected.calc.results[name])


def test_structure_is_the_exact_one_beside_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of several in the folder, the closest: finite displacements lie in one folder."""
    shutil.copy(PH, tmp_path / "ph.out")
    with caplog.at_level(logging.WARNING, "ase_equivar"):
        (rounded,) = read_labels(tmp_path / "ph.out")
    assert "rounded" in caplog.text
    caplog.clear()
    assert 1e-6 < np.abs(rounded.cell.array - CELL).max() < 3e-4
    for name, old, new in (
        ("a.in", "H 0.42", "H 0.421"),
        ("b.in", "", ""),
        ("c.in", "0.47", "0.469"),
        ("other.in", "LI ", "Na "),
    ):
        (tmp_path / name).write_text(PW.read_text().replace(old, new))
    (tmp_path / "broken.in").write_text("&control\n/\nnothing more\n")
    (exact,) = read_labels(tmp_path / "ph.out")
    assert not caplog.text
    np.testing.assert_allclose(exact.cell.array, CELL, atol=1e-12)
    np.testing.assert_allclose(exact.get_scaled_positions()[1], [0.42, 0.55, 0.47], atol=1e-12)
    results = exact.calc.results
    assert results["born_effective_charges"][0, 1].tolist() == [-0.00797, 1.19005, -0.02391]
    assert results["dielectric_tensor"][2, 0] == pytest.approx(0.01431867, abs=1e-6)


def test_structure_of_an_output_of_pw() -> None:
    (atoms,) = read_labels(RECORDED / "ph.out")
    np.testing.assert_allclose(atoms.cell.cellpar(), [3.7, 3.9, 3.2, 90, 90, 90], atol=1e-5)
    np.testing.assert_allclose(atoms.positions[1], [1.9, 1.7, 0.3], atol=1e-6)


def test_what_is_not_complete(tmp_path: Path) -> None:
    text = PH.read_text()
    path = tmp_path / "ph.out"
    path.write_text(text[: text.index("Effective charges (d Force")])
    with pytest.raises(ValueError, match=r"ph.out: ph.x found no response.*epsil and zeu or zue"):
        read_labels(path)
    path.write_text(text[: text.index("Ey  (        0.03807")])
    with pytest.raises(ValueError, match=r"ph.out: ph.x gave 4 rows of Z\*, not 6"):
        read_labels(path)
