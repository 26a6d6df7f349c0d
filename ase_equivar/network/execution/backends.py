"""Backends of the convolutions, and the choice among them."""

from __future__ import annotations

import importlib.util
import os

import torch

from ase_equivar.arguments import known_word
from ase_equivar.compile_cache import numba_works

BACKENDS = ("auto", "numba", "triton", "torch", "e3nn")
COMPILED = ("numba", "triton")


def check_backend(name: str) -> None:
    """Refuse an unknown backend, or "e3nn" with an e3nn that is too old."""
    known_word("backend", name, BACKENDS)
    if name == "e3nn":
        from ase_equivar.network import e3nn_layers  # noqa: F401  # takes a second


def used_backend(choice: str, device: torch.device) -> str:
    """Return which of "numba", "triton", "torch" and "e3nn" is used on a device.

    Parameters
    ----------
    choice : str
        One of these, or "auto": "numba" on the CPU and "triton" on a GPU, where they work,
        otherwise "torch". "e3nn" is the reference of the tests.
    device : torch.device

    Raises
    ------
    ValueError
        If the choice does not support the device, or numba is chosen but not installed.
    """
    on_cpu = device.type == "cpu"
    if choice == "auto":
        if on_cpu:
            return "numba" if numba_works() else "torch"
        if importlib.util.find_spec("triton") is None:
            return "torch"
        from ase_equivar.network.kernels import launch_triton  # takes a second

        return "triton" if launch_triton.works(device) else "torch"
    if choice == "numba" and not on_cpu:
        raise ValueError(f"backend 'numba' is for the CPU, the device is {str(device)!r}")
    if choice == "numba" and not numba_works():
        raise ValueError("backend 'numba' needs numba, which cannot be imported; use 'torch'")
    # Triton's interpreter runs on the CPU: slow, for tests
    if choice == "triton" and on_cpu and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError("backend 'triton' is for GPUs, the device is 'cpu'; leave backend out")
    return choice


def is_compiled(choice: str, device: torch.device) -> bool:
    """Whether compiled kernels are used on a device: only they take weights from tables."""
    return used_backend(choice, device) in COMPILED
