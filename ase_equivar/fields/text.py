"""Text that identifies a field."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

from ase_equivar.fields.algebra import Field, Waveform
from ase_equivar.fields.applied import AppliedField
from ase_equivar.fields.displacement import ConstantDisplacement
from ase_equivar.fields.spatial import SpatialField


def field_text(field: Field | SpatialField | ConstantDisplacement | AppliedField) -> str | None:
    """Return a description of a field; None for a bare function."""
    if isinstance(field, Waveform):
        try:
            return field.to_json()
        except TypeError:
            return None
    if isinstance(field, SpatialField | ConstantDisplacement | AppliedField) and is_dataclass(
        field
    ):
        values = {one.name: getattr(field, one.name) for one in fields(field)}
        if values.get("source") == "born_charges":  # checkpoints from before there was a choice
            del values["source"]
        texts = [field_text(v) if callable(v) else repr(v) for v in values.values()]
        if None not in texts:
            listed = ", ".join(f"{n}={t}" for n, t in zip(values, texts, strict=True))
            return f"{type(field).__name__}({listed})"
    return None
