"""Springs that know strain: forces and stress of strained, rotated and displaced crystals."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list

from helpers.springs import stiffness

LATTICES = 6  # the cell of a structure may be a multiple or a sixth of the reference's


class ElasticSprings(Calculator):
    """Springs between all atoms closer than `cutoff` (Å) in `reference`, at rest there.

    Takes any cell of the reference's lattice, strained by a few percent. With `charges`, shape (N,
    3, 3) in the order of the reference, and a field, V/Å, forces Z*ᵀ E are added.
    """

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, reference: Atoms, cutoff: float, charges=None, field=(0, 0, 0)) -> None:
        super().__init__()
        self.reference, self.cutoff = reference.copy(), cutoff
        self.neighbors: dict[tuple[bytes, bytes], tuple[np.ndarray, ...]] = {}
        self.charges, self.field = charges, np.array(field, dtype=float)

    def ideal(self, atoms):
        """Return the unstrained crystal in the cell of `atoms`, and which sites its atoms are."""
        cell = self.reference.cell.array
        change = np.rint(LATTICES * atoms.cell.array @ np.linalg.inv(cell)) / LATTICES
        lattice = change @ cell
        positions = atoms.get_scaled_positions(wrap=False) @ lattice
        sites = self.reference.positions
        offsets = (positions[:, None] - sites) @ np.linalg.inv(cell)
        offsets = (offsets - np.rint(offsets)) @ cell
        nearest = np.linalg.norm(offsets, axis=2).argmin(axis=1)
        rest = positions - offsets[np.arange(len(atoms)), nearest]
        return Atoms(atoms.numbers, rest, cell=lattice, pbc=True), nearest

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        ideal, sites = self.ideal(self.atoms)
        deformation = np.linalg.solve(ideal.cell.array, self.atoms.cell.array)
        u = self.atoms.positions - ideal.positions @ deformation
        key = (ideal.cell.array.round(6).tobytes(), ideal.positions.round(6).tobytes())
        if key not in self.neighbors:
            self.neighbors[key] = neighbor_list("ijdD", ideal, self.cutoff)
        i, j, rest, vectors = self.neighbors[key]
        vectors = vectors @ deformation + u[j] - u[i]
        d = np.linalg.norm(vectors, axis=1)
        pull = stiffness(rest) * (d - rest) / d
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, i, pull[:, None] * vectors)
        energy = 0.25 * float((stiffness(rest) * (d - rest) ** 2).sum())
        stress = np.einsum("k,ka,kb->ab", pull, vectors, vectors) / (2 * self.atoms.get_volume())
        if self.charges is not None:
            forces += np.einsum("a,iac->ic", self.field, self.charges[sites])
        voigt = stress[(0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]
        self.results = {"energy": energy, "forces": forces, "stress": voigt}
