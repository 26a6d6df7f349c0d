"""What is done to a crystal: displacements, strains, defects, slabs; and molecules and water."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import spglib
from ase import Atoms
from ase.build import molecule, surface
from ase.collections import g2
from ase.data import atomic_masses, covalent_radii
from ase.formula import Formula
from ase.geometry import find_mic
from structure_bases import Base, reduced

ANIONS = {"O", "S", "Se", "Te", "F", "Cl", "Br", "I", "N"}
ISOVALENT = [
    ["Li", "Na", "K", "Rb", "Cs"],
    ["Cu", "Ag"],
    ["Mg", "Ca", "Sr", "Ba"],
    ["Zn", "Cd", "Hg", "Mg"],
    ["Al", "Ga", "In"],
    ["Sc", "Y", "La", "Lu"],
    ["Si", "Ge", "Sn"],
    ["Ti", "Zr", "Hf"],
    ["Nb", "Ta"],
    ["Mo", "W"],
    ["P", "As", "Sb", "Bi"],
    ["O", "S", "Se", "Te"],
    ["F", "Cl", "Br", "I"],
]


def supercell(atoms: Atoms, rng: np.random.Generator, most: int, least: int = 1) -> Atoms:
    """Return a random supercell of at most so many atoms, its cell reduced to a compact one."""
    largest = max(1, most // len(atoms))
    smallest = min(largest, math.ceil(least / len(atoms)))
    size = int(rng.integers(smallest, largest + 1))
    if size == 1:
        return atoms.copy()
    # a random Hermite normal form of that determinant; the most compact of a few
    best: Atoms | None = None
    for _ in range(12):
        first = int(rng.choice([d for d in range(1, size + 1) if size % d == 0]))
        rest = size // first
        second = int(rng.choice([d for d in range(1, rest + 1) if rest % d == 0]))
        diagonal = [first, second, rest // second]
        rows = np.diag(diagonal)
        rows[1, 0], rows[2, 0] = rng.integers(0, diagonal[0], 2)
        rows[2, 1] = rng.integers(0, diagonal[1])
        lattice = spglib.niggli_reduce(rows @ atoms.cell[:])
        if lattice is None:
            continue
        matrix = np.rint(np.linalg.solve(atoms.cell[:].T, lattice.T).T).astype(int)
        if abs(round(np.linalg.det(matrix))) != size:
            continue
        new = _repeat(atoms, matrix)
        if best is None or new.cell.lengths().max() < best.cell.lengths().max():
            best = new
    return best if best is not None else atoms.copy()


def _repeat(atoms: Atoms, matrix: np.ndarray) -> Atoms:
    """Return the supercell whose rows are integer combinations of the cell's vectors."""
    reach = int(np.abs(matrix).sum(0).max())
    steps = np.arange(-reach, reach + 1)
    shifts = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
    inside = shifts @ np.linalg.inv(matrix)
    keep = shifts[np.all((inside > -1e-6) & (inside < 1 - 1e-6), axis=1)]
    positions = (atoms.positions[None] + (keep @ atoms.cell[:])[:, None]).reshape(-1, 3)
    new = Atoms(np.tile(atoms.numbers, len(keep)), positions, cell=matrix @ atoms.cell[:], pbc=True)
    if new.cell.volume and np.linalg.det(new.cell[:]) < 0:
        new.set_cell(-new.cell[:])
    new.wrap()
    return new


def displace(atoms: Atoms, rng: np.random.Generator, rms: float) -> Atoms:
    """Return a copy with Gaussian displacements of that root mean square per component, Å."""
    scale = atomic_masses[atoms.numbers] ** -0.25
    scale *= rms / np.sqrt(np.mean(scale**2))
    new = atoms.copy()
    new.positions += rng.normal(size=(len(atoms), 3)) * scale[:, None]
    return new


def strain(atoms: Atoms, rng: np.random.Generator, most: float = 0.04) -> Atoms:
    """Return a copy with a random symmetric strain, its components up to ``most``."""
    components = rng.uniform(-most, most, (3, 3))
    new = atoms.copy()
    new.set_cell(atoms.cell[:] @ (np.eye(3) + (components + components.T) / 2), scale_atoms=True)
    return new


def rms_of(rng: np.random.Generator) -> float:
    """Draw the size of displacements, Å."""
    return float(rng.uniform(0.03, 0.15))


