"""Voigt's six components of symmetric tensors, in ASE's order: xx, yy, zz, yz, xz, xy.

Stress and derivatives with respect to strain have the tensor's own components: σ_4 = σ_yz,
e_a4 = e_ayz, C_44 = C_yzyz. Strain has twice its off-diagonal components, η_4 = 2 ε_yz, so that
e_aj η_j = e_abc ε_bc. Nothing else carries a factor of two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COMPONENTS = ("xx", "yy", "zz", "yz", "xz", "xy")
INDICES = FIRST, SECOND = (0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)
PLACES = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
"""Which of the six components stands where in the tensor."""


def to_voigt(tensors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the six components of symmetric tensors of stress or derivatives, (…, 3, 3)."""
    return (tensors[..., FIRST, SECOND] + tensors[..., SECOND, FIRST]) / 2


def from_voigt(components: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric tensors of components of stress or derivatives, (…, 6)."""
    return components[..., PLACES]


def strain_tensor(components: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the strain ε, (…, 3, 3), of its six components η, of which three are doubled."""
    return components[..., PLACES] * np.where(np.eye(3) > 0, 1.0, 0.5)


def strain_components(strain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the six components η of strains, (…, 3, 3): the inverse of `strain_tensor`."""
    return to_voigt(strain) * np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
