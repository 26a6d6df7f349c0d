"""A model's head for the clamped-ion piezoelectric tensor: its prediction and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.graph import Graph
from ase_equivar.inference.model_files import PIEZOELECTRIC_FILE
from ase_equivar.inference.tensor_files import check_weights, read_tensors, write_tensors
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.piezoelectric_head import PiezoelectricHead
from ase_equivar.structures.voigt import to_voigt
from ase_equivar.units import C_PER_M2

REMEDY = "delete it, or fetch the model again"


def load_piezoelectric_head(folder: Path, network: torch.nn.Module) -> PiezoelectricHead | None:
    """Read the head from the folder of its model; None if there is none.

    Parameters
    ----------
    folder : pathlib.Path
    network : torch.nn.Module
        The model itself; the head goes to its device and takes its precision.

    Raises
    ------
    ValueError
        If the file is damaged, or was not made for these weights.
    """
    path = folder / PIEZOELECTRIC_FILE
    if not path.is_file():
        return None
    if type(network) is not GatedNetwork:
        raise ValueError(f"{path} belongs to no {type(network).__name__}; {REMEDY}")
    try:
        state, metadata = read_tensors(path)
        if not all(value.isfinite().all() for value in state.values()):
            raise ValueError("a weight is not finite")
        with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]):
            head = PiezoelectricHead(network)
        head.load_state_dict(state)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged or of another network ({error}); {REMEDY}") from error
    check_weights(path, metadata, REMEDY)
    like = network.start.weight
    with torch.inference_mode(mode=False):
        return head.to(device=like.device, dtype=like.dtype).eval().requires_grad_(False)


def save_piezoelectric_head(head: PiezoelectricHead, folder: Path) -> None:
    """Write the head into the folder of the model whose features it takes."""
    state = {name: value.detach().cpu().clone() for name, value in head.state_dict().items()}
    write_tensors(folder / PIEZOELECTRIC_FILE, state)


def piezoelectric_tensor(
    network: GatedNetwork, head: PiezoelectricHead, graph: Graph, atoms: Atoms
) -> NDArray[np.float64]:
    """Return the proper clamped-ion tensor of a crystal, C/m², shape (3, 6).

    Row = polarization, columns xx, yy, zz, yz, xz, xy. `graph` is that of `atoms`.
    """
    with torch.inference_mode():
        features = list(network(graph).features)
        moments = head(features, graph, network.element_index[graph.numbers])
    tensor = moments[0].cpu().double().numpy()
    return to_voigt(tensor) / (atoms.get_volume() * C_PER_M2)
