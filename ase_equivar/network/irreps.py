"""Irreducible representations of O(3), their coupling, and real spherical harmonics.

The conventions are e3nn's: components of degree 1 are x, y, z; those of degree l are ordered from m
= -l to l about the y axis. `e3nn` is the reference of the tests and is not needed here: importing
it takes as long as the whole rest of a first prediction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from math import factorial, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, order=True)
class Irrep:
    """An irreducible representation of O(3).

    Attributes
    ----------
    degree : int
        l: rotations act on 2l + 1 components.
    parity : int
        1 (even) or -1 (odd): the factor under inversion.
    """

    degree: int
    parity: int

    @classmethod
    def parse(cls, text: str) -> Irrep:
        """Read a name such as "0e" or "1o".

        Raises
        ------
        ValueError
            If it is not an irrep.
        """
        if not isinstance(text, str) or re.fullmatch(r"[0-9]{1,4}[eo]", text) is None:
            raise ValueError(f"{text!r} is not an irrep; give its degree and parity, such as '1o'")
        return cls(int(text[:-1]), 1 if text[-1] == "e" else -1)

    @property
    def dim(self) -> int:
        """Number of components."""
        return 2 * self.degree + 1

    def __str__(self) -> str:
        return f"{self.degree}{'e' if self.parity > 0 else 'o'}"


def can_couple(first: Irrep, second: Irrep, result: Irrep) -> bool:
    """Whether the product of two irreps contains a third one."""
    return (
        abs(first.degree - second.degree) <= result.degree <= first.degree + second.degree
        and first.parity * second.parity == result.parity
    )


def wigner_3j(l1: int, l2: int, l3: int) -> Tensor:
    """Invariant tensor of three degrees in the basis of real spherical harmonics.

    Parameters
    ----------
    l1, l2, l3 : int
        Degrees with |l1 - l2| ≤ l3 ≤ l1 + l2.

    Returns
    -------
    Tensor of float64, shape (2 l1 + 1, 2 l2 + 1, 2 l3 + 1)
        With norm 1.
    """
    return torch.from_numpy(_wigner_3j(l1, l2, l3).copy())


@cache
def _wigner_3j(l1: int, l2: int, l3: int) -> NDArray[np.float64]:
    complex_basis = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1) + 1):
            value = _clebsch_gordan(l1, m1, l2, m2, l3)
            complex_basis[l1 + m1, l2 + m2, l3 + m1 + m2] = value
    of_first, of_second, of_third = map(_complex_from_real, (l1, l2, l3))
    mixed = np.einsum(
        "mnp,mi,nj,pk->ijk", complex_basis, of_first, of_second, of_third.conj(), optimize=True
    )
    real: NDArray[np.float64] = mixed.real
    real[np.abs(real) < 1e-14] = 0.0
    return real / np.linalg.norm(real)


def _clebsch_gordan(l1: int, m1: int, l2: int, m2: int, l3: int) -> float:
    """⟨l1 m1 l2 m2 | l3 m1+m2⟩ by Racah's formula, in exact integers up to the root."""
    m3 = m1 + m2
    total = 0.0
    for k in range(l1 + l2 - l3 + 1):
        counts = (
            k,
            l1 + l2 - l3 - k,
            l1 - m1 - k,
            l2 + m2 - k,
            l3 - l2 + m1 + k,
            l3 - l1 - m2 + k,
        )
        if min(counts) >= 0:
            total += (-1) ** k / float(np.prod([factorial(n) for n in counts], dtype=object))
    triangle = factorial(l1 + l2 - l3) * factorial(l1 - l2 + l3) * factorial(l2 + l3 - l1)
    pairs = (l1, m1), (l2, m2), (l3, m3)
    weights = [factorial(at + m) * factorial(at - m) for at, m in pairs]
    scale = (2 * l3 + 1) * triangle * np.prod(weights, dtype=object)
    return sqrt(scale / factorial(l1 + l2 + l3 + 1)) * total


def _complex_from_real(degree: int) -> NDArray[np.complex128]:
    """Return (-i)^l times the complex harmonics (rows, m ascending) in terms of real ones.

    This factor makes couplings real.
    """
    matrix = np.zeros((2 * degree + 1, 2 * degree + 1), dtype=np.complex128)
    matrix[degree, degree] = 1.0
    for m in range(1, degree + 1):
        sign = (-1) ** m
        plus, minus = degree + m, degree - m
        matrix[minus, plus], matrix[minus, minus] = sqrt(0.5), -1j * sqrt(0.5)
        matrix[plus, plus], matrix[plus, minus] = sign * sqrt(0.5), 1j * sign * sqrt(0.5)
    return (-1j) ** degree * matrix


def spherical_harmonics(vectors: Tensor, l_max: int) -> Tensor:
    """Real spherical harmonics of directions, by recursion in the degree.

    Parameters
    ----------
    vectors : Tensor, shape (E, 3)
        Of any nonzero length.
    l_max : int
        Largest degree.

    Returns
    -------
    Tensor, shape (E, (l_max + 1)²)
        Σ_m Y_lm² = 2 l + 1 ("component" normalization), differentiable to any order.
    """
    x, y, z = torch.nn.functional.normalize(vectors, dim=1).unbind(1)
    # (z + i x)^m, times functions of y: the azimuth is counted from z to x
    cosines, sines = [torch.ones_like(y)], [torch.zeros_like(y)]
    for _ in range(l_max):
        cosines.append(cosines[-1] * z - sines[-1] * x)
        sines.append(cosines[-2] * x + sines[-1] * z)
    legendre, scales = _legendre(y, l_max), harmonic_scales(l_max).tolist()
    columns = []
    for degree in range(l_max + 1):
        for m in range(-degree, degree + 1):
            order = abs(m)
            column = scales[degree][order] * legendre[degree, order]
            if m:
                column = column * (sines if m < 0 else cosines)[order]
            columns.append(column)
    return torch.stack(columns, dim=1)


@cache
def harmonic_scales(l_max: int) -> NDArray[np.float64]:
    """Return normalization factors of Legendre functions by degree and order, 0 beyond."""
    scales = np.zeros((l_max + 1, l_max + 1))
    for degree in range(l_max + 1):
        for order in range(degree + 1):
            ratio = factorial(degree - order) / factorial(degree + order)
            scales[degree, order] = sqrt((2 * degree + 1) * ratio * (2 if order else 1))
    return scales


def _legendre(y: Tensor, l_max: int) -> dict[tuple[int, int], Tensor]:
    """Associated Legendre functions of y, by degree and order m, divided by (1 - y²)^(m/2)."""
    found = {}
    start = torch.ones_like(y)
    for m in range(l_max + 1):
        found[m, m] = start
        if m < l_max:
            found[m + 1, m] = (2 * m + 1) * y * start
        for degree in range(m + 2, l_max + 1):
            before = (2 * degree - 1) * y * found[degree - 1, m]
            found[degree, m] = (before - (degree + m - 1) * found[degree - 2, m]) / (degree - m)
        start = (2 * m + 1) * start
    return found
