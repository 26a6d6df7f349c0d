"""Labelled structures from files; doubtful ones are rejected and listed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.arguments import LARGEST_CHARGE, dielectric_array, finite_real
from ase_equivar.ase_properties import DIELECTRIC_TENSOR, EFFECTIVE_CHARGES
from ase_equivar.io.extxyz import holds_predictions, mark_of_prediction
from ase_equivar.io.file_selection import split_selection
from ase_equivar.io.resumed import digest
from ase_equivar.io.structure_files import Frame
from ase_equivar.structures.validation import check_structure
from ase_equivar.training.frame_source import Unread, unread_frames
from ase_equivar.training.label_symmetry import label_asymmetry
from ase_equivar.training.polarizability import dielectric_of
from ase_equivar.training.sections import DataConfig

logger = logging.getLogger(__name__)

# Relative to ε∞ - 1. Meshes of k-points that lack the symmetry of a crystal leave up to 0.09 of it.
MAX_DIELECTRIC_ASYMMETRY = 0.15
USUAL_CHARGES, USUAL_DIELECTRIC = DataConfig((), ()).born_charges, DataConfig((), ()).dielectric


@dataclass(frozen=True)
class LabelledFrame:
    """A structure and its first-principles tensors.

    Attributes
    ----------
    atoms : ase.Atoms
    born_charges : ndarray, shape (N, 3, 3), |e|
        Row = field, column = displacement.
    dielectric : ndarray or None, shape (3, 3)
        ε∞, relative.
    """

    atoms: Atoms
    born_charges: NDArray[np.float64]
    dielectric: NDArray[np.float64] | None


@dataclass(frozen=True)
class Rejected:
    """A rejected frame, by its number in the whole file, and the reason."""

    file: str
    frame: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, frame {self.frame}: {self.reason}"


def n_different(frames: Iterable[LabelledFrame]) -> int:
    """Count structures; one that is listed several times, to weigh more, counts once."""
    parts = ((one.atoms.numbers, one.atoms.positions, one.atoms.cell.array) for one in frames)
    return len({tuple(part.tobytes() for part in several) for several in parts})


def digest_of_labels(frames: Iterable[LabelledFrame]) -> str:
    """Return a hash of different structures and their Z*, in whatever order."""
    return digest(
        *sorted(
            {
                digest(
                    one.atoms.numbers.tobytes(),
                    one.atoms.positions.tobytes(),
                    one.atoms.cell.array.tobytes(),
                    one.born_charges.tobytes(),
                ).encode()
                for one in frames
            }
        )
    )


def read_frames(
    files: Iterable[str | Path], config: DataConfig
) -> tuple[list[LabelledFrame], list[Rejected]]:
    """Read labelled structures.

    Parameters
    ----------
    files : iterable of path
        Files that `io.read_labels` or ASE can read, or parts of them, ``file@1::5``.
    config : DataConfig
        Names and index order of the labels.

    Returns
    -------
    frames : list of LabelledFrame
    rejected : list of Rejected
        Frames that are unreadable, lack a label, have one of a wrong shape or not finite, or
        violate the sum rule or the space group of the crystal.

    Raises
    ------
    ValueError
        If a file has no usable frame, or no frame has the ε∞ or polarizability named in `config`
        (other than the default name); the message lists what there is.
    """
    frames: list[LabelledFrame] = []
    rejected: list[Rejected] = []
    for file in files:
        usable, others = _frames_of(file, config)
        frames += usable.values()
        rejected += others
    _tell(frames, rejected, config)
    return frames, rejected


def read_numbered_frames(file: str | Path, config: DataConfig) -> dict[int, LabelledFrame]:
    """Read the usable frames of a file by their numbers in it; otherwise as `read_frames`."""
    frames, rejected = _frames_of(file, config)
    _tell(list(frames.values()), rejected, config)
    return frames


def _frames_of(
    file: str | Path, config: DataConfig
) -> tuple[dict[int, LabelledFrame], list[Rejected]]:
    path, selection = split_selection(file)
    usable: dict[int, LabelledFrame] = {}
    rejected: list[Rejected] = []
    for unread in unread_frames(path, selection):
        found = read_labels_of(path, unread, config)
        if isinstance(found, Rejected):
            rejected.append(found)
        else:
            usable[unread.number] = found
    refuse_unusable(file, len(usable), rejected[0].reason if rejected else "")
    return usable, rejected


def _tell(
    frames: Sequence[LabelledFrame], rejected: Iterable[Rejected], config: DataConfig
) -> None:
    for entry in rejected:
        logger.warning("kept out: %s", entry)
    n = sum(frame.dielectric is not None for frame in frames)
    there = set() if n else {name for f in frames for name in entries_of_nine(f.atoms)}
    tell_dielectric(n, len(frames), there, config)


def read_labels_of(path: str, unread: Unread, config: DataConfig) -> LabelledFrame | Rejected:
    """Parse and check one frame of a file."""
    try:
        return _labelled(unread.frame(), config)
    except ValueError as error:
        return Rejected(path, unread.number, str(error))


def refuse_unusable(file: str | Path, n_usable: int, first_reason: str) -> None:
    """Refuse a file without a usable frame, with the reason to reject its first one."""
    if n_usable == 0:
        first = f"; the first: {first_reason}" if first_reason else ""
        raise ValueError(f"{file} has no usable frame{first}")


def tell_dielectric(n_labels: int, n_frames: int, there: Iterable[str], config: DataConfig) -> None:
    """Log how many frames have ε∞; refuse if none has it under a name given explicitly.

    Parameters
    ----------
    n_labels, n_frames : int
        Numbers of frames with ε∞ and of all.
    there : iterable of str
        Names of other entries of nine numbers.
    config : DataConfig
    """
    names = [name for name in (config.dielectric, config.polarizability) if name is not None]
    told = " or ".join(map(repr, names))
    if n_labels:
        if n_labels < n_frames:
            logger.warning("ε∞ from %s: in %d of %d frames", told, n_labels, n_frames)
        return
    listed = ", ".join(sorted(there)) or "none"
    if names and names != [USUAL_DIELECTRIC]:
        raise ValueError(
            f"none of {n_frames} frames has ε∞ from {told}, neither in its info nor among its "
            f"results; entries of nine numbers: {listed}"
        )
    if names:
        logger.warning("no frame has ε∞ from %s; entries of nine numbers: %s", told, listed)


def entries_of_nine(atoms: Atoms) -> list[str]:
    """Return the names of the entries of a frame that may be a tensor."""
    return [name for name, value in _values(atoms).items() if np.size(value) == 9]


def _values(atoms: Atoms) -> dict[str, Any]:
    """Return the entries of a frame by name: its info, and results, to which ASE moves some."""
    results = {} if atoms.calc is None else atoms.calc.results
    return {**results, **atoms.info}


def _labelled(frame: Frame, config: DataConfig) -> LabelledFrame:
    """Return the labels of one frame; a ValueError gives the reason to reject it."""
    atoms = frame.atoms
    if atoms is None:
        raise ValueError(frame.trouble)
    check_structure(atoms)
    charges = _charges(frame, atoms, config)
    if mark := mark_of_prediction(atoms, config.born_charges):
        raise ValueError(
            f"its Z* are a prediction, with {mark!r} beside them, and no label; if they are a "
            "label, remove that entry"
        )
    violation = np.abs(charges.sum(axis=0)).max()
    if violation > config.max_sum_rule_violation:
        raise ValueError(
            f"Σ Z* is off by {violation:.3f} e, more than {config.max_sum_rule_violation} e"
        )
    dielectric = _dielectric(atoms, config, frame.program)
    asymmetry, of_dielectric = label_asymmetry(atoms, charges, dielectric)
    if asymmetry > config.max_asymmetry:
        raise ValueError(
            f"Z* violate the crystal's own space group by {asymmetry:.3f} e, more than "
            f"{config.max_asymmetry} e: check the order of atoms and indices"
        )
    if of_dielectric > MAX_DIELECTRIC_ASYMMETRY:
        raise ValueError(
            f"ε∞ violates the crystal's own space group by {100 * of_dielectric:.0f} % of ε∞ - 1: "
            "check the axes, or remove that entry to take Z* alone"
        )
    return LabelledFrame(atoms, charges, dielectric)


def _charges(frame: Frame, atoms: Atoms, config: DataConfig) -> NDArray[np.float64]:
    """Return Z*, row = field: by name in the order stated, or of a program or ASE in theirs."""
    name = EFFECTIVE_CHARGES if frame.program else config.born_charges
    values = _array(atoms, name)
    in_known_order = bool(frame.program)
    if values is None and name == USUAL_CHARGES:
        values, in_known_order = _array(atoms, EFFECTIVE_CHARGES), True
    if values is None and frame.program:
        raise ValueError(f"{frame.program} calculated no Z* for it")
    if values is None:
        raise ValueError(_what_is_there(atoms, name))
    if np.size(values) != 9 * len(atoms):
        raise ValueError(f"{name!r} has shape {np.shape(values)}, not ({len(atoms)}, 9)")
    charges = finite_real(name, values, None, unit="|e|", largest=LARGEST_CHARGE)
    charges = charges.reshape(-1, 3, 3)
    if config.order == "displacement-first" and not in_known_order:
        return charges.transpose(0, 2, 1)
    return charges


def _what_is_there(atoms: Atoms, name: str) -> str:
    """Return a message that an array is missing, with possible alternatives."""
    results = {} if atoms.calc is None else atoms.calc.results
    there = {**results, **atoms.arrays}
    nine = {key for key, value in there.items() if np.size(value) == 9 * len(atoms)}
    listed = ", ".join(sorted({*atoms.arrays, *nine} - {"numbers", "positions"})) or "none"
    told = f"no per-atom array {name!r} (there: {listed})"
    if nine:
        told += (
            f"; --born-charges {min(nine)} takes it, with --order displacement-first if the first "
            "of its two indices is the displacement"
        )
    return told


def _array(atoms: Atoms, name: str) -> Any:
    """Return an array or result of a frame by name; None if there is none."""
    values = atoms.arrays.get(name)
    if values is None and atoms.calc is not None:
        values = atoms.calc.results.get(name)
    return values


def _dielectric(atoms: Atoms, config: DataConfig, program: str) -> NDArray[np.float64] | None:
    """Return ε∞, if need be from the polarizability; None if the frame has neither."""
    names = [config.dielectric, config.polarizability]
    if config.dielectric == USUAL_DIELECTRIC or (program and config.dielectric is not None):
        names.append(DIELECTRIC_TENSOR)
    if holds_predictions(atoms, config.born_charges):
        names = [name for name in names if name != DIELECTRIC_TENSOR or name == config.dielectric]
    there = _values(atoms)
    name = next((name for name in names if name and there.get(name) is not None), None)
    if name is None:
        return None
    tensor = finite_real(name, there[name], None)
    if tensor.size != 9:
        raise ValueError(f"{name!r} is not a finite 3×3 tensor")
    tensor = tensor.reshape(3, 3)
    dielectric = tensor if name != config.polarizability else dielectric_of(tensor, atoms)
    return dielectric_array(f"ε∞ from {name!r}", dielectric)


def elements_of(frames: Iterable[LabelledFrame]) -> tuple[int, ...]:
    """Atomic numbers that occur in the frames, ascending."""
    return tuple(sorted({int(z) for frame in frames for z in frame.atoms.numbers}))
