"""The programs of models/data: a seed stands for one structure, today and tomorrow."""

from __future__ import annotations

import os
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from helpers.paths import REPOSITORY

FOLDER = REPOSITORY / "models" / "data"

RANKED = """
import itertools
import numpy as np
from ase import Atoms
from make_structures import Choice
from structure_bases import Base

elements = ["H", "Li", "Be", "B", "C", "N", "O", "F", "Na", "Mg", "Al", "Si"]
bases = [
    Base(Atoms(list(kinds), np.zeros((4, 3))), str(n), str(n), "train", True, 3.0)
    for n, kinds in enumerate(itertools.permutations(elements, 4))
    if n % 7 == 0
]
choice = Choice(bases, dict.fromkeys(elements, 2), np.random.default_rng(0))
choice.elements.update({symbol: 3 + 5 * n for n, symbol in enumerate(elements)})
print([base.source for base in choice.ranked(None, 9, 99)])
"""


def test_structures_do_not_depend_on_how_python_orders_sets():
    printed = {
        subprocess.run(
            [sys.executable, "-c", RANKED],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(FOLDER)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_labels_of_two_structures_with_one_seed_are_not_mixed_up(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import collect

    monkeypatch.setattr(collect, "FOLDER", tmp_path / "displaced")
    files = []
    for number, length in enumerate((4.2, 4.3)):
        crystal = bulk("MgO", "rocksalt", length)
        crystal.arrays["born_charges"] = np.array([2.0, -2.0])[:, None] * np.eye(3).reshape(1, 9)
        crystal.info |= {
            **{"kind": "volume", "seed": "7-1", "base": "MgO", "group": "MgO", "split": "train"},
            **{"cutoff_Ry": 50, "k_points": "3x3x3", "raw_sum_rule_violation": 0.01},
            "electronic_dielectric_tensor": np.eye(3) * 3,
        }
        files.append(tmp_path / f"{number}.extxyz")
        ase.io.write(files[-1], crystal, format="extxyz")
    assert len(collect.merge([files[0], files[0]])) == 1
    with pytest.raises(ValueError, match=r"another structure than the one with its seed, 7-1"):
        collect.merge(files)
