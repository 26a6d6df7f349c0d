"""Features of structures: what does not change them, and what does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.command_line import triclinic_salt

from ase_equivar.inference.features import structure_features
from ase_equivar.network import Ensemble, build_network

ELEMENTS = (11, 17)
SHAPE = {"elements": list(ELEMENTS), "channels": 4, "interactions": 2, "dielectric": True}


@pytest.mark.parametrize("architecture", ["gated", "polar"])
def test_features_are_invariant(architecture: str) -> None:
    torch.manual_seed(1)
    network = build_network({"architecture": architecture, **SHAPE}).double().eval()
    atoms = triclinic_salt()
    turned = atoms.copy()
    turned.rotate(70, (1, -2, 3), rotate_cell=True)
    mirrored = atoms.copy()
    mirrored.set_cell(-atoms.cell.array, scale_atoms=True)
    other_order = atoms[[2, 0, 3, 1]]
    moved = atoms.copy()
    moved.positions[1, 0] += 0.05
    images = [atoms, turned, mirrored, other_order, atoms.repeat((1, 2, 1)), moved]
    found = structure_features(network, images, ELEMENTS)
    scale = np.abs(found[0]).max()
    for row in found[1:5]:
        np.testing.assert_allclose(row, found[0], atol=1e-9 * scale)
    assert np.abs(found[5] - found[0]).max() > 1e-5 * scale


def test_elements_and_members_stand_side_by_side() -> None:
    """An element that is not there counts as zero; an ensemble has the features of each member."""
    torch.manual_seed(1)
    members = [build_network({"architecture": "gated", **SHAPE}).double().eval() for _ in range(2)]
    atoms = triclinic_salt()
    salt = structure_features(members[0], [atoms], ELEMENTS)[0]
    more = structure_features(members[0], [atoms], (11, 15, 17))[0]
    width = len(salt) // 2
    np.testing.assert_array_equal(more, [*salt[:width], *np.zeros(width), *salt[width:]])
    both = structure_features(Ensemble(members), [atoms], ELEMENTS)[0]
    assert len(both) == 2 * len(salt)
    np.testing.assert_allclose(both[:width], salt[:width])
    with pytest.raises(ValueError, match=r"elements lacks \[17\]"):
        structure_features(members[0], [atoms], (11,))
    atoms.symbols[0] = "Au"
    with pytest.raises(ValueError, match="Au"):
        structure_features(members[0], [atoms], (11, 17, 79))


def test_networks_without_gates() -> None:
    network = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"only gated networks have features.* a Linear"):
        structure_features(network, [triclinic_salt()], ELEMENTS)
