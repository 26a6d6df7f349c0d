"""What may compute the convolutions, and what does by default."""

from __future__ import annotations

import importlib.util
import os

import torch

BACKENDS = ("auto", "numba", "triton", "e3nn")


def check_backend(name: str) -> None:
    """Refuse an unknown backend."""
    if name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}: known are {', '.join(BACKENDS)}")


def used_backend(choice: str, device: torch.device) -> str:
    """Say which of "numba", "triton" and "e3nn" computes on a device.

    Parameters
    ----------
    choice : str
        One of these, or "auto": "numba" on the CPU; on a GPU "triton" where it works, else "e3nn".
    device : torch.device

    Raises
    ------
    ValueError
        If the device is not one that the choice is for.
    """
    on_cpu = device.type == "cpu"
    if choice == "auto":
        if on_cpu:
            return "numba"
        if importlib.util.find_spec("triton") is None:
            return "e3nn"
        from ase_equivar.network.kernels import launch_triton  # takes a second

        return "triton" if launch_triton.works(device) else "e3nn"
    if choice == "numba" and not on_cpu:
        raise ValueError(f"backend 'numba' is for the CPU, the device is {str(device)!r}")
    # Triton's interpreter runs on the CPU: slow, for tests
    if choice == "triton" and on_cpu and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError("backend 'triton' is for GPUs, the device is 'cpu'; leave backend out")
    return choice
