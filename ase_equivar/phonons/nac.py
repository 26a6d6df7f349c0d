"""From Z* and ε∞ to phonopy's non-analytical correction.

The long-range field of a polar phonon adds to the dynamical matrix, as q → 0 along q̂,

    ΔD[ia, jb] = (4π k / Ω) (q̂·Z_i)_a (q̂·Z_j)_b / (q̂·ε∞·q̂) / sqrt(M_i M_j),

with (q̂·Z_i)_a = Σ_c q̂_c Z_i[c, a], k = e²/(4πε0) and Ω the volume of the primitive cell: Pick,
Cohen and Martin, Phys. Rev. B 1, 910 (1970); Gonze and Lee, Phys. Rev. B 55, 10355 (1997), Eq. 60.
It raises the longitudinal optical modes above the transverse ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Literal, TypeAlias, cast, get_args

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynamical_matrix import DynamicalMatrixNAC, NacParams
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.symmetry import symmetrize_borns_and_epsilon

from ase_equivar.arguments import known_word
from ase_equivar.phonons.born_source import (
    Source,
    given_dielectric,
    read_source,
    refuse_metallic,
    unit_cell_atoms_of_primitive,
)
from ase_equivar.phonons.electronic_correction import Corrected
from ase_equivar.phonons.gamma import (
    NAC_FACTOR,
    check_units,
    checked_correction,
)
from ase_equivar.phonons.requirements import require_force_constants
from ase_equivar.phonons.static_check import warn_if_static
from ase_equivar.structures.conversion import as_atoms
from ase_equivar.structures.vacuum import describe_vacuum
from ase_equivar.sum_rule import neutralize, violation
from ase_equivar.warning_types import NetChargeWarning, NonpolarWarning, SymmetryWarning

SUM_RULE_WARNING = 0.5  # |e|, per primitive cell
BROKEN_SYMMETRY = 0.01  # of ε∞ − 1; rounded or noisy ones change by less

NacMethod: TypeAlias = Literal["gonze", "wang"]
"""How the correction goes on away from Γ: "gonze", the dipole–dipole sum of Gonze and Lee, Phys.
Rev. B 55, 10355 (1997); "wang", the interpolation of Wang et al., J. Phys.: Condens. Matter 22,
202201 (2010). At Γ they are the same."""


def nac_params(
    phonon: Phonopy,
    source: Source,
    *,
    dielectric_tensor: ArrayLike | Corrected | None = None,
    refractive_index: ArrayLike | None = None,
    method: NacMethod = "gonze",
) -> NacParams:
    """Return phonopy's parameters of the non-analytical correction.

    The charges are brought into the atom order of the primitive cell, symmetrized with phonopy's
    routine and finally neutralized.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        Defines the unit cell and the primitive cell. Not changed; `apply_nac` also sets the
        parameters.
    source : calculator, ase.Atoms or tuple
        One of

        - an ASE calculator that provides ``born_effective_charges``, to be run on the primitive
          cell;
        - Atoms with such a calculator: the unit cell or the primitive cell, with atoms in any
          order;
        - (born_charges, dielectric_tensor): shape (N, 3, 3) in |e|, row = field or polarization,
          column = displacement, for the N atoms of the unit cell or of the primitive cell, in its
          order; and shape (3, 3).
    dielectric_tensor : array_like or "corrected", optional
        ε∞, relative: shape (3, 3), or a number, three (diagonal) or nine. Required if the source
        does not provide ``dielectric_tensor``; otherwise it takes precedence. Use it for a measured
        ε∞. "corrected": that of the source, which is one of PBE or PBEsol, as
        `corrected_dielectric` corrects it. By default that of the source, as it is.
    refractive_index : array_like, optional
        Instead of `dielectric_tensor`: a number, or three along x, y and z; ε∞ is its square.
    method : {"gonze", "wang"}
        See `NacMethod`.

    Returns
    -------
    NacParams
        ``born`` (primitive atoms, 3, 3), ``dielectric`` (3, 3), ``factor`` = 14.399652 eV·Å and
        ``method``.

    Raises
    ------
    ValueError
        If charges and cells do not match, ε∞ is missing, not symmetric, below 1 or that of a metal,
        `dielectric_tensor` lacks the symmetry of the crystal, as in other axes, a number is not
        real and finite, the cell is charged, made of metals only or has vacuum (see
        `ase_equivar.structures.vacuum`), `phonon` is not in eV and Å, or there is no such method.

    Warns
    -----
    NetChargeWarning
        If the given charges of a primitive cell sum to more than 0.5 e.
    UserWarning
        From phonopy, if Z* violate the crystal's symmetry by more than 0.1 e.
    SymmetryWarning
        If the ε∞ of the source violates it by more than 1 % of ε∞ − 1.
    """
    check_units(phonon)
    electronic = given_dielectric(dielectric_tensor, refractive_index)
    known_word("method", method, get_args(NacMethod))
    refuse_vacuum((phonon.unitcell, phonon.primitive))
    born, dielectric, of_unit_cell = read_source(phonon, source, electronic)
    cell: PhonopyAtoms = phonon.unitcell if of_unit_cell else phonon.primitive
    born, dielectric = symmetrize_response(
        born,
        dielectric,
        cell,
        phonon.symmetry.tolerance,
        n_primitive_cells=len(cell) // len(phonon.primitive),
        is_given=isinstance(electronic, np.ndarray),
    )
    if of_unit_cell:
        born = born[unit_cell_atoms_of_primitive(phonon)]
    return {
        "born": neutralize(born),
        "dielectric": dielectric,
        "factor": NAC_FACTOR,
        "method": method,
    }


def symmetrize_response(
    born_charges: NDArray[np.float64],
    dielectric_tensor: NDArray[np.float64],
    cell: PhonopyAtoms,
    symprec: float,
    *,
    n_primitive_cells: int = 1,
    is_given: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Z* and ε∞ with the symmetry of the crystal.

    Parameters
    ----------
    born_charges : ndarray, shape (N, 3, 3)
        |e|, of all atoms of `cell`. The symmetrized ones sum to zero within rounding.
    dielectric_tensor : ndarray, shape (3, 3)
        ε∞.
    cell : phonopy.structure.atoms.PhonopyAtoms
    symprec : float
        Symmetry tolerance, Å.
    n_primitive_cells : int
        How many of them `cell` holds.
    is_given : bool
        Whether ε∞ was given beside Z*, and must have the symmetry of the crystal.

    Raises
    ------
    ValueError
        When ε∞ is that of a metal, or was given in other axes.

    Warns
    -----
    NetChargeWarning, UserWarning, SymmetryWarning
        As `nac_params`.
    """
    refuse_metallic(dielectric_tensor)
    excess = float(np.abs(violation(born_charges)).max()) / n_primitive_cells
    if excess > SUM_RULE_WARNING:
        warnings.warn(
            f"the Born effective charges of a primitive cell sum to {excess:.2f} e instead of 0: "
            "they are likely wrong for this crystal",
            NetChargeWarning,
            stacklevel=3,
        )
    born_charges, symmetric = symmetrize_borns_and_epsilon(
        born_charges, dielectric_tensor, cell, symprec=symprec
    )
    change = float(np.abs(symmetric - dielectric_tensor).max())
    if change > BROKEN_SYMMETRY * float(np.abs(dielectric_tensor - np.eye(3)).max()):
        broken = (
            f"ε∞ does not have the symmetry of the crystal: a component differs by {change:.2g} "
            "from the mean over its operations"
        )
        if is_given:
            raise ValueError(
                f"{broken}. It may be given in other axes than those of the structure, whose c "
                "axis need not be z"
            )
        warnings.warn(f"{broken}, which is used", SymmetryWarning, stacklevel=3)
    # symmetric to the last bit: the correction sees q·ε∞·q only
    return born_charges, (symmetric + symmetric.T) / 2


