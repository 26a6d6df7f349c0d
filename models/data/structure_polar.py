"""Polar distortions that keep the rotations about one axis; ideal perovskites to distort."""

from __future__ import annotations

import itertools

import numpy as np
from ase import Atoms
from structure_bases import Base, reduced, split_of
from structure_kinds import displace, rms_of, strain, supercell

from ase_equivar.structures.symmetry import Operation, space_group, spglib_cell

# ionic radii of Shannon, Acta Cryst. A 32, 751 (1976), Å: of A with twelve neighbours, of B with
# six, of oxygen
A_RADII = {
    1: {"Na": 1.39, "K": 1.64, "Rb": 1.72, "Cs": 1.88},
    2: {"Ca": 1.34, "Sr": 1.44, "Ba": 1.61, "Pb": 1.49, "Cd": 1.31},
    3: {"La": 1.36, "Y": 1.22, "Bi": 1.30},
}
B_RADII = {
    5: {"Nb": 0.64, "Ta": 0.64},
    4: {"Ti": 0.605, "Zr": 0.72, "Hf": 0.71, "Sn": 0.69, "Ge": 0.53, "Si": 0.40},
    3: {"Al": 0.535, "Ga": 0.62, "Sc": 0.745, "In": 0.80, "Y": 0.90},
}
OXYGEN_RADIUS = 1.40
IDEAL = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]


def perovskites(trained: set[str], excluded: set[str]) -> list[Base]:
    """Return ideal cubic perovskites ABO3 with lattice constants from ionic radii.

    Ions touch along B-O, or along A-O if that is longer. Both are a little shorter in crystals than
    the radii say, by 2 and 7 %: SrTiO3, KTaO3 and BaHfO3 are then right to 2 %.
    """
    bases = []
    for charge in A_RADII:
        for a, b in itertools.product(A_RADII[charge].items(), B_RADII[6 - charge].items()):
            along_a = np.sqrt(2) * (a[1] + OXYGEN_RADIUS)
            along_b = 2 * (b[1] + OXYGEN_RADIUS)
            if a[0] == b[0] or not 0.8 < along_a / along_b < 1.12:  # the tolerance factor
                continue
            length = max(0.98 * along_b, 0.93 * along_a)
            atoms = Atoms(
                [a[0], b[0], "O", "O", "O"], scaled_positions=IDEAL, cell=[length] * 3, pbc=True
            )
            group = reduced(atoms)
            if group not in excluded:
                source = f"perovskite:{a[0]}{b[0]}O3"
                labelled = group in trained
                bases.append(Base(atoms, source, group, split_of(group, trained), labelled, 5.0))
    return bases


def make_polar(base: Base, rng: np.random.Generator, most: int) -> Atoms | None:
    """Distort the cell of a crystal so that the rotations about one axis remain.

    The axis is that of a random rotation of the crystal. What remains of the symmetry makes the
    response two to eight times cheaper than that of free displacements.
    """
    return _distorted(base.atoms, rng, _operations(base.atoms))


def make_polar_supercell(base: Base, rng: np.random.Generator, most: int) -> Atoms | None:
    """Distort a supercell so that the rotations about one axis through an atom remain."""
    atoms = supercell(base.atoms, rng, most, len(base.atoms) + 1)
    if len(atoms) == len(base.atoms):
        return None
    centre = int(rng.integers(len(atoms)))
    kept = [one for one in _operations(atoms) if one.images[centre] == centre]
    return _distorted(atoms, rng, kept)


def _distorted(atoms: Atoms, rng: np.random.Generator, operations: list[Operation]) -> Atoms | None:
    """Displace the atoms and change the cell; None if no operation is a rotation."""
    rotations = [one.rotation for one in operations]
    proper = [r for r in rotations if np.linalg.det(r) > 0 and not np.allclose(r, np.eye(3))]
    if not proper:
        return None
    chosen = proper[int(rng.integers(len(proper)))]
    values, vectors = np.linalg.eig(chosen)
    axis = np.real(vectors[:, np.argmin(np.abs(values - 1))])
    kept = [one for one in operations if np.allclose(one.rotation @ axis, axis, atol=1e-3)]
    atoms = atoms.copy()
    rms = rms_of(rng)
    free = displace(atoms, rng, rms).positions - atoms.positions
    symmetric = np.zeros_like(free)
    for one in kept:
        symmetric[one.images] += free @ one.rotation.T
    symmetric *= rms / np.sqrt(np.mean(symmetric**2))
    # rows of the cell, so that x → x (1 + strain)
    shape = np.linalg.solve(atoms.cell[:], strain(atoms, rng).cell[:]) - np.eye(3)
    shape = np.mean([one.rotation @ shape @ one.rotation.T for one in kept], axis=0)
    shape = shape * int(rng.integers(2)) + rng.uniform(-0.03, 0.03) * np.eye(3)
    atoms.positions += symmetric
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + shape), scale_atoms=True)
    return atoms


def _operations(atoms: Atoms) -> list[Operation]:
    """Return the symmetry operations of a crystal."""
    cell = spglib_cell(atoms)
    found = space_group(cell, 1e-2)
    pairs = [] if found is None else zip(found.rotations, found.translations, strict=True)
    return [Operation.of(cell, rotation, translation) for rotation, translation in pairs]
