"""Start of the embedding: the periodic table as it hangs on the wall, by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.data import atomic_numbers, chemical_symbols
from helpers.training_runs import run_config

from ase_equivar.network import GatedNetwork
from ase_equivar.training.chemistry import MIN_ELEMENTS, element_descriptors, start_of_embedding
from ase_equivar.training.data import LabelledFrame, elements_of, read_frames
from ase_equivar.training.fit import _first_network
from ase_equivar.training.label_summary import summarize

ALL = range(1, 119)


@pytest.mark.parametrize(
    ("symbol", "period", "group", "block", "f_electrons"),
    [
        ("H", 1, 1, "s", 0),
        ("He", 1, 18, "p", 0),
        ("Be", 2, 2, "s", 0),
        ("B", 2, 13, "p", 0),
        ("Cl", 3, 17, "p", 0),
        ("Sc", 4, 3, "d", 0),
        ("Zn", 4, 12, "d", 0),
        ("Xe", 5, 18, "p", 0),
        ("Cs", 6, 1, "s", 0),
        ("La", 6, 3, "f", 1),
        ("Yb", 6, 3, "f", 14),
        ("Lu", 6, 3, "d", 0),
        ("Hf", 6, 4, "d", 0),
        ("Tl", 6, 13, "p", 0),
        ("U", 7, 3, "f", 4),
        ("Og", 7, 18, "p", 0),
    ],
)
def test_place_in_the_periodic_table(
    symbol: str, period: int, group: int, block: str, f_electrons: int
) -> None:
    row = element_descriptors([atomic_numbers[symbol]])[0]
    assert 3 * row[0] == pytest.approx(period)
    assert "spdf"[row[3:7].argmax()] == block
    assert 1 + row[7:25].argmax() == group
    assert 1 + row[25:32].argmax() == period
    assert 7 * row[32] == pytest.approx(f_electrons)


def test_size_and_electronegativity() -> None:
    """Cs is the largest and the least electronegative, F the most of those that bind."""
    rows = element_descriptors(ALL)
    assert np.isfinite(rows).all()
    assert chemical_symbols[1 + rows[:86, 2].argmin()] == "Cs"
    binding = [z for z in range(1, 87) if chemical_symbols[z] not in ("He", "Ne")]
    assert chemical_symbols[max(binding, key=lambda z: rows[z - 1, 2])] == "F"
    oxygen, silicon = rows[7], rows[13]
    assert (oxygen[1] / 2, oxygen[2] / 2) == pytest.approx((0.66, 3.44))
    assert (silicon[1] / 2, silicon[2] / 2) == pytest.approx((1.11, 1.90))


@pytest.mark.parametrize(
    ("symbol", "similar"),
    [("Rb", "K"), ("Se", "S"), ("P", "As"), ("Zr", "Hf"), ("Ho", "Dy"), ("Al", "Ga"), ("Cu", "Ag")],
)
def test_similar_elements_are_the_closest(symbol: str, similar: str) -> None:
    rows = element_descriptors(ALL)
    distance = np.linalg.norm(rows - rows[atomic_numbers[symbol] - 1], axis=1)
    assert chemical_symbols[1 + distance.argsort()[1]] == similar


def test_projection_keeps_what_is_similar() -> None:
    torch.manual_seed(0)
    rows, start = element_descriptors(ALL), start_of_embedding(ALL, 32).numpy()
    pairs = np.triu_indices(len(rows), k=1)
    distances = [np.linalg.norm(x[pairs[0]] - x[pairs[1]], axis=1) for x in (rows, start)]
    assert np.corrcoef(distances)[0, 1] > 0.9


def test_start_is_as_wide_as_a_random_one() -> None:
    torch.manual_seed(0)
    start = start_of_embedding([3, 8, 14, 57], 32)
    assert start.shape == (4, 32)
    assert start.square().mean().item() == pytest.approx(1.0, rel=1e-5)
    assert start.mean(dim=0).abs().max().item() < 1e-6
    assert torch.isfinite(start_of_embedding([8], 32)).all()


def test_networks_of_many_elements_start_there(tmp_path: Path) -> None:
    config = run_config(tmp_path)
    frames, _ = read_frames(config.data.train, config.data)
    assert len(elements_of(frames)) < MIN_ELEMENTS
    many = []
    for shift in (0, 30):  # as many elements again, further down
        for frame in frames:
            atoms = frame.atoms.copy()
            atoms.numbers += shift
            many.append(dataclasses.replace(frame, atoms=atoms))
    for atoms, z in zip((frame.atoms for frame in many), range(50, 55), strict=False):
        atoms.numbers[0] = z
    assert len(elements_of(many)) >= MIN_ELEMENTS

    def weight(name: str, labelled: list[LabelledFrame]) -> torch.Tensor:
        torch.manual_seed(3)
        fit = dataclasses.replace(config.fit, element_start=name)
        changed = dataclasses.replace(config, fit=fit)
        network = _first_network(changed, summarize(labelled), labelled)
        assert isinstance(network, GatedNetwork)
        return network.embedding.weight

    assert torch.equal(weight("chemistry", frames), weight("random", frames))
    started, random = weight("chemistry", many), weight("random", many)
    assert started.mean(dim=0).abs().max() < 1e-6
    assert random.mean(dim=0).abs().max() > 0.1
