"""The classes of all warnings of the package, one for each kind, so that each can be filtered."""

from __future__ import annotations


class EquivarWarning(UserWarning):
    """Base class of all warnings of the package."""


class SumRuleWarning(EquivarWarning):
    """The raw Z* of a model violate the sum rule by so much that they should not be trusted."""


class MetalWarning(EquivarWarning):
    """A crystal may be a metal, which has neither Z* nor a finite ε∞."""


class VacuumWarning(EquivarWarning):
    """Z* or ε∞ were requested for a cell with vacuum; they are not those of the whole cell."""


class NetChargeWarning(EquivarWarning):
    """Z* given by the user do not sum to zero."""


class NonpolarWarning(EquivarWarning):
    """Z* is zero, so that a correction for it changes nothing."""


class StaticDielectricWarning(EquivarWarning):
    """An ε∞ looks like a static dielectric constant, or a static one does not exist."""


class SymmetryWarning(EquivarWarning):
    """A larger tolerance would give a higher space group, or ε∞ lacks the crystal's symmetry."""


class NotRelaxedWarning(EquivarWarning):
    """Forces or stress act on a structure that is treated as one in equilibrium."""


class CellChangeWarning(EquivarWarning):
    """A relaxed cell differs in volume by more than 3 % from the one that was given."""


class ImaginaryModesWarning(EquivarWarning):
    """Phonons have imaginary frequencies."""


class SoftModeWarning(EquivarWarning):
    """A static dielectric tensor depends mainly on a polar mode of very low frequency."""


class AcousticSumRuleWarning(EquivarWarning):
    """Force constants do not vanish for a translation of the whole crystal."""


class ConvergenceWarning(EquivarWarning):
    """A result has not converged with time, points or friction."""


class SamplingWarning(EquivarWarning):
    """Frames of a trajectory are too far apart in time, or by another time than the one given."""


class PolarizationWarning(EquivarWarning):
    """The polarization of a structure is taken from an assumption."""


class FieldWarning(EquivarWarning):
    """A field has no effect, or probably an unintended one."""


class UncertaintyWarning(EquivarWarning):
    """A model expects its own error to be large."""


class InputWarning(EquivarWarning):
    """A part of the input is ignored or out of date, or a file of an earlier run is incomplete."""
