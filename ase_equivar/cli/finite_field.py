"""The command ``ase-equivar finite-field``."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated

import typer

from ase_equivar.cli import inputs
from ase_equivar.cli.field_options import FieldRunOptions, check_strength, check_time, field_command
from ase_equivar.cli.tables import open_console, tensor_table
from ase_equivar.structures.formula import empirical_formula
from ase_equivar.warning_types import StaticDielectricWarning

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms
    from ase.calculators.calculator import BaseCalculator
    from numpy.typing import NDArray


@field_command(temperature=100.0, friction=5.0)
def finite_field(
    options: FieldRunOptions,
    strength: Annotated[float, typer.Option(help="Of the field, in MV/cm.")] = 0.5,
    duration: Annotated[
        float, typer.Option(help="Averaging time in each of the six runs, ps.")
    ] = 5.0,
    equilibration: Annotated[float, typer.Option(help="Before it, in ps.")] = 2.0,
) -> None:
    """Calculate the static dielectric tensor at fixed cell from mean polarizations in small fields.

    The sum over phonons of the same structure, as in ``ase-equivar infrared``, is printed beside
    it: they agree if the structure is at its minimum and the crystal is harmonic.
    """
    with inputs.user_errors():
        check_strength("--strength", [strength])
        check_time("--duration", duration)
        check_time("--equilibration", equilibration)
        options.check_outputs()
        md_settings = options.md_settings()

        from ase_equivar.dynamics.experiments.finite_field import (
            check_steps,
            finite_field_dielectric,
        )
        from ase_equivar.plotting import plot_finite_field
        from ase_equivar.units import MV_PER_CM, PICOSECOND

        # before the potential is loaded
        check_steps(equilibration * PICOSECOND, duration * PICOSECOND, md_settings)
        atoms = options.atoms_with_calculator()
        found = finite_field_dielectric(
            atoms,
            strength * MV_PER_CM,
            duration * PICOSECOND,
            equilibration=equilibration * PICOSECOND,
            md_settings=md_settings,
            folder=options.folder,
        )
        # after the run, which is not repeated when the command is
        phonons = _from_phonons(options.unit_cell(), atoms.calc)
        console = open_console()
        tensors = {
            "ionic part, from ⟨P⟩ in small fields": found.ionic,
            "its standard error": found.ionic_error,
            "ionic part, from phonons": phonons,
            "static ε0, from ⟨P⟩ and ε∞": None if found.electronic is None else found.static,
        }
        for name, tensor in tensors.items():
            if tensor is not None:
                console.print(name, style="italic")  # the title of a table would be wrapped
                console.print(tensor_table("", tensor))
        numbers = {
            "ionic": found.ionic.tolist(),
            "ionic_error": found.ionic_error.tolist(),
            "ionic_from_phonons": None if phonons is None else phonons.tolist(),
            "electronic": None if found.electronic is None else found.electronic.tolist(),
        }
        formula = empirical_formula(atoms)
        figure = plot_finite_field(found, phonons, title=f"{formula}, {options.temperature:g} K")
        options.write(console, numbers, figure)


def _from_phonons(atoms: Atoms, calculator: BaseCalculator) -> NDArray[np.float64] | None:
    """Return the ionic part from phonons; None, with a warning, if they cannot give it."""
    from ase_equivar import dielectric as di
    from ase_equivar import phonons as ph

    try:
        phonon = ph.force_constants(atoms, calculator, ph.supercell_for_length(atoms))
        modes = di.infrared_modes(ph.apply_nac(phonon, calculator))
        return di.static_dielectric(modes).ionic
    except (ValueError, RuntimeError) as error:
        warnings.warn(
            f"the phonons give no static dielectric tensor: {error}",
            StaticDielectricWarning,
            stacklevel=2,
        )
        return None
