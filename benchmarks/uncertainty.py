"""What stated uncertainties of Z* are worth, on sets that the models were not trained on.

    python benchmarks/uncertainty.py [MODEL …]    # minutes for universal, more for others

For each measure and each set: the rms error over the rms uncertainty (1 is honest), the part of
the components off by less than two uncertainties, Spearman's rank correlation over atoms, and how
well the measure separates structures with an rms error above 0.15 e (AUROC); pooled over the test
crystals and the sets that have nothing to do with the training data. Measures: the one that a model
states, what there was before (the spread of eight thinned networks, with and without the violation
of the sum rule or, for models that are compared with another one, the difference from its Z*), and
two of its factors alone. Spread and factors are fitted to crystals/valid as the whole is.
Last come how many crystals are warned of, and with what error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from ase_equivar.inference.model_files import model_folder
from ase_equivar.inference.models import load_model
from ase_equivar.inference.uncertain_atoms import is_uncertain
from ase_equivar.inference.uncertainty import Calibration, log_terms
from ase_equivar.network import Ensemble, GatedNetwork
from ase_equivar.sum_rule import neutralize
from ase_equivar.training.calibration import Described, describe, doubts, fit_powers
from ase_equivar.training.data import read_frames
from ase_equivar.training.sections import DataConfig

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
SETS = {
    "crystals/valid": [f"{DATA}/crystals/valid.extxyz.gz"],
    "crystals/test": [f"{DATA}/crystals/test.extxyz.gz"],
    "SiO2 trajectory": [f"{DATA}/trajectories/SiO2.extxyz.gz@::8"],
    "BaTiO3 trajectory": [f"{DATA}/trajectories/BaTiO3.extxyz.gz@::4"],
    "ZrO2 trajectory": [f"{DATA}/trajectories/ZrO2.extxyz.gz"],
    "liquid water": [f"{DATA}/response/water_zstar.extxyz.gz@::3"],
    "displaced quartz": [f"{DATA}/response/quartz_raman_displaced.extxyz.gz@::10"],
    "own displaced": [
        f"{ROOT}/models/data/displaced/valid.extxyz.gz",
        f"{ROOT}/models/data/displaced/test.extxyz.gz",
    ],
}
FITTED = "crystals/valid"
NOT_POOLED = (
    "crystals/valid",
    "own displaced",
)  # the former chose the models, half of the latter too
LARGE = 0.15  # e
DROPOUT, N_PARTS = 0.15, 8


@dataclass(frozen=True)
class Part:
    """One set as a model sees it: atoms one after the other, and the number of atoms of each."""

    errors: NDArray[np.float64]
    charges: NDArray[np.float64]
    terms: list[NDArray[np.float64]]
    spread: NDArray[np.float64]

    @property
    def sizes(self) -> list[int]:
        """Atoms of each structure."""
        return [len(one) for one in self.terms]

    def of_structures(self, squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Root mean squares over the atoms of each structure."""
        parts = np.split(squares, np.cumsum(self.sizes)[:-1])
        return np.sqrt([one.mean() for one in parts])


def main() -> None:
    """Print the tables."""
    for name in sys.argv[1:] or ("universal", "universal-polar"):
        study(name)


def study(name: str) -> None:
    """Print what the uncertainties of one model are worth."""
    network, calibration = load_model(name), Calibration.load(model_folder(name))
    assert calibration is not None
    assert isinstance(network, GatedNetwork | Ensemble)
    parts = {}
    for title, files in SETS.items():
        frames, _ = read_frames(files, DataConfig((), (), dielectric=None))
        described = describe(network, frames)
        terms = [
            log_terms(calibration.known.familiarity(features, numbers), doubt)
            for features, numbers, doubt in zip(
                described.features,
                described.numbers,
                doubts(described, calibration.compared_with),
                strict=True,
            )
        ]
        charges = np.concatenate([neutralize(raw) for raw in described.raw_charges])
        spread = spread_of_thinned(network, described)
        parts[title] = Part(np.concatenate(described.errors), charges, terms, spread)
    fitted = parts[FITTED]
    scale = np.sqrt(np.square(fitted.errors).mean() / np.square(fitted.spread).mean())
    doubt = {title: np.exp(np.concatenate(one.terms)[:, 0]) for title, one in parts.items()}
    measures: dict[str, Callable[[str], NDArray[np.float64]]] = {
        "thinned networks (before)": lambda title: scale * parts[title].spread,
        "thinned networks and violation or difference": lambda title: np.hypot(
            scale * parts[title].spread, doubt[title]
        ),
        "distance": powers_of(fitted, parts, [1]),
        "distance and errors nearby": powers_of(fitted, parts, [1, 2]),
        "as stated": powers_of(fitted, parts, [0, 1, 2], calibration),
    }
    for measure, of in measures.items():
        print(f"\n{name}: {measure}\n")
        print(f"| set | structures | > {LARGE} e | err/unc | within 2 | rank | AUROC |")
        print("|---|---|---|---|---|---|---|")
        pooled: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        for title, part in parts.items():
            row = print_row(title, part, of(title))
            if title not in NOT_POOLED:
                pooled.append(row)
        errors, stated = (np.concatenate(column) for column in zip(*pooled, strict=True))
        print(
            f"| pooled | {len(errors)} | {(errors > LARGE).sum()} | | | | "
            f"{auroc(stated, errors > LARGE):.3f} |"
        )
    print_warnings(name, parts, measures["as stated"])


