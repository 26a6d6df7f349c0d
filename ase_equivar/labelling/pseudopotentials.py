"""The folder of pseudopotentials: one norm-conserving UPF file for each element."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ase.data import chemical_symbols


@dataclass(frozen=True)
class Pseudopotential:
    """A UPF file and the data of its header.

    Attributes
    ----------
    path : pathlib.Path
        Absolute, because the programs run in their own folders.
    valence : int
        Number of valence electrons.
    functional : str
        Functional as named in the header, in capitals.
    """

    path: Path
    valence: int
    functional: str


def read_pseudopotentials(
    folder: str | Path, elements: Iterable[str]
) -> dict[str, Pseudopotential]:
    """Read the headers of the files for these elements; those without a file are left out.

    A file belongs to the element with which its name starts: ``Na.upf``, ``Na_ONCV_PBE-1.0.upf``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it has no UPF file for any of the elements.
    ValueError
        If an element has two files, a header is incomplete, a pseudopotential is not
        norm-conserving, or the functionals differ.
    """
    folder = Path(folder).expanduser().resolve()
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of pseudopotentials {folder}")
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        name = re.match(r"([A-Z][a-z]?)(?![A-Za-z])", path.name.replace("_", "."))
        if path.suffix.lower() == ".upf" and name and name[1] in chemical_symbols:
            files.setdefault(name[1], []).append(path)
    if not files:
        raise FileNotFoundError(f"{folder} has no pseudopotentials, files such as Na.upf")
    found = {}
    for element in sorted(set(elements) & set(files)):
        if len(files[element]) > 1:
            names = ", ".join(path.name for path in files[element])
            raise ValueError(f"{folder} has more than one pseudopotential for {element}: {names}")
        found[element] = _read_header(files[element][0])
    functionals = {entry.functional: element for element, entry in found.items()}
    if len(functionals) > 1:
        told = ", ".join(f"{name} ({element})" for name, element in sorted(functionals.items()))
        raise ValueError(f"the pseudopotentials in {folder} are of different functionals: {told}")
    return found


def _read_header(path: Path) -> Pseudopotential:
    """Read the attributes of the header of a UPF file."""
    header = re.search(r"<PP_HEADER(.*?)>", path.read_text(errors="replace"), re.DOTALL)
    entries = dict(re.findall(r'(\w+)\s*=\s*"\s*([^"]*?)\s*"', header[1])) if header else {}
    for name in ("z_valence", "functional", "pseudo_type"):
        if name not in entries:
            raise ValueError(f"{path} is not a UPF file of version 2: its header has no {name}")
    if entries["pseudo_type"] not in ("NC", "SL"):
        raise ValueError(
            f"{path} is of type {entries['pseudo_type']}; the cutoffs here are for norm-conserving "
            "pseudopotentials, such as those of PseudoDojo"
        )
    return Pseudopotential(path, round(float(entries["z_valence"])), entries["functional"].upper())
