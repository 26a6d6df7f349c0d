"""Whether a direct prediction of the ionic dielectric tensor beats phonons where modes are soft.

    python benchmarks/ionic_direct.py

A third of the trace is predicted from what `universal` knows of a crystal: means and standard
deviations of the last features over its atoms, Σ |Z*|²/M per volume, ε∞ and a few sizes. Kernel
ridge regression of its logarithm learns from crystals/train; crystals/valid chooses its settings.
On the crystals of crystals/test with up to 12 atoms it is compared with the phonons of
SevenNet-l3i5 (`ionic_dielectric.py`, whose force constants are used again), by the frequency of the
softest polar mode.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from ase import Atoms
from ionic_dielectric import (
    DATA,
    RUNS,
    Array,
    Compared,
    forces_at_gamma,
    labelled,
    mean,
)
from rich.console import Console
from rich.progress import track
from scipy.spatial.distance import cdist
from validation_phonons import Potential

from ase_equivar import EquivarCalculator
from ase_equivar.graph import build_graph
from ase_equivar.inference.features import invariants
from ase_equivar.inference.models import load_model
from ase_equivar.io.structure_files import read_images
from ase_equivar.network import GatedNetwork
from ase_equivar.sum_rule import neutralize

CALCULATOR = "sevennet-l3i5"
SMALLEST = 0.3  # of a third of the trace; labels below count as this
N_SIZES = 6
COMPONENTS, WIDTHS, NOISES = (20, 40, 80), (0.3, 1.0, 3.0, 10.0), (0.01, 0.03, 0.1, 0.3)
RANGES = (-np.inf, 0.0, 1.0, 2.5, np.inf)  # THz


def described(split: str, network: GatedNetwork) -> Iterator[tuple[int, Array, float]]:
    """Yield the number of each crystal with an ionic tensor, what is known of it, and the label."""
    images = read_images(DATA / f"{split}.extxyz.gz")
    for number, atoms in enumerate(track(images, split, console=Console(stderr=True))):
        if "ionic_dielectric_tensor" not in atoms.info:
            continue
        if not set(atoms.numbers.tolist()) <= set(network.elements):
            continue
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        graph = build_graph(bare, network.cutoff)
        with torch.no_grad():
            found = network(graph)
        features = invariants(found.features)[graph.places].double().numpy()
        charges = neutralize(found.born_charges[graph.places].double().numpy())
        assert found.dielectric is not None
        squares, masses = np.square(charges).sum(axis=(1, 2)) / 3, atoms.get_masses()
        sizes = [
            np.sum(squares / masses) / atoms.get_volume(),
            squares.sum() / atoms.get_volume(),
            mean(found.dielectric[0].double().numpy()) - 0.999,
            atoms.get_volume() / len(atoms),
            masses.mean(),
            squares.max(),
        ]
        known = np.r_[features.mean(axis=0), features.std(axis=0), np.log(sizes)]
        yield number, known, mean(np.reshape(atoms.info["ionic_dielectric_tensor"], (3, 3)))


def learned(train: Array, labels: Array, valid: Array, targets: Array, test: Array) -> Array:
    """Predict the test crystals with the settings that are best for the validation crystals."""
    scale = train.std(axis=0) + 1e-6
    sets = [(one - train.mean(axis=0)) / scale for one in (train, valid, test)]
    _, values, axes = np.linalg.svd(sets[0][:, :-N_SIZES], full_matrices=False)
    logs, center = np.log(labels), np.log(labels).mean()
    best, result = np.inf, np.zeros(len(test))
    for n in COMPONENTS:
        to_axes = axes[:n].T / np.sqrt(values[:n] / np.sqrt(len(train)))
        weight = np.sqrt(n / N_SIZES)
        a, b, c = (np.c_[one[:, :-N_SIZES] @ to_axes, weight * one[:, -N_SIZES:]] for one in sets)
        distances = [cdist(one, a) for one in (a, b, c)]
        for width, noise in itertools.product(WIDTHS, NOISES):
            reach = width * np.median(distances[0])
            own, of_valid, of_test = (np.exp(-one / reach) for one in distances)
            factors = np.linalg.solve(own + noise * np.eye(len(own)), logs - center)
            error = np.abs(of_valid @ factors + center - np.log(targets)).mean()
            if error < best:
                best, result = error, np.exp(of_test @ factors + center)
    return result


def main() -> None:
    """Print errors of both, by the softest polar mode."""
    network = load_model("universal")
    assert isinstance(network, GatedNetwork)
    parts = {split: list(described(split, network)) for split in ("train", "valid", "test")}
    known = [np.array([one[1] for one in part]) for part in parts.values()]
    labels = [np.maximum([one[2] for one in part], SMALLEST) for part in parts.values()]
    predicted = learned(known[0], labels[0], known[1], labels[1], known[2])
    error = np.median(np.abs(predicted / labels[2] - 1))
    print(
        f"predicted directly: {len(predicted)} crystals of crystals/test, median error {error:.0%}"
    )
    direct = dict(zip((one[0] for one in parts["test"]), predicted, strict=True))
    potential, model = Potential(CALCULATOR), EquivarCalculator(device="cpu")
    rows = []
    for label in track(labelled("test", 12), "phonons", console=Console(stderr=True)):
        number = int(label.name.rpartition("-")[2])
        if number not in direct or mean(label.ionic) < SMALLEST:
            continue
        made = forces_at_gamma(label, potential, "none", RUNS / CALCULATOR / "none" / "test")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # soft and imaginary modes are in the table
            found = Compared.of(label, made.phonon, model)
        phonons = np.nan if found.ionic is None else mean(found.ionic)
        rows.append(
            [found.softest, *(x / mean(label.ionic) - 1 for x in (phonons, direct[number]))]
        )
    table = np.array(rows)
    print("\n| softest polar mode (THz) | crystals | phonons | direct |\n|---|---|---|---|")
    for lowest, highest in itertools.pairwise(RANGES):
        some = np.abs(table[(table[:, 0] > lowest) & (table[:, 0] <= highest), 1:])
        median = "–" if np.isnan(some).any() else f"{np.median(some[:, 0]):.0%}"
        print(f"| {lowest} to {highest} | {len(some)} | {median} | {np.median(some[:, 1]):.0%} |")


if __name__ == "__main__":
    main()
