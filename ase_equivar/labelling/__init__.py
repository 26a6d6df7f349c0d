"""Labels from first principles: Z*, ε∞, forces and energies by Quantum ESPRESSO."""

from ase_equivar.labelling.calculation import Label, RefusedError, label
from ase_equivar.labelling.run import Progress, label_all
from ase_equivar.labelling.settings import Settings

__all__ = ["Label", "Progress", "RefusedError", "Settings", "label", "label_all"]
