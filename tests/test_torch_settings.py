"""Settings of torch that the program around a calculator has made for its own networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import bulk

from ase_equivar import EquivarCalculator
from ase_equivar.graph import build_graph, check_atoms

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