def powers_of(
    fitted: Part, parts: dict[str, Part], used: list[int], calibration: Calibration | None = None
) -> Callable[[str], NDArray[np.float64]]:
    """Return the uncertainties that follow from some of the factors."""

    def only(terms: NDArray[np.float64]) -> NDArray[np.float64]:
        kept = np.zeros_like(terms)
        kept[:, used] = terms[:, used]
        return kept

    if calibration is None:
        squares = np.split(np.square(fitted.errors).mean(axis=(1, 2)), np.cumsum(fitted.sizes)[:-1])
        scale, exponents = fit_powers([only(one) for one in fitted.terms], squares)
    else:
        scale, exponents = calibration.log_scale, calibration.exponents
    return lambda title: np.exp(scale + only(np.concatenate(parts[title].terms)) @ exponents)


def spread_of_thinned(
    network: GatedNetwork | Ensemble, described: Described
) -> NDArray[np.float64]:
    """Return how much Z* of the atoms differ between networks with some channels left out."""
    members = network.members if isinstance(network, Ensemble) else [network]
    found = []
    with torch.no_grad():
        for graph in described.graphs:
            whole = network(graph).born_charges
            squares = torch.zeros(len(whole))
            for member in members:
                prepared = member.prepared(graph)
                for seed in range(N_PARTS):
                    with member.channel_mask(DROPOUT, seed):
                        change = member(prepared).born_charges - whole
                    squares += mean_free(change, graph.structure).square().mean(dim=(1, 2))
            spread = (squares / (N_PARTS * len(members))).sqrt()
            found.append(spread.numpy()[graph.places])
    return np.concatenate(found).astype(float)


def mean_free(values: torch.Tensor, structure: torch.Tensor) -> torch.Tensor:
    """Subtract the mean over the atoms of each structure."""
    counts = torch.bincount(structure)
    sums = values.new_zeros(len(counts), 3, 3).index_add(0, structure, values)
    return values - (sums / counts[:, None, None])[structure]


def print_row(
    title: str, part: Part, stated: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Print one row, and return errors and uncertainties of the structures."""
    squares = np.square(part.errors).mean(axis=(1, 2))
    errors, uncertainties = part.of_structures(squares), part.of_structures(stated**2)
    within = (np.abs(part.errors) < 2 * stated[:, None, None]).mean()
    wrong = errors > LARGE
    area = f"{auroc(uncertainties, wrong):.2f}" if 0 < wrong.sum() < len(wrong) else ""
    print(
        f"| {title} | {len(errors)} | {wrong.sum()} | "
        f"{np.sqrt(squares.mean() / np.square(stated).mean()):.2f} | {within:.1%} | "
        f"{spearmanr(stated, squares).statistic:.2f} | {area} |",
        flush=True,
    )
    return errors, uncertainties


def auroc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Return the chance that one with a large error has a larger score than one without."""
    ranks, n = rankdata(score), int(positive.sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(ranks) - n)))


def print_warnings(
    name: str, parts: dict[str, Part], stated: Callable[[str], NDArray[np.float64]]
) -> None:
    """Print how many structures of each set are warned of, and how many of these are wrong."""
    print(f"\n{name}: warnings\n\n| set | warned of | > 0.3 e of these | of the others |")
    print("|---|---|---|---|")
    for title, part in parts.items():
        wrong_atoms = is_uncertain(stated(title), part.charges)
        warned = part.of_structures(wrong_atoms.astype(float)) > 0
        wrong = part.of_structures(np.square(part.errors).mean(axis=(1, 2))) > 0.3
        shares = (f"{wrong[who].mean():.0%}" if who.any() else "" for who in (warned, ~warned))
        print(f"| {title} | {warned.sum()} of {len(warned)} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
