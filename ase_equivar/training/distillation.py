"""Distillation: structures labelled by a better model, as additional data for a cheaper one."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase import Atoms

from ase_equivar.graph import build_graph, check_atoms, collate
from ase_equivar.inference.models import load_model
from ase_equivar.io.extxyz_entries import COLUMN, DIELECTRIC_KEY
from ase_equivar.io.file_selection import split_selection
from ase_equivar.io.output_files import make_folder, replacing, write_text
from ase_equivar.io.structure_files import read_apart
from ase_equivar.network import Network
from ase_equivar.progress_bar import with_progress
from ase_equivar.sum_rule import neutralize
from ase_equivar.training.augmentation import augmented_copy
from ase_equivar.training.comparison import tensors_of_each
from ase_equivar.training.config import TrainingConfig
from ase_equivar.training.data import LabelledFrame, elements_of, read_frames
from ase_equivar.training.resume import portable
from ase_equivar.training.sections import DataConfig, TeacherConfig

logger = logging.getLogger(__name__)

FOLDER = "pseudo_labels"  # in that of the model
PIECE = 250  # structures per file: the most that a killed run loses
BATCH = 16  # structures per call of the teacher
MAX_CHARGE = 12.0  # e; labels beyond, or with ε∞ - 1 beyond a factor e^±5, are implausible
MAX_LOG = 5.0


def pseudo_labelled_frames(
    config: TrainingConfig, train: Sequence[LabelledFrame], *, progress: bool = False
) -> list[LabelledFrame]:
    """Return the structures of ``config.teacher`` with the teacher's labels.

    They are stored in ``output/pseudo_labels``, and existing ones are reused.

    Parameters
    ----------
    config : TrainingConfig
    train : sequence of LabelledFrame
        Frames from which altered copies are made.
    progress : bool
        Whether to show a progress bar, on stderr.

    Returns
    -------
    list of LabelledFrame
        Empty without a teacher. Structures are excluded if they have elements that `train` or the
        teacher lacks, are too large or invalid, have an excluded composition, or get implausible
        labels.

    Raises
    ------
    ValueError
        If the folder holds labels made with other settings, if several processes are to train and
        the labels do not exist yet, or if no structure or no plausible label is left.
    """
    if config.teacher is None:
        return []
    folder = Path(config.output) / FOLDER
    network = load_model(config.teacher.model)
    structures = _structures(config.teacher, config.fit.seed, train, network.elements)
    files = [folder / f"{n:04d}.extxyz" for n in range(-(-len(structures) // PIECE))]
    missing = [n for n, file in enumerate(files) if not file.is_file()]
    if missing and os.environ.get("WORLD_SIZE", "1") != "1":
        raise ValueError(
            f"{folder} lacks labels of the teacher, which a single process must make: start the "
            "training without torchrun, and stop it when epochs begin"
        )
    _refuse_others(config, folder, len(structures))
    if missing:
        name = f"labels of {Path(config.teacher.model).name}"
        for n in with_progress(missing, name, shown=progress):
            _label(network, structures[n * PIECE : (n + 1) * PIECE], files[n])
    frames, _ = read_frames(files, DataConfig((), (), max_asymmetry=np.inf))
    likely = [frame for frame in frames if _is_likely(frame)]
    if not likely:
        raise ValueError(f"no label of {config.teacher.model} is plausible, see {folder}")
    logger.info(
        "%d structures with labels of %s; %d with implausible ones left out",
        len(likely),
        config.teacher.model,
        len(frames) - len(likely),
    )
    return likely


def _structures(
    teacher: TeacherConfig, seed: int, train: Sequence[LabelledFrame], known: Collection[int]
) -> list[Atoms]:
    """All structures for the teacher, in an order that depends only on the settings."""
    elements = set(elements_of(train)) & set(known)
    random = np.random.default_rng(seed)
    copies = (
        augmented_copy(frame.atoms, elements, random)
        for _ in range(teacher.copies)
        for frame in train
        if len(frame.atoms) <= teacher.max_atoms
    )
    left_out = {_composition(atoms) for atoms in _read(teacher.left_out)}
    chosen = [
        atoms
        for atoms in (*_read(teacher.structures), *copies)
        if len(atoms) <= teacher.max_atoms
        and set(atoms.numbers.tolist()) <= elements
        and _composition(atoms) not in left_out
        and _is_sound(atoms)
    ]
    if not chosen:
        raise ValueError(
            f"no structure is left for {teacher.model} to label: all have more than "
            f"{teacher.max_atoms} atoms, unknown elements, or excluded compositions"
        )
    return chosen


def _is_sound(atoms: Atoms) -> bool:
    try:
        check_atoms(atoms)
    except ValueError as error:
        logger.warning("kept out, %s: %s", atoms.get_chemical_formula(), error)
        return False
    return True


def _read(files: Sequence[str]) -> Iterator[Atoms]:
    """Elements, positions and cells of all readable frames."""
    for file in files:
        for frame in read_apart(*split_selection(file)):
            if frame.atoms is None:
                logger.warning("kept out: %s, frame %d: %s", file, frame.number, frame.trouble)
                continue
            atoms = frame.atoms
            yield Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _composition(atoms: Atoms) -> str:
    return atoms.get_chemical_formula(empirical=True)


def _label(network: Network, structures: Sequence[Atoms], file: Path) -> None:
    """Write the labels of some structures; the file is written completely or not at all."""
    for start in range(0, len(structures), BATCH):
        part = structures[start : start + BATCH]
        with torch.no_grad():
            graphs = [network.prepared(build_graph(atoms, network.cutoff)) for atoms in part]
            graph = collate(graphs)
            found = tensors_of_each(network(graph), graph)
            for atoms, (charges, dielectric) in zip(part, found, strict=True):
                atoms.set_array(COLUMN, neutralize(charges).reshape(-1, 9))
                if dielectric is not None:
                    atoms.info[DIELECTRIC_KEY] = dielectric
    with replacing(file) as partial:
        ase.io.write(partial, structures, format="extxyz")


def _refuse_others(config: TrainingConfig, folder: Path, n_structures: int) -> None:
    """Refuse labels of another teacher, or of other structures."""
    content = portable(config)
    teacher = {name: value for name, value in content["teacher"].items() if name != "batch_size"}
    settings = {
        "teacher": teacher,
        "train": content["data"]["train"],
        "seed": config.fit.seed,
        "structures": n_structures,
    }
    note = folder / "settings.json"
    text = json.dumps(settings, indent=1)
    if note.is_file() and note.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{folder} holds labels made with other settings, see {note}; delete the folder, or "
            "give another output"
        )
    make_folder(folder)
    write_text(note, text)


def _is_likely(frame: LabelledFrame) -> bool:
    """Whether the labels of the teacher are plausible."""
    if np.abs(frame.born_charges).max() > MAX_CHARGE:
        return False
    if frame.dielectric is None:
        return True
    susceptibility = np.linalg.eigvalsh(frame.dielectric) - 1.0
    return bool(np.abs(np.log(np.maximum(susceptibility, 1e-9))).max() <= MAX_LOG)
