"""Untrained networks from their configurations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from ase_equivar.arguments import known_word
from ase_equivar.network.ensemble import Ensemble
from ase_equivar.network.equivar_config import PRESETS, EquivarConfig
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.gated_config import GatedConfig
from ase_equivar.network.hybrid import HybridConfig, HybridNetwork
from ase_equivar.network.polar import PolarNetwork

if TYPE_CHECKING:
    from ase_equivar.network.equivar import Equivar

Network: TypeAlias = "Equivar | GatedNetwork | Ensemble"


def _equivar(config: EquivarConfig) -> Equivar:
    from ase_equivar.network.equivar import Equivar  # imports e3nn

    return Equivar(config)


_ARCHITECTURES: dict[str, tuple[Callable[[Any], Network], type]] = {
    "equivar": (_equivar, EquivarConfig),
    "gated": (GatedNetwork, GatedConfig),
    "hybrid": (HybridNetwork, HybridConfig),
    "polar": (PolarNetwork, GatedConfig),
}


def build_network(config: dict[str, Any]) -> Network:
    """Return an untrained network from its configuration, in float64.

    Cast it as needed with ``.float()``: the constants of a network built in float64 are exact in
    float64, unlike those of one cast up from float32.

    Parameters
    ----------
    config : dict
        ``{"architecture": "gated", ...}`` or ``"polar"`` with fields of `GatedConfig`, ``"hybrid"``
        with those of `HybridConfig`, or ``"equivar"`` with those of `EquivarConfig` and optionally
        ``"preset": "bm1"`` or ``"bm2"`` to start from; ``"ensemble"`` with ``"members"``, a list of
        such configurations.

    Raises
    ------
    ValueError
        If the architecture, the preset or a field is unknown.
    ImportError
        If the potential of a hybrid network is not installed.
    """
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in config.items()
    }
    architecture = fields.pop("architecture", None)
    if architecture == "ensemble":
        return Ensemble([build_network(member) for member in fields["members"]])
    known_word("architecture", architecture, [*_ARCHITECTURES, "ensemble"])
    network, shape = _ARCHITECTURES[architecture]
    allowed = {field.name for field in dataclasses.fields(shape)}
    preset = fields.pop("preset", None) if shape is EquivarConfig else None
    unknown = sorted(set(fields) - allowed)
    if unknown:
        raise ValueError(
            f"the {architecture!r} network has no {', '.join(unknown)}; "
            f"it has {', '.join(sorted(allowed))}"
        )
    if preset is not None:
        known_word("preset", preset, PRESETS)
        described = dataclasses.replace(PRESETS[preset], **fields)
    else:
        described = shape(**fields)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # e3nn takes the precision of its constants from there
    try:
        return network(described)
    finally:
        torch.set_default_dtype(default)
