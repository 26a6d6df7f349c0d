"""Labels of CASTEP: a slice of its output for Na2S2O8 with the space group P-1."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.label_files import LABELS

from ase_equivar.io import read_labels

CASTEP = LABELS / "Na2S2O8.castep"
DEBYE = 4.803205  # in e·Å
# Of the .phonon file that belongs to it (PDielec, see tests/data/README.md): intensity in
# (D/Å)²/u, and eigenvectors of O 1, 3, 5, 7, Na 1 and S 1. Inversion adds one of each, which moves
# alike.
MODES = {
    17.3765767: [
        [0.260894140685, -0.154876478480, -0.353737553430],
        [-0.089673280860, -0.156035198965, 0.064238050438],
        [0.081875788485, 0.022540370417, -0.078138617171],
        [0.081295624943, 0.013409078385, -0.111512314572],
        [0.011448372789, -0.004769070336, -0.000074630870],
        [-0.245399162856, 0.198086462659, 0.337858718715],
    ],
    10.7467891: [
        [0.009111822974, -0.007193284685, -0.013619465123],
        [0.217760713373, 0.222301389774, -0.182489278522],
        [-0.322315334529, -0.150349495336, -0.209377048336],
        [0.185915327848, -0.262568595022, 0.236484032119],
        [0.001196382560, -0.003581573349, -0.004357528764],
        [-0.064873964486, 0.142752727712, 0.123114504819],
    ],
}


@pytest.mark.parametrize("intensity", MODES)
def test_charges_give_the_intensities_that_castep_prints(intensity: float) -> None:
    """They do with the displacement as second index: |Σ Z*·e/√m|² along the field."""
    (atoms,) = read_labels(CASTEP)
    masses = np.repeat([15.9994] * 4 + [22.98977, 32.066], 2)
    motion = np.repeat(MODES[intensity], 2, axis=0) / np.sqrt(masses)[:, None]
    charges = atoms.calc.results["born_effective_charges"]
    dipole = np.einsum("iab,ib->a", charges, motion) * DEBYE
    assert dipole @ dipole == pytest.approx(intensity, rel=3e-6)
    transposed = np.einsum("iab,ia->b", charges, motion) * DEBYE
    assert abs(transposed @ transposed - intensity) > 0.1 * intensity


def test_structure_and_permittivity() -> None:
    (atoms,) = read_labels(CASTEP)
    assert atoms.get_chemical_formula(mode="reduce") == "O8Na2S2"
    lengths_and_angles = [4.78, 5.575, 6.091, 101.871, 103.337, 97.418]
    np.testing.assert_allclose(atoms.cell.cellpar(), lengths_and_angles, atol=2e-5)
    np.testing.assert_allclose(atoms.get_scaled_positions()[8], [0.017700, 0.317755, 0.204064])
    dielectric = atoms.calc.results["dielectric_tensor"]
    assert dielectric[0].tolist() == [2.26111, -0.04199, -0.10634]
    assert dielectric[2].tolist() == [-0.10634, 0.07345, 2.34564]


def test_only_the_last_run_with_charges_is_read(tmp_path: Path) -> None:
    """CASTEP appends: the numbers of atoms and the permittivities of other runs are others."""
    text = CASTEP.read_text()
    smaller = re.sub(r"(Total number of ions in cell =\s*)12", r"\g<1>4", text)
    smaller = smaller.replace("2.26111", "9.99999")
    killed = smaller[: smaller.index("Born Effective")]
    path = tmp_path / "run.castep"
    for whole in (smaller + text, text + killed, smaller + text + killed):
        path.write_text(whole)
        [found], [expected] = read_labels(path), read_labels(CASTEP)
        assert found == expected
        for name, value in expected.calc.results.items():
            np.testing.assert_array_equal(found.calc.results[name], value)


def test_what_is_not_complete(tmp_path: Path) -> None:
    text = CASTEP.read_text()
    path = tmp_path / "cut.castep"
    path.write_text(text[: text.index("Born Effective")])
    with pytest.raises(ValueError, match=r"cut.castep has no Born effective charges: CASTEP"):
        read_labels(path)
    path.write_text(text[: text.index("   S       2        3.096")])
    with pytest.raises(ValueError, match=r"cut.castep has 33 rows of 3 numbers, not 36"):
        read_labels(path)
    path.write_text(text.replace("            x  Na           2 ", "            x  ?? "))
    with pytest.raises(ValueError, match=r"cut.castep lists 11 of 12 ions"):
        read_labels(path)
