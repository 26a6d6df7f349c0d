#!/usr/bin/env python3
"""Convergence of the labels: compare a file of labels with the same structures redone.

ase-equivar label displaced.extxyz.gz@::30 -o redone.extxyz --pseudopotentials FOLDER \
        --cutoff 80 --period 15 --period 20 --period 28
python models/data/redo.py models/data/displaced.extxyz.gz redone.extxyz
"""

from __future__ import annotations

import sys

import numpy as np

from ase_equivar.io.extxyz import COLUMN, DIELECTRIC_KEY
from ase_equivar.io.structure_files import read_images


def main() -> None:
    """Print the change of Z*, ε∞ and forces of each structure, and their means."""
    old = {str(a.info["seed"]): a for a in read_images(sys.argv[1])}
    changes = []
    for new in read_images(sys.argv[2]):
        before = old[str(new.info["seed"])]
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
