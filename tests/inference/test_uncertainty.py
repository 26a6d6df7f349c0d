"""Uncertainties: symmetric, repeatable, and worth what calibration says."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from helpers.calibrations import LOG_SCALE, POWERS, features_of, save_calibration
from helpers.random_networks import GATED, POLAR, PUBLISHED, make, triclinic
from helpers.training_runs import labelled, run_config, write
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from ase_equivar import EquivarCalculator, load_model, save_model
from ase_equivar.cli.main import app
from ase_equivar.graph import build_graph
from ase_equivar.inference.model_files import CALIBRATION_FILE, model_digest
from ase_equivar.inference.predictor import Predictor
from ase_equivar.inference.uncertain_atoms import is_uncertain
from ase_equivar.inference.uncertainty import Calibration
from ase_equivar.training.calibration import calibrate, fit_powers
from ase_equivar.training.data import LabelledFrame, read_frames
from ase_equivar.training.fit import fit
from ase_equivar.training.uncertainty_quality import quality
from ase_equivar.warning_types import InputWarning, UncertaintyWarning

COMPARABLE = {**POLAR, "cutoff": 5.0}  # as that of `universal`


@pytest.fixture(
    scope="module",
    params=[(GATED, None), (POLAR, None), (COMPARABLE, "universal")],
    ids=["gated", "polar", "compared"],
)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model that states uncertainties."""
    config, compared_with = request.param
    folder = tmp_path_factory.mktemp("model")
    save_model(make(config), folder)
    save_calibration(folder, triclinic(), compared_with)
    return folder


def uncertainty(folder: Path, atoms: Atoms, **settings: Any) -> np.ndarray:
    calc = EquivarCalculator(model=folder, dtype="float64", **settings)
    return calc.get_property("born_charges_uncertainty", atoms)


def test_it_is_an_invariant_of_each_atom(folder: Path) -> None:
    """Of turned, mirrored, repeated, reordered structures, alone or with others."""
    atoms = triclinic()
    expected = uncertainty(folder, atoms)
    assert expected.shape == (len(atoms),)
    assert expected.min() > 0
    turn = -Rotation.from_quat(np.random.default_rng(1).normal(size=4)).as_matrix()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T, scale_atoms=True)
    order = np.random.default_rng(0).permutation(len(atoms))
    assert uncertainty(folder, turned) == pytest.approx(expected, rel=1e-7)
    assert uncertainty(folder, atoms[order]) == pytest.approx(expected[order], rel=1e-7)
    assert uncertainty(folder, atoms * (2, 1, 1)) == pytest.approx(np.tile(expected, 2), rel=1e-7)
    calc = EquivarCalculator(model=folder, dtype="float64")
    _, found = calc.predict([atoms[:4], atoms])
    assert found.born_charges_uncertainty == pytest.approx(expected, rel=1e-7)


def test_by_hand(folder: Path) -> None:
    """Nearest atoms of the same element by brute force.

    And the violation for this total charge, or the difference from the other model's Z*.
    """
    atoms, network = triclinic(), load_model(folder, dtype=torch.float64)
    calibration = Calibration.load(folder)
    known = calibration.known
    places = ((features_of(network, atoms) - known.mean) @ known.axes.double()).numpy()
    graph = build_graph(atoms, network.cutoff, dtype=torch.float64)
    with torch.no_grad():
        raw = network(graph).born_charges.numpy()[graph.places]
    if calibration.compared_with is None:
        violation = (raw.sum(axis=0) - 1.5 * np.eye(3)) / len(atoms)
        doubt = np.sqrt(np.mean(violation**2)) + 0.003
    else:
        other = EquivarCalculator(model="universal", dtype="float64", total_charge=1.5)
        difference = raw - raw.mean(axis=0) + 1.5 * np.eye(3) / len(atoms)
        difference -= other.get_property("born_charges", atoms)
        doubt = np.sqrt(np.mean(difference**2)) + 0.01
    expected = []
    for number, place in zip(atoms.numbers, places, strict=True):
        mine = known.numbers.numpy() == number
        distances = np.linalg.norm(known.points.numpy()[mine] - place, axis=1)
        nearest = np.argsort(distances)[:8]
        weights = 1 / (distances[nearest] + 0.05) ** 2
        error = np.exp(np.average(known.log_errors.numpy()[mine][nearest], weights=weights))
        factors = (doubt, distances.min() + 0.05, error)
        expected.append(np.exp(LOG_SCALE) * np.prod(np.power(factors, POWERS)))
    assert uncertainty(folder, atoms, total_charge=1.5) == pytest.approx(expected, rel=1e-5)


