"""Checks that refuse invalid structures before any neighbor search, symmetry search or network.

Cells of almost zero height or volume would exhaust memory: a neighbor search finds thousands of
images of each atom in them, and spglib as many translations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import gamma, pi
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.geometry import complete_cell
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import LARGEST_LENGTH, finite_real
from ase_equivar.structures.lattice import (
    MIN_HEIGHT,
    compact_vectors,
    heights,
    is_ordinary,
    is_singular,
    volume,
)

MIN_RELATIVE_VOLUME = 1e-6  # relative to the rectangular box with the same edge lengths
MIN_VOLUME = 1.0  # Å³ per atom; hydrogen at 500 GPa has 1.1
MAX_PAIRS = 20_000  # per atom; 17 Å around an atom at the smallest volume
FULL = 0.01  # a site is full if its occupancies add up to 1 within this
SMALLEST_MASS = 1e-3  # u, twice that of an electron
TOTAL_CHARGES = ("charge", "total_charge")  # entries of info, e, as calculators name them
NAMED = 4  # number of sites named in the message


def check_structure(atoms: Atoms) -> None:
    """Refuse an invalid structure, by checks that are cheap.

    Raises
    ------
    TypeError
        If it is not an Atoms object.
    ValueError
        If there are no atoms; if sites are partly occupied or mixed; if a position or cell vector
        is not finite or beyond 10⁶ Å; if the cell vectors along periodic directions span no
        volume, a height of less than 0.3 Å however they are chosen (a skewed cell is judged by the
        shortest vectors of its lattice) or, where there are three, less than 1 Å³ per atom.
    """
    if not isinstance(atoms, Atoms):
        raise TypeError(f"atoms is a {type(atoms).__name__}; give an ase.Atoms")
    if len(atoms) == 0:
        raise ValueError("the structure has no atoms; give an Atoms object with at least one")
    check_full_occupancy(atoms)
    _check_positions(atoms)
    cell = atoms.cell.array
    if not np.isfinite(cell).all():
        raise ValueError(f"the cell has entries that are not finite: {cell.tolist()}")
    if np.abs(cell).max() > LARGEST_LENGTH:
        raise ValueError(
            f"the cell has entries of {np.abs(cell).max():.3g} Å, beyond {LARGEST_LENGTH:g} Å: "
            "check its unit"
        )
    _check_periodic(atoms, cell[atoms.pbc])


def check_elements(atoms: Atoms, known: Collection[int]) -> None:
    """Refuse elements on which a model was not trained.

    Parameters
    ----------
    atoms : ase.Atoms
        The structure.
    known : collection of int
        Atomic numbers of the elements in the model's training data.

    Raises
    ------
    TypeError
        If it is not an Atoms object.
    ValueError
        If there are such elements; the message lists them and the supported ones.
    """
    if not isinstance(atoms, Atoms):
        raise TypeError(f"atoms is a {type(atoms).__name__}; give an ase.Atoms")
    present = set(atoms.numbers.tolist())
    unknown = sorted(present - set(known))
    if unknown:
        raise ValueError(
            f"the model has never seen {_symbols(unknown)} (in {_symbols(sorted(present))}); it "
            f"knows {_symbols(sorted(known))}"
        )


def check_full_occupancy(atoms: Atoms) -> None:
    """Refuse a structure with partly occupied sites, or sites that several elements share.

    ASE treats such a site as fully occupied by its majority element, and stores the occupancies of
    the file in ``atoms.info["occupancy"]`` (CIF, PDB) or an array ``occupancy`` or ``occupancies``
    (extended XYZ, XTL, Prismatic).

    Raises
    ------
    ValueError
        If there are such sites; the message names them.
    """
    sites = list(dict.fromkeys(_doubtful_sites(atoms)))
    if not sites:
        return
    more = f" and {len(sites) - NAMED} more" if len(sites) > NAMED else ""
    raise ValueError(
        f"partly occupied or mixed sites: {'; '.join(sites[:NAMED])}{more}. ASE treats them as "
        f"fully occupied ({atoms.get_chemical_formula()}), which is another crystal: give an "
        "ordered approximant, a supercell in which every site is fully occupied by one element. "
        "If the structure already is one, remove the leftover occupancies: "
        "atoms.info.pop('occupancy', None), del atoms.arrays['occupancy']"
    )


def check_masses_positive(masses: ArrayLike, symbols: Sequence[str]) -> None:
    """Refuse masses that no atom can have.

    Parameters
    ----------
    masses : array_like, shape (N,), u
    symbols : sequence of str

    Raises
    ------
    ValueError
        If one is not finite, or not positive; the message names the atom.
    """
    values = finite_real("the array of masses", masses, None, unit="u")
    light = np.flatnonzero(values < SMALLEST_MASS)
    if light.size:
        i = light[0]
        raise ValueError(
            f"the mass of atom {i} ({symbols[i]}) is {values[i]:g} u; give at least "
            f"{SMALLEST_MASS} u"
        )


def check_pairs(atoms: Atoms, cutoff: float) -> None:
    """Refuse a search estimated to find more than 20 000 pairs per atom.

    Raises
    ------
    ValueError
        With the estimated number.
    """
    expected = pairs_per_atom(atoms, cutoff)
    if expected > MAX_PAIRS:
        raise ValueError(
            f"the structure has about {expected:.3g} pairs within the cutoff of {cutoff:g} Å for "
            f"each of its {len(atoms)} atoms; at most {MAX_PAIRS} are allowed: check its cell, its "
            "positions and their unit (Å)"
        )


def pairs_per_atom(atoms: Atoms, cutoff: float) -> float:
    """Estimate the number of atoms within a cutoff (Å) of each atom from the mean density.

    Nonperiodic directions count only where the atoms extend beyond the cutoff.
    """
    if len(atoms) == 0:
        return 0.0
    full = np.asarray(complete_cell(np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)))
    along = full / np.linalg.norm(full, axis=1)[:, None]  # orthogonal along nonperiodic directions
    extents = np.ptp(atoms.positions @ along.T, axis=0)
    open_ends = ~atoms.pbc & (extents > 2 * cutoff)
    periodic = full[atoms.pbc]
    measure = (volume(periodic) if len(periodic) else 1.0) * extents[open_ends].prod()
    n = int(atoms.pbc.sum() + open_ends.sum())
    ball = pi ** (n / 2) / gamma(n / 2 + 1) * cutoff**n
    return float(len(atoms) * ball / measure)


def _check_positions(atoms: Atoms) -> None:
    finite = np.isfinite(atoms.positions).all(axis=1)
    if not finite.all():
        index = int(np.flatnonzero(~finite)[0])
        raise ValueError(
            f"the position of atom {index} ({atoms.symbols[index]}) is not finite: "
            f"{atoms.positions[index]}"
        )
    farthest = int(np.abs(atoms.positions).max(axis=1).argmax())
    if np.abs(atoms.positions[farthest]).max() > LARGEST_LENGTH:
        raise ValueError(
            f"the position of atom {farthest} ({atoms.symbols[farthest]}) is "
            f"{atoms.positions[farthest]} Å; beyond {LARGEST_LENGTH:g} Å, rounding errors spoil "
            "distances between atoms: check its unit, or wrap the atoms"
        )


def _check_periodic(atoms: Atoms, periodic: NDArray[np.float64]) -> None:
    """Check the cell vectors along the periodic directions."""
    if not len(periodic):
        return
    if len(periodic) == 3 and is_ordinary(periodic):
        _check_volume(atoms, atoms.get_volume())
        return
    axes = [axis for axis, on in zip("abc", atoms.pbc, strict=True) if on]
    reduced = periodic
    if not is_singular(periodic):
        reduced = compact_vectors(atoms.cell.array, atoms.pbc)[atoms.pbc]
    size = volume(reduced)
    if size <= MIN_RELATIVE_VOLUME * float(np.linalg.norm(reduced, axis=1).prod()):
        raise ValueError(
            f"the structure is periodic along {', '.join(axes)}, but these cell vectors span no "
            f"volume: {periodic.tolist()}; set the cell, or pbc=False along directions without one"
        )
    lowest, given = float(heights(reduced).min()), heights(periodic)
    if lowest < MIN_HEIGHT:
        where = f"along {axes[int(given.argmin())]}"
        if not np.isclose(lowest, given.min()):
            where = "with the shortest vectors of its lattice"
        raise ValueError(
            f"the cell is {lowest:.3g} Å high {where}, less than {MIN_HEIGHT} Å: check its cell "
            "vectors and their unit (Å)"
        )
    if len(periodic) == 3:
        _check_volume(atoms, size)


def _check_volume(atoms: Atoms, size: float) -> None:
    if size < MIN_VOLUME * len(atoms):
        raise ValueError(
            f"the cell has {size / len(atoms):.3g} Å³ per atom, less than {MIN_VOLUME:g} Å³: "
            "check its cell vectors and their unit (Å)"
        )


def _doubtful_sites(atoms: Atoms) -> Iterator[str]:
    """Describe the sites that are not fully occupied by one element."""
    given = atoms.info.get("occupancy")
    kinds = atoms.arrays.get("spacegroup_kinds")
    if isinstance(given, Mapping):
        shares = {str(kind): share for kind, share in given.items()}
        # Species numbers identify the sites that are still present; some formats lose them.
        present = shares if kinds is None else map(str, np.unique(kinds))
        for kind in present:
            share = shares.get(kind)
            if isinstance(share, Mapping) and not _is_full(list(share.values())):
                content = ", ".join(f"{symbol} {value}" for symbol, value in sorted(share.items()))
                yield _place(atoms, kind, content)
    lists = (given, atoms.arrays.get("occupancy"), atoms.arrays.get("occupancies"))
    for values in lists:
        if isinstance(values, list | np.ndarray) and np.shape(values) == (len(atoms),):
            # Programs that do not support occupancies fill this column of a PDB file with zeros.
            if not any(values):
                continue
            for index, value in enumerate(values):
                if not _is_full([value]):
                    yield f"atom {index} ({atoms.symbols[index]} {value:g})"


def _place(atoms: Atoms, kind: str, content: str) -> str:
    kinds = atoms.arrays.get("spacegroup_kinds")
    if kinds is None:
        return f"site {kind} ({content})"
    first = int(np.flatnonzero(kinds.astype(str) == kind)[0])
    return f"atom {first} and its equivalents ({content})"


def _is_full(values: list[Any]) -> bool:
    """Whether one element fills the site; an unknown occupancy is 1, as in CIF."""
    numbers = [float(value) for value in values if isinstance(value, int | float | np.number)]
    occupied = [value for value in numbers if value > FULL]
    return (not numbers) or (len(occupied) == 1 and occupied[0] > 1 - FULL)


def _symbols(numbers: Collection[int]) -> str:
    known = dict(enumerate(chemical_symbols))
    return ", ".join(known.get(number, f"number {number}") for number in numbers)
