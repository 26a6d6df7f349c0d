"""Structures that a teacher labels: what they are, what they are labelled with, who learns them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.data import covalent_radii
from ase.geometry import find_mic
from helpers.training_runs import NETWORK, batches, labelled, run_config, write

from ase_equivar import EquivarCalculator
from ase_equivar.inference.models import load_model
from ase_equivar.training import distillation
from ase_equivar.training.augmentation import augmented_copy
from ase_equivar.training.batches import BatchOrder
from ase_equivar.training.chemistry import table_groups
from ase_equivar.training.config import TrainingConfig, read_training_config
from ase_equivar.training.curve import learning_curve
from ase_equivar.training.data import read_frames
from ase_equivar.training.fit import fit
from ase_equivar.training.sections import FitConfig, TeacherConfig

KNOWN = (1, 3, 8, 11, 16, 17, 19, 35, 56)


def pseudo_labelled(config: TrainingConfig) -> list:
    frames, _ = read_frames(config.data.train, config.data)
    return distillation.pseudo_labelled_frames(config, frames)


def with_teacher(folder: Path, **settings) -> TrainingConfig:
    teacher = TeacherConfig(**{"model": "universal", "copies": 2, "batch_size": 2, **settings})
    return replace(run_config(folder), teacher=teacher)


def test_groups_of_the_periodic_table() -> None:
    """Against the table as printed."""
    groups = {1: "H Li Na K Cs", 2: "Be Ba", 3: "Sc Y La Nd Lu", 4: "Ti Hf", 9: "Co Ir"}
    groups |= {12: "Zn Hg", 13: "B Tl", 14: "C Pb", 16: "O Te", 17: "F I", 18: "He Ne Xe"}
    for group, symbols in groups.items():
        numbers = Atoms(symbols.replace(" ", "")).numbers
        assert (table_groups(numbers) == group).all(), symbols


def test_altered_copies() -> None:
    """Elements of the same group in the place of others, a little strained and rattled."""
    original = labelled(1)[0]
    original.numbers[0] = 1
    before = original.copy()
    random = np.random.default_rng(3)
    copies = [augmented_copy(original, KNOWN, random) for _ in range(400)]
    assert original == before
    assert all(not copy.info and set(copy.arrays) == {"numbers", "positions"} for copy in copies)
    exchanged = [copy for copy in copies if (copy.numbers != original.numbers).any()]
    possible = [z for z in set(original.numbers.tolist()) if z != 1]
    assert 0.1 < len(exchanged) / len(copies) < 0.6
    assert {z for copy in copies for z in copy.numbers.tolist()} > set(possible)
    for copy in copies:
        changed = copy.numbers != original.numbers
        assert len(set(original.numbers[changed])) <= 1
        assert set(copy.numbers.tolist()) <= set(KNOWN) | set(possible)
        assert (table_groups(copy.numbers) == table_groups(original.numbers)).all()
        assert copy.numbers[0] == 1  # hydrogen is like no other
        volumes = [np.sum(covalent_radii[atoms.numbers] ** 3) for atoms in (copy, original)]
        scale = (volumes[0] / volumes[1]) ** (1 / 3)
        gradient = np.linalg.solve(original.cell.array * scale, copy.cell.array)
        assert np.abs(gradient - np.eye(3)).max() < 0.08
        moved = copy.positions - original.positions @ gradient * scale
        _, distances = find_mic(moved, copy.cell)
        assert distances.max() < 0.06 * 5
    volumes = [copy.get_volume() / original.get_volume() for copy in copies]
    assert max(volumes) > 1.1
    assert min(volumes) < 0.97


def test_labels_are_those_of_the_teacher(tmp_path: Path) -> None:
    """Of the calculator, which reaches them on its own way."""
    config = with_teacher(tmp_path)
    found = pseudo_labelled(config)
    assert len(found) == 2 * 8
    expected = EquivarCalculator(model="universal").predict([frame.atoms for frame in found])
    for frame, one in zip(found, expected, strict=True):
        assert np.allclose(frame.born_charges, one.born_charges, atol=1e-5)
        assert np.allclose(frame.dielectric, one.dielectric_tensor, atol=1e-5)
        assert np.abs(frame.born_charges.sum(axis=0)).max() < 1e-6


def test_structures_that_are_not_taught(tmp_path: Path) -> None:
    """Compositions that are left out, large cells, unknown elements, atoms on each other."""
    frames = labelled(5)
    frames[1] *= (4, 4, 4)
    frames[4].positions[1] = frames[4].positions[0]
    frames[2].numbers[0] = 37
    frames[3].numbers = frames[3].numbers[[0, 0, *range(2, len(frames[3]))]]
    more = write(tmp_path / "more.extxyz", frames)
    test = write(tmp_path / "test.extxyz", [frames[3] * (2, 1, 1)])
    config = with_teacher(tmp_path, copies=0, structures=(more,))
    assert len(pseudo_labelled(config)) == 2
    left = replace(config, output=str(tmp_path / "left"))
    assert left.teacher is not None
    left = replace(left, teacher=replace(left.teacher, left_out=(test,)))
    [frame] = pseudo_labelled(left)
    assert np.allclose(frame.atoms.positions, frames[0].positions, atol=1e-7)
    left = replace(left, output=str(tmp_path / "none"))
    left = replace(left, teacher=replace(left.teacher, structures=(test,)))
    with pytest.raises(ValueError, match=r"no structure is left for universal to label: all have"):
        pseudo_labelled(left)


def test_unlikely_labels_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_teacher(tmp_path)
    largest = sorted(np.abs(frame.born_charges).max() for frame in pseudo_labelled(config))
    monkeypatch.setattr(distillation, "MAX_CHARGE", 0.5 * (largest[4] + largest[5]))
    assert len(pseudo_labelled(config)) == 5
    monkeypatch.undo()
    monkeypatch.setattr(distillation, "MAX_LOG", 1e-3)
    with pytest.raises(
        ValueError, match=r"no label of universal is plausible, see .*pseudo_labels"
    ):
        pseudo_labelled(config)


def test_labels_are_not_made_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stopped goes on with the next piece; what has other settings is refused."""
    monkeypatch.setattr(distillation, "PIECE", 5)
    config = with_teacher(tmp_path)
    label = distillation._label
    made: list[str] = []

    def stopped(network: torch.nn.Module, structures: Sequence[Atoms], file: Path) -> None:
        if len(made) == 2:
            raise KeyboardInterrupt
        label(network, structures, file)
        made.append(file.name)

    monkeypatch.setattr(distillation, "_label", stopped)
    with pytest.raises(KeyboardInterrupt):
        pseudo_labelled(config)
    first = made.copy()
    made.clear()
    monkeypatch.setattr(distillation, "_label", lambda *a: (label(*a), made.append(a[2].name)))
    whole = pseudo_labelled(config)
    assert len(first) == 2
    assert len(made) == 2
    assert not set(first) & set(made)
    monkeypatch.setattr(distillation, "_label", label)
    anew = pseudo_labelled(replace(config, output=str(tmp_path / "anew")))
    for one, two in zip(whole, anew, strict=True):
        assert one.atoms == two.atoms
        assert np.allclose(one.born_charges, two.born_charges, atol=1e-5)
    assert config.teacher is not None
    more = replace(config, teacher=replace(config.teacher, batch_size=4))
    assert len(pseudo_labelled(more)) == len(whole)
    other = replace(config, teacher=replace(config.teacher, copies=3))
    with pytest.raises(ValueError, match=r"pseudo_labels holds labels made with other settings"):
        pseudo_labelled(other)


