"""Sites that are partly occupied or shared by several elements, which no model knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ase import Atoms

FULL = 0.01  # occupancies that add up to 1 within this are those of a full site
NAMED = 4  # sites in the message


def check_full_occupancy(atoms: Atoms) -> None:
    """Refuse a structure with partly occupied sites, or sites that several elements share.

    ASE takes such a site as full, with the element that it holds most of, and leaves what the file
    says in ``atoms.info["occupancy"]`` (CIF, PDB) or an array ``occupancy`` or ``occupancies``
    (extended XYZ, XTL, Prismatic).

    Raises
    ------
    ValueError
        Naming the sites, and what to give instead.
    """
    sites = list(dict.fromkeys(_doubtful_sites(atoms)))
    if not sites:
        return
    more = f" and {len(sites) - NAMED} more" if len(sites) > NAMED else ""
    raise ValueError(
        f"partly occupied or mixed sites: {'; '.join(sites[:NAMED])}{more}. ASE takes them as full "
        f"({atoms.get_chemical_formula()}), which is another crystal: give an ordered approximant, "
        "a supercell in which every site holds one whole atom. If the structure is such a one "
        "already, remove what it carries along: atoms.info.pop('occupancy', None), "
        "del atoms.arrays['occupancy']"
    )


def _doubtful_sites(atoms: Atoms) -> Iterator[str]:
    """Describe the sites that do not hold one whole atom."""
    given = atoms.info.get("occupancy")
    kinds = atoms.arrays.get("spacegroup_kinds")
    if isinstance(given, Mapping):
        shares = {str(kind): share for kind, share in given.items()}
        # Kinds tell the sites that are still there; some formats lose them.
        present = shares if kinds is None else map(str, np.unique(kinds))
        for kind in present:
            share = shares.get(kind)
            if isinstance(share, Mapping) and not _is_full(list(share.values())):
                content = ", ".join(f"{symbol} {value}" for symbol, value in sorted(share.items()))
                yield _place(atoms, kind, content)
    lists = (given, atoms.arrays.get("occupancy"), atoms.arrays.get("occupancies"))
    for values in lists:
        if isinstance(values, list | np.ndarray) and np.shape(values) == (len(atoms),):
            # Programs that know no occupancies fill the column of a PDB file with zeros.
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
    """Tell whether one element fills the site; an occupancy that is not known is 1, as in CIF."""
    numbers = [float(value) for value in values if isinstance(value, int | float | np.number)]
    occupied = [value for value in numbers if value > FULL]
    return (not numbers) or (len(occupied) == 1 and occupied[0] > 1 - FULL)
