"""Conversion of irreducible parts to Z* (3×3) and ε∞ (symmetric, above 1), and to NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ase_equivar.network.irreps import wigner_3j


@dataclass(frozen=True)
class RawPolarization:
    """The polarization of a network whose Z* are its derivative: Ω P = Σ_i p_i + Σ_i q_i r_i.

    Attributes
    ----------
    charges : Tensor, shape (N,)
        q_i in |e|; they add up to zero in each structure.
    moments : Tensor, shape (S, 3)
        Σ_i p_i in |e|·Å.
    strain_derivatives : Tensor, shape (S, 3, 3, 3)
        ∂(Σ_i p_ia)/∂ε_bc in |e|·Å, where all bonds go from v to (1 + ε) v.
    """

    charges: Tensor
    moments: Tensor
    strain_derivatives: Tensor


@dataclass(frozen=True)
class RawTensors:
    """Predictions of a network, before neutrality is imposed.

    Attributes
    ----------
    born_charges : Tensor, shape (N, 3, 3)
        Z*[i, a, b] = Ω ∂P_a/∂u_ib in |e|: row = polarization or field, column = displacement.
    dielectric : Tensor or None, shape (S, 3, 3)
        Electronic dielectric tensor ε∞ of each structure, relative permittivity.
    polarization : RawPolarization, optional
        Of a network that has one.
    features : tuple of Tensor, shapes (N, 2l+1, C)
        Of the atoms after the last interaction, one block per irrep, without gradients; of an
        ensemble, those of all members. Networks without gates give none.
    """

    born_charges: Tensor
    dielectric: Tensor | None
    polarization: RawPolarization | None = None
    features: tuple[Tensor, ...] = ()


class CartesianTensor(nn.Module):
    """Assemble a 3×3 tensor from its parts of degree 0 (trace), 1 (antisymmetric), 2 (traceless).

    The change of basis is orthonormal, so that the Frobenius norm of the tensor is the norm of
    its parts: T_ab = Σ_l Σ_m Q^l_{ab,m} t_lm, with Q^l from Wigner 3j symbols.
    """

    basis: Tensor

    def __init__(self) -> None:
        super().__init__()
        parts = [wigner_3j(1, 1, degree) * (2 * degree + 1) ** 0.5 for degree in (0, 1, 2)]
        self.register_buffer("basis", torch.cat(parts, dim=2), persistent=False)

    def forward(self, parts: Tensor) -> Tensor:
        """(N, 9) parts, ordered 0e, 1e, 2e, to (N, 3, 3) tensors."""
        basis = self.basis.to(parts.dtype).flatten(0, 1)
        return (parts @ basis.T).unflatten(1, (3, 3))

    def inverse(self, tensors: Tensor) -> Tensor:
        """(N, 3, 3) tensors to their (N, 9) parts."""
        return tensors.flatten(1) @ self.basis.to(tensors.dtype).flatten(0, 1)


def raw_tensors(
    cartesian: CartesianTensor,
    parts: Tensor,
    log_susceptibility: Tensor | None,
    features: Sequence[Tensor] = (),
) -> RawTensors:
    """Assemble the output of networks, (N, 9) parts of Z* and ln(ε∞ - 1), if there is one."""
    return RawTensors(
        born_charges=cartesian(parts),
        dielectric=None if log_susceptibility is None else dielectric_from_log(log_susceptibility),
        features=tuple(block.detach() for block in features),
    )


def dielectric_from_log(log_susceptibility: Tensor) -> Tensor:
    """ε∞ = 1 + exp(S): positive definite and above 1 for any symmetric S.

    Parameters
    ----------
    log_susceptibility : Tensor, shape (S, 3, 3)
        Symmetric matrices, the logarithm of the electronic susceptibility ε∞ - 1.

    Returns
    -------
    Tensor, shape (S, 3, 3)
    """
    identity = torch.eye(3, dtype=log_susceptibility.dtype, device=log_susceptibility.device)
    if log_susceptibility.requires_grad:  # axes of equal eigenvalues have no gradient
        return identity + torch.matrix_exp(log_susceptibility)
    # twenty times as fast for one crystal; in single precision it would be less exact
    values, axes = torch.linalg.eigh(log_susceptibility.double())
    exponential = (axes * values.exp().unsqueeze(1)) @ axes.transpose(1, 2)
    return identity + exponential.to(identity.dtype)


def log_susceptibility(dielectric: Tensor) -> Tensor:
    """Inverse of `dielectric_from_log`: S = ln(ε∞ - 1), by eigenvalues, of (S, 3, 3) tensors.

    Eigenvalues of ε∞ - 1 are kept above 1e-3, so that labels of almost empty cells stay finite.
    """
    identity = torch.eye(3, dtype=dielectric.dtype, device=dielectric.device)
    symmetric = 0.5 * (dielectric + dielectric.transpose(1, 2)) - identity
    values, axes = torch.linalg.eigh(symmetric)
    return (axes * values.clamp(min=1e-3).log().unsqueeze(1)) @ axes.transpose(1, 2)


def finite_arrays(
    tensors: RawTensors, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return Z* and ε∞ of all structures, as the network of this name gave them.

    Raises
    ------
    FloatingPointError
        If a value is not finite.
    """
    born = tensors.born_charges.cpu().double()
    if not born.isfinite().all():
        raise not_finite("Z*", name)
    if tensors.dielectric is None:
        return born.numpy(), None
    dielectric = tensors.dielectric.cpu().double()
    if not dielectric.isfinite().all():
        raise not_finite("ε∞", name)
    return born.numpy(), dielectric.numpy()


def not_finite(what: str, name: str) -> FloatingPointError:
    """Return the error that says which values of which network are not finite."""
    return FloatingPointError(
        f"the network {name} gave values of {what} that are not finite: its weights are "
        "damaged, or distances between atoms are far from those in its training data"
    )
