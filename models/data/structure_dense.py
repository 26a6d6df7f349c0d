"""Molecules under pressure, and crystals at any volume, for models/data."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.collections import g2
from ase.data import vdw_radii
from ase.optimize import FIRE
from structure_bases import Base
from structure_kinds import (
    displace,
    distances,
    positions_alone,
    random_turn,
    rms_of,
    too_close,
)

from ase_equivar.cli.potentials import named_potential

LIGHT = {"H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl"}
MOST_ATOMS, MOST_ELECTRONS = 11, 34  # of all molecules together
TRIALS, STEPS = 300, 30


def light_molecules(names: Sequence[str]) -> list[str]:
    """Return those of the molecules of the G2 set that are small and of light elements."""
    return [name for name in names if len(g2[name]) <= 6 and set(g2[name].symbols) <= LIGHT]


def make_dense(
    names: Sequence[str], valence: dict[str, int], rng: np.random.Generator
) -> Atoms | None:
    """Pack two or three molecules, alike or not, into 0.3 to 1 times their van der Waals volume.

    Of some random arrangements the one whose molecules are farthest apart is taken, some steps of a
    relaxation by SevenNet-0 turn and move them, and atoms are displaced. None if two atoms are too
    close then.
    """
    members = _draw(names, valence, rng)
    numbers = np.concatenate([one.numbers for one in members])
    radii = vdw_radii[numbers]
    volume = 4 / 3 * np.pi * np.sum(radii**3) * np.exp(rng.uniform(np.log(0.3), 0.0))
    shape = np.exp(rng.uniform(-0.15, 0.15, 3))
    lengths = volume ** (1 / 3) * shape / np.prod(shape) ** (1 / 3)
    owner = np.repeat(np.arange(len(members)), [len(one) for one in members])
    best, score = None, 0.0
    for _ in range(TRIALS):
        new = Atoms(cell=lengths, pbc=True)
        for one in members:
            turned = one.copy()
            turned.rotate(*random_turn(rng))
            turned.positions += rng.random(3) * lengths - turned.positions.mean(axis=0)
            new += turned
        far = distances(new)
        far[owner[:, None] == owner] = np.inf
        nearest = float(np.min(far / (radii[:, None] + radii[None])))
        if nearest > score:
            best, score = new, nearest
    if best is None:
        return None
    best.calc = _potential()
    FIRE(best, logfile=None).run(fmax=1.0, steps=STEPS)
    best.calc = None
    dense = displace(best, rng, float(rng.uniform(0.02, 0.08)))
    return None if too_close(dense) else dense


def _draw(names: Sequence[str], valence: dict[str, int], rng: np.random.Generator) -> list[Atoms]:
    """Draw two or three molecules that have few enough atoms and electrons."""
    while True:
        count = int(rng.integers(2, 4))
        alike = rng.random() < 0.6
        drawn = [names[int(rng.integers(len(names)))] for _ in range(1 if alike else count)]
        members = [positions_alone(molecule(name)) for name in (drawn * count if alike else drawn)]
        symbols = [symbol for one in members for symbol in one.get_chemical_symbols()]
        if len(symbols) <= MOST_ATOMS and sum(valence[s] for s in symbols) <= MOST_ELECTRONS:
            return members


def make_scaled(base: Base, rng: np.random.Generator, most: int) -> Atoms:
    """Bring a crystal to 0.5 to 1.35 of its volume; displace the atoms of every fourth.

    What keeps its symmetry costs least in DFPT.
    """
    new = base.atoms.copy()
    new.set_cell(new.cell[:] * rng.uniform(0.5, 1.35) ** (1 / 3), scale_atoms=True)
    return displace(new, rng, rms_of(rng) / 2) if rng.random() < 0.25 else new


@functools.cache
def _potential() -> Calculator:
    return named_potential("sevennet-0", None)
