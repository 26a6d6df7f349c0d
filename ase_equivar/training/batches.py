"""Labelled structures in batches, in a reproducible order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from ase_equivar.graph import Graph, collate
from ase_equivar.network import Network
from ase_equivar.training.config import TrainingConfig
from ase_equivar.training.data import LabelledFrame
from ase_equivar.training.examples import BuiltExamples, Example, StoredExamples
from ase_equivar.training.processes import n_processes, rank


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


def make_batch(examples: Sequence[Example]) -> Batch:
    """Collate examples; called by a DataLoader."""
    return Batch(
        graph=collate([example.graph for example in examples]),
        born_charges=torch.cat([example.born_charges for example in examples]),
        dielectric=torch.stack([example.dielectric for example in examples]),
    )


def make_loader(
    frames: Sequence[LabelledFrame], network: Network, batch_size: int
) -> DataLoader[Example]:
    """Return a loader that yields batches in the given order; it builds graphs as it goes.

    Parameters
    ----------
    frames : sequence of LabelledFrame
    network : torch.nn.Module
        Network for which the graphs are built, on the CPU; it determines the edges.
    batch_size : int
        Structures per batch.
    """
    return _loader(BuiltExamples(frames, network), batch_size, None)


def validation_loader(examples: StoredExamples, batch_size: int) -> DataLoader[Example]:
    """Return a loader of batches in order; processes divide the examples without repetition."""
    return _loader(examples, batch_size, Share(len(examples)))


def training_loader(
    examples: StoredExamples, pseudo_labelled: StoredExamples | None, config: TrainingConfig
) -> DataLoader[Example]:
    """Return a loader whose order of examples changes from epoch to epoch.

    The order depends only on the seed and the epoch, so a resumed run is identical to an
    uninterrupted one. Processes started by ``torchrun`` share the examples.

    Parameters
    ----------
    examples : StoredExamples
        Those with their own labels; each occurs once per epoch.
    pseudo_labelled : StoredExamples, optional
        Those with labels of a teacher: some, different ones in each epoch, are added to each batch.
    config : TrainingConfig
    """
    own = config.fit.batch_size // n_processes()
    taught = 0 if pseudo_labelled is None else len(pseudo_labelled)
    besides = 0 if config.teacher is None else config.teacher.batch_size // n_processes()
    sampler = BatchOrder(len(examples), taught, own, besides, config.fit.seed)
    both: Dataset[Example] = examples
    if pseudo_labelled is not None:
        both = ConcatDataset([examples, pseudo_labelled])
    return _loader(both, own + besides, sampler)


class Share(DistributedSampler[int]):
    """The share of one of several processes in n examples, in order and without repetition.

    PyTorch's own sampler repeats some examples to equalize the shares, which counts these twice in
    a mean.
    """

    def __init__(self, n: int) -> None:
        super().__init__(
            range(n),  # type: ignore[arg-type]  # only its length is used
            num_replicas=n_processes(),
            rank=rank(),
            shuffle=False,
        )
        self._mine = range(rank(), n, n_processes())

    def __iter__(self) -> Iterator[int]:
        """Yield the indices."""
        yield from self._mine

    def __len__(self) -> int:
        """Count them."""
        return len(self._mine)


class BatchOrder(DistributedSampler[int]):
    """Order of examples in which each batch has a given number with labels of a teacher.

    Each example with its own labels occurs once per epoch, as with one process. PyTorch's own
    sampler repeats some to equalize the shares of the processes. Here this is done only if a
    process has nothing for the last batch; see `is_repetition`.

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
            num_replicas=n_processes(),
            rank=rank(),
            seed=seed,
        )
        self.n_own, self.n_taught, self.own, self.besides = n_own, n_taught, own, besides
        self._n_batches = -(-self.num_samples // own)  # the same for all processes
        mine = len(range(self.rank, n_own, self.num_replicas))  # the first of each share
        self._repeats = besides == 0 and mine <= (self._n_batches - 1) * own
        self._n_mine = mine + self._repeats

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of one epoch; Lightning sets its number."""
        own = list(super().__iter__())[: self._n_mine]
        pseudo_labelled = self._pseudo_labelled()
        for start in range(0, self._n_batches * self.own, self.own):
            yield from own[start : start + self.own]
            yield from (next(pseudo_labelled) for _ in range(self.besides))

    def __len__(self) -> int:
        """Count the examples of one epoch, for one process."""
        return self._n_mine + self._n_batches * self.besides

    def is_repetition(self, batch: int) -> bool:
        """Whether this batch only holds what another process has, and must not count."""
        return self._repeats and batch == self._n_batches - 1

    def _pseudo_labelled(self) -> Iterator[int]:
        """Yield those with labels of a teacher; none is repeated before all are used."""
        random = np.random.default_rng([self.seed, self.epoch])
        while True:
            order = self.n_own + random.permutation(self.n_taught)
            yield from order[self.rank :: self.num_replicas].tolist()


def _loader(
    examples: Dataset[Example], batch_size: int, sampler: DistributedSampler[int] | None
) -> DataLoader[Example]:
    return DataLoader(
        examples,
        batch_size=batch_size,
        sampler=sampler,
        generator=torch.Generator(),  # torch's global one serves dropout
        collate_fn=make_batch,
    )
