"""Salts to screen, and toy forces and Z* for them."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list

from ase_equivar.screening import Recipe, screen


class Repulsion(Calculator):
    """exp(−r/0.4 Å) between all atoms, times the mean of their atomic numbers; the cell is held."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        i, j, d, vectors = neighbor_list("ijdD", self.atoms, 6.0)
        numbers = self.atoms.numbers
        energies = 40.0 * (numbers[i] + numbers[j]) * np.exp(-d / 0.4)
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, i, -(energies / 0.4 / d)[:, None] * vectors)
        self.results = {"energy": energies.sum() / 2, "forces": forces}


class FormalCharges(Calculator):
    """Z* ± 1.1 e and ε∞ that depends on the elements; does not know potassium."""

    implemented_properties = ("born_effective_charges", "dielectric_tensor")

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        numbers = self.atoms.numbers
        if 19 in numbers:
            raise ValueError("the model has never seen K")
        signs = np.where(numbers == numbers.min(), 1.1, -1.1)
        self.results = {
            "born_effective_charges": signs[:, None, None] * np.eye(3),
            "dielectric_tensor": (2.0 + 0.01 * numbers.sum()) * np.eye(3),
        }


RECIPE = Recipe(FormalCharges, Repulsion, relax="none")


def salts():
    pairs = ("LiF", 4.03), ("LiCl", 5.14), ("NaCl", 5.64), ("LiBr", 5.50), ("NaBr", 5.97)
    return [bulk(name, "rocksalt", a=a) for name, a in pairs]


def screened(paths, table, recipe, **options):
    """Screen, and return the rows of the table: text, or None in empty cells that are not text."""
    summary = screen(paths, table, recipe, **options)
    rows = [
        SimpleNamespace(
            **{k: v if v or k in ("problem", "notes") else None for k, v in row.items()}
        )
        for row in read(table)
    ]
    assert summary.n_crystals == len(rows)
    assert summary.n_problems == sum(bool(row.problem) for row in rows)
    return rows


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
