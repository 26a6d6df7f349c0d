"""A crystal of harmonic springs, whose modes at Γ can be written down by hand."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list


def stiffness(length):
    """Springs of length r (Å) have 30 exp(-r) eV/Å²: shells differ, so nothing is isotropic."""
    return 30.0 * np.exp(-length)


class Springs(Calculator):
    """Springs between all atoms closer than `cutoff` (Å) in `reference`, at rest there.

    Works for supercells of the reference whose atoms stay close to its sites, in any order.
    """

    implemented_properties = ("energy", "forces")

    def __init__(self, reference: Atoms, cutoff: float) -> None:
        super().__init__()
        self.reference, self.cutoff = reference.copy(), cutoff

    def displacements(self, atoms):
        sites, cell = self.reference.get_scaled_positions(), self.reference.cell.array
        offsets = (atoms.positions @ np.linalg.inv(cell))[:, None] - sites
        offsets = (offsets - np.rint(offsets)) @ cell
        nearest = np.linalg.norm(offsets, axis=2).argmin(axis=1)
        return offsets[np.arange(len(atoms)), nearest]

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        u = self.displacements(self.atoms)
        i, j, d, vectors = neighbor_list("ijdD", self.atoms, self.cutoff + 0.2)
        rest = np.linalg.norm(vectors - u[j] + u[i], axis=1)
        k = np.where(rest < self.cutoff, stiffness(rest), 0.0)
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, i, (k * (d - rest) / d)[:, None] * vectors)
        self.results = {"energy": 0.25 * float((k * (d - rest) ** 2).sum()), "forces": forces}


def stiffness_matrix(atoms: Atoms, cutoff: float) -> np.ndarray:
    """Force on atom 1 per displacement against atom 0 in a diatomic crystal, eV/Å²; (3, 3)."""
    i, j, d, vectors = neighbor_list("ijdD", atoms, cutoff)
    between = (i == 1) & (j == 0)
    unit = vectors[between] / d[between, None]
    return np.einsum("k,ka,kb->ab", stiffness(d[between]), unit, unit)
