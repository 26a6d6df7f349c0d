"""Labelled structures in batches, in a reproducible order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from ase_equivar.graph import Graph, build_graph, collate
from ase_equivar.network import HybridNetwork, Network
from ase_equivar.training.config import TrainingConfig
from ase_equivar.training.data import LabelledFrame

MANY = 50  # structures whose features take a few seconds

Example = tuple[Graph, LabelledFrame]


@dataclass(frozen=True)
class Batch:
    """Several concatenated examples.

    Attributes
    ----------
    graph : Graph
    born_charges : Tensor, shape (N, 3, 3), |e|
    dielectric : Tensor, shape (S, 3, 3)
        NaN for structures without a label.
    """

    graph: Graph
    born_charges: Tensor
    dielectric: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on `device`."""
        return Batch(
            self.graph.to(device), self.born_charges.to(device), self.dielectric.to(device)
        )


def make_batch(examples: Sequence[Example], dtype: torch.dtype) -> Batch:
    """Collate examples; called by a DataLoader."""
    graph = collate([graph for graph, _ in examples]).to(dtype=dtype)
    labels = np.concatenate([f.born_charges for _, f in examples])
    charges = np.empty_like(labels)
    charges[graph.places] = labels
    missing = np.full((3, 3), np.nan)
    dielectric = [missing if f.dielectric is None else f.dielectric for _, f in examples]
    return Batch(
        graph=graph,
        born_charges=torch.from_numpy(charges).to(dtype),
        dielectric=torch.from_numpy(np.stack(dielectric)).to(dtype),
    )


def make_loader(
    frames: Sequence[LabelledFrame], network: Network, batch_size: int
) -> DataLoader[Example]:
    """Build all graphs once and return a loader that yields batches in the given order.

    Parameters
    ----------
    frames : sequence of LabelledFrame
    network : torch.nn.Module
        Network for which the graphs are built, on the CPU; it determines the edges.
    batch_size : int
        Structures per batch.
    """
    return _loader(_examples(frames, network), network, batch_size, None)


def validation_loader(
    frames: Sequence[LabelledFrame], network: Network, batch_size: int
) -> DataLoader[Example]:
    """As `make_loader`, with the frames divided among the processes of a run without repetition."""
    return _loader(_examples(frames, network), network, batch_size, Share(len(frames)))


def training_loader(
    frames: Sequence[LabelledFrame],
    pseudo_labelled: Sequence[LabelledFrame],
    network: Network,
    config: TrainingConfig,
    n_processes: int,
) -> DataLoader[Example]:
    """Return a loader whose order of examples changes from epoch to epoch.

    The order depends only on the seed and the epoch, so a resumed run is identical to an
    uninterrupted one. Processes started by ``torchrun`` share the examples.

    Parameters
    ----------
    frames : sequence of LabelledFrame
        Frames with their own labels; each occurs once per epoch.
    pseudo_labelled : sequence of LabelledFrame
        Frames with labels of a teacher: some, different ones in each epoch, are added to each
        batch.
    network : torch.nn.Module
        As for `make_loader`.
    config : TrainingConfig
    n_processes : int
        Number of processes that share each batch.
    """
    own = config.fit.batch_size // n_processes
    besides = 0 if config.teacher is None else config.teacher.batch_size // n_processes
    examples = _examples([*frames, *pseudo_labelled], network)
    sampler = BatchOrder(len(frames), len(pseudo_labelled), own, besides, config.fit.seed)
    return _loader(examples, network, own + besides, sampler)


class Share(DistributedSampler[int]):
    """The share of one of several processes in n examples, in order and without repetition.

    PyTorch's own sampler repeats some examples to equalize the shares, which counts these twice in
    a mean.
    """

    def __init__(self, n: int) -> None:
        super().__init__(
            range(n),  # type: ignore[arg-type]  # only its length is used
            num_replicas=_n_processes(),
            rank=_rank(),
            shuffle=False,
        )
        self._mine = range(_rank(), n, _n_processes())

    def __iter__(self) -> Iterator[int]:
        """Yield the indices."""
        yield from self._mine

    def __len__(self) -> int:
        """Count them."""
        return len(self._mine)


class BatchOrder(DistributedSampler[int]):
    """Order of examples in which each batch has a given number with labels of a teacher.

    Parameters
    ----------
    n_own, n_taught : int
        Numbers of examples with their own labels, which come first, and with those of a teacher.
    own, besides : int
        Numbers of both in each batch of a process. Only the last batch may have fewer of the first.
    seed : int
    """

    def __init__(self, n_own: int, n_taught: int, own: int, besides: int, seed: int) -> None:
        super().__init__(
            range(n_own),  # type: ignore[arg-type]  # only its length is used
            num_replicas=_n_processes(),
            rank=_rank(),
            seed=seed,
        )
        self.n_own, self.n_taught, self.own, self.besides = n_own, n_taught, own, besides

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of one epoch; Lightning sets its number."""
        own = list(super().__iter__())
        pseudo_labelled = self._pseudo_labelled()
        for start in range(0, len(own), self.own):
            yield from own[start : start + self.own]
            yield from (next(pseudo_labelled) for _ in range(self.besides))

    def __len__(self) -> int:
        """Count the examples of one epoch, for one process."""
        n_batches = -(-self.num_samples // self.own)
        return self.num_samples + n_batches * self.besides

    def _pseudo_labelled(self) -> Iterator[int]:
        """Yield those with labels of a teacher; none is repeated before all are used."""
        random = np.random.default_rng([self.seed, self.epoch])
        while True:
            order = self.n_own + random.permutation(self.n_taught)
            yield from order[self.rank :: self.num_replicas].tolist()


def _n_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _examples(frames: Sequence[LabelledFrame], network: Network) -> list[Example]:
    """Build graphs, with the features that the network calculates in advance."""
    dtype = next(network.parameters()).dtype
    slow = isinstance(network, HybridNetwork) and len(frames) > MANY
    bar = track(frames, "features", disable=not slow, console=Console(stderr=True))
    with torch.no_grad():
        return [
            (network.prepared(build_graph(frame.atoms, network.cutoff, dtype=dtype)), frame)
            for frame in bar
        ]


def _loader(
    examples: list[Example],
    network: Network,
    batch_size: int,
    sampler: DistributedSampler[int] | None,
) -> DataLoader[Example]:
    dtype = next(network.parameters()).dtype
    return DataLoader(
        examples,  # type: ignore[arg-type]  # a list is a map-style dataset
        batch_size=batch_size,
        sampler=sampler,
        generator=torch.Generator(),  # torch's global one serves dropout
        collate_fn=lambda chosen: make_batch(chosen, dtype),
    )