def distances(atoms: Atoms) -> np.ndarray:
    """Return all distances between atoms and each other's nearest images, Å."""
    vectors = atoms.positions[:, None] - atoms.positions[None]
    _, lengths = find_mic(vectors.reshape(-1, 3), atoms.cell, atoms.pbc)
    lengths = lengths.reshape(len(atoms), len(atoms))
    np.fill_diagonal(lengths, atoms.cell.lengths().min() if atoms.pbc.any() else np.inf)
    return np.asarray(lengths)


def too_close(atoms: Atoms, share: float = 0.65) -> bool:
    """Say whether two atoms are nearer than that share of the sum of their covalent radii."""
    radii = covalent_radii[atoms.numbers]
    return bool(np.any(distances(atoms) < share * (radii[:, None] + radii[None])))


def make_thermal(base: Base, rng: np.random.Generator, most: int) -> Atoms:
    """Displace the atoms of a supercell."""
    return displace(supercell(base.atoms, rng, most, 4), rng, rms_of(rng))


def make_strained(base: Base, rng: np.random.Generator, most: int) -> Atoms:
    """Strain a small supercell, perhaps displace its atoms."""
    new = strain(supercell(base.atoms, rng, min(most, 8)), rng)
    return displace(new, rng, rms_of(rng)) if rng.random() < 0.5 else new


def make_volume(base: Base, rng: np.random.Generator, most: int) -> Atoms:
    """Compress or expand a supercell and displace its atoms."""
    new = supercell(base.atoms, rng, most, 4)
    new.set_cell(new.cell[:] * (1 + rng.uniform(-0.15, 0.1)) ** (1 / 3), scale_atoms=True)
    return displace(new, rng, rms_of(rng))


def make_vacancy(base: Base, rng: np.random.Generator, most: int) -> Atoms | None:
    """Take a neutral oxygen or sulfur atom or a whole formula unit out of a supercell."""
    new = supercell(base.atoms, rng, most + 2, 6)
    symbols = np.array(new.get_chemical_symbols())
    unit = Counter(dict(Formula(base.group).count()))
    anions = np.flatnonzero(np.isin(symbols, ["O", "S"]))
    if len(anions) > 2 and len(new) >= 6 and rng.random() < 0.5:
        taken = [int(rng.choice(anions))]
    elif len(new) // sum(unit.values()) > 1 and sum(unit.values()) <= 3:
        first = int(rng.integers(len(new)))
        order = np.argsort(distances(new)[first], kind="stable")
        order = np.concatenate(([first], order[order != first]))
        taken = []
        for atom in order:
            if unit[symbols[atom]] > 0:
                unit[symbols[atom]] -= 1
                taken.append(int(atom))
    else:
        return None
    del new[taken]
    return displace(new, rng, rms_of(rng))


def make_substitution(base: Base, rng: np.random.Generator, most: int) -> Atoms | None:
    """Replace an atom by one of the same valence."""
    new = supercell(base.atoms, rng, most, 4)
    atom = int(rng.integers(len(new)))
    family = [f for f in ISOVALENT if new[atom].symbol in f]
    if not family:
        return None
    choice = family[int(rng.integers(len(family)))]
    new[atom].symbol = str(rng.choice([s for s in choice if s != new[atom].symbol]))
    return displace(new, rng, rms_of(rng))


def make_frenkel(base: Base, rng: np.random.Generator, most: int) -> Atoms | None:
    """Move an atom to the largest void, or exchange two unlike cations."""
    new = supercell(base.atoms, rng, most, 6)
    if len(new) < 6:
        return None
    kinds = sorted(set(new.get_chemical_symbols()) - ANIONS)
    if len(kinds) > 1 and rng.random() < 0.5:
        first, second = rng.choice(kinds, 2, replace=False)
        symbols = np.array(new.get_chemical_symbols())
        one = int(rng.choice(np.flatnonzero(symbols == first)))
        two = int(rng.choice(np.flatnonzero(symbols == second)))
        new[one].symbol, new[two].symbol = str(second), str(first)
    else:
        moved = int(rng.integers(len(new)))
        points = rng.random((400, 3)) @ new.cell[:]
        vectors = points[:, None] - new.positions[None]
        _, far = find_mic(vectors.reshape(-1, 3), new.cell, True)
        nearest = far.reshape(len(points), -1).min(1)
        new.positions[moved] = points[int(np.argmax(nearest))]
    return displace(new, rng, rms_of(rng) / 2)


