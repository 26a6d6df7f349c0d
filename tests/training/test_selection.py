"""Structures worth labelling: what is chosen, by arrays and by the command."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from helpers.command_line import assert_one_line_error, run, save_random_model, triclinic_salt

from ase_equivar.inference.models import load_model, save_model
from ase_equivar.inference.uncertainty import Calibration
from ase_equivar.training.selection import select_structures


def test_choices_on_a_line() -> None:
    """Worked out by hand: places 0 to 10, doubts that grow along the line."""
    features = [[0.0], [1.0], [4.0], [6.0], [10.0]]
    doubts = [1.0, 1.0, 1.0, 1.0, 2.0]
    found = select_structures(features, doubts, 4)
    assert [(one.index, one.nearest) for one in found] == [(4, None), (0, 4), (2, 0), (3, 2)]
    assert [one.distance for one in found] == [np.inf, 10.0, 4.0, 2.0]
    assert found[0].reason(range(5)) == "uncertainty 2.000 e, the largest"
    assert found[1].reason([5, 6, 7, 8, 9]).endswith("distance 10 to the nearest, frame 9")


def test_known_structures_and_doubts_count() -> None:
    features = [[0.0, 0.0], [3.0, 4.0], [6.0, 8.0], [6.0, 8.1]]
    even = select_structures(features, np.ones(4), 2, known=[[0.0, 0.1]])
    assert [one.index for one in even] == [3, 1]
    assert even[0].nearest is None
    assert even[0].distance == pytest.approx(10.0)
    sure = select_structures(features, [1.0, 1.0, 0.3, 0.3], 2, known=[[0.0, 0.1]])
    assert [one.index for one in sure] == [1, 3]


def test_each_step_takes_the_largest_product() -> None:
    """An independent search over all structures, written out in loops."""
    rng = np.random.default_rng(5)
    features, known = rng.normal(size=(40, 6)), rng.normal(size=(7, 6))
    doubts = rng.uniform(0.1, 1.0, size=40)
    taken = [list(vector) for vector in known]
    for choice in select_structures(features, doubts, 12, known):
        products = [
            doubt
            * min(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) for other in taken)
            ** 0.5
            for one, doubt in zip(features, doubts, strict=True)
        ]
        assert choice.index == int(np.argmax(products))
        assert choice.distance * choice.uncertainty == pytest.approx(max(products))
        taken.append(list(features[choice.index]))


def test_copies_are_not_chosen() -> None:
    features = [[1.0], [1.0], [2.0], [2.0]]
    assert [one.index for one in select_structures(features, np.ones(4), 4)] == [0, 2]
    assert select_structures(features, np.zeros(4), 1) == []


def test_arguments() -> None:
    with pytest.raises(ValueError, match="number is 3, but there are 2 structures"):
        select_structures([[1.0], [2.0]], [1.0, 1.0], 3)
    with pytest.raises(ValueError, match="number is 0"):
        select_structures([[1.0], [2.0]], [1.0, 1.0], 0)
    with pytest.raises(ValueError, match=r"uncertainties has shape \(3,\), not \(2,\)"):
        select_structures([[1.0], [2.0]], [1.0, 1.0, 1.0], 1)
    with pytest.raises(ValueError, match="uncertainties has the negative number -1"):
        select_structures([[1.0], [2.0]], [1.0, -1.0], 1)
    with pytest.raises(ValueError, match=r"known has shape \(1, 2\), not \(N, 1\)"):
        select_structures([[1.0], [2.0]], [1.0, 1.0], 1, known=[[1.0, 2.0]])
    with pytest.raises(ValueError, match="features is not finite"):
        select_structures([[1.0], [np.nan]], [1.0, 1.0], 1)


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a small model with random weights that states uncertainties."""
    folder = tmp_path_factory.mktemp("model") / "doubtful"
    save_random_model(folder)
    calibration = Calibration(dropout=0.1, n_samples=4, scale=2.0)
    save_model(load_model(folder), folder, metadata={"uncertainty": calibration.as_dict()})
    return str(folder)


def test_command(tmp_path: Path, doubtful: str) -> None:
    """Copies of known frames are left; what is written says why, under the file's own numbers."""
    rng = np.random.default_rng(2)
    frames = []
    for _ in range(6):
        atoms = triclinic_salt()
        atoms.positions += rng.normal(size=atoms.positions.shape) * 0.1
        frames.append(atoms)
    frames[4] = frames[1].copy()
    frames[4].rotate(30, (1, 2, 3), rotate_cell=True)
    ase.io.write(tmp_path / "path.traj", frames)
    ase.io.write(tmp_path / "known.extxyz", [frames[0], frames[3]])
    output = tmp_path / "chosen.extxyz"
    options = ("--known", f"{tmp_path}/known.extxyz@1:", "--index", "1:", "--model", doubtful)
    result = run("select", tmp_path / "path.traj", "-o", output, "--number", 5, *options)
    assert result.exit_code == 0, result.output
    chosen = ase.io.read(output, ":")
    numbers = [atoms.info["frame"] for atoms in chosen]
    assert len(numbers) == 3
    assert {*numbers, 1 if 4 in numbers else 4} == {1, 2, 4, 5}
    for atoms in chosen:
        np.testing.assert_allclose(
            atoms.positions, frames[atoms.info["frame"]].positions, atol=1e-7
        )
        assert atoms.info["reason"] in " ".join(result.output.split())
    assert "the other 2 structures are copies" in result.output


def test_what_the_command_refuses(tmp_path: Path, doubtful: str, model: str) -> None:
    triclinic_salt().write(tmp_path / "x.extxyz")
    command = ("select", tmp_path / "x.extxyz", "-o", tmp_path / "y.extxyz")
    told = "states no uncertainty: calibrate it first"
    assert_one_line_error(run(*command, "--number", 1, "--model", model), 2, told)
    told = "number is 30, but there are 1 structures"
    assert_one_line_error(run(*command, "--model", doubtful), 2, told)
    told = "no file .*none"
    assert_one_line_error(run(*command, "--known", tmp_path / "none@:"), 2, told)
    told = r"y\.cif should end in \.extxyz"
    assert_one_line_error(run(*command[:2], "-o", tmp_path / "y.cif"), 2, told)
    assert not (tmp_path / "y.extxyz").exists()
