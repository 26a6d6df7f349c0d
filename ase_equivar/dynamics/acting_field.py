"""The field that acts on the atoms: given as a function of time, or following the atoms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import dielectric_array, finite_real
from ase_equivar.ase_properties import DIELECTRIC_TENSOR
from ase_equivar.calculated_property import calculated_property
from ase_equivar.dynamics.dipole_path import DipolePath
from ase_equivar.dynamics.field_at_positions import FieldAtPositions
from ase_equivar.dynamics.held_displacement import (
    HeldDisplacement,
    PolarizationOf,
)
from ase_equivar.fields.algebra import (
    Field,
    Product,
    Sum,
    check_function_of_time,
    longest_step,
)
from ase_equivar.fields.applied import AppliedField
from ase_equivar.fields.displacement import ConstantDisplacement
from ase_equivar.fields.forces import check_field
from ase_equivar.fields.spatial import SpatialField
from ase_equivar.fields.text import field_text
from ase_equivar.fields.waveforms import ConstantField
from ase_equivar.structures.vacuum import describe_vacuum


class ActingField(Protocol):
    """A field as a driven run sees it."""

    @property
    def is_static(self) -> bool:
        """Whether the field is constant in time, as an optimizer requires."""
        ...

    @property
    def follows_path(self) -> bool:
        """Whether the field depends on the path of the atoms."""
        ...

    @property
    def longest_step(self) -> float:
        """The longest time step that resolves the field, fs."""
        ...

    @property
    def text(self) -> str | None:
        """A description that identifies the field; None if only its values can."""
        ...

    def on(
        self, atoms: Atoms, time: float, charges: Callable[[], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Return the field on `atoms` at `time` (fs): V/Å, shape=(3,), or (N, 3) if it varies.

        `charges` returns their Z*, |e|, shape=(N, 3, 3).
        """
        ...

    def sample(self, time: float) -> list[float]:
        """Return sample values at `time` (fs), to identify fields that have no `text`."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs in addition to `text`."""
        ...

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by `state`."""
        ...


class GivenField:
    """A uniform field E(t), independent of the atoms."""

    follows_path = False

    def __init__(self, field: Field) -> None:
        self._field = field
        self.is_static = _is_static(field)
        self.text = field_text(field)

    @property
    def longest_step(self) -> float:
        """The longest time step that resolves the field, fs."""
        return longest_step(self._field)

    def on(
        self, atoms: Atoms, time: float, charges: Callable[[], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Return E(t), V/Å, shape=(3,)."""
        return self._at(time)

    def sample(self, time: float) -> list[float]:
        """Return E(t)."""
        return [float(one) for one in self._at(time)]

    def state(self) -> dict[str, Any]:
        """Return an empty state: the field depends on time only."""
        return {}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""

    def _at(self, time: float) -> NDArray[np.float64]:
        return check_field(self._field(time))


class FieldInSlab(GivenField):
    """The field inside a slab, from the field applied outside.

    Parameters
    ----------
    applied : AppliedField
    dielectric_tensor : numpy.ndarray
        ε∞, shape=(3, 3).
    """

    def __init__(self, applied: AppliedField, dielectric_tensor: NDArray[np.float64]) -> None:
        assert callable(applied.field)  # AppliedField converts three numbers to a ConstantField
        super().__init__(applied.field)
        self._applied = applied
        self.dielectric_tensor = dielectric_tensor
        self.text = field_text(applied)

    def state(self) -> dict[str, Any]:
        """Return ε∞: a network may not reproduce its last digits in a later process."""
        return {DIELECTRIC_TENSOR: self.dielectric_tensor}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Restore ε∞."""
        self.dielectric_tensor = np.array(state[DIELECTRIC_TENSOR])

    def _at(self, time: float) -> NDArray[np.float64]:
        return self._applied.inside(super()._at(time), self.dielectric_tensor)


def acting_field(
    field: Field | ArrayLike | SpatialField | ConstantDisplacement | AppliedField,
    atoms: Atoms,
    path: DipolePath,
    sources: Sequence[Any],
) -> ActingField:
    """Return the acting field for the `field` argument of `drive`.

    Parameters
    ----------
    field : callable, array_like, SpatialField, ConstantDisplacement or AppliedField
        As in `drive`.
    atoms : ase.Atoms
        At the beginning of the run.
    path : DipolePath
        The path of the atoms in this run.
    sources : sequence
        The source of Z* and the calculator of the atoms. An ε∞ that is not given is taken from the
        first of them that provides one.

    Raises
    ------
    TypeError
        If the field is a bare function of positions and time.
    ValueError
        If the field is not one of the forms above or not finite, or if a constant D is asked for
        atoms without a cell or with vacuum in it.
    ase.calculators.calculator.PropertyNotImplementedError
        If ε∞ is needed and no source provides it.
    """
    if isinstance(field, SpatialField):
        return FieldAtPositions(field, len(atoms))
    if callable(field):
        check_function_of_time("the field", field)
    if not isinstance(field, ConstantDisplacement | AppliedField):
        return GivenField(field if callable(field) else ConstantField(check_field(field)))
    if isinstance(field, AppliedField):
        return FieldInSlab(field, _dielectric_tensor(field, atoms, sources))
    if atoms.cell.rank < 3:
        raise ValueError(
            f"the atoms have {atoms.cell.rank} cell vectors; a constant D needs three, because the "
            "polarization is a moment per volume"
        )
    if (vacuum := describe_vacuum(atoms)) is not None:
        raise ValueError(
            f"the cell {vacuum}, and a constant D needs the polarization of the material, a moment "
            "per volume of the material: give a cell without vacuum, with the normal of the film; "
            "for a field that is applied outside a slab, give an AppliedField"
        )
    polarization_of = _polarization_of(sources[0]) if field.source == "polarization" else None
    tensor = _dielectric_tensor(field, atoms, sources)
    return HeldDisplacement(field, path, atoms, tensor, polarization_of)


def _polarization_of(source: Any) -> PolarizationOf:
    """Return the P of which the Z* of a source are the derivative."""
    if "polarization" not in getattr(source, "implemented_properties", ()):
        raise PropertyNotImplementedError(
            "ConstantDisplacement(..., source='polarization') needs Z* from a calculator that "
            f"gives 'polarization' too, such as that of a polar model; {type(source).__name__} "
            "does not. Leave source out to integrate Z* along the path"
        )

    def polarization(atoms: Atoms) -> NDArray[np.float64]:
        found = calculated_property(source, "polarization", atoms)
        return finite_real("polarization", found, (3,), unit="C/m²")

    return polarization


def _dielectric_tensor(
    field: ConstantDisplacement | AppliedField, atoms: Atoms, sources: Sequence[Any]
) -> NDArray[np.float64]:
    tensor = field.dielectric_tensor
    if tensor is None:
        name = type(field).__name__
        able = [s for s in sources if DIELECTRIC_TENSOR in getattr(s, "implemented_properties", ())]
        if not able:
            raise PropertyNotImplementedError(
                f"the calculator {type(sources[-1]).__name__} does not provide "
                f"{DIELECTRIC_TENSOR!r}, which is needed here: give {name}(..., "
                "dielectric_tensor=ε∞)"
            )
        tensor = calculated_property(able[0], DIELECTRIC_TENSOR, atoms)
    return dielectric_array(DIELECTRIC_TENSOR, tensor)


def _is_static(field: Field) -> bool:
    if isinstance(field, Sum | Product):
        return all(_is_static(part) for part in field.parts)
    return isinstance(field, ConstantField)
