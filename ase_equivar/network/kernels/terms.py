"""A coupling written out term by term: the lines of code that all kernels share.

For every edge the entries A[row, m1] = Σ_m2 C[m1 m2 m3] Y[m2] are formed once, for all channels;
what is left is a sum of products in registers. Names in the lines: y harmonics, a entries, x
features, w weights, d their slopes, g the gradient of the result, h = w g; each with the number of
its component, entry, path or row. Derivatives by harmonics and by distance have their products in
common: t[path, m2] = Σ_m1,m3 C[m1 m2 m3] x[m1] g[row].
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from ase_equivar.network.coupling import Coupling

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True)
class _Entry:
    """One entry of the edge matrix A[row, m1], for one path."""

    path: int
    row: int
    component: int
    terms: tuple[tuple[str, int], ...]  # coefficient and harmonic

    @property
    def expression(self) -> str:
        return " + ".join(f"{number}*y{m}" for number, m in self.terms)


@dataclass(frozen=True)
class Lines:
    """Expressions of the kernels of one coupling.

    Attributes
    ----------
    entries : list of str
        Assignments to the entries a.
    scaled : list of str
        Assignments to the products h of a weight and a gradient.
    rows : dict
        What an edge adds to each row of the result.
    weights : dict
        Gradient with respect to the weight of each path.
    components : dict
        What an edge adds to the gradient with respect to each component of the features.
    products : list of str
        Assignments to the products t of features and gradients.
    harmonics : dict
        What a channel adds to the gradient with respect to each harmonic, from t.
    slopes : list of str
        What each path adds to the gradient with respect to the distance, from t.
    """

    entries: list[str]
    scaled: list[str]
    rows: dict[int, str]
    weights: dict[int, str]
    components: dict[int, str]
    products: list[str]
    harmonics: dict[int, str]
    slopes: list[str]


def write_lines(coupling: Coupling, constant: Callable[[float], str]) -> Lines:
    """Write a coupling's expressions, numbers as `constant` writes them."""
    entries = _entries(coupling, constant)
    products = _sums(entries, lambda t: (t.path, t.row), lambda n, t: f"a{n}*x{t.component}")
    rows: dict[int, list[str]] = {}
    weights: dict[int, list[str]] = {}
    for (path, row), product in products.items():
        rows.setdefault(row, []).append(f"w{path}*({product})")
        weights.setdefault(path, []).append(f"g{row}*({product})")
    products_of: dict[tuple[int, int], list[str]] = {}
    for entry in entries:
        for number, m in entry.terms:
            factors = f"{number}*(x{entry.component}*g{entry.row})"
            products_of.setdefault((entry.path, m), []).append(factors)
    harmonics: dict[int, list[str]] = {}
    slopes: dict[int, list[str]] = {}
    for path, m in products_of:
        harmonics.setdefault(m, []).append(f"w{path}*t{path}_{m}")
        slopes.setdefault(path, []).append(f"y{m}*t{path}_{m}")
    return Lines(
        entries=[f"a{number} = {entry.expression}" for number, entry in enumerate(entries)],
        scaled=[f"h{path}_{row} = w{path}*g{row}" for path, row in products],
        rows={row: " + ".join(parts) for row, parts in rows.items()},
        weights={path: " + ".join(parts) for path, parts in weights.items()},
        components=_sums(entries, lambda t: t.component, lambda n, t: f"a{n}*h{t.path}_{t.row}"),
        products=[f"t{p}_{m} = {' + '.join(parts)}" for (p, m), parts in products_of.items()],
        harmonics={m: " + ".join(parts) for m, parts in harmonics.items()},
        slopes=[f"d{path}*({' + '.join(parts)})" for path, parts in slopes.items()],
    )


def cubic_factors(constant: Callable[[float], str]) -> tuple[list[str], list[str]]:
    """Write the cubic in s, from 0 to 1, between two points of a table, and its derivative.

    Returns
    -------
    tuple of two lists of str
        What the slope at the lower point, the value there, the slope in the middle and that at the
        upper point are multiplied by, to give the value at s and the derivative.
    """
    half, one, two, three, four = map(constant, (0.5, 1.0, 2.0, 3.0, 4.0))
    third, rest = constant(1 / 3), f"({one} - s)"
    return (
        [
            f"s*({one} - s*({three}*{half} - {two}*{third}*s))",
            one,
            f"s*s*({two} - {four}*{third}*s)",
            f"s*s*({two}*{third}*s - {half})",
        ],
        [f"{rest}*({one} - {two}*s)", constant(0.0), f"{four}*s*{rest}", f"s*({two}*s - {one})"],
    )


def _entries(coupling: Coupling, constant: Callable[[float], str]) -> list[_Entry]:
    entries = []
    columns = np.cumsum([0, *[ir.dim for ir in coupling.inputs]])
    for number, (path, rows) in enumerate(zip(coupling.paths, coupling.rows, strict=True)):
        table = coupling.coefficients(path).numpy()
        first = path.degree**2
        for m1, m3 in itertools.product(range(table.shape[0]), range(table.shape[2])):
            terms = tuple(
                (constant(float(table[m1, m2, m3])), first + m2)
                for m2 in range(table.shape[1])
                if abs(table[m1, m2, m3]) > 1e-12
            )
            if terms:
                row, component = rows[m3], int(columns[path.input]) + m1
                entries.append(_Entry(number, row, component, terms))
    return entries


def _sums(
    entries: list[_Entry], key: Callable[[_Entry], _Key], text: Callable[[int, _Entry], str]
) -> dict[_Key, str]:
    """Group the entries by `key`, each group written as one sum."""
    groups: dict[_Key, list[str]] = {}
    for number, entry in enumerate(entries):
        groups.setdefault(key(entry), []).append(text(number, entry))
    return {k: " + ".join(v) for k, v in groups.items()}


def scalar_name(dtype: torch.dtype) -> str:
    """Name a floating-point type as NumPy and Triton do."""
    return {torch.float64: "float64", torch.float32: "float32"}[dtype]
