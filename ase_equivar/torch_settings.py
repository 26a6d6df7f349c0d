"""Settings of torch that the program around a network may have made for its own networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


@contextmanager
def own_torch_settings(device: torch.device) -> Iterator[None]:
    """Work on `device` in the precision of the network, whatever the program around it has chosen.

    Mixed precision (``torch.autocast``) and rounded products of matrices (TF32, bfloat16; chosen by
    ``torch.set_float32_matmul_precision``) would leave three digits of Z* without a word, and
    another default device (``torch.set_default_device``) would mix tensors on two devices.
    """
    with ExitStack() as stack:
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        # `torch.get_default_device` of torch 2.4 fails once the default was set back
        if torch.empty(0).device != torch.empty(0, device=device).device:
            stack.enter_context(device)
        if _matmul_precision() != "highest":
            stack.enter_context(_unrounded_products())
        yield


def _matmul_precision() -> str:
    """Return torch's setting; "" if it was made for each library (torch 2.9 and later)."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return ""


@contextmanager
def _unrounded_products() -> Iterator[None]:
    """Multiply matrices in full single precision, then set back what was chosen."""
    whole = _matmul_precision()
    # torch 2.9 and later; the setting as a whole may say less than these
    libraries: list[Any] = [
        backend.matmul
        for backend in (torch.backends.cuda, torch.backends.mkldnn)
        if hasattr(getattr(backend, "matmul", None), "fp32_precision")
    ]
    chosen = [library.fp32_precision for library in libraries]
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        if whole:
            torch.set_float32_matmul_precision(whole)
        for library, precision in zip(libraries, chosen, strict=True):
            if library.fp32_precision != precision:
                library.fp32_precision = precision
