#!/usr/bin/env python3
"""Make the structures of models/data/displaced.extxyz.gz, ready for ``ase-equivar label``.

    python models/data/make_structures.py ../shared/data structures.extxyz \
        --pseudopotentials FOLDER [--number 900] [--seed 20]

The same seed, data and versions of NumPy and ASE give the same structures. Every structure
has its own random generator, seeded with (seed, number), which ``info["seed"]`` records.

Kinds, ``info["kind"]``, in a mix that is the same from the first to the last structure:

thermal
    All atoms of a crystal or a small supercell displaced by Gaussian noise, root mean square
    per component 0.03 to 0.15 Å; lighter atoms move more, as m^(-1/4), the zero-point law.
strained
    A random strain of up to 4 %, shear included, half of them with displacements as well.
volume
    Compressed by up to 15 % or expanded by up to 10 % in volume, displaced.
vacancy
    One formula unit, or one neutral oxygen or sulfur atom, taken out of a supercell; displaced.
substitution
    One atom replaced by one of the same valence; displaced.
frenkel
    One atom moved to the largest void of a supercell, or two unlike cations exchanged;
    displaced.
slab
    Thin unpolar slabs of rock salts (100), zincblendes (110) and fluorites (111); displaced.
molecule
    Closed-shell molecules of ASE's G2 set in a box with 6 Å of vacuum; displaced.
water
    Two to four water molecules, packed at random at 0.8 to 1.8 g/cm³; clusters of water in a box.
relaxed
    Crystals of Petousis 2017 and Naccarato 2019 that have no Z* label anywhere, as they are.

Where the crystals come from: ``crystals/train``, ``dielectric/petousis2017`` and
``dielectric/naccarato2019``. Kept are those with elements of the pseudopotential table, an even
number of electrons, at most 14 atoms, no ε∞ above 14 (small gaps are expensive), no Fe, Co, Ni,
and V, Cr, Mn only where they can be d⁰.

Splits, ``info["split"]``. ``info["group"]`` is the reduced composition of the crystal that a
structure was made from, and the split is a function of the group alone, so no group can lie in
two splits:

- groups in ``crystals/valid`` or ``crystals/test``, and SiO2, BaTiO3 and ZrO2, are never used;
- groups in ``crystals/train`` are always in train: a model has seen their relaxed crystals;
- the rest, which no labelled crystal has, goes by a hash of the formula: 20 % to test, 20 % to
  valid, 60 % to train. About half of all structures are of this sort, hence 80/10/10 in all.

A defect changes the composition; a defect whose own composition is excluded or belongs to
another split is not made.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import spglib
from ase import Atoms
from ase.build import molecule, surface
from ase.collections import g2
from ase.data import atomic_masses, covalent_radii
from ase.formula import Formula
from ase.geometry import find_mic
from ase.io import write

from ase_equivar.io.extxyz import read_images
from ase_equivar.labelling.mesh import choose_mesh, compact_cell

ZERO_SHOT = ("SiO2", "BaTiO3", "ZrO2")
MAGNETIC = {"Fe", "Co", "Ni"}
# V, Cr and Mn only in these states; the states of what surrounds them, to find out
HIGHEST = {"V": 5, "Cr": 6, "Mn": 7}
STATES = {
    **dict.fromkeys(["H", "Li", "Na", "K", "Rb", "Cs", "Ag", "Cu", "Tl"], 1),
    **dict.fromkeys(["Be", "Mg", "Ca", "Sr", "Ba", "Zn", "Cd", "Hg", "Pb"], 2),
    **dict.fromkeys(["B", "Al", "Ga", "In", "Sc", "Y", "La", "Lu", "Bi"], 3),
    **dict.fromkeys(["C", "Si", "Ge", "Ti", "Zr", "Hf"], 4),
    **dict.fromkeys(["P", "As", "Nb", "Ta"], 5),
    **dict.fromkeys(["O", "S", "Se", "Te"], -2),
    **dict.fromkeys(["F", "Cl", "Br", "I"], -1),
    "N": -3,
}
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
MIX = (
    "thermal relaxed strained substitution thermal molecule volume slab "
    "thermal relaxed vacancy thermal strained water thermal frenkel"
)


@dataclass(frozen=True)
class Base:
    """A crystal to start from: where it is, its composition group and its split."""

    atoms: Atoms
    source: str
    group: str
    split: str
    labelled: bool
    dielectric: float


def reduced(atoms: Atoms) -> str:
    """Return the reduced formula, elements in alphabetical order."""
    return Formula(atoms.get_chemical_formula()).reduce()[0].format("abc")


def split_of(group: str, trained: set[str]) -> str:
    """Return the split of a composition group; see the top of this file."""
    if group in trained:
        return "train"
    share = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32
    return "test" if share < 0.2 else "valid" if share < 0.4 else "train"


def valences(folder: Path) -> dict[str, int]:
    """Return the number of valence electrons of every element that has a file."""
    found = {}
    for path in sorted(folder.glob("*.upf")):
        match = re.search(r'z_valence\s*=\s*"\s*([\d.Ee+-]+)', path.read_text())
        if match:
            found[path.stem] = round(float(match[1]))
    return found


def likely_insulator(atoms: Atoms, valence: dict[str, int]) -> bool:
    """Say whether a crystal is likely a closed-shell insulator that the table can describe."""
    symbols = atoms.get_chemical_symbols()
    kinds = set(symbols)
    if not kinds <= set(valence) or kinds & MAGNETIC or len(kinds) < 2:
        return False
    if sum(valence[symbol] for symbol in symbols) % 2:
        return False
    if kinds & set(HIGHEST):
        known = STATES | HIGHEST
        return kinds <= set(known) and sum(known[symbol] for symbol in symbols) == 0
    return True


def electronic_constant(atoms: Atoms) -> float:
    """Return the mean of the eigenvalues of ε∞ that the data give."""
    if "refractive_index_principal" in atoms.info:
        return float(np.mean(np.square(atoms.info["refractive_index_principal"])))
    return float(np.trace(atoms.info["electronic_dielectric_tensor"])) / 3


def collect_bases(data: Path, valence: dict[str, int]) -> tuple[list[Base], set[str], set[str]]:
    """Return the crystals to start from, the compositions trained on and those excluded."""
    trained = {reduced(atoms) for atoms in read_images(data / "crystals/train.extxyz.gz")}
    excluded = {reduced(Atoms(formula)) for formula in ZERO_SHOT}
    for part in ("valid", "test"):
        excluded |= {reduced(atoms) for atoms in read_images(data / f"crystals/{part}.extxyz.gz")}
    bases = []
    seen: set[tuple[str, int]] = set()
    for name in ("crystals/train", "dielectric/petousis2017", "dielectric/naccarato2019"):
        for number, atoms in enumerate(read_images(data / f"{name}.extxyz.gz")):
            group = reduced(atoms)
            if group in excluded or len(atoms) > 14 or not likely_insulator(atoms, valence):
                continue
            dielectric = electronic_constant(atoms)
            if dielectric > 14 or (group, len(atoms)) in seen:
                continue
            seen.add((group, len(atoms)))
            clean = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
            labelled = group in trained
            split = split_of(group, trained)
            source = f"{name}:{number}"
            bases.append(Base(clean, source, group, split, labelled, dielectric))
    return bases, trained, excluded


# --- what is done to a crystal ------------------------------------------------------------------


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
    atoms.rotate(*_random_turn(rng))
    atoms.set_cell(np.diag(np.ptp(atoms.positions, axis=0) + 6))
    atoms.center()
    atoms.pbc = True
    return displace(_clean(atoms), rng, float(rng.uniform(0.02, 0.08)))


def _random_turn(rng: np.random.Generator) -> tuple[float, np.ndarray]:
    return float(rng.uniform(0, 360)), rng.normal(size=3)


def _clean(atoms: Atoms) -> Atoms:
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
            one.rotate(*_random_turn(rng))
            place = rng.random(3) * (lengths - 5 if cluster else lengths)
            one.positions += place - one.positions[0]
            new += _clean(one)
        far = distances(new)
        far[np.repeat(np.arange(count), 3)[:, None] == np.repeat(np.arange(count), 3)] = np.inf
        pair = [[limits[min(a, b), max(a, b)] for b in new.numbers] for a in new.numbers]
        tight = float(np.min(far / np.array(pair)))
        if tight > score:
            best, score = new, tight
        if score > 0.98:
            break
    return displace(best, rng, float(rng.uniform(0.02, 0.08))) if best and score > 0.85 else None


# --- the whole set ------------------------------------------------------------------------------


class Choice:
    """Draws crystals so that the rarest elements so far come next, half of them new ones."""

    def __init__(self, bases: list[Base], valence: dict[str, int], rng: np.random.Generator):
        self.bases = [bases[i] for i in rng.permutation(len(bases))]
        self.valence = valence
        self.elements: Counter[str] = Counter()
        self.groups: Counter[str] = Counter()

    def ranked(self, labelled: bool, atoms: int, electrons: int) -> list[Base]:
        """Return the crystals within those limits, the most wanted first."""
        fit = [
            base
            for base in self.bases
            if base.labelled == labelled
            and len(base.atoms) <= atoms
            and sum(self.valence[s] for s in base.atoms.get_chemical_symbols()) <= electrons
        ]
        return sorted(fit, key=self._use)

    def _use(self, base: Base) -> float:
        kinds = set(base.atoms.get_chemical_symbols())
        rarity = sum(1 / (1 + self.elements[symbol]) for symbol in kinds) / len(kinds)
        return 4 * self.groups[base.group] - rarity

    def used(self, base: Base) -> None:
        """Count a crystal as used."""
        self.groups[base.group] += 1
        self.elements.update(set(base.atoms.get_chemical_symbols()))


def make_all(data: Path, valence: dict[str, int], number: int, seed: int) -> list[Atoms]:
    """Return that many structures in the order in which to label them."""
    bases, trained, excluded = collect_bases(data, valence)
    choice = Choice(bases, valence, np.random.default_rng(seed))
    slabs = [base for base in choice.bases if len(base.atoms) <= 3]
    names = molecules(valence, excluded)
    owner = {base.group: base.split for base in bases}
    made: list[Atoms] = []
    kinds = MIX.split()
    for index in range(number):
        kind = kinds[index % len(kinds)]
        rng = np.random.default_rng([seed, index])
        # small cells first
        stage = index / number
        most = 8 if stage < 0.4 else 10 if stage < 0.7 else 14
        electrons = 64 if stage < 0.2 else 90 if stage < 0.6 else 130
        result: tuple[Atoms, str, str, str] | None = None
        if kind == "molecule":
            name = names[int(rng.integers(len(names)))]
            group = reduced(molecule(name))
            result = (make_molecule(name, rng), f"g2:{name}", group, split_of(group, trained))
        elif kind == "water":
            water = make_water(rng)
            if water is not None:
                result = (water, "water", "H2O", split_of("H2O", trained))
        else:
            labelled = kind != "relaxed" and bool(rng.random() < 0.35)
            if kind == "slab":
                ranked = sorted(slabs, key=lambda base: choice.groups["slab " + base.group])
            else:
                ranked = choice.ranked(labelled, most, electrons)
            for base in ranked:
                atoms = MAKERS[kind](base, rng, most)
                if atoms is None or too_close(atoms):
                    continue
                total = sum(valence.get(s, 1) for s in atoms.get_chemical_symbols())
                own = reduced(atoms)
                other = owner.get(own, split_of(own, trained) if own in trained else base.split)
                if total % 2 or own in excluded or other != base.split or total > 1.6 * electrons:
                    continue
                if not set(atoms.get_chemical_symbols()) <= set(valence):
                    continue
                result = (atoms, base.source, base.group, base.split)
                choice.used(base)
                choice.groups["slab " + base.group] += kind == "slab"
                break
        if result is None:
            continue
        atoms, source, group, split = result
        atoms.info = {
            "kind": kind,
            "seed": f"{seed}-{index}",
            "base": source,
            "group": group,
            "split": split,
        }
        made.append(atoms)
    return cheap_first(made, valence, {base.source: base.dielectric for base in bases})


def cheap_first(
    made: list[Atoms], valence: dict[str, int], dielectric: dict[str, float]
) -> list[Atoms]:
    """Return the structures so that cheap ones come first and all kinds end together."""
    costs = []
    for atoms in made:
        compact = compact_cell(atoms)
        points = np.prod(choose_mesh(compact, 10.0).numbers)
        symmetry = spglib.get_symmetry(
            (compact.cell[:], compact.get_scaled_positions(), compact.numbers)
        )
        electrons = sum(valence[symbol] for symbol in atoms.get_chemical_symbols())
        # the smaller the gap, the larger ε∞, and the longer the period that is needed
        hard = max(1.0, dielectric.get(atoms.info["base"], 2.0) / 4) ** 2
        work = points / max(2, len(symmetry["rotations"])) * atoms.cell.volume
        costs.append(hard * work * electrons * (1 + electrons / 60))
    kinds: dict[str, list[int]] = {}
    for index in np.argsort(costs, kind="stable"):
        kinds.setdefault(made[index].info["kind"], []).append(int(index))
    share = {
        index: (rank + 0.5) / len(members)
        for members in kinds.values()
        for rank, index in enumerate(members)
    }
    return [made[index] for index in sorted(share, key=lambda index: (share[index], index))]


def main() -> None:
    """Make the structures, write them and print how many of each kind and split there are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with crystals/ and dielectric/")
    parser.add_argument("output", type=Path)
    parser.add_argument("--pseudopotentials", type=Path, required=True)
    parser.add_argument("--number", type=int, default=900)
    parser.add_argument("--seed", type=int, default=20)
    arguments = parser.parse_args()
    valence = valences(arguments.pseudopotentials)
    made = make_all(arguments.data, valence, arguments.number, arguments.seed)
    write(arguments.output, made, format="extxyz")
    for key in ("kind", "split"):
        print(dict(Counter(atoms.info[key] for atoms in made).most_common()))
    elements = Counter(symbol for atoms in made for symbol in set(atoms.get_chemical_symbols()))
    print(len(made), "structures,", len({a.info["group"] for a in made}), "groups;", elements)


if __name__ == "__main__":
    main()
