#!/usr/bin/env python3
"""Merge files of labels into models/data/displaced and print what is in it.

    python models/data/collect.py labels.extxyz [more.extxyz …]     merge, check, write
    python models/data/collect.py                                   print the counts

A structure is taken once, by its seed; another one with the same seed is an error. Each file lists
them by seed, so it does not depend on the order in which they were finished. The same content gives
the same bytes. There is one file for each split, and ``other_elements`` for the labels with an
element of which crystals/train has nothing: too few to teach a model that element.
"""

from __future__ import annotations

import argparse
import gzip
import io
from collections import Counter
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from ase_equivar.io.extxyz_entries import COLUMN, DIELECTRIC_KEY
from ase_equivar.io.structure_files import read_apart, read_images

FOLDER = Path(__file__).parent / "displaced"
SPLITS = ("train", "valid", "test")
OTHER = "other_elements"
NOT_IN_CRYSTALS = {"He", "Ne", "Ar", "Kr", "Ce", "Eu"}  # of those that have a pseudopotential
MAX_VIOLATION = 0.04  # e per atom
JUDGE_VIOLATION = 0.02  # of labels that judge a model: those of valid and test
NEEDED = ("kind", "seed", "base", "group", "split", "cutoff_Ry", "k_points", DIELECTRIC_KEY)


def part(name: str) -> Path:
    """Return the file of one split."""
    return FOLDER / f"{name}.extxyz.gz"


def labels() -> list[Atoms]:
    """Return all labelled structures, by their seeds."""
    files = [part(name) for name in (*SPLITS, OTHER)]
    return in_order([atoms for file in files if file.exists() for atoms in read_images(file)])


def in_order(images: list[Atoms]) -> list[Atoms]:
    """Sort structures by their seeds."""
    return sorted(images, key=lambda atoms: [int(n) for n in str(atoms.info["seed"]).split("-")])


def merge(files: list[Path]) -> list[Atoms]:
    """Return the labelled structures of all files; what is cut off at an end is left out."""
    found = {str(atoms.info["seed"]): atoms for atoms in labels()}
    for file in files:
        for frame in read_apart(file):
            if frame.atoms is None:
                print(f"{file}, frame {frame.number} is left out: {frame.trouble}")
                continue
            where = f"{file}, frame {frame.number}"
            check(frame.atoms, where)
            if frame.atoms.info["split"] != "train" and _violation(frame.atoms) > JUDGE_VIOLATION:
                print(f"{where} is left out: not converged enough to judge by")
                continue
            seed = str(frame.atoms.info["seed"])
            if seed in found and not _same_structure(found[seed], frame.atoms):
                raise ValueError(f"{where} is another structure than the one with its seed, {seed}")
            found[seed] = frame.atoms
    return in_order(list(found.values()))


def check(atoms: Atoms, where: str) -> None:
    """Raise a ValueError if a structure lacks something or breaks the sum rule."""
    missing = [name for name in NEEDED if name not in atoms.info]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    charges = atoms.arrays[COLUMN]
    if charges.shape != (len(atoms), 9) or not np.isfinite(charges).all():
        raise ValueError(f"{where} has no finite Z*")
    if np.abs(charges.sum(axis=0)).max() > 1e-5:
        raise ValueError(f"{where}: Z* do not sum to zero")
    if _violation(atoms) > MAX_VIOLATION + 1e-6:
        raise ValueError(f"{where} breaks the sum rule")


def _same_structure(first: Atoms, second: Atoms) -> bool:
    """Say whether two structures are one, to the digits of a file."""
    return (
        first.numbers.tolist() == second.numbers.tolist()
        and np.allclose(first.cell[:], second.cell[:], atol=1e-5)
        and np.allclose(first.positions, second.positions, atol=1e-5)
    )


def _violation(atoms: Atoms) -> float:
    """Return the violation of the sum rule before the correction, e per atom."""
    return float(atoms.info["raw_sum_rule_violation"]) / len(atoms)


def check_splits(images: list[Atoms]) -> None:
    """Raise a ValueError if a composition group lies in two splits."""
    split: dict[str, str] = {}
    for atoms in images:
        if split.setdefault(atoms.info["group"], atoms.info["split"]) != atoms.info["split"]:
            raise ValueError(f"{atoms.info['group']} lies in two splits")


def write_parts(images: list[Atoms]) -> None:
    """Write the file of each split, and that of the elements nobody can learn from it."""
    parts: dict[str, list[Atoms]] = {name: [] for name in SPLITS}
    for atoms in images:
        other = NOT_IN_CRYSTALS & set(atoms.get_chemical_symbols())
        parts.setdefault(OTHER if other else atoms.info["split"], []).append(atoms)
    FOLDER.mkdir(exist_ok=True)
    for name, content in parts.items():
        write(content, part(name))


def write(images: list[Atoms], path: Path) -> None:
    """Write a compressed file, the old one replaced at the end."""
    text = io.StringIO()
    ase.io.write(text, images, format="extxyz")
    new = path.with_suffix(".new")
    new.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    new.replace(path)


def report(images: list[Atoms]) -> None:
    """Print the counts that CARD.md states."""
    print(f"{len(images)} structures, {sum(map(len, images))} atoms,", end=" ")
    print(f"{len({a.info['group'] for a in images})} composition groups,", end=" ")
    elements = sorted({symbol for a in images for symbol in a.get_chemical_symbols()})
    size = sum(file.stat().st_size for file in FOLDER.iterdir())
    print(f"{len(elements)} elements, {size / 1e6:.2f} MB")
    for key in ("kind", "split"):
        counts = Counter(atoms.info[key] for atoms in images)
        print(f"{key}: " + ", ".join(f"{name} {n}" for name, n in counts.most_common()))
    print("elements: " + " ".join(elements))
    violations = [_violation(atoms) for atoms in images]
    print(f"sum rule, e per atom: median {np.median(violations):.4f}, max {max(violations):.4f}")
    print(f"CPU hours: {sum(a.info['cpu_seconds'] for a in images) / 3600:.1f}")


def main() -> None:
    """Merge what is given; print the counts of the whole."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("labels", type=Path, nargs="*")
    files = parser.parse_args().labels
    if files:
        images = merge(files)
        check_splits(images)
        write_parts(images)
    report(labels())


if __name__ == "__main__":
    main()
