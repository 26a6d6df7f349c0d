"""The crystals that structures of models/data are made from, and their splits."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.formula import Formula

from ase_equivar.io.structure_files import read_images

ZERO_SHOT = ("SiO2", "BaTiO3", "ZrO2")
# much simulated; response/water, which nothing is trained on, judges it
IN_TRAIN = ("H2O",)
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
    """Return the split of a composition group; see `make_structures`."""
    if group in trained or group in IN_TRAIN:
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
