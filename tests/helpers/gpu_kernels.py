"""Triton's kernels without a GPU."""

from __future__ import annotations

import sys


def forget_kernels() -> None:
    """Have kernels loaded again: Triton decides then whether it compiles or interprets them."""
    from ase_equivar.network.kernels import launch_triton

    launch_triton._kernels.cache_clear()
    for name in [name for name in sys.modules if name.startswith("convolution_gpu_")]:
        del sys.modules[name]