def test_with_what_polar_networks_are_compared() -> None:
    """With a bundled model that sees the same bonds and knows the same elements."""
    one = LabelledFrame(triclinic(), np.zeros((len(triclinic()), 3, 3)), None)
    for config, name, message in [
        (GATED, "universal", "only polar networks are compared.* for a GatedNetwork the violation"),
        (COMPARABLE, "universe", "'universe', which is no bundled model: batio3"),
        (POLAR, "universal", r"universal has a cutoff of 5\.0 Å and this network one of 4\.\d Å"),
        (COMPARABLE, "sio2", "sio2 does not know .*Na"),
    ]:
        with pytest.raises(ValueError, match=message):
            calibrate(make(config), [one], [one], compared_with=name)


def test_a_calibration_that_compares_with_what_is_not_there(tmp_path: Path) -> None:
    save_model(make(POLAR), tmp_path)
    save_calibration(tmp_path, triclinic(), "universe")
    with pytest.raises(ValueError, match="compares with 'universe', which is not bundled"):
        EquivarCalculator(model=tmp_path)
    save_calibration(tmp_path, triclinic(), "universal")
    calc = EquivarCalculator(model=tmp_path)
    with pytest.raises(ValueError, match="universal, whose cutoff of 5"):
        calc.get_property("born_charges", triclinic())


def test_an_element_that_was_not_seen_is_far_away(folder: Path) -> None:
    atoms = triclinic()
    strange = atoms.copy()
    strange.numbers[0] = 22
    with pytest.warns(UncertaintyWarning, match="training data have no"):
        found = uncertainty(folder, strange)
    assert found[0] > 3 * uncertainty(folder, atoms)[0]


def test_files(folder: Path, tmp_path: Path) -> None:
    """What is damaged is refused; other weights take the calibration away."""
    network, atoms = load_model(folder, dtype=torch.float64), triclinic()
    save_model(network, tmp_path)
    calc = EquivarCalculator(model=tmp_path)
    with pytest.raises(PropertyNotImplementedError, match=r"has no calibration; .*calibrate"):
        calc.get_property("born_charges_uncertainty", atoms)
    assert calc.predict([atoms])[0].born_charges_uncertainty is None
    content, digest = (folder / CALIBRATION_FILE).read_bytes(), model_digest(tmp_path)
    (tmp_path / CALIBRATION_FILE).write_bytes(content)
    assert model_digest(tmp_path) != digest
    assert np.array_equal(uncertainty(tmp_path, atoms), uncertainty(folder, atoms))
    (tmp_path / CALIBRATION_FILE).write_bytes(content[:-50])
    with pytest.raises(ValueError, match=r"calibration\.safetensors is damaged"):
        EquivarCalculator(model=tmp_path)
    save_model(network, tmp_path)
    assert not (tmp_path / CALIBRATION_FILE).exists()


def test_pairs_that_the_training_data_lack(folder: Path) -> None:
    """Named with the indices of the user's atoms, once; those that are known are not."""
    atoms = triclinic()
    calc = EquivarCalculator(model=folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UncertaintyWarning)
        calc.predict([atoms])
    i, j = 1, 4
    close = atoms.copy()
    way = close.get_distance(i, j, mic=True, vector=True)
    close.positions[j] = close.positions[i] + 0.7 * way / np.linalg.norm(way)
    pair = sorted((i, j), key=lambda k: close.numbers[k])
    names = "–".join(close.symbols[k] for k in pair)
    told = rf"{names} \(atoms {pair[0]} and {pair[1]}\) closer than \d\.\d\d Å, .* 0\.70 Å"
    calc.get_property("born_charges", atoms)
    with pytest.warns(UncertaintyWarning, match=told) as caught:
        calc.get_property("born_charges", close)
    assert "as the 2nd structure" in str(caught[-1].message)
    assert caught[-1].filename == __file__
    close.positions[0] += 0.01
    with warnings.catch_warnings():
        warnings.simplefilter("error", UncertaintyWarning)
        calc.get_property("born_charges", close)


