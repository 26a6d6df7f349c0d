"""e3nn before 0.5 has 3j symbols of other signs: networks made of its layers would be wrong."""

from __future__ import annotations

import sys

import pytest
import torch

from ase_equivar import EquivarCalculator, network
from ase_equivar.network import build_network


def test_another_convention_is_refused(monkeypatch):
    from ase_equivar.network.e3nn_layers import o3

    theirs = o3.wigner_3j

    def old(*degrees, **kwargs):
        sign = -1 if sorted(degrees) == [1, 2, 2] else 1
        return sign * theirs(*degrees, **kwargs)

    monkeypatch.setattr(o3, "wigner_3j", old)
    for name in ("e3nn_layers", "equivar", "equivar_interaction"):
        monkeypatch.delitem(sys.modules, f"ase_equivar.network.{name}", raising=False)
        monkeypatch.delattr(network, name, raising=False)
    wanted = "3j symbols have other signs than those from 0.5.0 on"
    with pytest.raises(ImportError, match=wanted):
        EquivarCalculator(backend="e3nn")
    with pytest.raises(ImportError, match=wanted):
        build_network({"architecture": "equivar", "elements": [8, 12]})
    assert EquivarCalculator().model == "universal"  # needs no e3nn


def test_the_convention_is_that_of_e3nn():
    """Ours must not change unseen: the fast path computes with them whatever e3nn is there."""
    from ase_equivar.network.irreps import wigner_3j

    # x of degree 1, xy and yz of degree 2: ⟨1 x; 2 xy | 2 …⟩ of e3nn 0.6
    assert torch.isclose(
        wigner_3j(1, 2, 2).flatten()[wigner_3j(1, 2, 2).abs().flatten() > 1e-6][0],
        torch.tensor(-0.18257418583505536, dtype=torch.float64),
    )
