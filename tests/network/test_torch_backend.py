"""Without compiled kernels: torch's own operations give the same numbers."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.random_networks import results_and_gradients

from ase_equivar import EquivarCalculator
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.irreps import Irrep

NATURAL = tuple(map(Irrep.parse, ("0e", "1o", "2e")))
CELL = [[4.1, 0.3, 0.0], [0.2, 4.4, 0.5], [0.0, 0.4, 4.3]]
POSITIONS = [[0.0, 0.0, 0.0], [2.1, 2.2, 0.2], [2.2, 0.1, 2.3], [0.1, 2.2, 2.1]]
WITHOUT_NUMBA = f"""
import json, sys
sys.modules["numba"] = None  # as if it were not installed
from ase import Atoms
from ase_equivar import EquivarCalculator
found = {{}}
for model in sys.argv[1:]:
    atoms = Atoms("MgOOMg", {POSITIONS}, cell={CELL}, pbc=True).repeat((2, 1, 1))
    atoms.calc = EquivarCalculator(model=model)
    charges = atoms.calc.get_property("born_charges", atoms)
    dielectric = atoms.calc.get_property("dielectric_tensor", atoms)
    assert atoms.calc.diagnostics.backend == "torch"
    found[model] = charges.tolist(), dielectric.tolist()
print(json.dumps(found))
"""


@pytest.mark.parametrize("summed", [False, True])
def test_convolution_equals_e3nn(summed: bool) -> None:
    """Result and derivatives up to the second; no path leads from 4e, or to 5o."""
    inputs = (*NATURAL, Irrep.parse("1e"), Irrep.parse("4e"))
    outputs = (*NATURAL, Irrep.parse("0o"), Irrep.parse("5o"))
    coupling = Coupling(inputs, outputs, 2, summed=summed)
    for ours, reference in results_and_gradients(coupling, 7, 40, 3, torch.float64, "torch"):
        assert (ours - reference).abs().max() <= 1e-13 * reference.abs().max()


@pytest.mark.slow
def test_same_numbers_and_one_warning_where_numba_is_absent() -> None:
    """The bundled architectures whose weights the package holds, on a triclinic crystal."""
    models = ["universal", "universal-polar"]
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMBA, *models], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("numba cannot be imported") == 1
    atoms = Atoms("MgOOMg", POSITIONS, cell=CELL, pbc=True).repeat((2, 1, 1))
    for model, (charges, dielectric) in json.loads(run.stdout).items():
        atoms.calc = EquivarCalculator(model=model)
        compiled = atoms.calc.get_property("born_charges", atoms)
        assert atoms.calc.diagnostics.backend == "numba"
        np.testing.assert_allclose(charges, compiled, rtol=0, atol=2e-5)
        np.testing.assert_allclose(
            dielectric, atoms.calc.get_property("dielectric_tensor", atoms), rtol=2e-5
        )


@pytest.mark.slow
def test_numba_is_refused_where_it_is_absent() -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from ase_equivar import EquivarCalculator\nEquivarCalculator(backend='numba')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ValueError: backend 'numba' needs numba, which cannot be imported" in run.stderr
