"""Compiled interactions of the gated network against the same steps in torch."""

from __future__ import annotations

import pytest
import torch
from helpers.random_networks import random_edges

from ase_equivar.network.basis import smooth_cutoff
from ase_equivar.network.execution.edge_features import Bonds
from ase_equivar.network.execution.radial_table import RadialTable
from ase_equivar.network.gated_interaction import GatedInteraction, Species
from ase_equivar.network.irreps import Irrep, spherical_harmonics

N_ATOMS = 41  # more than a kernel takes at once, and none of its multiples
N_EDGES = 300
SIDES = {
    "first": (("0e",), ("0e", "1o", "2e")),
    "middle": (("0e", "1o", "2e"), ("0e", "1o", "2e")),
    "last": (("0e", "1o", "2e"), ("0e", "1e", "2e")),
}


def interaction(name: str, channels: int, dtype: torch.dtype) -> GatedInteraction:
    torch.manual_seed(3)
    inputs, outputs = (tuple(map(Irrep.parse, side)) for side in SIDES[name])
    made = GatedInteraction(
        inputs,
        outputs,
        l_max=2,
        channels=channels,
        radial_functions=4,
        radial_hidden=8,
        embedding=5,
    )
    return made.to(dtype).eval()


def surroundings(
    made: GatedInteraction, dtype: torch.dtype
) -> tuple[list[torch.Tensor], Bonds, Species]:
    """Random features, bonds and elements."""
    torch.manual_seed(5)
    n = made.convolution.channels
    distances = 0.5 + 4.5 * torch.rand(N_EDGES, dtype=dtype)
    bonds = Bonds(
        edges=random_edges(N_ATOMS, N_EDGES),
        distances=distances,
        harmonics=spherical_harmonics(torch.randn(N_EDGES, 3, dtype=dtype), 2),
        kinds=torch.randint(0, 2, (N_EDGES,)),
        radial=torch.randn(N_EDGES, 4, dtype=dtype),
        envelope=smooth_cutoff(distances, 5.0),
    )
    blocks = [torch.randn(N_ATOMS, ir.dim, n, dtype=dtype) for ir in made.inputs]
    species = Species(torch.randint(0, 3, (N_ATOMS,)), torch.randn(3, 5, dtype=dtype))
    return blocks, bonds, species


def both(
    made: GatedInteraction, dtype: torch.dtype, table: RadialTable | None = None
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    blocks, bonds, species = surroundings(made, dtype)
    with torch.no_grad():
        sent = torch.cat(made.before(blocks), dim=1)
        expected = made._update(blocks, sent, bonds, species, species, table)
        found = made._compiled(blocks, bonds, species, table)
    return list(zip(found, expected, strict=True))


DOUBLE, SINGLE = (torch.float64, 1e-13), (torch.float32, 2e-6)
CASES = [
    (name, 8, *precision, tabulated)
    for name in SIDES
    for precision in (DOUBLE, SINGLE)
    for tabulated in (False, True)
]
# channels that do not go by four; each case takes seconds of compilation
CASES += [("first", 6, *SINGLE, True), ("middle", 6, *DOUBLE, True), ("last", 6, *SINGLE, False)]


@pytest.mark.parametrize(("name", "channels", "dtype", "bound", "tabulated"), CASES)
def test_steps_are_those_in_torch(
    name: str, channels: int, dtype: torch.dtype, bound: float, tabulated: bool
) -> None:
    made = interaction(name, channels, dtype)
    n_paths = len(made.convolution.coupling.paths)
    shape = (2, RadialTable.n_points(5.0), 3, n_paths, channels)
    table = RadialTable(torch.randn(shape, dtype=dtype)) if tabulated else None
    for found, expected in both(made, dtype, table):
        assert (found - expected).abs().max() < bound * expected.abs().max()


def test_channels_that_are_left_out() -> None:
    made = interaction("middle", 8, torch.float64)
    made.masks = [2.0 * (torch.rand(1, 1, 8).double() > 0.5) for _ in made.outputs]
    for found, expected in both(made, torch.float64):
        assert (found - expected).abs().max() < 1e-13 * expected.abs().max()
    plain, masked = (
        both(one, torch.float64) for one in (interaction("middle", 8, torch.float64), made)
    )
    assert not torch.equal(plain[1][0], masked[1][0])


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-13), (torch.float32, 2e-6)])
@pytest.mark.parametrize("size", [1.0, 30.0, 3e4])
def test_gates_far_open_and_far_closed(dtype: torch.dtype, bound: float, size: float) -> None:
    """Exponentials of such arguments are no numbers that a processor has."""
    made = interaction("middle", 8, dtype)
    with torch.no_grad():
        made.element_bias.weight *= size
    for found, expected in both(made, dtype):
        assert found.isfinite().all()
        assert (found - expected).abs().max() < bound * expected.abs().max()


def test_what_is_not_finite_stays_so() -> None:
    """A network's broken weights are told by its results."""
    made = interaction("middle", 8, torch.float32)
    with torch.no_grad():
        made.after.weights[0][0, 0] = torch.nan
    assert all(not found.isfinite().all() for found, _ in both(made, torch.float32)[:1])


def test_kernels_follow_weights_that_change() -> None:
    """What they are given is kept between calls."""
    made = interaction("middle", 8, torch.float64)
    layers = [made.before, made.after, made.skip, made.element_bias, made.element_scale]
    before = [found for found, _ in both(made, torch.float64)]
    for parameter in (parameter for layer in layers for parameter in layer.parameters()):
        with torch.no_grad():
            parameter *= 1.5
        pairs = both(made, torch.float64)
        after = [found for found, _ in pairs]
        assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
        for found, expected in pairs:
            assert (found - expected).abs().max() < 1e-13 * expected.abs().max()
        before = after
    blocks, bonds, species = surroundings(made, torch.float64)
    with torch.no_grad():
        first = made._compiled(blocks, bonds, species, None)
        species.elements.mul_(2.0)
        second = made._compiled(blocks, bonds, species, None)
    assert not torch.equal(first[0], second[0])