def test_large_is_meant_against_the_charge_too() -> None:
    charges = np.array([0.1, 0.4, 7.0, 7.0])[:, None, None] * np.eye(3)
    doubts = np.array([0.09, 0.11, 1.39, 1.41])
    assert is_uncertain(doubts, charges).tolist() == [False, True, False, True]


def test_powers_are_found() -> None:
    """Those that errors were drawn with; twice the errors, twice the scale."""
    rng = np.random.default_rng(0)
    terms = [rng.normal(size=(10, 3)) for _ in range(500)]
    widths = [np.exp(-2.0 + one @ np.array([0.2, 0.9, 0.5])) for one in terms]
    squares = [np.mean((w[:, None] * rng.normal(size=(10, 9))) ** 2, axis=1) for w in widths]
    scale, powers = fit_powers(terms, squares)
    assert scale == pytest.approx(-2.0, abs=0.02)
    assert powers == pytest.approx((0.2, 0.9, 0.5), abs=0.02)
    doubled, same = fit_powers(terms, [4 * one for one in squares])
    assert doubled == pytest.approx(scale + np.log(2), abs=1e-2)
    assert same == pytest.approx(powers, abs=1e-2)
    inverse, never = fit_powers(terms, [np.exp(-2 * one[:, 0]) for one in terms])
    assert np.isfinite(inverse)
    assert never[0] == 0.0


@pytest.mark.parametrize(
    ("config", "compared_with"), [(GATED, None), (COMPARABLE, "universal")], ids=["gated", "polar"]
)
def test_calibrated_root_mean_square(
    config: dict[str, Any], compared_with: str | None, tmp_path: Path
) -> None:
    """Of many structures: the errors are as large as the uncertainties that are stated."""
    network = make({**config, "elements": (8, 11, 12, 17)}).float()
    data = write(tmp_path / "x.extxyz", labelled(40))
    frames, _ = read_frames([data], run_config(tmp_path).data)
    found = calibrate(network, frames[:20], frames[20:], compared_with=compared_with)
    with pytest.warns(InputWarning, match="5 of 20 validation structures are among those"):
        calibrate(network, frames[:20], frames[15:35])
    save_model(network, tmp_path / "model")
    found.save(tmp_path / "model")
    calc = EquivarCalculator(model=tmp_path / "model")
    predictions = calc.predict([frame.atoms for frame in frames[20:]])
    squares = [
        np.square(one.born_charges - frame.born_charges).mean(axis=(1, 2))
        / one.born_charges_uncertainty**2
        for one, frame in zip(predictions, frames[20:], strict=True)
    ]
    assert np.mean(squares) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("config", [GATED, POLAR], ids=["gated", "polar"])
def test_dielectric_tensors_of_parts(config: dict[str, Any], tmp_path: Path) -> None:
    """One for each mask, by the calculator; they turn with the structure, and no mask stays."""
    network, atoms = make({**config, "dielectric": True}), triclinic()
    graph = build_graph(atoms, network.cutoff, dtype=torch.float64)
    expected = []
    for seed in range(8):
        with torch.no_grad(), network.channel_mask(0.15, seed):
            expected.append(network(graph).dielectric[0].numpy())
    save_model(network, tmp_path / "model", metadata={"training": {"fit": {"dropout": 0.1}}})
    calc = EquivarCalculator(model=tmp_path / "model", dtype="float64")
    parts = calc.dielectric_tensor_parts(atoms)
    with torch.no_grad():
        whole = network(graph).dielectric[0].numpy()
    assert parts is not None
    np.testing.assert_allclose(parts, expected, rtol=1e-6, atol=1e-9)
    assert np.abs(parts - whole).max() > 1e-3
    turn = -Rotation.from_quat(np.random.default_rng(1).normal(size=4)).as_matrix()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T, scale_atoms=True)
    np.testing.assert_allclose(
        calc.dielectric_tensor_parts(turned), turn @ parts @ turn.T, rtol=1e-6, atol=1e-9
    )
    assert EquivarCalculator(model=network).dielectric_tensor_parts(atoms) is None


