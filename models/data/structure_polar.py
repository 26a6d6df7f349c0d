"""Polar distortions that keep the rotations about one axis; ideal perovskites to distort."""

from __future__ import annotations

import itertools

import numpy as np
import spglib
from ase import Atoms
from structure_bases import Base, reduced, split_of
from structure_kinds import displace, rms_of, strain, supercell

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
    return _distorted(base.atoms, rng, *_operations(base.atoms))


def make_polar_supercell(base: Base, rng: np.random.Generator, most: int) -> Atoms | None:
    """Distort a supercell so that the rotations about one axis through an atom remain."""
    atoms = supercell(base.atoms, rng, most, len(base.atoms) + 1)
    if len(atoms) == len(base.atoms):
        return None
    centre = int(rng.integers(len(atoms)))
    pairs = zip(*_operations(atoms), strict=True)
    kept = [(r, t) for r, t in pairs if _images(atoms, r, t)[centre] == centre]
    return _distorted(atoms, rng, [r for r, _ in kept], [t for _, t in kept])


def _distorted(
    atoms: Atoms,
    rng: np.random.Generator,
    rotations: list[np.ndarray],
    translations: list[np.ndarray],
) -> Atoms | None:
    """Displace the atoms and change the cell; None if no operation is a rotation."""
    proper = [r for r in rotations if np.linalg.det(r) > 0 and not np.allclose(r, np.eye(3))]
    if not proper:
        return None
    chosen = proper[int(rng.integers(len(proper)))]
    values, vectors = np.linalg.eig(chosen.T)
    axis = np.real(vectors[:, np.argmin(np.abs(values - 1))])
    kept = [
        (rotation, translation)
        for rotation, translation in zip(rotations, translations, strict=True)
        if np.allclose(axis @ rotation, axis, atol=1e-3)
    ]
    atoms = atoms.copy()
    rms = rms_of(rng)
    free = displace(atoms, rng, rms).positions - atoms.positions
    symmetric = np.zeros_like(free)
    for rotation, translation in kept:
        symmetric[_images(atoms, rotation, translation)] += free @ rotation
    symmetric *= rms / np.sqrt(np.mean(symmetric**2))
    # rows of the cell, so that x → x (1 + strain)
    shape = np.linalg.solve(atoms.cell[:], strain(atoms, rng).cell[:]) - np.eye(3)
    shape = sum(rotation.T @ shape @ rotation for rotation, _ in kept) / len(kept)
    shape = shape * int(rng.integers(2)) + rng.uniform(-0.03, 0.03) * np.eye(3)
    atoms.positions += symmetric
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + shape), scale_atoms=True)
    return atoms


def _operations(atoms: Atoms) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the symmetry operations of a crystal.

    Rotations are matrices that rows of Cartesian vectors are multiplied by, translations are in
    fractions of the cell.
    """
    found = spglib.get_symmetry(
        (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers), symprec=1e-2
    )
    inverse = np.linalg.inv(atoms.cell[:])
    rotations = [inverse @ rotation.T @ atoms.cell[:] for rotation in found["rotations"]]
    return rotations, list(found["translations"])


def _images(atoms: Atoms, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Return which atom each atom is taken to by an operation."""
    moved = atoms.positions @ rotation + translation @ atoms.cell[:]
    apart = np.linalg.solve(atoms.cell[:].T, (moved[:, None] - atoms.positions).reshape(-1, 3).T).T
    apart -= np.rint(apart)
    distance = np.linalg.norm(apart @ atoms.cell[:], axis=1).reshape(len(atoms), len(atoms))
    distance[atoms.numbers[:, None] != atoms.numbers] = np.inf
    return np.argmin(distance, axis=1)