def make_slab(base: Base, rng: np.random.Generator, most: int) -> Atoms | None:
    """Cut a thin slab without a dipole; None for other structure types."""
    cell = (base.atoms.cell[:], base.atoms.get_scaled_positions(), base.atoms.numbers)
    data = spglib.get_symmetry_dataset(cell, symprec=1e-2)
    miller = {(225, 2): (1, 0, 0), (216, 2): (1, 1, 0), (225, 3): (1, 1, 1)}.get(
        (data.number, len(base.atoms))
    )
    if miller is None:
        return None
    crystal = Atoms(data.std_types, cell=data.std_lattice, scaled_positions=data.std_positions)
    crystal.pbc = True
    layers = int(rng.integers(1, 3)) if miller == (1, 0, 0) else int(rng.integers(2, 4))
    slab = surface(crystal, miller, layers if miller != (1, 1, 1) else 1, vacuum=0)
    slab.pbc = True
    thick = np.ptp(slab.positions[:, 2])
    slab.set_cell([*slab.cell[:2], [0, 0, thick + 8]])
    primitive = spglib.find_primitive(
        (slab.cell[:], slab.get_scaled_positions(), slab.numbers), symprec=1e-3
    )
    slab = Atoms(primitive[2], cell=primitive[0], scaled_positions=primitive[1], pbc=True)
    if reduced(slab) != base.group or len(slab) > most:
        return None
    return displace(slab, rng, rms_of(rng) * 0.7)


MAKERS = {
    "thermal": make_thermal,
    "strained": make_strained,
    "volume": make_volume,
    "vacancy": make_vacancy,
    "substitution": make_substitution,
    "frenkel": make_frenkel,
    "slab": make_slab,
    "relaxed": lambda base, rng, most: base.atoms.copy(),
}


# --- molecules and water --------------------------------------------------------------------------


def molecules(valence: dict[str, int], excluded: set[str]) -> list[str]:
    """Return the closed-shell molecules of the G2 set with at most ten atoms."""
    names = []
    for name in g2.names:
        atoms = g2[name]
        closed = not np.any(atoms.get_initial_magnetic_moments())
        electrons = sum(valence.get(symbol, 1) for symbol in atoms.get_chemical_symbols())
        fit = electrons % 2 == 0 and 2 <= len(atoms) <= 10 and len(set(atoms.symbols)) > 1
        known = reduced(atoms) not in excluded and set(atoms.symbols) <= set(valence)
        if closed and fit and known:
            names.append(name)
    return names


def make_molecule(name: str, rng: np.random.Generator) -> Atoms:
    """Put a molecule, turned at random, into a box."""
    atoms = molecule(name)
    atoms.rotate(*random_turn(rng))
    atoms.set_cell(np.diag(np.ptp(atoms.positions, axis=0) + 6))
    atoms.center()
    atoms.pbc = True
    return displace(positions_alone(atoms), rng, float(rng.uniform(0.02, 0.08)))


def random_turn(rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Return an angle, degrees, and an axis."""
    return float(rng.uniform(0, 360)), rng.normal(size=3)


def positions_alone(atoms: Atoms) -> Atoms:
    """Return a copy with nothing but atoms and cell, periodic."""
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def make_water(rng: np.random.Generator) -> Atoms | None:
    """Pack water molecules at random; their intermolecular distances are those of the liquid."""
    count = int(rng.integers(2, 5))
    density = float(rng.uniform(0.8, 1.8))
    volume = count * 18.015 / (0.602214 * density)
    shape = np.exp(rng.uniform(-0.15, 0.15, 3))
    lengths = volume ** (1 / 3) * shape / np.prod(shape) ** (1 / 3)
    if cluster := rng.random() < 0.3:
        lengths = lengths + 5
    # the distances are to be as far apart as chance allows in so many trials
    best, score = None, 0.0
    limits = {(1, 1): 1.9, (1, 8): 1.6, (8, 8): 2.5}
    for _ in range(1500):
        new = Atoms(cell=lengths, pbc=True)
        for _ in range(count):
            one = molecule("H2O")
            one.rotate(*random_turn(rng))
            place = rng.random(3) * (lengths - 5 if cluster else lengths)
            one.positions += place - one.positions[0]
            new += positions_alone(one)
        far = distances(new)
        far[np.repeat(np.arange(count), 3)[:, None] == np.repeat(np.arange(count), 3)] = np.inf
        pair = [[limits[min(a, b), max(a, b)] for b in new.numbers] for a in new.numbers]
        tight = float(np.min(far / np.array(pair)))
        if tight > score:
            best, score = new, tight
        if score > 0.98:
            break
    return displace(best, rng, float(rng.uniform(0.02, 0.08))) if best and score > 0.85 else None
