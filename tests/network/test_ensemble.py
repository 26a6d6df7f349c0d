"""Several networks as one."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, make_supercell
from helpers.calibrations import features_of, save_calibration
from helpers.random_networks import GATED, PUBLISHED, make, predict, triclinic
from helpers.training_runs import labelled, write
from typer.testing import CliRunner

from ase_equivar import EquivarCalculator, load_model, save_model
from ase_equivar.cli.main import app
from ase_equivar.graph import build_graph
from ase_equivar.inference.parts import dielectric_tensors_of_parts
from ase_equivar.network import Ensemble, build_network
from ase_equivar.network.readout import dielectric_from_log
from ase_equivar.training.combining import combine

NOTES = (
    {"Data": "A few crystals.", "Licence": "MIT."},
    {"Data": "A few crystals. Others too.", "Not for": "Metals."},
)


def test_mean_of_the_members() -> None:
    members = [make(GATED, seed) for seed in (0, 1, 2)]
    ensemble = build_network(Ensemble(members).build_config)
    ensemble.load_state_dict(Ensemble(members).state_dict())
    alone = [predict(member, triclinic()) for member in members]
    together = predict(ensemble.eval(), triclinic())
    expected = torch.stack([one.born_charges for one in alone]).mean(dim=0)
    assert (expected - alone[0].born_charges).abs().max() > 0.1  # they differ
    assert (together.born_charges - expected).abs().max() < 1e-12
    graph = build_graph(triclinic(), 4.0, dtype=torch.float64)
    with torch.no_grad():
        logs = torch.stack([member.irreps_components(graph)[1] for member in members]).mean(dim=0)
    assert (together.dielectric - dielectric_from_log(logs)).abs().max() < 1e-12


def test_dielectric_parts_are_those_of_all_members() -> None:
    members = [make({**GATED, "dielectric": True}, seed) for seed in (0, 1)]
    graph = build_graph(triclinic(), 4.0, dtype=torch.float64)
    expected = []
    for member in members:
        for seed in range(3):
            with torch.no_grad(), member.channel_mask(0.2, seed):
                expected.append(member(graph).dielectric[0].numpy())
    found = dielectric_tensors_of_parts(Ensemble(members), graph, 0.2, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_features_are_those_of_all_members(tmp_path: Path) -> None:
    """Known atoms are compared by all of them, and uncertainties follow."""
    members = [make(GATED, seed) for seed in (0, 1)]
    atoms = triclinic()
    joined = features_of(Ensemble(members), atoms)
    apart = [features_of(member, atoms) for member in members]
    np.testing.assert_array_equal(joined, torch.cat(apart, dim=1))
    save_model(Ensemble(members), tmp_path)
    save_calibration(tmp_path, atoms)
    calculator = EquivarCalculator(model=tmp_path, dtype="float64")
    assert calculator.get_property("born_charges_uncertainty", atoms).min() > 0


@pytest.mark.slow
def test_commands(tmp_path: Path) -> None:
    """combine, calibrate, evaluate; and the calculator with what they wrote."""
    for number, notes in enumerate(NOTES):
        network = make({**GATED, "elements": (11, 12, 8, 17)}, number).float()
        trained = {"data": {"train": ["../data.extxyz"]}}
        metadata = {"training": {"about": notes, "fit": {"epochs": 3 + number}, **trained}}
        save_model(network, tmp_path / f"m{number}", metadata=metadata)
    run = CliRunner().invoke
    names = [str(tmp_path / f"m{number}") for number in (0, 1)]
    both = str(tmp_path / "ensembles" / "both")  # at another depth than its members
    result = run(app, ["combine", *names, "--output", both])
    assert result.exit_code == 0, result.output
    again = run(app, ["combine", *names, "--output", both])
    assert again.exit_code != 0
    assert "already holds a model" in again.output
    data = write(tmp_path / "data.extxyz", labelled(4))
    result = run(app, ["calibrate", both, data])
    assert result.exit_code == 0, result.output
    result = run(app, ["evaluate", both, data, "--card"])
    assert result.exit_code == 0, result.output
    card = (tmp_path / "ensembles/both/CARD.md").read_text(encoding="utf-8")
    for text in ("\nA few crystals. Others too.\n", "MIT.", "Metals.", "Member `m0`", "epochs 4"):
        assert text in card
    assert card.count("A few crystals.") == 1
    atoms = labelled(1)[0]
    calculator = EquivarCalculator(model=both)
    charges = calculator.get_property("born_charges", atoms)
    single = [EquivarCalculator(model=name).get_property("born_charges", atoms) for name in names]
    assert np.abs(charges - np.mean(single, axis=0)).max() < 1e-5
    assert calculator.get_property("born_charges_uncertainty", atoms).min() > 0.0
    stored = json.loads((tmp_path / "ensembles/both/config.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in stored["metadata"]["members"]] == ["m0", "m1"]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ((), "at least two members, not 1"),
        (({**GATED, "cutoff": 3.5},), "one cutoff, not 3.5 and 4.0"),
        (({**GATED, "elements": (1, 8)},), "one elements, not"),
        (({**GATED, "dielectric": False},), "one has_dielectric, not False and True"),
        ((PUBLISHED,), "members of an ensemble cannot be Equivar networks"),
    ],
)
def test_members_must_fit(others: tuple[dict, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ensemble([build_network(config) for config in (GATED, *others)])


def test_backend_goes_to_all_members() -> None:
    ensemble = Ensemble([make(GATED, seed) for seed in (0, 1)])
    ensemble.backend = "e3nn"
    assert [member.backend for member in ensemble.members] == ["e3nn", "e3nn"]
    assert ensemble.backend == "e3nn"


def test_it_is_not_fine_tuned(tmp_path: Path) -> None:
    save_model(Ensemble([make(GATED, seed) for seed in (0, 1)]), tmp_path / "both")
    assert isinstance(load_model(tmp_path / "both"), Ensemble)
    data = write(tmp_path / "data.extxyz", labelled(4))
    arguments = ["finetune", str(tmp_path / "both"), "--train", data, "--valid", data]
    result = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "tuned")])
    assert result.exit_code != 0
    assert "is an ensemble, which cannot be fine-tuned" in result.output
    assert not (tmp_path / "tuned").exists()  # nothing was read, nothing written


def test_members_that_are_no_others_are_named(tmp_path: Path) -> None:
    for name, elements in (("first", (11, 12, 8, 17)), ("second", (11, 12, 8, 19, 20, 17))):
        save_model(make({**GATED, "elements": elements}), tmp_path / name)
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    config = tmp_path / "copy" / "config.json"  # the same weights, with other notes
    config.write_text(json.dumps(json.loads(config.read_text()) | {"metadata": {"about": {}}}))
    run, first = CliRunner().invoke, str(tmp_path / "first")
    for other, told in (
        ("copy", "first and .*copy are the same model"),
        ("second", "first and .*second know different elements, one of them without K, Ca;"),
    ):
        command = ["combine", first, str(tmp_path / other), "--output", str(tmp_path / "both")]
        result = run(app, command)
        assert result.exit_code == 2
        assert re.search(told, " ".join(result.output.split()))
    with pytest.raises(ValueError, match=r"first and .*first are the same model"):
        combine([first, first], tmp_path / "both")  # one text object, unlike two of a command line
    assert not (tmp_path / "both").exists()


@pytest.mark.slow
def test_bundled_ensemble() -> None:
    """SrTiO3 as in Zhong et al., Phys. Rev. Lett. 72, 3618 (1994); any cell will do."""
    calculator = EquivarCalculator(model="universal-ensemble")
    perovskite = Atoms(
        "SrTiO3",
        scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
        cell=[3.905] * 3,
        pbc=True,
    )
    charges = calculator.get_property("born_charges", perovskite)
    assert charges[0].trace() / 3.0 == pytest.approx(2.54, abs=0.15)
    assert charges[1].trace() / 3.0 == pytest.approx(7.12, abs=0.4)
    assert charges[2, 2, 2] == pytest.approx(-5.66, abs=0.4)  # along the bond to Ti
    assert charges[2, 0, 0] == pytest.approx(-2.00, abs=0.2)
    assert calculator.get_property("born_charges_uncertainty", perovskite).max() < 0.5
    perovskite.rattle(0.05, seed=2)
    charges = calculator.get_property("born_charges", perovskite)
    larger = make_supercell(perovskite, [[1, 1, 0], [0, 2, 1], [1, 0, 1]])  # of three cells
    repeated = calculator.get_property("born_charges", larger)
    assert np.abs(repeated - np.tile(charges, (3, 1, 1))).max() < 1e-4


@pytest.mark.slow
def test_bundled_ensemble_stays_finite_where_nothing_was_trained() -> None:
    """SevenNet's features of such crystals are larger by orders of magnitude."""
    oxide = bulk("MgO", "rocksalt", a=0.6 * 4.21)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the sum rule: it may well be broken
        charges = EquivarCalculator(model="universal-ensemble").get_property("born_charges", oxide)
    assert np.abs(charges).max() < 30.0
