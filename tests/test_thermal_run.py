"""Runs in folders: killed and called again, and told from other runs."""

import numpy as np
import pytest
from polar_crystal import PolarCrystal, ions

from ase_equivar.dynamics.thermal_run import CHECKPOINT_INTERVAL, Bath, field_run
from ase_equivar.fields.waveforms import SineField

SINE = SineField([0.11, -0.07, 0.16], frequency=0.14)
BATH = Bath(temperature=50.0, timestep=0.2)


class Interrupted(PolarCrystal):
    """Stops the run when it is asked for forces for the n-th time."""

    def __init__(self, after, **settings):
        super().__init__(**settings)
        self.after = after

    def calculate(self, atoms=None, properties=("forces",), system_changes=()):
        if self.calls["forces"] == self.after:
            raise KeyboardInterrupt
        super().calculate(atoms, properties, system_changes)


def crystal(calculator=None):
    atoms = ions(velocities=False)
    atoms.calc = calculator or PolarCrystal(quadratic=0.4)
    return atoms


@pytest.mark.parametrize("after", [5, 30, CHECKPOINT_INTERVAL + 7])
def test_run_that_was_stopped_goes_on(tmp_path, after):
    steps = CHECKPOINT_INTERVAL + 50
    with pytest.raises(KeyboardInterrupt):
        field_run(crystal(Interrupted(after, quadratic=0.4)), SINE, steps, BATH, folder=tmp_path)
    found = field_run(crystal(), SINE, steps, BATH, folder=tmp_path)
    whole = field_run(crystal(), SINE, steps, BATH, folder=tmp_path / "whole")
    assert len(found.times) == steps + 1
    np.testing.assert_array_equal(found.polarization_change, whole.polarization_change)
    np.testing.assert_array_equal(found.work, whole.work)
