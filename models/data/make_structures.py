#!/usr/bin/env python3
"""Make the structures of models/data/displaced, ready for ``ase-equivar label``.

    python models/data/make_structures.py ../shared/data structures.extxyz \
        --pseudopotentials FOLDER [--number 900] [--seed 20]
        [--kinds thermal strained volume] [--element O] [--groups KNbO3 GeO2]
        [--atoms 6] [--electrons 60] [--perovskites]

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
polar
    Displaced along random combinations of modes that keep the rotations about one axis of the
    crystal; half of them strained likewise. Not in the mix.
polar_supercell
    The same in a supercell: the rotations about one axis through one atom. Not in the mix.
slab
    Thin unpolar slabs of rock salts (100), zincblendes (110) and fluorites (111); displaced.
molecule
    Closed-shell molecules of ASE's G2 set in a box with 6 Å of vacuum; displaced.
water
    Two to four water molecules, packed at random at 0.8 to 1.8 g/cm³; clusters of water in a box.
ice
    Two molecules of ice under pressure, at 1.5 to 4 g/cm³; displaced. Not in the mix.
dense
    Two or three small molecules under pressure, alike or not, relaxed a little by SevenNet-0
    (extra ``sevennet``) and displaced. Not in the mix.
scaled
    A crystal at 0.5 to 1.35 of its volume; every fourth is displaced. Not in the mix.
relaxed
    Crystals of Petousis 2017 and Naccarato 2019 that have no Z* label anywhere, as they are.

Where the crystals come from: ``crystals/train``, ``dielectric/petousis2017`` and
``dielectric/naccarato2019``. Kept are those with elements of the pseudopotential table, an even
number of electrons, at most 14 atoms, no ε∞ above 14 (small gaps are expensive), no Fe, Co, Ni,
and V, Cr, Mn only where they can be d⁰. With ``--perovskites`` ideal cubic perovskites ABO3 with
lattice constants from ionic radii instead.

Splits, ``info["split"]``. ``info["group"]`` is the reduced composition of the crystal that a
structure was made from, and the split is a function of the group alone, so no group can lie in
two splits:

- groups in ``crystals/valid`` or ``crystals/test``, and SiO2, BaTiO3 and ZrO2, are never used;
- groups in ``crystals/train`` are always in train: a model has seen their relaxed crystals; so is
  water, which ``response/water`` judges;
- the rest, which no labelled crystal has, goes by a hash of the formula: 20 % to test, 20 % to
  valid, 60 % to train. About half of all structures are of this sort, hence 80/10/10 in all.

A defect changes the composition; a defect whose own composition is excluded or belongs to
another split is not made.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import spglib
from ase import Atoms
from ase.build import molecule
from ase.io import write
from structure_bases import Base, collect_bases, reduced, split_of, valences
from structure_dense import light_molecules, make_dense, make_scaled
from structure_ice import make_ice
from structure_kinds import MAKERS, make_molecule, make_water, molecules, too_close
from structure_polar import make_polar, make_polar_supercell, perovskites

from ase_equivar.labelling.mesh import choose_mesh, compact_cell

MAKERS_OF_CRYSTALS = MAKERS | {
    "polar": make_polar,
    "polar_supercell": make_polar_supercell,
    "scaled": make_scaled,
}
OF_MOLECULES = ("molecule", "water", "ice", "dense")
MIX = (
    "thermal relaxed strained substitution thermal molecule volume slab "
    "thermal relaxed vacancy thermal strained water thermal frenkel"
)


class Choice:
    """Draws crystals so that the rarest elements so far come next, half of them new ones."""

    def __init__(self, bases: list[Base], valence: dict[str, int], rng: np.random.Generator):
        self.bases = [bases[i] for i in rng.permutation(len(bases))]
        self.valence = valence
        self.elements: Counter[str] = Counter()
        self.groups: Counter[str] = Counter()

    def ranked(self, labelled: bool | None, atoms: int, electrons: int) -> list[Base]:
        """Return the crystals within those limits, the most wanted first; None: all of them."""
        fit = [
            base
            for base in self.bases
            if labelled in (None, base.labelled)
            and len(base.atoms) <= atoms
            and sum(self.valence[s] for s in base.atoms.get_chemical_symbols()) <= electrons
        ]
        return sorted(fit, key=self._use)

    def _use(self, base: Base) -> float:
        kinds = sorted(set(base.atoms.get_chemical_symbols()))  # sums depend on the order
        rarity = sum(1 / (1 + self.elements[symbol]) for symbol in kinds) / len(kinds)
        return 4 * self.groups[base.group] - rarity

    def used(self, base: Base) -> None:
        """Count a crystal as used."""
        self.groups[base.group] += 1
        self.elements.update(set(base.atoms.get_chemical_symbols()))


def make_all(
    data: Path,
    valence: dict[str, int],
    number: int,
    seed: int,
    kinds: list[str],
    element: str | None,
    groups: list[str] | None,
    ideal: bool,
    most_atoms: int,
    most_electrons: int | None,
) -> list[Atoms]:
    """Return that many structures in the order in which to label them."""
    bases, trained, excluded = collect_bases(data, valence)
    if ideal:
        bases = perovskites(trained, excluded)
    if element is not None:
        bases = [base for base in bases if element in base.atoms.get_chemical_symbols()]
    if groups is not None:
        bases = [base for base in bases if base.group in groups]
    choice = Choice(bases, valence, np.random.default_rng(seed))
    slabs = [base for base in choice.bases if len(base.atoms) <= 3]
    names = molecules(valence, excluded)
    owner = {base.group: base.split for base in bases}
    made: list[Atoms] = []
    for index in range(number):
        kind = kinds[index % len(kinds)]
        rng = np.random.default_rng([seed, index])
        # small cells first
        stage = index / number
        most = min(most_atoms, 8 if stage < 0.4 else 10 if stage < 0.7 else most_atoms)
        electrons = most_electrons or (64 if stage < 0.2 else 90 if stage < 0.6 else 130)
        result: tuple[Atoms, str, str, str] | None = None
        if kind == "molecule":
            name = names[int(rng.integers(len(names)))]
            group = reduced(molecule(name))
            result = (make_molecule(name, rng), f"g2:{name}", group, split_of(group, trained))
        elif kind in ("water", "ice"):
            water = make_water(rng) if kind == "water" else make_ice(rng)
            if water is not None:
                result = (water, kind, "H2O", split_of("H2O", trained))
        elif kind == "dense":
            dense = make_dense(light_molecules(names), valence, rng)
            if dense is not None and (group := reduced(dense)) not in excluded:
                result = (dense, kind, group, split_of(group, trained))
        else:
            labelled: bool | None = None
            if element is None and groups is None and not ideal:
                labelled = kind != "relaxed" and bool(rng.random() < 0.35)
            if kind == "slab":
                ranked = sorted(slabs, key=lambda base: choice.groups["slab " + base.group])
            else:
                ranked = choice.ranked(labelled, most, electrons)
            for base in ranked:
                atoms = MAKERS_OF_CRYSTALS[kind](base, rng, most)
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
    parser.add_argument("--kinds", nargs="+", choices=[*MAKERS_OF_CRYSTALS, *OF_MOLECULES])
    parser.add_argument("--element", help="only from crystals with this element, labelled or not")
    parser.add_argument("--groups", nargs="*", help="only compositions such as KNbO3")
    parser.add_argument("--perovskites", action="store_true", help="ideal ones, and no others")
    parser.add_argument("--atoms", type=int, default=14, help="largest number of atoms")
    parser.add_argument("--electrons", type=int, help="largest number of valence electrons")
    arguments = parser.parse_args()
    valence = valences(arguments.pseudopotentials)
    made = make_all(
        arguments.data,
        valence,
        arguments.number,
        arguments.seed,
        arguments.kinds or MIX.split(),
        arguments.element,
        arguments.groups,
        arguments.perovskites,
        arguments.atoms,
        arguments.electrons,
    )
    write(arguments.output, made, format="extxyz")
    for key in ("kind", "split"):
        print(dict(Counter(atoms.info[key] for atoms in made).most_common()))
    elements = Counter(symbol for atoms in made for symbol in set(atoms.get_chemical_symbols()))
    print(len(made), "structures,", len({a.info["group"] for a in made}), "groups;", elements)


if __name__ == "__main__":
    main()
