"""Settings of torch that the program around a calculator has made for its own networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from ase.build import bulk

from ase_equivar import EquivarCalculator, available_models
from ase_equivar.graph import build_graph, check_atoms
from ase_equivar.inference import predictor
from ase_equivar.inference.models import load_model
from ase_equivar.torch_settings import own_torch_settings

NAMES = (
    "born_charges",
    "dielectric_tensor",
    "born_charges_uncertainty",
    "piezoelectric_tensor_clamped",
)


def default_device() -> torch.device:
    """Another device than the calculator's: of "meta", nothing could be copied back.

    As a context: `torch.set_default_device` would remain, in torch 2.4 even if set back.
    """
    return torch.device("meta")


def mixed_precision() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16)


@pytest.mark.parametrize("settings", [default_device, mixed_precision])
@pytest.mark.parametrize("backend", [None, "torch"])
@pytest.mark.parametrize("model", ["universal", "universal-polar"])
def test_tensors_do_not_depend_on_them(model, backend, settings) -> None:
    """Mixed precision changed Z* by 0.01 e with "torch"; with kernels, both ended in errors."""
    atoms = bulk("MgO", "rocksalt", a=4.21)
    atoms.rattle(0.05, seed=0)
    made_before = EquivarCalculator(model=model, device="cpu", backend=backend)
    expected = {name: made_before.get_property(name, atoms) for name in NAMES}
    made_before = EquivarCalculator(model=model, device="cpu", backend=backend)
    with settings():
        made_inside = EquivarCalculator(model=model, device="cpu", backend=backend)
        for calc in (made_before, made_inside):
            for name in NAMES:
                found = calc.get_property(name, atoms)
                np.testing.assert_array_equal(found, expected[name], err_msg=name)
            [several] = calc.predict([atoms])
            np.testing.assert_array_equal(several.born_charges, expected["born_charges"])
            parts = calc.dielectric_tensor_parts(atoms)
            assert parts is None or parts.shape == (8, 3, 3)


@pytest.mark.parametrize("settings", [default_device, mixed_precision])
@pytest.mark.parametrize("pbc", [True, (True, False, True), False])
def test_neither_do_graphs(pbc, settings) -> None:
    atoms = bulk("MgO", "rocksalt", a=4.21)
    atoms.rattle(0.05, seed=0)
    atoms.pbc = pbc
    expected = build_graph(atoms, 5.0)
    with settings():
        check_atoms(atoms)
        found = build_graph(atoms, 5.0)
    for name in ("numbers", "senders", "receivers", "vectors"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


@pytest.mark.parametrize("model", available_models())
def test_models_are_made_on_the_cpu(model, monkeypatch) -> None:
    """On a GPU, SevenNet's constants were of other random numbers, and others mixed devices."""
    if model == "universal-ensemble":
        pytest.importorskip("sevenn", reason="needs the extra sevennet")
    expected = load_model(model).state_dict()
    with default_device():
        found = load_model(model).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    # as on a GPU: a device where nothing can be read back, to which all goes in the end
    monkeypatch.setattr(predictor, "choose_device", lambda device: torch.device("meta"))
    made = predictor.Predictor(model)
    assert {one.device.type for one in made._network.parameters()} == {"meta"}
    assert made.has_piezoelectric == (model == "universal")


def rounded() -> None:
    torch.set_float32_matmul_precision("medium")


def rounded_on_gpus() -> None:
    torch.backends.cuda.matmul.allow_tf32 = True


def rounded_by_one_library() -> None:
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("torch before 2.9 has one setting for all")
    torch.backends.cuda.matmul.fp32_precision = "tf32"


def matmul_settings() -> list[str]:
    """Return all that torch says of it, or why it does not."""
    found = []
    for read in (
        torch.get_float32_matmul_precision,
        lambda: torch.backends.cuda.matmul.allow_tf32,
        lambda: torch.backends.cuda.matmul.fp32_precision,
        lambda: torch.backends.mkldnn.matmul.fp32_precision,
    ):
        try:
            found.append(str(read()))
        except (RuntimeError, AttributeError, AssertionError) as error:
            found.append(type(error).__name__)
    return found


@pytest.fixture
def full_precision_afterwards():
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("full_precision_afterwards")
@pytest.mark.parametrize("choose", [rounded, rounded_on_gpus, rounded_by_one_library])
def test_products_are_not_rounded(choose: Callable[[], None]) -> None:
    """TF32 moved Z* of BaTiO3 by 0.005 e; a CPU without bfloat16 gives the same either way."""
    calculator = EquivarCalculator(device="cpu", backend="torch")
    during = []
    network = calculator.predictor._network
    network.register_forward_pre_hook(lambda *_: during.append(matmul_settings()))
    with own_torch_settings(torch.device("cpu")):
        full = matmul_settings()
    choose()
    chosen = matmul_settings()
    calculator.get_property("born_charges", bulk("MgO", "rocksalt", a=4.21))
    assert during[0][:2] == ["highest", "False"]
    assert "tf32" not in during[0]
    assert "bf16" not in during[0]
    assert matmul_settings() == chosen != full


def test_settings_are_restored_after_an_error() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(KeyError), own_torch_settings(torch.device("cpu")):
            raise KeyError
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