def test_a_model_trained_without_dropout_has_no_parts(tmp_path: Path) -> None:
    """With channels left out it would be no model: the spread would be a false alarm."""
    network, atoms = make({**GATED, "dielectric": True}), triclinic()
    without, with_dropout = ({"training": {"fit": {"dropout": p}}} for p in (0.0, 0.1))
    for number, (metadata, has_parts) in enumerate(
        [
            (without, False),
            (with_dropout, True),
            (None, False),
            ({"training": "by hand"}, False),
            ({"members": []}, False),
            ({"members": [with_dropout, with_dropout]}, True),
            ({"members": [with_dropout, without]}, False),
        ]
    ):
        folder = tmp_path / str(number)
        save_model(network, folder, metadata=metadata)
        save_calibration(folder, atoms)
        found = EquivarCalculator(model=folder).dielectric_tensor_parts(atoms)
        assert (found is not None) == has_parts


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
    assert (right.rms_ratio, wrong.rms_ratio) == pytest.approx((1.0, 2.0), abs=0.02)
    # half of the width: P(|x| < z/2) instead of P(|x| < z), over the latter
    assert wrong.miscalibration_area == pytest.approx(0.2048, abs=0.01)
    assert quality(errors, rng.permutation(width)).rank_correlation < 0.1


def test_command(tmp_path: Path) -> None:
    """The file is made from what the model was trained on, which it names."""
    network = make({**GATED, "elements": (8, 11, 12, 17)}).float()
    folder = tmp_path / "model"
    write(tmp_path / "train.extxyz", labelled(6))
    trained = {"training": {"data": {"train": ["../train.extxyz"]}}}
    save_model(network, folder, metadata=trained)
    data, run = write(tmp_path / "valid.extxyz", labelled(4, seed=5)), CliRunner().invoke
    before = (folder / "config.json").read_bytes()
    result = run(app, ["calibrate", str(folder), data])
    assert result.exit_code == 0, result.output
    assert "rank correlation" in result.output
    assert (folder / "config.json").read_bytes() == before
    card = run(app, ["evaluate", str(folder), data])
    assert "root mean square of all errors over that of all uncertainties" in card.output
    content = (folder / CALIBRATION_FILE).read_bytes()
    (tmp_path / "train.extxyz").rename(tmp_path / "moved.extxyz")
    result = run(app, ["calibrate", str(folder), data])
    assert result.exit_code != 0
    assert "give --train" in result.output
    result = run(app, ["calibrate", str(folder), data, "--train", str(tmp_path / "moved.extxyz")])
    assert result.exit_code == 0, result.output
    assert (folder / CALIBRATION_FILE).read_bytes() == content
    save_model(network, folder)
    result = run(app, ["calibrate", str(folder), data])
    assert "does not say what it was trained on: give --train" in result.output


def test_labels_of_training_are_read_as_in_training(tmp_path: Path) -> None:
    """By another name, in another order and with another limit than those of the validation."""
    network, frames = make({**GATED, "elements": (8, 11, 12, 17)}).float(), labelled(6)
    frames[5].arrays["born_charges"] += 0.3 / len(frames[5])  # within the usual limit of 0.5 e
    data, run = write(tmp_path / "valid.extxyz", labelled(4, seed=5)), CliRunner().invoke
    write(tmp_path / "train.extxyz", frames[:5])
    for one in frames:
        charges = one.arrays.pop("born_charges").reshape(-1, 3, 3)
        one.set_array("zstar", charges.transpose(0, 2, 1).reshape(-1, 9))
    write(tmp_path / "other.extxyz", frames)
    how = {"born_charges": "zstar", "order": "displacement-first", "max_sum_rule_violation": 0.2}
    for folder, entries in (
        ("plain", {"train": ["../train.extxyz"]}),
        ("other", {"train": ["../other.extxyz"], **how}),
    ):
        save_model(network, tmp_path / folder, metadata={"training": {"data": entries}})
        result = run(app, ["calibrate", str(tmp_path / folder), data])
        assert result.exit_code == 0, result.output
    contents = [(tmp_path / name / CALIBRATION_FILE).read_bytes() for name in ("plain", "other")]
    assert contents[0] == contents[1]


