"""Pictures, drawn without a display: every function returns a matplotlib Figure."""

from ase_equivar.plotting.current import plot_current_spectrum
from ase_equivar.plotting.dynamics import (
    plot_finite_field,
    plot_hysteresis,
    plot_ion_drift,
    plot_pulse_response,
)
from ase_equivar.plotting.fields import plot_field
from ase_equivar.plotting.infrared import plot_infrared
from ase_equivar.plotting.phonons import (
    plot_angular_dispersion,
    plot_bands,
    plot_density_of_states,
)
from ase_equivar.plotting.raman import plot_raman

__all__ = [
    "plot_angular_dispersion",
    "plot_bands",
    "plot_current_spectrum",
    "plot_density_of_states",
    "plot_field",
    "plot_finite_field",
    "plot_hysteresis",
    "plot_infrared",
    "plot_ion_drift",
    "plot_pulse_response",
    "plot_raman",
]
