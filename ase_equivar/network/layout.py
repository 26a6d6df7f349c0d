"""Conversion from e3nn's layout of features."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def unpacked(flat: Tensor, irreps: Any) -> list[Tensor]:
    """e3nn's layout (N, Σ channels · components) to blocks (N, components, channels)."""
    blocks = flat.split([mul * ir.dim for mul, ir in irreps], dim=1)
    return [
        block.view(len(flat), mul, ir.dim).transpose(1, 2)
        for block, (mul, ir) in zip(blocks, irreps, strict=True)
    ]
