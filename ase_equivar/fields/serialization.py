"""Waveforms from plain data and JSON, the inverse of `Waveform.to_dict` and `to_json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ase_equivar.arguments import DEEPEST, json_data, known_word
from ase_equivar.fields.algebra import UNITS, Product, Sum, Waveform
from ase_equivar.fields.tabulated import TabulatedField
from ase_equivar.fields.waveforms import (
    ChirpedPulse,
    ConstantField,
    GaussianPulse,
    SineField,
    StepField,
    TriangleField,
)

KINDS: tuple[type[Waveform], ...] = (
    ConstantField,
    SineField,
    TriangleField,
    StepField,
    GaussianPulse,
    ChirpedPulse,
    TabulatedField,
    Sum,
    Product,
)


def waveform_from_dict(data: Mapping[str, Any]) -> Waveform:
    """Return the waveform from its plain data, as returned by `to_dict`.

    Raises
    ------
    ValueError
        If `data` does not describe a waveform, or its entry ``units`` is missing or differs:
        numbers in other units would give a field of another frequency.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"a waveform's data are names and values, with 'type', not {data!r}")
    if (units := data.get("units")) != UNITS:
        raise ValueError(
            f"the numbers of a waveform must be in {UNITS}; its units are given as {units!r}"
        )
    return _waveform({name: value for name, value in data.items() if name != "units"}, depth=0)


def _waveform(data: Mapping[str, Any], depth: int) -> Waveform:
    """Return the waveform; `depth` is the number of sums and products around it."""
    if depth > DEEPEST // 2:
        raise ValueError(
            f"a waveform's sums and products are nested more than {DEEPEST // 2} levels deep"
        )
    if not isinstance(data, Mapping):
        raise ValueError(f"a waveform's data are names and values, with 'type', not {data!r}")
    kinds = {kind.__name__: kind for kind in KINDS}
    settings = dict(data)
    name = settings.pop("type", None)
    known_word("a waveform's type", name, kinds)
    if "parts" in settings:
        if not isinstance(settings["parts"], Sequence):
            raise ValueError(f"the parts of a {name} are a list, not {settings['parts']!r}")
        settings["parts"] = [_waveform(part, depth + 1) for part in settings["parts"]]
    try:
        return kinds[name](**settings)
    except TypeError as error:
        raise ValueError(
            f"{name} cannot be made from {sorted(map(str, settings))}: {error}"
        ) from error


def waveform_from_json(text: str) -> Waveform:
    """Return the waveform from its JSON, as returned by `to_json`; see `waveform_from_dict`."""
    return waveform_from_dict(json_data("the text of a waveform", text))
