"""Train the head of `universal` for the clamped-ion piezoelectric tensor.

    python benchmarks/piezo_head.py [--model universal] [--epochs 24]

The model itself stays as it is. The labels are the tensors above 0.01 C/m² of the crystals in the
training split (`piezo_clamped.py`), the epoch is chosen by the valid split, and the weights go into
the folder of the model. It takes 3 to 4 minutes of CPU. `piezo_clamped.py universal` is the test.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch
from piezo_clamped import labelled
from torch import Tensor

from ase_equivar.graph import Graph, collate
from ase_equivar.inference.model_files import model_folder
from ase_equivar.inference.models import load_model
from ase_equivar.inference.piezoelectric import save_piezoelectric_head
from ase_equivar.inference.predictor import Predictor
from ase_equivar.network import GatedNetwork
from ase_equivar.network.layers import drop_channels
from ase_equivar.network.piezoelectric_head import PiezoelectricHead
from ase_equivar.structures.voigt import from_voigt
from ase_equivar.units import C_PER_M2

BATCH = 8
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-2
DROPOUT = 0.1
START = 0.3  # factor of the last weights at the start: near zero, as are most tensors
AVERAGED = 0.99  # share of the past in the running mean of weights
SEED = 0


@dataclass(frozen=True)
class Example:
    """A crystal with the features of its atoms, its label (C/m²), and C/m² per |e|·Å."""

    graph: Graph
    features: tuple[Tensor, ...]
    label: Tensor
    unit: float


def examples(network: GatedNetwork, predictor: Predictor, split: str) -> list[Example]:
    """Return the crystals of a split whose elements the model knows."""
    found = []
    for atoms, label in labelled(split):
        if set(atoms.numbers.tolist()) <= set(network.elements):
            graph = predictor.graph(atoms)
            with torch.no_grad():
                features = network(graph).features
            tensor = torch.tensor(from_voigt(label), dtype=torch.float32)
            unit = 1.0 / (atoms.get_volume() * C_PER_M2)
            found.append(Example(graph, features, tensor, unit))
    return found


def differences(head: PiezoelectricHead, network: GatedNetwork, some: list[Example]) -> Tensor:
    """Return prediction minus label of some crystals, C/m², (S, 3, 3, 3)."""
    graph = collate([one.graph for one in some])
    features = [torch.cat(blocks) for blocks in zip(*[one.features for one in some], strict=True)]
    if head.training:
        features = [drop_channels(block, DROPOUT) for block in features]
    found = head(features, graph, network.element_index[graph.numbers])
    units = torch.tensor([one.unit for one in some])
    return found * units[:, None, None, None] - torch.stack([one.label for one in some])


def validated(head: PiezoelectricHead, network: GatedNetwork, some: list[Example]) -> float:
    """Return the mean absolute error of all components, C/m²."""
    head.eval()
    with torch.no_grad():
        error = torch.cat(
            [differences(head, network, some[n : n + BATCH]) for n in range(0, len(some), BATCH)]
        )
    head.train()
    return float(error.abs().mean())


def main() -> None:
    """Train, and write the best head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="universal")
    parser.add_argument("--epochs", type=int, default=24)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    network = load_model(arguments.model)
    assert isinstance(network, GatedNetwork)
    predictor = Predictor(network)
    train, valid = (examples(network, predictor, split) for split in ("train", "valid"))
    head = PiezoelectricHead(network)
    for weight in head.mix.weights:
        weight.data *= START
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    starts = range(0, len(train), BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=arguments.epochs * len(starts), pct_start=0.1
    )
    averaged = {name: value.clone() for name, value in head.state_dict().items()}
    best, chosen, step = float("inf"), averaged, 0
    for epoch in range(1, arguments.epochs + 1):
        order = random.permutation(len(train))
        for start in starts:
            some = [train[n] for n in order[start : start + BATCH]]
            squares = differences(head, network, some).pow(2).sum(dim=(1, 2, 3))
            loss = (squares + 1e-6).sqrt().mean()  # one norm per crystal: free of axes
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            share = min(AVERAGED, step / (step + 20))
            for name, value in head.state_dict().items():
                averaged[name].mul_(share).add_(value, alpha=1 - share)
        if epoch % 3 == 0 or epoch == arguments.epochs:
            own = {name: value.clone() for name, value in head.state_dict().items()}
            head.load_state_dict(averaged)
            error = validated(head, network, valid)
            head.load_state_dict(own)
            print(f"epoch {epoch}: valid {error:.4f} C/m², {time.process_time():.0f} s", flush=True)
            if error < best:
                best, chosen = error, {name: value.clone() for name, value in averaged.items()}
    head.load_state_dict(chosen)
    save_piezoelectric_head(head, model_folder(arguments.model))
    print(f"{len(train)} crystals in training; the best valid error is {best:.4f} C/m²")


if __name__ == "__main__":
    main()
