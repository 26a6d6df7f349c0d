"""Labels of ABINIT 9.6.2: databases of LiH, displaced, in two cells; what anaddb makes of one."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from helpers.label_files import LABELS, RECORDED

from ase_equivar.io import read_labels
from ase_equivar.io.label_files.espresso import read_response

TRICLINIC = LABELS / "LiH_triclinic_DDB.gz"


def test_charges_are_those_of_anaddb() -> None:
    """Whose rows are displacements and whose columns are fields, in a cell without right angles."""
    (atoms,) = read_labels(TRICLINIC)
    lines = (LABELS / "LiH_triclinic_anaddb.out").read_text().splitlines()
    heading = next(i for i, line in enumerate(lines) if line.split() == ["atom", "displacement"])
    table = np.array([line.split() for line in lines[heading + 1 : heading + 13]], dtype=float)
    assert table[:, :2].tolist() == [[atom, axis] for atom in (1, 2, 3, 4) for axis in (1, 2, 3)]
    expected = table[:, 2:].reshape(4, 3, 3).transpose(0, 2, 1)
    charges = atoms.calc.results["born_effective_charges"]
    np.testing.assert_allclose(charges, expected, atol=1e-6)
    assert np.abs(charges - charges.transpose(0, 2, 1)).max() > 0.04
    dielectric = [  # as ABINIT itself prints it
        [3.2715688849, -0.0045961103, -0.0621322551],
        [-0.0045961135, 3.2167904128, 0.0368581851],
        [-0.0621322523, 0.0368581922, 1.7369533502],
    ]
    np.testing.assert_allclose(atoms.calc.results["dielectric_tensor"], dielectric, atol=2e-9)
    assert list(atoms.symbols) == ["Li", "Li", "H", "H"]
    np.testing.assert_allclose(
        atoms.cell.array, [[3.7, 0.3, 0.1], [-0.2, 3.9, 0.25], [0.15, -0.1, 3.2]], atol=1e-7
    )


def test_order_is_that_of_quantum_espresso() -> None:
    """The same crystal by two programs: LDA against PBEsol, so alike but not equal."""
    (atoms,) = read_labels(LABELS / "LiH_orthorhombic_DDB.gz")
    charges = atoms.calc.results["born_effective_charges"]
    expected = read_response((RECORDED / "ph.out").read_text(), 4).born_charges
    skew, same = (z - z.transpose(0, 2, 1) for z in (charges, expected))
    assert np.vdot(skew, same) > 0.99 * np.linalg.norm(skew) * np.linalg.norm(same)


def test_what_is_not_complete(tmp_path: Path) -> None:
    text = gzip.decompress(TRICLINIC.read_bytes()).decode()
    path = tmp_path / "x_DDB"
    lines = text.splitlines(keepends=True)
    elements = [line for line in lines if line.split()[:4] in (["2", "3", "1", "6"],)]
    assert len(elements) == 1
    path.write_text(text.replace(elements[0], ""))  # the other order of differentiation is there
    (atoms,) = read_labels(path)
    expected = read_labels(TRICLINIC)[0].calc.results["born_effective_charges"]
    np.testing.assert_allclose(atoms.calc.results["born_effective_charges"], expected, atol=1e-6)
    path.write_text(text[: text.index("   1   1   1   6")])
    told = r"x_DDB has no second derivatives with respect to the field.*rfelfd"
    with pytest.raises(ValueError, match=told):
        read_labels(path)
    path.write_text(text.replace(" qpt  0.00000000E+00", " qpt  0.50000000E+00"))
    with pytest.raises(ValueError, match=r"x_DDB has no second derivatives"):
        read_labels(path)
    path.write_text(text[: text.index("     xred")])
    with pytest.raises(ValueError, match=r"should have .* numbers after '(znucl|zion|xred)'"):
        read_labels(path)
    path.write_bytes(TRICLINIC.read_bytes()[:3000])
    with pytest.raises(ValueError, match="damaged"):
        read_labels(path)
