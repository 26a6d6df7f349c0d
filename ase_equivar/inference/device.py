"""The device and the precision that a network runs with."""

from __future__ import annotations

import torch


def choose_device(device: torch.device | str | None) -> torch.device:
    """Return the given device, by default CUDA if there is any, else the CPU.

    Raises
    ------
    ValueError
        If it is neither the CPU nor a CUDA device of this machine.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"unknown device {device!r}; use 'cpu' or 'cuda'") from error
    if chosen.type not in ("cpu", "cuda"):
        raise ValueError(f"device {str(device)!r} is not supported; use 'cpu' or 'cuda'")
    if chosen.type == "cpu" and chosen.index:
        raise ValueError(f"device is {str(device)!r}, but there is one CPU device; use 'cpu'")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device is {str(device)!r}, but PyTorch {torch.__version__} finds no CUDA device; use "
            "device='cpu', or leave device out"
        )
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device is {str(device)!r}, but there are {torch.cuda.device_count()} CUDA devices, "
            "counted from 0"
        )
    return chosen


def choose_dtype(dtype: torch.dtype | str | None) -> torch.dtype:
    """Return the given dtype as torch's, by default float32.

    Raises
    ------
    ValueError
        If it is neither float32 nor float64.
    """
    if dtype is None:
        return torch.float32
    known = {"float32": torch.float32, "float64": torch.float64}
    chosen = known.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in known.values():
        raise ValueError(f"dtype is {dtype!r}; use 'float32' or 'float64', as text or as torch's")
    return chosen
