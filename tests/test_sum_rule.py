"""Neutrality: exact, batch-safe, on a copy, and nothing but a shift by the mean."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import ase_equivar
from ase_equivar.sum_rule import excess_and_neutral, neutralize, violation

RNG = np.random.default_rng(11)


def cations_then_anions(n_atoms: int) -> np.ndarray:
    """Raw float32 charges in the order that makes a running sum largest."""
    charges = RNG.normal(size=(n_atoms, 3, 3))
    charges[: n_atoms // 2] += 7.2 * np.eye(3)
    charges[n_atoms // 2 :] -= 7.1 * np.eye(3)
    return charges.astype(np.float32)


@pytest.mark.parametrize("total_charge", [0, 2, -1, 0.3])
@pytest.mark.parametrize("n_atoms", [1, 2, 7, 300, 5000])
def test_sum_is_the_total_charge_in_any_order(n_atoms, total_charge):
    neutral = neutralize(cations_then_anions(n_atoms), total_charge)
    assert neutral.dtype == np.float64
    target = total_charge * np.eye(3)
    tolerance = 1e-12 if total_charge == int(total_charge) else 1e-15 * max(n_atoms, 10)
    for order in (slice(None), slice(None, None, -1), RNG.permutation(n_atoms)):
        assert np.abs(neutral[order].sum(axis=0) - target).max() <= tolerance


@pytest.mark.parametrize("n_atoms", [2, 300, 5000])
def test_every_atom_is_shifted_by_the_mean_violation(n_atoms):
    raw = cations_then_anions(n_atoms).astype(np.float64)
    before = raw.copy()
    shift = neutralize(raw, 1.0) - raw
    mean = (
        np.eye(3) - np.array([[*map(sum, rows.T)] for rows in raw.transpose(1, 0, 2)])
    ) / n_atoms
    np.testing.assert_allclose(shift, np.broadcast_to(mean, shift.shape), rtol=0, atol=1e-10)
    np.testing.assert_array_equal(raw, before)


def test_violation_by_hand():
    charges = np.zeros((2, 3, 3))
    charges[0, 0, 1], charges[1, 0, 1], charges[1, 2, 2] = 0.25, 0.5, -1.0
    expected = [[[-2, 0.75, 0], [0, -2, 0], [0, 0, -3]]]
    np.testing.assert_array_equal(violation(charges, 2.0), expected)


def test_structures_of_a_batch_do_not_mix():
    parts = [torch.from_numpy(cations_then_anions(n)) for n in (3, 1, 40)]
    structure = torch.repeat_interleave(torch.arange(3), torch.tensor([3, 1, 40]))
    charges = torch.tensor([0.0, 1.0, -2.0])
    batch = neutralize(torch.cat(parts), charges, structure, 3)
    assert batch.dtype == torch.float64
    for index, (part, together) in enumerate(zip(parts, batch.split([3, 1, 40]), strict=True)):
        alone = neutralize(part.numpy(), float(charges[index]))
        np.testing.assert_allclose(together.numpy(), alone, rtol=0, atol=1e-12)
    assert violation(batch, charges, structure, 3).abs().max() < 1e-12


def test_gradient_of_the_torch_version():
    raw = torch.from_numpy(cations_then_anions(4)).double().requires_grad_()
    structure = torch.tensor([0, 0, 1, 1])
    assert torch.autograd.gradcheck(lambda z: neutralize(z, 0.0, structure, 2), raw)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"shape \(4, 9\), not \(N, 3, 3\)"):
        neutralize(np.zeros((4, 9)))
    zeros = torch.zeros(4, 3, 3)
    with pytest.raises(ValueError, match="n_structures must be given"):
        neutralize(zeros, 0.0, torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match="one index per atom"):
        neutralize(zeros, 0.0, torch.zeros(3, dtype=torch.int64), 1)
    with pytest.raises(ValueError, match="one for each of the 1 structures"):
        violation(zeros, torch.zeros(2))
    with pytest.raises(ValueError, match="hold one structure"):
        neutralize(zeros.numpy(), 0.0, torch.zeros(4, dtype=torch.int64), 1)


@pytest.mark.parametrize("rows", [(), (1,), (1, 3), (3, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_charges_of_any_shape_get_what_whole_tensors_get(rows, dtype):
    """Scalars of polar networks, rows of their training, in the precision of the network."""
    values = torch.from_numpy(RNG.normal(size=(7, *rows))).to(dtype)
    structure = torch.tensor([2, 0, 0, 2, 3, 3, 3])  # structure 1 has no atoms
    excess, neutral = excess_and_neutral(values, structure, 4)
    assert neutral.dtype == excess.dtype == dtype
    assert excess.shape == (4, *rows)
    for index in range(4):
        own = values[structure == index].double().numpy()
        np.testing.assert_allclose(excess[index].numpy(), own.sum(axis=0), atol=1e-6)
        if len(own):
            np.testing.assert_allclose(
                neutral[structure == index].numpy(), own - own.mean(axis=0), atol=1e-6
            )
    alone = excess_and_neutral(values[:3])[1]
    np.testing.assert_allclose(
        alone.numpy(), (values[:3] - values[:3].mean(dim=0)).numpy(), atol=1e-6
    )


def test_neutrality_is_imposed_in_one_place():
    """Nowhere else is a mean or an excess gathered back to the atoms of its structure."""
    package = Path(ase_equivar.__file__).parent
    by_hand = re.compile(r"-[^\n]*\[[\w.]*structure\]")
    files = {file.name for file in package.rglob("*.py") if by_hand.search(file.read_text())}
    assert files == {"sum_rule.py"}