def test_several_processes_need_the_labels_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_teacher(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        ValueError, match=r"lacks labels of the teacher, which a single process must make"
    ):
        pseudo_labelled(config)
    assert config.teacher is not None
    uneven = replace(config, teacher=replace(config.teacher, batch_size=3))
    with pytest.raises(ValueError, match=r"teacher.batch_size is 3, which 2 processes cannot"):
        fit(uneven, progress=False)


def test_order_of_batches() -> None:
    """Each has its part of either kind; an epoch has all with labels of their own once."""
    order = BatchOrder(n_own=10, n_taught=9, own=4, besides=2, seed=0)
    epochs = []
    for epoch in range(3):
        order.set_epoch(epoch)
        epochs.append(list(order))
        assert epochs[-1] == list(order)  # depends on the epoch alone
        assert len(epochs[-1]) == len(order) == 16
        chunks = [epochs[-1][start : start + 6] for start in (0, 6, 12)]
        assert [sum(i < 10 for i in chunk) for chunk in chunks] == [4, 4, 2]
        assert sorted(i for i in epochs[-1] if i < 10) == list(range(10))
        besides = [i for i in epochs[-1] if i >= 10]
        assert len(set(besides)) == 6
        assert max(besides) < 19
    assert len({tuple(one) for one in epochs}) == 3
    assert len({i for one in epochs for i in one if i >= 10}) > 6
    few = BatchOrder(n_own=10, n_taught=2, own=2, besides=1, seed=0)
    assert sorted(i for i in few if i >= 10) in ([10, 10, 10, 11, 11], [10, 10, 11, 11, 11])


