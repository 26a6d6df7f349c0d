"""Files of tensors that lie beside the weights of a model and belong to these weights only."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ase_equivar.inference.model_files import WEIGHTS_FILE
from ase_equivar.io.output_files import replacing
from ase_equivar.io.resumed import digest
from ase_equivar.torch_settings import own_torch_settings

WEIGHTS_DIGEST = "weights_digest"


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a file.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    try:
        with own_torch_settings(torch.device("cpu")), safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(str(error)) from error


def check_weights(path: Path, metadata: dict[str, str], remedy: str) -> None:
    """Raise a ValueError, which ends with the remedy, if a file belongs to other weights."""
    of_weights = metadata.get(WEIGHTS_DIGEST)
    if of_weights is None:
        raise ValueError(f"{path} does not say for which weights it was made; {remedy}")
    if of_weights != digest(path.parent / WEIGHTS_FILE):
        raise ValueError(f"{path} was made for other weights than {WEIGHTS_FILE}; {remedy}")


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a file for the weights beside it."""
    own = {WEIGHTS_DIGEST: digest(path.parent / WEIGHTS_FILE)}
    content = save(
        {name: one.contiguous() for name, one in tensors.items()}, own | (metadata or {})
    )
    with replacing(path) as partial:
        partial.write_bytes(content)
