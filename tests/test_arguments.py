"""What is no finite real number of the right shape is refused, by name."""

from __future__ import annotations

import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

from ase_equivar import EquivarCalculator, field_forces, neutralize
from ase_equivar.arguments import (
    DEEPEST,
    dielectric_array,
    finite_number,
    finite_real,
    json_data,
    positive_number,
    whole_number,
)
from ase_equivar.fields import ConstantField, TabulatedField, waveform_from_dict, waveform_from_json

recursive: list[object] = []
recursive.append(recursive)


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


NO_NUMBERS = [
    "1",
    b"1",
    None,
    True,
    [1.0, True],
    np.array([True, False]),
    1 + 2j,
    np.array([1, 1j]),
    np.nan,
    -np.inf,
    [0.0, np.nan],
    [[1, 2], [3]],
    10**400,
    {"a": 1},
    {1.0},
    object(),
    recursive,
    Unprintable(),
    np.datetime64("2026-01-01"),
    np.ma.masked_array([1.0, 2.0], [False, True]),
    torch.zeros(2, requires_grad=True),
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_refused_by_name(value):
    for call in (
        lambda: finite_real("the_name", value, None),
        lambda: finite_number("the_name", value),
        lambda: positive_number("the_name", value, "Å"),
        lambda: whole_number("the_name", value),
    ):
        with pytest.raises(ValueError, match=r"^the_name (is|has) "):
            call()


def test_numbers_of_all_kinds_are_taken_and_copied():
    for value in (2, 2.0, np.float32(2), np.array(2), Fraction(2), 2 + 0j, torch.tensor(2)):
        assert finite_number("x", value) == 2.0
        assert whole_number("x", value, at_least=2) == 2
    given = np.arange(3.0)
    taken = finite_real("x", given, (None,), largest=2)
    assert taken.dtype == np.float64
    assert np.array_equal(taken, given)
    assert not np.shares_memory(taken, given)


def test_shapes_bounds_and_signs_are_told():
    with pytest.raises(ValueError, match=r"x has shape \(2,\), not \(N, 3\)"):
        finite_real("x", [1, 2], (None, 3))
    with pytest.raises(ValueError, match=r"x has shape \(2,\), not \(3,\)"):
        finite_real("x", [1, 2], (3,))
    with pytest.raises(ValueError, match=r"x is not finite: nan at \[1, 0\]"):
        finite_real("x", [[1], [np.nan]], (None, None))
    with pytest.raises(ValueError, match="x reaches 5, beyond 4 V/Å: check its unit"):
        finite_real("x", [1, -5], None, unit="V/Å", largest=4)
    with pytest.raises(ValueError, match="x is 0; give a positive number of Å"):
        positive_number("x", 0, "Å")
    assert positive_number("x", 0, "Å", zero=True) == 0
    with pytest.raises(ValueError, match="x is 1; give a whole number from 2 on"):
        whole_number("x", 1, at_least=2)
    with pytest.raises(ValueError, match=r"x is 1\.5; give a whole number"):
        whole_number("x", 1.5)


def test_dielectric_tensors_are_symmetric_and_at_least_1():
    good = np.diag([2.0, 3.0, 4.0])
    good[0, 1] = 0.01  # of a calculation that has not converged to the last digit
    assert np.array_equal(dielectric_array("e", good), (good + good.T) / 2)
    skew = good.copy()
    skew[0, 1] = 0.5
    with pytest.raises(ValueError, match=r"e is not symmetric: .* differ by 0\.5"):
        dielectric_array("e", skew)
    with pytest.raises(ValueError, match=r"lowest eigenvalue of e is 0\.5; .* is 1 or more"):
        dielectric_array("e", np.diag([2, 0.5, 2]))


def test_tensors_of_torch_are_checked_too():
    good = torch.rand(4, 3, 3)
    for wrong in (good * 1j, good > 0.5, good * torch.nan, good * 1e300, good.reshape(4, 9)):
        with pytest.raises(ValueError, match="born_charges"):
            neutralize(wrong)
    for wrong in (np.nan, 1j, True, "1", 1e308, torch.tensor(torch.nan), torch.tensor(True)):
        with pytest.raises(ValueError, match="total_charge"):
            neutralize(good, wrong)
        with pytest.raises(ValueError, match="total_charge"):
            neutralize(good.double().numpy(), wrong)
    with pytest.raises(ValueError, match=r"born_charges has shape \(0, 3, 3\)"):
        neutralize(np.zeros((0, 3, 3)))


def test_complex_and_absurd_charges_exert_no_force():
    charges = np.ones((2, 3, 3))
    for wrong in (charges * (1 + 1e-9j), charges * np.nan, charges * 1e300, charges > 0):
        with pytest.raises(ValueError, match="born_charges"):
            field_forces(wrong, [0, 0, 1])
    for wrong in ([0, 0, 1j], [0, 0, True], "abc", [0, 0, 1e30], [[0, 0, 1]]):
        with pytest.raises(ValueError, match="field"):
            field_forces(charges, wrong)


@pytest.mark.parametrize("charge", [True, 1e308, 1j, "1", None, [1.0, 2.0], np.nan])
def test_a_calculator_takes_one_real_total_charge(charge):
    with pytest.raises(ValueError, match="total_charge"):
        EquivarCalculator(total_charge=charge)


@pytest.fixture
def deep_recursion():
    """As after `import phonopy`, whose symfc raises the limit: recursion ends in a crash."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("deep_recursion")
def test_json_is_refused_by_its_depth():
    assert json_data("x", '{"a": ["[[[", 1.5]}') == {"a": ["[[[", 1.5]}
    assert json_data("x", "[" * DEEPEST + "]" * DEEPEST) is not None
    assert json_data("x", "[[], " * 3 + "1" + "]" * 3) == [[], [[], [[], 1]]]
    for text in ("[" * 1_000_000, '{"a":' * 101 + "1" + "}" * 101, "{", None, b"{}", '"\\"[[['):
        with pytest.raises(ValueError, match=r"^x (is|has) "):
            json_data("x", text)


def test_a_train_of_pulses_is_no_deeper_than_one():
    train = sum(
        (2.0 * (1.5 * ConstantField([0, 0, k])) for k in range(500)), ConstantField([0] * 3)
    )
    assert waveform_from_json(train.to_json()) == train
    assert train(0.0)[2] == 3 * sum(range(500))


@pytest.mark.usefixtures("deep_recursion")
def test_data_of_waveforms_may_be_anything():
    nested: dict[str, object] = {"type": "Sum", "parts": []}
    nested["parts"] = [nested]
    for data in (nested, {"type": ["Sum"]}, {1: 2}, {"type": "Sum", "parts": "abc"}, {"type": 1}):
        with pytest.raises(ValueError, match="waveform"):
            waveform_from_dict({"units": "fs, THz, V/Å", **data})
    for text in ("{", None, "[" * 100_000, 3, '{"type": "SineField", "amplitude": [NaN, 0, 0]}'):
        with pytest.raises(ValueError, match=r"waveform|field|cannot be made"):
            waveform_from_json(text)
    with pytest.raises(ValueError, match="times"):
        TabulatedField([0, 1j], [[0, 0, 0], [0, 0, 1]])


def test_no_text_is_made_of_what_is_right():
    """The text of an array takes longer than its check, and a field is checked at each step."""
    texts = []

    class Counted(np.ndarray):
        def __repr__(self) -> str:
            texts.append(1)
            return "an array"

    values = np.eye(3).view(Counted)
    assert finite_real("tensor", values, (3, 3)).tolist() == np.eye(3).tolist()
    assert not texts
    with pytest.raises(ValueError, match="tensor is an array; give real numbers"):
        finite_real("tensor", values.astype(bool), (3, 3))
    assert texts
