#!/usr/bin/env python3
"""Convergence of the labels: compare them with the same structures redone more finely.

    python models/data/redo.py                      print the comparison
    python models/data/redo.py redone.extxyz        merge new ones into redone.extxyz.gz before

New ones come from structures of the data set, here the first three:

    ase-equivar label models/data/displaced/train.extxyz.gz@:3 -o redone.extxyz --cutoff 80
        --period 15 --period 20 --period 28 --pseudopotentials FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from collect import FOLDER, labels, write

from ase_equivar.io.extxyz_entries import COLUMN, DIELECTRIC_KEY
from ase_equivar.io.structure_files import read_images

REDONE = FOLDER.with_name("redone.extxyz.gz")


def main() -> None:
    """Print the change of Z*, ε∞ and forces of each structure, and their means."""
    redone: dict[str, Atoms] = {}
    for file in [REDONE, *map(Path, sys.argv[1:])]:
        if file.exists() or file != REDONE:
            redone |= {str(atoms.info["seed"]): atoms for atoms in read_images(file)}
    if sys.argv[1:]:
        write([redone[seed] for seed in sorted(redone)], REDONE)
    old = {str(atoms.info["seed"]): atoms for atoms in labels()}
    changes = []
    for seed, new in redone.items():
        before = old[seed]
        charges = np.abs(new.arrays[COLUMN] - before.arrays[COLUMN])
        dielectric = np.abs(new.info[DIELECTRIC_KEY] - before.info[DIELECTRIC_KEY]).max()
        forces = np.abs(new.get_forces() - before.get_forces()).max()
        changes.append([charges.mean(), charges.max(), dielectric, forces])
        print(
            f"{new.symbols!s:16} {before.info['k_points']} -> {new.info['k_points']}: Z* mean "
            f"{charges.mean():.4f} max {charges.max():.4f} e, ε∞ {dielectric:.3f}, "
            f"forces {forces:.3f} eV/Å"
        )
    means = np.mean(changes, axis=0)
    print(
        f"mean of {len(changes)}: Z* {means[0]:.4f} e, its largest component {means[1]:.4f} e, "
        f"ε∞ {means[2]:.3f}, largest force {means[3]:.3f} eV/Å"
    )


if __name__ == "__main__":
    main()