def refuse_vacuum(cells: Iterable[PhonopyAtoms | Atoms]) -> None:
    """Refuse cells with vacuum, for which the non-analytical correction is none.

    Raises
    ------
    ValueError
        Saying so.
    """
    for cell in cells:
        if (reason := describe_vacuum(as_atoms(cell))) is not None:
            raise ValueError(
                f"the cell {reason}: the non-analytical correction is that of a three-dimensional "
                "crystal. For a sheet it would give a splitting at Γ that decreases with the "
                "width of the vacuum, although the true one is zero (Sohier et al., Nano Lett. "
                "17, 3758, 2017). Calculate without it: force_constants() and bands(), or phonons "
                "--method none"
            )


def apply_nac(
    phonon: Phonopy,
    source: Source,
    *,
    dielectric_tensor: ArrayLike | Corrected | None = None,
    refractive_index: ArrayLike | None = None,
    method: NacMethod = "gonze",
) -> Phonopy:
    """Enable the non-analytical correction, and check its effect.

    Sets ``phonon.nac_params`` and compares the change of the dynamical matrix at Γ along x, y and z
    with the closed formula.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants. Changed in place.
    source, dielectric_tensor, refractive_index, method
        See `nac_params`.

    Returns
    -------
    Phonopy
        `phonon` itself.

    Raises
    ------
    ValueError
        As `nac_params`; and if `phonon` has no force constants.
    RuntimeError
        If the correction is not that of Z* and ε∞.

    Warns
    -----
    NetChargeWarning, UserWarning, SymmetryWarning
        As `nac_params`.
    NonpolarWarning
        If all Z* are zero.
    StaticDielectricWarning
        If `dielectric_tensor` is given and the source predicts a much smaller ε∞, so that it is
        probably a static one. With a tuple as source there is no comparison;
        `ase_equivar.phonons.warn_if_static` compares with any calculator.
    """
    require_force_constants(phonon)
    electronic = given_dielectric(dielectric_tensor, refractive_index)
    params = nac_params(phonon, source, dielectric_tensor=electronic, method=method)
    phonon.nac_params = params
    in_use = cast(DynamicalMatrixNAC, phonon.dynamical_matrix).born
    if not np.allclose(in_use, params["born"], atol=1e-6):  # phonopy symmetrizes once more
        raise RuntimeError("phonopy does not use the Born effective charges that it was given")
    largest = max(float(np.abs(checked_correction(phonon, axis)).max()) for axis in np.eye(3))
    if largest < 1e-6:
        warnings.warn(
            "Z* is zero: the non-analytical correction changes nothing in this crystal",
            NonpolarWarning,
            stacklevel=2,
        )
    if isinstance(electronic, np.ndarray) and not isinstance(source, tuple):
        warn_if_static(phonon, source)
    return phonon