@pytest.mark.slow
def test_other_labels_than_those_of_the_training_are_told(tmp_path: Path) -> None:
    """A file that has grown, or was replaced, made known what the model had never seen."""
    config = run_config(tmp_path, epochs=1)
    fit(config, progress=False)
    data = write(tmp_path / "judge.extxyz", labelled(4, seed=5))
    command = ["calibrate", str(tmp_path / "model"), data]
    told = "was trained on 8 structures, and the files that its config.json names hold {}, not the"
    assert "was trained on" not in CliRunner().invoke(app, command).output
    train = tmp_path / "train.extxyz"
    for frames, there in (
        (labelled(10), 10),
        (labelled(8, seed=7), 8),
        (labelled(8)[::-1], 0),  # another order is the same
    ):
        write(train, frames)
        output = " ".join(CliRunner().invoke(app, command).output.split())
        assert (told.format(there) in output) == bool(there)
    stored = tmp_path / "model" / "config.json"
    content = json.loads(stored.read_text(encoding="utf-8"))
    del content["metadata"]["train_labels"]  # as earlier versions wrote it
    stored.write_text(json.dumps(content), encoding="utf-8")
    assert "was trained on" not in CliRunner().invoke(app, command).output
    write(train, labelled(9))
    output = " ".join(CliRunner().invoke(app, command).output.split())
    assert told.format(9) in output


def test_atoms_that_are_all_alike_calibrate_nothing(tmp_path: Path) -> None:
    """It ended in an eigenvalue solver's message, or wrote a file that was called damaged."""
    atoms = Atoms("O", cell=[3.0, 3.0, 3.0], pbc=True)
    one = LabelledFrame(atoms, np.zeros((1, 3, 3)), None)
    for several in ([one], [one, one]):
        with pytest.raises(ValueError, match="are all alike to the model, so no distance"):
            calibrate(make({**GATED, "elements": (8,)}), several, [one])


def test_published_network_has_none(tmp_path: Path) -> None:
    network = make(PUBLISHED).float()
    save_model(network, tmp_path / "model")
    data = write(tmp_path / "x.extxyz", labelled(2))
    result = CliRunner().invoke(app, ["calibrate", str(tmp_path / "model"), data, "--train", data])
    assert result.exit_code != 0
    assert "only gated networks have an uncertainty" in result.output


@pytest.mark.parametrize(
    ("name", "given", "error", "message"),
    [
        ("train", [], ValueError, "train has no structure"),
        ("valid", [], ValueError, "valid has no structure"),
        ("train", "frames.extxyz", TypeError, "train is a str; give a list of LabelledFrame"),
        ("valid", triclinic(), TypeError, "valid is a Atoms"),
        ("valid", [triclinic()], TypeError, r"valid\[0\] is a Atoms; give LabelledFrame"),
        ("train", 3, TypeError, "train is a int"),
        ("train", None, TypeError, "train is a NoneType"),
    ],
)
def test_what_cannot_calibrate(name, given, error, message):
    one = LabelledFrame(triclinic(), np.zeros((len(triclinic()), 3, 3)), None)
    with pytest.raises(error, match=message):
        calibrate(make(GATED), **{"train": [one], "valid": [one], name: given})


def test_no_uncertainty_depends_on_the_predictions_before(tmp_path: Path) -> None:
    """Not even by the rounding of the model that is compared with: tables are equal by the byte."""
    save_model(make(COMPARABLE), tmp_path)
    save_calibration(tmp_path, triclinic(), "universal")
    predictor = Predictor(tmp_path)
    predictor.compile_at_once()
    assert predictor.evaluate(triclinic(), uncertainty=True).raw.coverage is not None
    assert predictor.latest.raw.coverage.doubt_by_difference > 0
    assert predictor._other._compiles_at_once
