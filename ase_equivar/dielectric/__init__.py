"""Dielectric response: infrared and Raman modes, static ε0, ε(ω), loss, reflectivity.

A typical calculation, after `ase_equivar.phonons`::

    phonon = apply_nac(force_constants(atoms, forces_calculator, (4, 4, 4)), EquivarCalculator())
    modes = infrared_modes(phonon)
    dielectric = static_dielectric(modes)             # ε∞, ionic part, ε0
    lyddane_sachs_teller(phonon, dielectric)          # consistency check
    spectrum = dielectric_function(modes, damping=0.15)
    plot_infrared(modes, spectrum)                    # ase_equivar.plotting

    scattering = raman_modes(phonon, EquivarCalculator())
    plot_raman(scattering, [raman_spectrum(scattering, damping=0.3)], spectrum)

    tensors = piezoelectric(atoms, forces_calculator, EquivarCalculator(), clamped=e_clamped)
    tensors.total, tensors.strain_coefficients        # e in C/m², d in pC/N

From molecular dynamics instead::

    current = trajectory_current(ase.io.iread("run.traj"), EquivarCalculator(), timestep=1.0)  # fs
    current_spectrum(current, dielectric_tensor, correlation_time=2000.0)
    ionic_conductivity(current, correlation_time=5000.0)
"""

from ase_equivar.dielectric.conductivity import (
    BlockEstimate,
    IonicConductivity,
    ionic_conductivity,
)
from ase_equivar.dielectric.current import Current, trajectory_current
from ase_equivar.dielectric.fluctuations import CurrentSpectrum, current_spectrum
from ase_equivar.dielectric.function import DielectricFunction, dielectric_function
from ase_equivar.dielectric.infrared import InfraredMode, InfraredModes, infrared_modes
from ase_equivar.dielectric.piezoelectric_tensors import PiezoelectricTensors
from ase_equivar.dielectric.piezoelectricity import piezoelectric
from ase_equivar.dielectric.polarization import (
    PolarizationChange,
    polarization_along,
    polarization_change,
)
from ase_equivar.dielectric.polarization_trajectory import trajectory_polarization
from ase_equivar.dielectric.raman import raman_modes
from ase_equivar.dielectric.raman_derivative import DielectricDerivative, dielectric_derivative
from ase_equivar.dielectric.raman_geometry import ScatteringGeometry
from ase_equivar.dielectric.raman_intensity import (
    RamanSpectrum,
    raman_intensities,
    raman_spectrum,
)
from ase_equivar.dielectric.raman_mode import RamanMode, RamanModes
from ase_equivar.dielectric.static import (
    LyddaneSachsTeller,
    StaticDielectric,
    ionic_dielectric_range,
    lyddane_sachs_teller,
    static_dielectric,
)
from ase_equivar.dielectric.velocities import with_velocities
from ase_equivar.units import FrequencyUnit

__all__ = [
    "BlockEstimate",
    "Current",
    "CurrentSpectrum",
    "DielectricDerivative",
    "DielectricFunction",
    "FrequencyUnit",
    "InfraredMode",
    "InfraredModes",
    "IonicConductivity",
    "LyddaneSachsTeller",
    "PiezoelectricTensors",
    "PolarizationChange",
    "RamanMode",
    "RamanModes",
    "RamanSpectrum",
    "ScatteringGeometry",
    "StaticDielectric",
    "current_spectrum",
    "dielectric_derivative",
    "dielectric_function",
    "infrared_modes",
    "ionic_conductivity",
    "ionic_dielectric_range",
    "lyddane_sachs_teller",
    "piezoelectric",
    "polarization_along",
    "polarization_change",
    "raman_intensities",
    "raman_modes",
    "raman_spectrum",
    "static_dielectric",
    "trajectory_current",
    "trajectory_polarization",
    "with_velocities",
]
