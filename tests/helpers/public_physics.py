"""How public functions that take numbers are called: dielectrics, dynamics, files."""

from __future__ import annotations

import numpy as np
from ase import units
from phonopy import Phonopy

from ase_equivar import dielectric, dynamics, fields, plotting
from ase_equivar.dynamics import experiments
from ase_equivar.dynamics.experiments import MDSettings
from ase_equivar.io import write_infrared_json
from ase_equivar.labelling import Settings, label_all
from ase_equivar.screening import Limits, Recipe, screen
from ase_equivar.units import FrequencyUnit
from helpers.argument_rows import (
    AVERAGES,
    CHARGE_VALUES,
    DIRECTIONS,
    FIELD,
    FIELDS,
    SALT_PHONONS,
    SHORT,
    TIMES,
    Z_STAR,
    BadCharges,
    BadPolarization,
    Row,
    _constantly,
    driven,
    folder,
    row,
    run,
    salt,
    salt_once,
    spectrum,
)
from helpers.bad_values import (
    COUNT,
    NOT_NEGATIVE,
    NUMBER,
    POSITIVE,
    WHOLE,
    arrays_like,
    structures,
    tensors_like,
)
from helpers.bond_polarizability import BondPolarizability
from helpers.driven_crystal import crystal
from helpers.harmonic_runs import ELECTRONIC, STEP, harmonic_run

LIGHT = {"wavelength": [*POSITIVE, 1e30], "temperature": NOT_NEGATIVE}


def scattering() -> dielectric.RamanModes:
    return dielectric.raman_modes(salt(), BondPolarizability(), progress=False)


def uncorrected_salt() -> Phonopy:
    phonon = salt()
    phonon.nac_params = None
    return phonon


