"""Uncertainties: symmetric, repeatable, and worth what calibration says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from helpers.random_networks import GATED, POLAR, PUBLISHED, make, triclinic
from helpers.training_runs import labelled, run_config, write
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from ase_equivar import EquivarCalculator, load_model, save_model
from ase_equivar.cli.main import app
from ase_equivar.graph import build_graph, collate
from ase_equivar.inference.uncertainty import Calibration, born_charges_uncertainty
from ase_equivar.training.calibration import calibrate, quality
from ase_equivar.training.comparison import compare
from ase_equivar.training.data import read_frames
from ase_equivar.training.fit import fit

CALIBRATION = Calibration(dropout=0.3, n_samples=4, scale=2.0)


both_kinds = pytest.mark.parametrize("config", [GATED, POLAR], ids=["gated", "polar"])


def uncertainty(config: dict[str, Any], *structures: Atoms) -> np.ndarray:
    network = make(config)
    graphs = [build_graph(one, network.cutoff, dtype=torch.float64) for one in structures]
    return born_charges_uncertainty(network, collate(graphs), CALIBRATION)


@both_kinds
def test_it_is_an_invariant_of_each_atom(config: dict[str, Any]) -> None:
    """Of turned, mirrored, repeated, reordered structures, alone or with others."""
    atoms = triclinic()
    expected = uncertainty(config, atoms)
    assert expected.shape == (len(atoms),)
    assert expected.min() > 0
    turn = -Rotation.random(rng=1).as_matrix()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T, scale_atoms=True)
    order = np.random.default_rng(0).permutation(len(atoms))
    assert uncertainty(config, turned) == pytest.approx(expected, rel=1e-9)
    assert uncertainty(config, atoms[order]) == pytest.approx(expected[order], rel=1e-9)
    assert uncertainty(config, atoms * (2, 1, 1)) == pytest.approx(np.tile(expected, 2), rel=1e-9)
    both = uncertainty(config, atoms[:4], atoms)
    assert both[4:] == pytest.approx(expected, rel=1e-9)


@both_kinds
def test_by_hand(config: dict[str, Any]) -> None:
    """The spread of the neutral charges under channel dropout, and no mask that stays."""
    network, atoms = make(config), triclinic()
    graph = build_graph(atoms, network.cutoff, dtype=torch.float64)

    def neutral() -> np.ndarray:
        with torch.no_grad():
            charges = network(graph).born_charges.numpy()
        return charges - charges.mean(axis=0)

    whole, parts = neutral(), []
    for seed in range(4):
        with network.channel_mask(0.3, seed):
            parts.append(neutral())
    assert np.abs(neutral() - whole).max() == 0.0
    assert np.abs(parts[0] - parts[1]).max() > 1e-3
    expected = 2.0 * np.sqrt(np.mean((np.array(parts) - whole) ** 2, axis=(0, 2, 3)))
    assert uncertainty(config, atoms) == pytest.approx(expected, rel=1e-9)


@both_kinds
def test_dielectric_tensors_of_parts(config: dict[str, Any], tmp_path: Path) -> None:
    """One for each mask, by the calculator; they turn with the structure, and no mask stays."""
    network, atoms = make({**config, "dielectric": True}), triclinic()
    graph = build_graph(atoms, network.cutoff, dtype=torch.float64)
    expected = []
    for seed in range(4):
        with torch.no_grad(), network.channel_mask(0.3, seed):
            expected.append(network(graph).dielectric[0].numpy())
    metadata = {"uncertainty": CALIBRATION.as_dict()}
    save_model(network, tmp_path / "model", metadata=metadata)
    calc = EquivarCalculator(model=tmp_path / "model", dtype="float64")
    parts = calc.dielectric_tensor_parts(atoms)
    with torch.no_grad():
        whole = network(graph).dielectric[0].numpy()
    assert parts is not None
    np.testing.assert_allclose(parts, expected, rtol=1e-6, atol=1e-9)
    assert np.abs(parts - whole).max() > 1e-3
    turn = -Rotation.random(rng=1).as_matrix()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T, scale_atoms=True)
    np.testing.assert_allclose(
        calc.dielectric_tensor_parts(turned), turn @ parts @ turn.T, rtol=1e-6, atol=1e-9
    )
    assert EquivarCalculator(model=network).dielectric_tensor_parts(atoms) is None


def test_quality_of_known_errors() -> None:
    """Normally distributed errors of known width are perfectly calibrated; halved ones are not."""
    rng = np.random.default_rng(0)
    width = rng.uniform(0.1, 1.0, 4000)
    errors = width[:, None, None] * rng.normal(size=(4000, 3, 3))
    right, wrong = quality(errors, width), quality(errors, 0.5 * width)
    assert right.miscalibration_area < 0.01
    assert right.within_one == pytest.approx(0.683, abs=0.01)
    assert right.within_two == pytest.approx(0.954, abs=0.01)
    assert right.rank_correlation > 0.8
    # half of the width: P(|x| < z/2) instead of P(|x| < z), over the latter
    assert wrong.miscalibration_area == pytest.approx(0.2048, abs=0.01)
    assert quality(errors, rng.permutation(width)).rank_correlation < 0.1


@pytest.mark.slow
def test_calculator_and_command(tmp_path: Path) -> None:
    config = run_config(tmp_path)
    folder = fit(config, progress=False)
    atoms = labelled(1, seed=7)[0]
    with pytest.raises(PropertyNotImplementedError, match=r"has no calibration; .*calibrate"):
        EquivarCalculator(model=folder).get_property("born_charges_uncertainty", atoms)
    data = write(tmp_path / "calibrate.extxyz", labelled(4, seed=5))
    before = load_model(folder).state_dict()
    result = CliRunner().invoke(app, ["calibrate", str(folder), data])
    assert result.exit_code == 0, result.output
    assert "rank correlation" in result.output
    assert all(torch.equal(load_model(folder).state_dict()[k], v) for k, v in before.items())
    calc = EquivarCalculator(model=folder)
    assert "born_charges_uncertainty" in calc.implemented_properties
    atoms.calc = calc
    found = atoms.get_properties(["born_charges", "born_charges_uncertainty"])
    assert found["born_charges_uncertainty"].shape == (len(atoms),)
    assert (found["born_charges_uncertainty"] > 0).all()
    card = CliRunner().invoke(app, ["evaluate", str(folder), data])
    assert "rank correlation with the error of an atom" in card.output


def test_calibration_finds_the_factor(tmp_path: Path) -> None:
    """Twice the errors, twice the factor."""
    config = run_config(tmp_path)
    network = load_model(fit(config, progress=False))
    found = compare(network, read_frames(config.data.valid, config.data)[0])
    doubled = replace(
        found,
        born_charges=[
            frame.born_charges + 2 * difference
            for frame, difference in zip(found.frames, found.differences, strict=True)
        ],
    )
    scales = [calibrate(network, one).scale for one in (found, doubled)]
    assert scales[1] == pytest.approx(2 * scales[0], rel=0.05)


def test_published_network_has_none(tmp_path: Path) -> None:
    network = make(PUBLISHED).float()
    save_model(network, tmp_path / "model")
    result = CliRunner().invoke(
        app, ["calibrate", str(tmp_path / "model"), write(tmp_path / "x.extxyz", labelled(2))]
    )
    assert result.exit_code != 0
    assert "only networks with gates have an uncertainty" in result.output
