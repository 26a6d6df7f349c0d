"""The polarization of a structure as a function of its positions and its cell.

A polar network has Ω P = Σ_i p_i + Σ_i q_i r_i, with a vector p_i that depends on the environment
of atom i, and charges q_i that sum to zero. P does not change when the whole crystal is translated.
The p_i do not depend on which periodic image of an atom is given, but the second sum does: with
atom i in the next cell, at r_i + a_k, Ω P is larger by q_i a_k. P is therefore that of the images
given, and only its changes along a continuous path are those of a crystal.

The strain derivative at fixed reduced coordinates (r → (1 + ε) r, Ω → (1 + tr ε) Ω) is ::

    ∂P_a/∂ε_bc = T_abc/Ω + δ_ab Σ_i q_i r_ic / Ω − δ_bc P_a,     T_abc = Σ_bonds ∂p_a/∂v_b v_c

with p = Σ_i p_i. This improper piezoelectric tensor contains P and so depends on the images. The
proper one, which gives the charge that flows between electrodes on the strained crystal, does not:
D. Vanderbilt, J. Phys. Chem. Solids 61, 147 (2000), ::

    e_abc = ∂P_a/∂ε_bc + δ_bc P_a − δ_ab P_c = (T_abc − δ_ab p_c) / Ω

which is symmetric in b and c, because p rotates with the crystal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.ase_properties import CLAMPED_PIEZO
from ase_equivar.network.readout import RawPolarization
from ase_equivar.structures.voigt import to_voigt
from ase_equivar.units import C_PER_M2

OF_CRYSTALS = ("polarization", CLAMPED_PIEZO)
OF_MOLECULES = ("dipole",)
PROPERTIES = (*OF_CRYSTALS, *OF_MOLECULES)


def properties_for(atoms: Atoms) -> tuple[str, ...]:
    """Return those of `PROPERTIES` that a structure has, by its periodic directions."""
    if atoms.pbc.all():
        return OF_CRYSTALS
    return () if atoms.pbc.any() else OF_MOLECULES


@dataclass(frozen=True)
class Polarization:
    """Ω P = moment + Σ_i charges_i r_i of one structure, and its derivative by strain.

    Attributes
    ----------
    charges : numpy.ndarray
        In |e|; they sum to zero. shape=(N,).
    moment : numpy.ndarray
        p in |e|·Å, shape=(3,).
    strain_derivative : numpy.ndarray
        T_abc = ∂p_a/∂ε_bc in |e|·Å, shape=(3, 3, 3).
    """

    charges: NDArray[np.float64]
    moment: NDArray[np.float64]
    strain_derivative: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        raw: RawPolarization,
        index: int,
        atoms: slice,
        places: NDArray[np.int64] | slice,
    ) -> Polarization:
        """Select one structure of a batch, with its atoms in their own order."""
        charges = raw.charges[atoms].cpu().double().numpy()[places]
        return cls(
            charges=charges - charges.mean(),
            moment=raw.moments[index].cpu().double().numpy(),
            strain_derivative=raw.strain_derivatives[index].cpu().double().numpy(),
        )

    def dipole(self, atoms: Atoms) -> NDArray[np.float64]:
        """Return Ω P of the given images of the atoms, |e|·Å, shape=(3,)."""
        return np.asarray(self.moment + self.charges @ atoms.positions)

    def polarization(self, atoms: Atoms) -> NDArray[np.float64]:
        """Return P of the given images of the atoms, C/m², shape=(3,)."""
        return self.dipole(atoms) / (atoms.get_volume() * C_PER_M2)

    def piezoelectric_tensor(self, atoms: Atoms) -> NDArray[np.float64]:
        """Return the proper tensor at fixed reduced coordinates, C/m², shape=(3, 6).

        Row = polarization; columns xx, yy, zz, yz, xz, xy, with P_a = e_a,yz 2ε_yz + …
        """
        translation = np.einsum("ab,c->abc", np.eye(3), self.moment)
        proper = to_voigt(self.strain_derivative - translation)
        return proper / (atoms.get_volume() * C_PER_M2)

    def properties(self, atoms: Atoms) -> dict[str, NDArray[np.float64]]:
        """Return those of `PROPERTIES` that a structure has, by ASE's names."""
        found = {
            "polarization": self.polarization,
            CLAMPED_PIEZO: self.piezoelectric_tensor,
            "dipole": self.dipole,
        }
        return {name: found[name](atoms) for name in properties_for(atoms)}

    def stress(self, atoms: Atoms, field: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return −E·e, the field's part of the stress, eV/Å³, in ASE's order, shape=(6,)."""
        return -field @ self.piezoelectric_tensor(atoms) * C_PER_M2