def test_processes_share_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(BatchOrder(n_own=12, n_taught=20, own=4, besides=2, seed=5))
    parts = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        parts.append(list(BatchOrder(n_own=12, n_taught=20, own=2, besides=1, seed=5)))
    for number in range(3):
        batch = set(whole[6 * number : 6 * number + 6])
        assert batch == {i for part in parts for i in part[3 * number : 3 * number + 3]}


@pytest.mark.parametrize("n_own", [9, 11, 12, 13])
@pytest.mark.parametrize("besides", [0, 3])
def test_processes_repeat_nothing_that_counts(
    monkeypatch: pytest.MonkeyPatch, n_own: int, besides: int
) -> None:
    """As many batches for each process; a batch that repeats says so."""
    counted, sizes = [], []
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in "012":
        monkeypatch.setenv("RANK", rank)
        order = BatchOrder(
            n_own=n_own, n_taught=20 if besides else 0, own=2, besides=besides, seed=5
        )
        indices = list(order)
        assert len(indices) == len(order)
        batches = [indices[i : i + 2 + besides] for i in range(0, len(indices), 2 + besides)]
        sizes.append(len(batches))
        for number, batch in enumerate(batches):
            if not order.is_repetition(number):
                counted += [i for i in batch if i < n_own]
    assert sorted(counted) == list(range(n_own))
    assert len(set(sizes)) == 1


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_the_same_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_teacher(tmp_path)
    config = replace(config, fit=replace(config.fit, epochs=3, dropout=0.2))
    whole = batches(config, monkeypatch)
    stopped = replace(config, output=str(tmp_path / "stopped"))
    assert batches(stopped, monkeypatch, 1, 2) == whole
    weights = [load_model(one.output).state_dict() for one in (config, stopped)]
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=1e-6), name


@pytest.mark.slow
def test_a_pupil_learns_what_the_teacher_knows(tmp_path: Path) -> None:
    """The law of `labelled`, of which it has two frames itself and the teacher has had forty."""
    shape = {**NETWORK, "channels": 8, "radial_hidden": 16}
    settings = FitConfig(epochs=30, batch_size=4, averaging=0.9, learning_rate=1e-2)
    teacher = fit(replace(run_config(tmp_path, n=40), network=shape, fit=settings), progress=False)
    alone = replace(run_config(tmp_path, n=2), network=shape, output=str(tmp_path / "alone"))
    alone = replace(alone, fit=replace(settings, epochs=150, batch_size=1))
    helped = replace(alone, output=str(tmp_path / "helped"))
    helped = replace(helped, teacher=TeacherConfig(model=str(teacher), copies=30, batch_size=3))
    errors = [learning_curve(fit(one, progress=False))[-1]["valid_mae"] for one in (alone, helped)]
    assert errors[1] < 0.75 * errors[0], errors


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"copies": 2}, "teacher lacks model"),
        ({"model": "universal"}, "structures or copies must be given"),
        ({"model": "universal", "copies": -1}, "copies is -1; give a whole number from 0 on"),
        ({"model": "universal", "copies": 1, "batch_size": 0}, "batch_size is 0"),
        ({"model": "universal", "copies": "many"}, "copies must be a number like 0, not 'many'"),
        ({"model": "universal", "structures": "no.xyz"}, "structures: there is no file .*no.xyz"),
        ({"model": "univrsal", "copies": 1}, "univrsal"),
        ({"model": "universal", "copy": 1}, "teacher has no entry copy; known are batch_size"),
        (["universal"], r"teacher is \['universal'\]; it must be a mapping"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, teacher: object, message: str) -> None:
    content = {
        "output": "model",
        "data": {"train": write(tmp_path / "x.extxyz", labelled(2)), "valid": "x.extxyz"},
        "network": NETWORK,
        "teacher": teacher,
    }
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_training_config(file)
