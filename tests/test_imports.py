"""A first prediction imports no library that it does not need, which would cost seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

FIRST_PREDICTION = """
import sys
from ase import Atoms
from ase_equivar import EquivarCalculator

HEAVY = ("e3nn", "phonopy", "matplotlib", "rich", "typer", "sevenn", "sympy", "torch._dynamo",
    "spglib", "lightning", "pandas", "ase.io", "ase.build", "ase.neighborlist", "scipy.spatial",
    "scipy.special", "scipy.linalg", "scipy.sparse", "scipy.constants")
after_import = [name for name in (*HEAVY, "numba", "scipy") if name in sys.modules]
cell = [[4.1, 0.3, 0.0], [0.2, 4.4, 0.5], [0.0, 0.4, 4.3]]
positions = [[0.0, 0.0, 0.0], [2.1, 2.2, 0.2], [2.2, 0.1, 2.3], [0.1, 2.2, 2.1]]
atoms = Atoms("MgOOMg", positions, cell=cell, pbc=True).repeat((2, 1, 1))
atoms.calc = EquivarCalculator(model=MODEL)
assert atoms.calc.get_property("born_charges", atoms).shape == (8, 3, 3)
assert atoms.calc.get_property("dielectric_tensor", atoms).shape == (3, 3)
assert len(atoms.calc.predict([atoms])) == 1
print(after_import, [name for name in HEAVY if name in sys.modules])
"""


@pytest.mark.slow
def test_neither_the_import_nor_the_first_prediction_imports_heavy_libraries() -> None:
    for model in ("universal", "universal-polar"):
        code = FIRST_PREDICTION.replace("MODEL", repr(model))
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert found.stdout.split("\n")[0] == "[] []", found.stderr


@pytest.mark.slow
def test_the_command_line_starts_without_the_readers_of_structures() -> None:
    code = "import sys, ase_equivar.cli.main; print('ase.io.formats' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
