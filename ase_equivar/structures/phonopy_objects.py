"""Phonopy objects: finite numbers above all, before anything is made of them or written.

phonopy itself takes NaN for what it is, and gives frequencies that are no better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase_equivar.arguments import born_charges_array, dielectric_array, finite_real

if TYPE_CHECKING:
    from phonopy import Phonopy


def require_phonopy(phonon: Any) -> None:
    """Refuse what is no Phonopy object, as a TypeError."""
    from phonopy import Phonopy  # takes most of a second

    if not isinstance(phonon, Phonopy):
        raise TypeError(f"phonon is a {type(phonon).__name__}; give a phonopy.Phonopy")


def require_finite(phonon: Phonopy) -> None:
    """Refuse force constants that are not finite, and ``nac_params`` that are no Z* and ε∞.

    Raises
    ------
    TypeError
        When it is no Phonopy object.
    ValueError
        Naming what is wrong. What the object does not have is not missed.
    """
    require_phonopy(phonon)
    if phonon.force_constants is not None:
        finite_real("the array of force constants of phonon", phonon.force_constants, None)
    if phonon.nac_params is not None:
        check_nac_params(phonon.nac_params["born"], phonon.nac_params["dielectric"])


def check_nac_params(born: object, dielectric: object) -> None:
    """Refuse what is no array of Z*, or no ε∞, as a ValueError."""
    born_charges_array("born in nac_params", born)
    dielectric_array("dielectric in nac_params", dielectric)
