"""Our irreps, couplings and harmonics against e3nn's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from e3nn import o3

from ase_equivar.network.irreps import Irrep, can_couple, spherical_harmonics, wigner_3j

DEGREES = range(6)


def test_coefficients_equal_e3nns() -> None:
    from ase_equivar.network.e3nn_layers import o3  # an e3nn of other signs is no oracle

    for l1, l2 in itertools.product(DEGREES, DEGREES):
        for l3 in range(abs(l1 - l2), l1 + l2 + 1):
            oracle = o3.wigner_3j(l1, l2, l3, dtype=torch.float64)
            torch.testing.assert_close(wigner_3j(l1, l2, l3), oracle, rtol=0, atol=2e-15)


def test_coefficients_of_the_largest_degrees_equal_e3nns() -> None:
    from ase_equivar.network.e3nn_layers import o3  # an e3nn of other signs is no oracle

    for l3 in (0, 7, 8, 16):
        oracle = o3.wigner_3j(8, 8, l3, dtype=torch.float64)
        torch.testing.assert_close(wigner_3j(8, 8, l3), oracle, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-13), (torch.float32, 2e-5)])
def test_harmonics_and_their_derivatives_equal_e3nns(dtype: torch.dtype, bound: float) -> None:
    random = np.random.default_rng(3)
    axes = np.vstack([np.eye(3), -np.eye(3)])
    vectors = torch.from_numpy(np.vstack([axes, random.normal(size=(60, 3)) * 2.3])).to(dtype)
    weights = torch.from_numpy(random.normal(size=(len(vectors), 81))).to(dtype)
    found = []
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        literal = o3.SphericalHarmonics(list(range(9)), True, normalization="component")
    finally:
        torch.set_default_dtype(default)
    for function in (lambda v: spherical_harmonics(v, 8), literal):
        where = vectors.clone().requires_grad_()
        values = function(where)
        [slope] = torch.autograd.grad((values * weights).sum(), where, create_graph=True)
        [curvature] = torch.autograd.grad(slope.square().sum(), where)
        found.append((values.detach(), slope.detach(), curvature))
    for ours, oracle in zip(*found, strict=True):
        torch.testing.assert_close(ours, oracle, rtol=0, atol=bound * float(oracle.abs().max()))


def test_irreps_are_named_and_coupled_as_in_e3nn() -> None:
    names = [f"{degree}{parity}" for degree in range(4) for parity in "eo"]
    for name in names:
        ours, oracle = Irrep.parse(name), o3.Irrep(name)
        assert (ours.degree, ours.parity, ours.dim) == (oracle.l, oracle.p, oracle.dim)
        assert str(ours) == name
    for three in itertools.product(names, repeat=3):
        oracle = o3.Irrep(three[2]) in o3.Irrep(three[0]) * o3.Irrep(three[1])
        assert can_couple(*map(Irrep.parse, three)) == oracle


@pytest.mark.parametrize("text", ["", "1", "e", "1x", "-1e", "1e ", "2x1e", "٢e", None, 1])
def test_what_is_no_irrep_is_refused(text: object) -> None:
    with pytest.raises(
        ValueError, match=r"is not an irrep; give its degree and parity, such as '1o'"
    ):
        Irrep.parse(text)  # type: ignore[arg-type]
