"""Forces of displaced cells in one call of SevenNet: those of each cell alone."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from helpers.given_charges import triclinic_pair
from helpers.springs import Springs

from ase_equivar.phonons import force_constants
from ase_equivar.phonons.cell_forces import SHARED_ATOMS, forces_of_cells


def displaced(crystal: Atoms, n_cells: int) -> list[Atoms]:
    """Cells that differ in all atoms, so that forces in another order would be seen."""
    cells = [crystal.copy() for _ in range(n_cells)]
    for k, cell in enumerate(cells):
        cell.rattle(0.05, seed=k)
    return cells


def crystal() -> Atoms:
    """Six atoms of three elements, without any symmetry."""
    atoms = triclinic_pair().repeat((3, 1, 1))
    atoms.symbols[1] = "F"
    atoms.rattle(0.1, seed=9)
    return atoms


def test_other_calculators_are_asked_for_each_cell():
    cells = displaced(crystal(), 3)
    calc = Springs(crystal(), 3.0)
    found = list(forces_of_cells(cells, calc))
    for cell, forces in zip(displaced(crystal(), 3), found, strict=True):
        cell.calc = Springs(crystal(), 3.0)
        assert forces == pytest.approx(cell.get_forces(), abs=1e-12)


def test_no_cells_have_no_forces():
    assert list(forces_of_cells([], Springs(crystal(), 3.0))) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_cells_share_calls_of_sevennet():
    module = pytest.importorskip("sevenn.calculator", reason="SevenNet is not installed")
    calc = module.SevenNetCalculator("7net-0", device="cpu")
    calls: list[int] = []
    calc.model.register_forward_hook(
        lambda _, given, __: calls.append(getattr(given[0], "num_graphs", 1))
    )
    n_cells = SHARED_ATOMS // 6 + 3
    found = list(forces_of_cells(displaced(crystal(), n_cells), calc))
    assert calls == [SHARED_ATOMS // 6, 3]
    assert np.abs(found[0] - found[1]).max() > 0.01

    class Derived(module.SevenNetCalculator):
        """May add something to the network's forces."""

        def calculate(self, atoms=None, properties=None, system_changes=()):
            super().calculate(atoms, properties, system_changes)
            self.results["forces"] = self.results["forces"] + 1.0

    alone = Derived(calc.model, file_type="model_instance", device="cpu")
    expected = list(forces_of_cells(displaced(crystal(), n_cells), alone))
    assert len(found) == len(expected) == n_cells
    assert np.abs(np.array(found) + 1.0 - expected).max() < 2e-5

    unknown = crystal()
    unknown.symbols[0] = "Rn"
    calc.type_map = {z: k for z, k in calc.type_map.items() if z != 86}
    with pytest.raises(RuntimeError, match=r"SevenNetCalculator failed to give .forces. of .*86"):
        list(forces_of_cells(displaced(unknown, 2), calc))
    # and the network takes single structures again, as `phonons` goes on to do
    phonon = force_constants(triclinic_pair(), calc, (1, 1, 1), progress=False)
    assert np.isfinite(phonon.force_constants).all()


class SameArray(BaseCalculator):
    """Fills one array again for each structure, as some drivers do."""

    implemented_properties = ("energy", "forces")

    def __init__(self, calculator):
        super().__init__()
        self.calculator, self.buffer = calculator, None

    def get_property(self, name, atoms=None, allow_calculation=True):
        found = self.calculator.get_property(name, atoms)
        if name != "forces":
            return found
        if self.buffer is None or self.buffer.shape != found.shape:
            self.buffer = np.empty_like(found)
        self.buffer[:] = found
        return self.buffer

    def calculate(self, atoms, properties, system_changes):
        raise NotImplementedError


@pytest.mark.parametrize("supercell", [(1, 1, 1), (2, 1, 1)])
def test_calculators_may_fill_the_same_array_again(supercell):
    """Force constants of the cell itself were exactly zero."""
    atoms = triclinic_pair()
    expected, found = (
        force_constants(atoms, calculator, supercell, progress=False).force_constants
        for calculator in (Springs(atoms, 5.0), SameArray(Springs(atoms, 5.0)))
    )
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.abs(expected).max() > 0.1
