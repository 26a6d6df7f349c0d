"""Graphs with labels: built as they are asked for, or built once and then mapped into memory."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ase_equivar import __version__
from ase_equivar.graph import Graph, build_graph
from ase_equivar.network import HybridNetwork, Network
from ase_equivar.progress_bar import progress_bar
from ase_equivar.training.data import LabelledFrame
from ase_equivar.training.record_writer import is_complete, writing_records
from ase_equivar.training.records import Record, Records

LATENT = "latent"  # and a number: names of the arrays with features of a potential


@dataclass(frozen=True)
class Example:
    """The graph of a structure, and its labels.

    Attributes
    ----------
    graph : Graph
    born_charges : Tensor, shape (N, 3, 3), |e|
        In the order of the atoms of the graph.
    dielectric : Tensor, shape (3, 3)
        NaN without a label.
    """

    graph: Graph
    born_charges: Tensor
    dielectric: Tensor


def make_example(frame: LabelledFrame, network: Network) -> Example:
    """Build the graph of a structure, with the features that the network calculates in advance."""
    dtype = next(network.parameters()).dtype
    with torch.no_grad():
        graph = network.prepared(build_graph(frame.atoms, network.cutoff, dtype=dtype))
    charges = np.empty_like(frame.born_charges)
    charges[graph.places] = frame.born_charges
    missing = np.full((3, 3), np.nan)
    dielectric = missing if frame.dielectric is None else np.array(frame.dielectric)
    return Example(
        graph, torch.from_numpy(charges).to(dtype), torch.from_numpy(dielectric).to(dtype)
    )


class BuiltExamples(Dataset[Example]):
    """Examples of frames, built each time they are asked for.

    Parameters
    ----------
    frames : sequence of LabelledFrame
    network : torch.nn.Module
        On the CPU; it determines the edges.
    """

    def __init__(self, frames: Sequence[LabelledFrame], network: Network) -> None:
        self._frames, self._network = frames, network

    def __len__(self) -> int:
        """Count the examples."""
        return len(self._frames)

    def __getitem__(self, number: int) -> Example:
        """Build an example."""
        return make_example(self._frames[number], self._network)


class StoredExamples(Dataset[Example]):
    """The examples of a folder that `store_examples` has written.

    Parameters
    ----------
    folder : pathlib.Path

    Raises
    ------
    ValueError
        If the folder is incomplete or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._records = Records(folder)

    def __len__(self) -> int:
        """Count the examples."""
        return len(self._records)

    def __getitem__(self, number: int) -> Example:
        """Return an example.

        Raises
        ------
        ValueError
            If it does not match its checksum.
        """
        record = self._records[number]
        numbers = torch.from_numpy(record["numbers"].astype(np.int64))
        degrees = torch.from_numpy(record["degrees"].astype(np.int64))
        blocks = sorted(name for name in record if name.startswith(LATENT))
        graph = Graph(
            numbers=numbers,
            senders=torch.from_numpy(record["senders"].astype(np.int64)),
            receivers=torch.repeat_interleave(torch.arange(len(numbers)), degrees),
            vectors=_copied(record["vectors"]),
            structure=torch.zeros(len(numbers), dtype=torch.int64),
            n_structures=1,
            latent=tuple(_copied(record[name]) for name in blocks) or None,
        )
        return Example(graph, _copied(record["born_charges"]), _copied(record["dielectric"][0]))


def store_examples(
    folder: Path,
    frames: Sequence[LabelledFrame],
    network: Network,
    made_from: Mapping[str, Any],
    *,
    progress: bool = False,
) -> None:
    """Build the graphs of frames, unless the folder holds them already.

    An interrupted call is continued by the next one.

    Parameters
    ----------
    folder : pathlib.Path
        Made if absent.
    frames : sequence of LabelledFrame
    network : torch.nn.Module
        On the CPU; it determines the edges and the features that are calculated in advance.
    made_from : dict
        What determines the frames, as JSON data.
    progress : bool
        Whether to show a progress bar, on stderr.

    Raises
    ------
    OSError
        If the disk is full.
    """
    made_from = {**made_from, **_made_from(network)}
    if is_complete(folder, made_from):
        return
    with writing_records(folder, made_from) as writer:
        with progress_bar(progress) as bar:
            task = bar.add_task("building graphs", total=len(frames), completed=len(writer))
            for number in range(len(writer), len(frames)):
                writer.append(example_record(make_example(frames[number], network)))
                bar.advance(task)
        writer.finish({})


def _made_from(network: Network) -> dict[str, Any]:
    """Return what determines the graphs of given frames."""
    found: dict[str, Any] = {
        "ase_equivar": __version__,
        "cutoff": network.cutoff,
        "dtype": str(next(network.parameters()).dtype),
    }
    if isinstance(network, HybridNetwork):
        found["potential"] = network.build_config["potential"]
        found["layers"] = list(network.latent.layers)
        found["irreps"] = [str(irrep) for irrep in network.latent.irreps]
        found["sevenn"] = importlib.metadata.version("sevenn")
    return found


def example_record(example: Example) -> Record:
    """Return the arrays of an example that `StoredExamples` makes it from again."""
    graph = example.graph
    degrees = torch.bincount(graph.receivers, minlength=graph.n_atoms)
    latent = {f"{LATENT}{k}": block.numpy() for k, block in enumerate(graph.latent or ())}
    return {
        "numbers": graph.numbers.numpy().astype("<u1"),
        "degrees": degrees.numpy().astype("<i4"),
        "senders": graph.senders.numpy().astype("<i4"),
        "vectors": graph.vectors.numpy(),
        "born_charges": example.born_charges.numpy(),
        "dielectric": example.dielectric.numpy()[None],
        **latent,
    }


def _copied(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(array))
