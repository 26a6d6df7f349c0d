"""GPU kernels of the convolution, compiled by Triton, which comes with PyTorch for CUDA."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from functools import cache
from types import ModuleType

import torch
import triton
from torch import Tensor

from ase_equivar.compile_cache import load_source
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.irreps import Irrep
from ase_equivar.network.kernels.terms import scalar_name
from ase_equivar.network.kernels.triton_source import triton_source

logger = logging.getLogger(__name__)

MAX_BLOCK = 128  # channels of one program; more are shared out over programs
SUMMED = ("grad_harmonics", "grad_bonds_table")  # over channels, so that one program has all


@cache
def _kernels(coupling: Coupling, dtype: torch.dtype) -> ModuleType:
    source = triton_source(coupling, scalar_name(dtype))
    return load_source("convolution_gpu", triton.__version__, source)


def launch(
    name: str,
    coupling: Coupling,
    n_channels: int,
    arrays: tuple[Tensor | int, ...],
    index: tuple[Tensor, Tensor, Tensor, Tensor],
    out: tuple[Tensor, ...],
) -> None:
    """Run a kernel, one program per atom and block of channels; arguments as in `launch_numba`."""
    n_atoms, device = len(index[3]) - 1, out[0].device
    if n_atoms == 0:
        return
    block = triton.next_power_of_2(n_channels)
    if name not in SUMMED:
        block = min(block, MAX_BLOCK)
    grid = (n_atoms, triton.cdiv(n_channels, block))
    kernel = getattr(_kernels(coupling, out[0].dtype), name)
    on_its_device = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    with on_its_device:
        kernel[grid](
            *arrays, *index, *out, n_channels=n_channels, BLOCK=block, num_warps=max(1, block // 32)
        )


@cache
def works(device: torch.device) -> bool:
    """Whether a kernel compiles here and gives the right number; if not, the reason is logged.

    Triton needs a C compiler for its launcher code, and a GPU that it supports.
    """
    scalars = (Irrep.parse("0e"),)
    ones = torch.ones(1, 1, 1, device=device)
    atom = torch.zeros(1, dtype=torch.int64, device=device)
    start = torch.tensor([0, 1], device=device)
    out = torch.zeros_like(ones)
    try:
        arrays = (2.0 * ones, ones.view(1, 1), 3.0 * ones)
        coupling, index = Coupling(scalars, scalars, 0), (atom, atom, atom, start)
        launch("forward", coupling, 1, arrays, index, (out,))
        found = float(out)
    except Exception as error:  # any error of a compiler: torch can be used without it
        logger.warning("Triton does not work on %s, using torch instead: %s", device, error)
        return False
    if abs(found - 6.0) > 1e-6:
        logger.warning("Triton gave %g instead of 6 on %s, using torch instead", found, device)
        return False
    return True
