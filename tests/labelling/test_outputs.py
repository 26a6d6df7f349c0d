"""What is read of the outputs of pw.x and ph.x: recorded for a displaced crystal, no symmetry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.units import Bohr, Ry

from ase_equivar.io.label_files.espresso import read_response
from ase_equivar.labelling.quantum_espresso import read_ground_state

RECORDED = Path(__file__).parent / "recorded"
PW, PH = ((RECORDED / name).read_text() for name in ("pw.out", "ph.out"))
N_ATOMS = 4


def test_ground_state_of_a_recorded_run():
    ground = read_ground_state(PW, N_ATOMS)
    lines = PW.splitlines()
    energy = next(line for line in lines if line.startswith("!"))
    assert ground.energy / Ry == pytest.approx(float(energy.split()[-2]))
    rows = [line.split()[-3:] for line in lines if "force =" in line and " atom " in line]
    np.testing.assert_allclose(ground.forces * Bohr / Ry, np.array(rows[:N_ATOMS], float))
    # of the total forces, not of a part of them, the sum is zero
    np.testing.assert_allclose(ground.forces.sum(axis=0), 0, atol=1e-4)
    assert 0.5 < ground.gap < 20


def test_response_is_read_field_first_and_without_the_sum_rule():
    response = read_response(PH, N_ATOMS)
    for atom in range(N_ATOMS):
        for a, row in enumerate("xyz"):
            blocks = PH.split("Effective charges (d Force / dE)")[1].splitlines()
            lines = [line for line in blocks if line.strip().startswith(f"E{row}")]
            expected = [float(x) for x in lines[atom].split("(")[1].split(")")[0].split()]
            np.testing.assert_allclose(response.born_charges[atom, a], expected)
    assert np.abs(response.born_charges.sum(axis=0)).max() > 1e-4
    assert np.abs(response.born_charges - response.born_charges.transpose(0, 2, 1)).max() > 1e-3
    np.testing.assert_allclose(response.dielectric, response.dielectric.T, atol=1e-6)


def test_an_output_that_ends_too_early_is_not_taken():
    with pytest.raises(ValueError, match="no ground state"):
        read_ground_state(PW[: PW.index("convergence has been achieved")], N_ATOMS)
    with pytest.raises(ValueError, match="not complete"):
        read_ground_state(PW[: PW.index("Forces acting on atoms")], N_ATOMS)
    with pytest.raises(ValueError, match="no response"):
        read_response(PH[: PH.index("Effective charges (d Force")], N_ATOMS)


def test_the_complaint_of_a_program_is_told():
    told = "%" * 60 + "\n  Error in routine c_bands (1):\n  too many bands\n" + "%" * 60
    with pytest.raises(ValueError, match="too many bands"):
        read_ground_state(told, N_ATOMS)
