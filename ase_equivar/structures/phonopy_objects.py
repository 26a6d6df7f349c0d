"""Checks of Phonopy objects, above all for finite numbers, before they are used or written.

phonopy itself accepts NaN and returns meaningless frequencies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase_equivar.arguments import born_charges_array, dielectric_array, finite_real

if TYPE_CHECKING:
    from phonopy import Phonopy


def require_phonopy(phonon: Any) -> None:
    """Raise a TypeError unless this is a Phonopy object."""
    from phonopy import Phonopy  # the import takes most of a second

    if not isinstance(phonon, Phonopy):
        raise TypeError(f"phonon is a {type(phonon).__name__}; give a phonopy.Phonopy")


def require_finite(phonon: Phonopy) -> None:
    """Refuse force constants that are not finite, and ``nac_params`` that are not valid Z* and ε∞.

    Raises
    ------
    TypeError
        If it is not a Phonopy object.
    ValueError
        If a quantity that is present is invalid. Quantities that are absent are not required.
    """
    require_phonopy(phonon)
    if phonon.force_constants is not None:
        finite_real("the array of force constants of phonon", phonon.force_constants, None)
    if phonon.nac_params is not None:
        check_nac_params(phonon.nac_params["born"], phonon.nac_params["dielectric"])


def check_nac_params(born: object, dielectric: object) -> None:
    """Raise a ValueError unless these are valid arrays of Z* and ε∞."""
    born_charges_array("born in nac_params", born)
    dielectric_array("dielectric in nac_params", dielectric)