ROWS: dict[str, Row] = {
    "dielectric.infrared_modes": row(
        dielectric.infrared_modes, {"phonon": SALT_PHONONS}, phonon=salt
    ),
    "dielectric.infrared_modes with Z*": row(
        dielectric.infrared_modes,
        {"born_charges": [v for v in arrays_like(np.stack([np.eye(3)] * 2), 1e3) if v is not None]},
        phonon=uncorrected_salt,
        born_charges=np.stack([np.eye(3), -np.eye(3)]),
    ),
    "dielectric.dielectric_function": row(
        dielectric.dielectric_function,
        {"damping": [*POSITIVE[:-4], 0.0, -1.0], "frequencies": [*arrays_like([1.0]), [-1.0], 3.0]},
        modes=lambda: salt_once()[1],
        damping=0.1,
        frequencies=[1.0],
    ),
    "dielectric.dielectric_derivative": row(
        dielectric.dielectric_derivative,
        {"phonon": SALT_PHONONS[:1], "step": [*POSITIVE, 1.0]},
        phonon=salt,
        calculator=BondPolarizability(),
    ),
    "dielectric.raman_modes": row(
        dielectric.raman_modes,
        {"phonon": SALT_PHONONS, "direction": DIRECTIONS, "step": [*POSITIVE, 1.0]},
        phonon=salt,
        calculator=BondPolarizability(),
        direction=[0.0, 1.0, 1.0],
    ),
    "dielectric.raman_intensities": row(
        dielectric.raman_intensities, LIGHT, modes=scattering, geometry="parallel"
    ),
    "dielectric.raman_spectrum": row(
        dielectric.raman_spectrum,
        {
            "damping": [*POSITIVE[:-4], 0.0, -1.0],
            "frequencies": [*arrays_like([1.0]), 3.0],
            **LIGHT,
        },
        modes=scattering,
        damping=0.1,
        frequencies=[1.0],
    ),
    "dielectric.ScatteringGeometry": row(
        dielectric.ScatteringGeometry,
        {
            name: DIRECTIONS
            for name in (
                "incident",
                "incident_polarization",
                "scattered_polarization",
                "scattered",
            )
        },
        incident=[0.0, 0.0, 1.0],
        incident_polarization=[1.0, 0.0, 0.0],
        scattered_polarization=[1.0, 0.0, 0.0],
        scattered=[0.0, 0.0, -1.0],
    ),
    "dielectric.lyddane_sachs_teller": row(
        dielectric.lyddane_sachs_teller,
        {"phonon": SALT_PHONONS, "directions": [*arrays_like([[1, 0, 0]]), [1, 0, 0]]},
        phonon=salt,
        dielectric=lambda: dielectric.static_dielectric(salt_once()[1]),
    ),
    "dielectric.ionic_dielectric_range": row(
        dielectric.ionic_dielectric_range,
        {"too_soft": POSITIVE, "too_stiff": POSITIVE, "softening": POSITIVE},
        modes=lambda: salt_once()[1],
        too_soft=0.2,
        too_stiff=0.1,
        softening=0.5,
    ),
    "dielectric.StaticDielectric": row(
        dielectric.StaticDielectric,
        {"electronic": arrays_like(ELECTRONIC), "ionic": arrays_like(ELECTRONIC)},
        electronic=ELECTRONIC,
        ionic=ELECTRONIC,
    ),
    "dielectric.DielectricFunction.along": row(
        lambda direction: spectrum().along(direction), {"direction": DIRECTIONS}, direction=FIELD
    ),
    "dielectric.Current": row(
        dielectric.Current,
        {"timestep": POSITIVE, "volume": POSITIVE, "temperature": NOT_NEGATIVE,
         "current": arrays_like(np.ones((4, 3))), "dipole": arrays_like(np.ones((4, 3)))},
        timestep=1.0,
        current=np.ones((4, 3)),
        dipole=np.ones((4, 3)),
        volume=80.0,
        temperature=300.0,
    ),
    "dielectric.trajectory_current": row(
        dielectric.trajectory_current,
        {"born_charges": CHARGE_VALUES, "timestep": POSITIVE,
         "frames": [[wrong] * 2 for wrong in structures()]},
        frames=lambda: list(harmonic_run(3)),
        born_charges=Z_STAR,
        timestep=STEP,
        progress=False,
    ),
    "dielectric.current_spectrum": row(
        dielectric.current_spectrum,
        {"dielectric_tensor": tensors_like(ELECTRONIC), **AVERAGES},
        current=lambda: run(),
        dielectric_tensor=ELECTRONIC,
        correlation_time=50.0,
    ),
    "dielectric.ionic_conductivity": row(
        dielectric.ionic_conductivity, AVERAGES, current=lambda: run(), correlation_time=50.0
    ),
    "dielectric.polarization_along": row(
        dielectric.polarization_along,
        {"born_charges": [[wrong, Z_STAR] for wrong in CHARGE_VALUES],
         "images": [[crystal(False), wrong] for wrong in structures()]},
        images=lambda: [crystal(False), crystal(False)],
        born_charges=[Z_STAR, Z_STAR],
    ),
    "dielectric.polarization_change": row(
        dielectric.polarization_change,
        {"start": structures(), "end": structures(), "n_points": [*COUNT, 4],
         "born_charges": [BadCharges(wrong) for wrong in CHARGE_VALUES],
         "clamped_piezoelectric": arrays_like(np.full((3, 6), 0.1), 1.0)},
        start=lambda: crystal(False),
        end=lambda: crystal(False),
        born_charges=lambda: crystal().calc,
    ),
    "dielectric.trajectory_polarization": row(
        dielectric.trajectory_polarization,
        {"images": [[crystal(False), wrong] for wrong in structures()],
         "calculator": map(BadPolarization, arrays_like(FIELD))},
        images=lambda: [crystal(False), crystal(False)],
        calculator=BadPolarization(FIELD),
    ),
    "dielectric.PolarizationChange.nearest_to": row(
        lambda polarization: dielectric.PolarizationChange(
            np.zeros(3), np.eye(3), 0.0
        ).nearest_to(polarization),
        {"polarization": arrays_like(FIELD)},
        polarization=FIELD,
    ),
    "dynamics.drive": row(
        driven,
        {"field": FIELDS, "update_interval": COUNT, "max_displacement": POSITIVE,
         "born_charges": CHARGE_VALUES, "start_time": NUMBER, "log_interval": COUNT,
         "timestep": [0.0, np.nan, 1e10 * units.fs]},
        update_interval=2,
    ),
    "dynamics.drive of atoms": row(driven, {"atoms": list(structures())[3:-1]}),
    "dynamics.Drive.work": row(
        lambda work: setattr(driven(), "work", work), {"work": NUMBER}, work=1.0
    ),
    "dynamics.loop_work": row(
        dynamics.loop_work,
        {"first": arrays_like(np.eye(3), 1.0), "second": arrays_like(np.eye(3), 1.0),
         "n_points": [*COUNT, 5], "atoms": structures()},
        atoms=crystal,
        first=0.1 * np.eye(3),
        second=0.1 * np.ones((3, 3)),
        n_points=4,
    ),
    "dynamics.loop_residual": row(
        dynamics.loop_residual,
        {"amplitude": [*POSITIVE, 1e30], "loops": COUNT, "n_points": [*COUNT, 5], "seed": WHOLE,
         "atoms": structures()},
        atoms=crystal,
        loops=1,
        n_points=4,
    ),
    "dynamics.LoopWork.work": row(
        lambda field: dynamics.LoopWork(np.ones(3), 1.0, 0.0).work(field),
        {"field": FIELDS},
        field=FIELD,
    ),
    "dielectric.with_velocities": row(
        lambda frames, timestep: list(dielectric.with_velocities(frames, timestep)),
        {"timestep": POSITIVE, "frames": [[wrong] * 5 for wrong in structures()]},
        frames=lambda: list(harmonic_run(5)),
        timestep=STEP,
    ),
    "dynamics.experiments.MDSettings": row(
        MDSettings,
        {"temperature": [*NOT_NEGATIVE, 1e30], "timestep": [*POSITIVE, 1e10],
         "friction": NOT_NEGATIVE, "seed": WHOLE, "update_interval": COUNT},
    ),
    "dynamics.experiments.finite_field_dielectric": row(
        experiments.finite_field_dielectric,
        {"strength": [*POSITIVE, 1e30], "duration": TIMES, "equilibration": TIMES,
         "atoms": structures()},
        atoms=lambda: crystal(False),
        strength=0.1,
        duration=2.0,
        equilibration=0.4,
        md_settings=SHORT,
    ),
    "dynamics.experiments.hysteresis": row(
        experiments.hysteresis,
        {"amplitude": FIELDS, "period": TIMES, "periods": COUNT, "atoms": structures()},
        atoms=lambda: crystal(False),
        amplitude=FIELD,
        period=2.4,
        periods=1,
        md_settings=SHORT,
    ),
    "dynamics.experiments.ion_drift": row(
        experiments.ion_drift,
        {"field": FIELDS, "duration": TIMES, "equilibration": NOT_NEGATIVE,
         "born_charges": [3, "abc", *({"Ti": w, "B": 1, "O": -2} for w in [*NUMBER, 1e30])],
         "atoms": structures()},
        atoms=lambda: crystal(False),
        field=FIELD,
        species="B",
        duration=2.0,
        md_settings=SHORT,
    ),
    "dynamics.experiments.pulse_response": row(
        experiments.pulse_response,
        {"duration": TIMES, "pulse": [None, 3.0, *(_constantly(w) for w in FIELDS[:10])],
         "atoms": structures()},
        atoms=lambda: crystal(False),
        pulse=fields.GaussianPulse(FIELD, center=8.0, width=2.0),
        duration=16.0,
        md_settings=SHORT,
    ),
    "labelling.Settings": row(
        Settings,
        {"cutoff": POSITIVE, "max_violation": POSITIVE, "min_gap": NOT_NEGATIVE,
         "cpu_limit": POSITIVE, "threshold": POSITIVE,
         "periods": [*arrays_like([7.5, 10.0]), [10.0, 7.5], [], [-1.0]]},
        pseudopotentials=folder(),
    ),
    "labelling.label_all": row(
        lambda **arguments: list(label_all(**arguments)),
        {"processes": COUNT},
        structures=[],
        output=folder() / "labels.extxyz",
        settings=Settings(folder()),
    ),
    "screening.Recipe": row(Recipe, {"symprec": POSITIVE}, source=None, calculator=None),
    "screening.Limits": row(Limits, {"seconds": POSITIVE, "gigabytes": POSITIVE}),
    "screening.screen": row(
        screen, {"workers": COUNT}, paths=[], table=folder() / "table.csv", recipe=None
    ),
    "io.write_infrared_json": row(
        write_infrared_json,
        {"damping": arrays_like([0.1])},
        path=folder() / "x.json",
        modes=lambda: salt_once()[1],
        damping=0.1,
    ),
    "plotting.plot_field": row(
        plotting.plot_field,
        {"duration": POSITIVE, "start": NUMBER},
        field=fields.ConstantField(FIELD),
        duration=10.0,
    ),
    "plotting.plot_current_spectrum": row(
        plotting.plot_current_spectrum,
        {"limit": POSITIVE},
        spectrum=lambda: dielectric.current_spectrum(run(), ELECTRONIC, correlation_time=50.0),
        unit=FrequencyUnit.CM,
    ),
    "plotting.plot_finite_field": row(
        plotting.plot_finite_field,
        {"phonons": arrays_like(np.eye(3))},
        measured=lambda: experiments.FiniteFieldDielectric(np.eye(3), np.eye(3), None),
    ),
}  # fmt: skip
