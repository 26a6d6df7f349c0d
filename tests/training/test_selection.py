"""Structures worth labelling: what is chosen, by arrays and by the command."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from helpers.calibrations import save_calibration
from helpers.command_line import assert_one_line_error, run, save_random_model, triclinic_salt

from ase_equivar.training.selection import select_structures


def test_choices_on_a_line() -> None:
    """Worked out by hand: a crowd near 4 comes before the outlier at 10."""
    features = [[0.0], [3.5], [4.0], [4.5], [-5.0]]
    doubts = [2.0, 1.0, 1.0, 1.0, 1.0]
    found = select_structures(features, doubts, 4)
    # around 0: 3.5² + 4² + 4.5² + 5² = 73.5, of which the farthest is -5; then the crowd
    assert [(one.index, one.nearest) for one in found] == [(0, None), (4, 0), (3, 0), (1, 3)]
    assert [one.distance for one in found] == [np.inf, 5.0, 4.5, 1.0]
    assert found[0].reason(range(5)) == "uncertainty 2.000 e, the largest"
    assert found[1].reason([5, 6, 7, 8, 9]).endswith("distance 5 to the nearest, frame 5")


def test_crowds_come_before_outliers() -> None:
    """Around one known place a single far structure, around another many that are less far."""
    known = [[0.0, 0.0], [100.0, 0.0]]
    features = [[0.0, 5.0], *([100.0 + 0.1 * k, 3.0] for k in range(8))]
    first = select_structures(features, np.ones(9), 1, known)[0]
    assert first.index == 8  # 8 · 9 > 25
    assert first.nearest is None
    assert first.distance == pytest.approx(np.hypot(0.7, 3.0))
    sure = select_structures(features, [1.0, *([0.4] * 8)], 1, known)[0]
    assert sure.index == 0


def test_each_step_takes_the_farthest_of_the_largest_cluster() -> None:
    """An independent search, written out in loops."""
    rng = np.random.default_rng(5)
    features, known = rng.normal(size=(40, 6)), rng.normal(size=(7, 6))
    doubts = rng.uniform(0.1, 1.0, size=40)
    centers = [list(vector) for vector in known]
    for choice in select_structures(features, doubts, 12, known):
        clusters: dict[int, list[tuple[float, int]]] = {}
        for index, (one, doubt) in enumerate(zip(features, doubts, strict=True)):
            lengths = [sum((one - other) ** 2) ** 0.5 for other in centers]
            nearest = lengths.index(min(lengths))
            clusters.setdefault(nearest, []).append((doubt * min(lengths), index))
        largest = max(clusters.values(), key=lambda members: sum(x * x for x, _ in members))
        assert (choice.uncertainty * choice.distance, choice.index) == pytest.approx(max(largest))
        centers.append(list(features[choice.index]))


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
    save_calibration(folder, triclinic_salt())
    return str(folder)


def test_command(tmp_path: Path, doubtful: str) -> None:
    """Copies of known frames are left; what is written says why, under the file's own numbers."""
    rng = np.random.default_rng(2)
    frames = []
    for _ in range(6):
        atoms = triclinic_salt()
        atoms.positions += rng.normal(size=atoms.positions.shape) * 0.1
        atoms.info["comment"] = ""  # which would take the next entry for its value
        atoms.info["frame"] = 7  # of the run that it comes from
        results = {"energy": -1.0, "forces": rng.normal(size=atoms.positions.shape)}
        results["born_effective_charges"] = rng.normal(size=(len(atoms), 3, 3))
        results["dielectric_tensor"] = 2.0 * np.eye(3)
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    frames[4] = frames[1].copy()  # without results
    frames[4].rotate(30, (1, 2, 3), rotate_cell=True)
    ase.io.write(tmp_path / "path.traj", frames)
    ase.io.write(tmp_path / "known.extxyz", [frames[0], frames[3]])
    output = tmp_path / "chosen.extxyz"
    options = ("--known", f"{tmp_path}/known.extxyz@1:", "--index", "1:", "--model", doubtful)
    result = run("select", tmp_path / "path.traj", "-o", output, "--number", 5, *options)
    assert result.exit_code == 0, result.output
    assert "info['comment']" in result.output
    chosen = ase.io.read(output, ":")
    numbers = [atoms.info["selected_frame"] for atoms in chosen]
    assert len(numbers) == 3
    assert {*numbers, 1 if 4 in numbers else 4} == {1, 2, 4, 5}
    for atoms in chosen:
        np.testing.assert_allclose(
            atoms.positions, frames[atoms.info["selected_frame"]].positions, atol=1e-7
        )
        assert atoms.info["selected_reason"] in " ".join(result.output.split())
        assert atoms.info["frame"] == 7
        given = frames[atoms.info["selected_frame"]].calc
        if given is not None:
            np.testing.assert_allclose(atoms.get_forces(), given.results["forces"], atol=1e-7)
            expected = given.results["born_effective_charges"].reshape(-1, 9)
            np.testing.assert_allclose(atoms.arrays["born_charges"], expected, atol=1e-7)
    assert "the other 2 structures are duplicates" in result.output


def test_what_the_command_refuses(tmp_path: Path, doubtful: str, model: str) -> None:
    triclinic_salt().write(tmp_path / "x.extxyz")
    command = ("select", tmp_path / "x.extxyz", "-o", tmp_path / "y.extxyz")
    told = "states no uncertainty: calibrate it first"
    assert_one_line_error(run(*command, "--number", 1, "--model", model), 2, told)
    told = "number is 30, but there are 1 structures"
    assert_one_line_error(run(*command, "--model", doubtful), 2, told)
    told = "no file .*none"
    assert_one_line_error(run(*command, "--known", tmp_path / "none@:"), 2, told)
    known = ("--number", 1, "--known", tmp_path / "x.extxyz")
    result = run(*command, *known, "--model", doubtful)
    assert result.exit_code == 1
    assert "none of the 1 structures is worth a label" in result.stderr  # after the progress
    told = r"y\.cif should end in \.extxyz"
    assert_one_line_error(run(*command[:2], "-o", tmp_path / "y.cif"), 2, told)
    assert not (tmp_path / "y.extxyz").exists()
