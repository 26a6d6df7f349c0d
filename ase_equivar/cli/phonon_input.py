"""From a file to force constants with Z* and ε∞: what several commands begin with."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from ase.cell import Cell

from ase_equivar.arguments import known_word
from ase_equivar.cli import inputs
from ase_equivar.cli.crystal_options import CrystalOptions
from ase_equivar.cli.phonopy_files import is_phonopy_file, read_phonopy
from ase_equivar.structures.formula import empirical_formula

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    from ase_equivar.phonons import NacMethod, RelaxMode

Epsilon: TypeAlias = "NDArray[np.float64] | Literal['corrected'] | None"
"""What the options say of ε∞; None: nothing."""

GIVEN = "as given"  # by an option

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhononInput:
    """A Phonopy object with force constants, Z* and ε∞, and where they come from.

    Attributes
    ----------
    phonon : phonopy.Phonopy
        Ready for `ase_equivar.phonons` and `ase_equivar.dielectric`.
    origin : str
        What was calculated with what, and the cell if it was relaxed.
    title : str
        For a picture.
    calculation : dict
        What came from where, for files.
    born_charges : ndarray or None, shape (N, 3, 3)
        Z* of a file that a phonon without correction has not, |e|.
    """

    phonon: Phonopy
    origin: str
    title: str
    calculation: dict[str, str]
    born_charges: NDArray[np.float64] | None = None


def phonon_input(
    crystal: CrystalOptions, method: NacMethod | None = "gonze", *, band_path: str | None = None
) -> PhononInput:
    """Calculate force constants, or read them from a phonopy.yaml, and add Z* and ε∞.

    A path of bands that the lattice does not have is refused before any force is calculated.
    """
    from ase_equivar import phonons as ph
    from ase_equivar.phonons.relax_modes import relax_mode

    mode, path, epsilon = relax_mode("--relax", crystal.relax), crystal.structure, crystal.epsilon()
    if method is None and epsilon is not None:
        raise ValueError("an ε∞ is asked for, which --method none has no use for")
    if is_phonopy_file(path):
        inputs.refuse_selection(path, crystal.index, crystal.format)
        given = crystal.supercell, crystal.calculator
        if given != (None, None) or mode != "none":
            raise ValueError(
                f"{path.name} brings its own force constants: --supercell, --calculator and "
                "--relax do not apply"
            )
        return _from_phonopy(crystal, method, epsilon)
    if crystal.born is not None:
        raise ValueError(f"--born goes with a phonopy.yaml, not with {path.name}")
    atoms = inputs.read_structure(path, crystal.index, crystal.format)
    if band_path is not None:
        _check_band_path(atoms, band_path, crystal.symprec)
    if method is None:
        return _uncorrected(atoms, crystal, mode)
    model, calculator = crystal.model, crystal.potential
    calc = inputs.equivar_calculator(model=model, device=crystal.device)
    if not _is_given(epsilon):
        _require_dielectric(calc.implemented_properties, model)
    forces = inputs.forces_calculator(calculator, crystal.device)
    phonon = ph.polar_phonon(
        atoms,
        forces,
        calc,
        supercell=crystal.supercell,
        relax=mode,
        dielectric_tensor=epsilon,
        method=method,
        symprec=crystal.symprec,
    )
    calculation = {
        "forces": calculator,
        "relax": mode,
        "born_charges": model,
        "epsilon_infinity": epsilon_from(model, epsilon),
    }
    return PhononInput(
        phonon,
        origin=f"{describe_relaxation(mode, phonon.unitcell)}\n"
        f"{_describe_supercell(phonon)}; "
        f"{describe_tensors(calculation)}, forces: {calculator}",
        title=f"{empirical_formula(atoms)}, forces: {calculator}",
        calculation=calculation,
    )


def nac_method(name: str) -> NacMethod | None:
    """Return what --method names."""
    from ase_equivar.phonons import NacMethod

    words = (*get_args(NacMethod), "none")
    method: NacMethod | Literal["none"] = known_word("--method", name, words)
    return None if method == "none" else method


def charges_of(made: PhononInput, crystal: CrystalOptions) -> NDArray[np.float64]:
    """Return Z* of the primitive cell for a phonon without correction: a file's, or a model's.

    Returns
    -------
    ndarray, shape (N, 3, 3)
        |e|.
    """
    if made.born_charges is not None:
        return made.born_charges
    from ase_equivar.phonons.cells import to_ase
    from ase_equivar.structures.metals import refuse_metal

    atoms = to_ase(made.phonon.primitive)
    refuse_metal(atoms)
    calc = inputs.equivar_calculator(model=crystal.model, device=crystal.device)
    made.calculation["born_charges"] = crystal.model
    charges: NDArray[np.float64] = calc.get_property("born_effective_charges", atoms)
    return charges


def _uncorrected(atoms: Atoms, crystal: CrystalOptions, mode: RelaxMode) -> PhononInput:
    """Calculate force constants alone, of a sheet say."""
    from ase_equivar import phonons as ph

    calculator, symprec = crystal.potential, crystal.symprec
    ph.make_phonon(atoms, symprec=symprec)  # refuses what has no phonons before any force
    forces = inputs.forces_calculator(calculator, crystal.device)
    relaxed = ph.relax(atoms, forces, mode, symprec=symprec)
    cells = crystal.supercell or ph.supercell_for_length(relaxed)
    phonon = ph.force_constants(relaxed, forces, cells, symprec=symprec)
    return PhononInput(
        phonon,
        origin=f"{describe_relaxation(mode, phonon.unitcell)}\n"
        f"{_describe_supercell(phonon)}; no correction, "
        f"forces: {calculator}",
        title=f"{empirical_formula(atoms)}, forces: {calculator}",
        calculation={"forces": calculator, "relax": mode},
    )


def _check_band_path(atoms: Atoms, path: str, symprec: float) -> None:
    from ase_equivar.phonons.band_structure import check_path
    from ase_equivar.phonons.cells import primitive_cell

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which come again with the force constants
        cell = primitive_cell(atoms, symprec=symprec).cell
    check_path(cell, path)


def _describe_supercell(phonon: Phonopy) -> str:
    matrix = phonon.supercell_matrix
    sizes = matrix.diagonal()
    # a matrix if the cell given was so skewed that other vectors were taken
    is_diagonal = abs(matrix).sum() == abs(sizes).sum()
    text = "×".join(map(str, sizes)) if is_diagonal else str(matrix.tolist())
    return f"supercell {text}, {len(phonon.supercell)} atoms"


def describe_tensors(calculation: dict[str, str]) -> str:
    """Say where Z* and ε∞ come from."""
    born, epsilon = calculation["born_charges"], calculation["epsilon_infinity"]
    return f"Z* and ε∞: {born}" if born == epsilon else f"Z*: {born}, ε∞: {epsilon}"


def describe_relaxation(mode: RelaxMode, cell: PhonopyAtoms | Atoms) -> str:
    """Say what was relaxed, and to which cell."""
    if mode == "none":
        return "relaxed: none"
    if mode == "positions":
        return "relaxed: positions, in the cell given"
    return _cell(cell)


def _cell(relaxed: PhonopyAtoms | Atoms) -> str:
    a, b, c, *angles = Cell(relaxed.cell[:]).cellpar()
    return (
        f"relaxed cell: a, b, c = {a:.4f}, {b:.4f}, {c:.4f} Å; α, β, γ = "
        f"{', '.join(f'{angle:.2f}' for angle in angles)}°"
    )


def _from_phonopy(
    crystal: CrystalOptions, method: NacMethod | None, epsilon: Epsilon
) -> PhononInput:
    """Read force constants, and Z* and ε∞ if they are there."""
    import numpy as np

    from ase_equivar import phonons as ph
    from ase_equivar.phonons.cells import to_ase

    path, model, device = crystal.structure, crystal.model, crystal.device
    read = read_phonopy(path, with_force_constants=True, born=crystal.born, symprec=crystal.symprec)
    phonon = read.phonon
    given = phonon.nac_params
    if method is None:
        phonon.nac_params = None
        origin = f"no correction; force constants: {_name(read.forces_from, path)}"
        formula = empirical_formula(to_ase(phonon.primitive))
        calculation = {"forces": _name(read.forces_from, path), "relax": "none"}
        born = None if given is None else np.array(given["born"])
        if born is not None:
            calculation["born_charges"] = _name(read.born_from, path)
        return PhononInput(phonon, origin, formula, calculation, born)
    if given is None:
        calc = inputs.equivar_calculator(model=model, device=device)
        if not _is_given(epsilon):
            _require_dielectric(calc.implemented_properties, model)
        ph.apply_nac(phonon, calc, dielectric_tensor=epsilon, method=method)
    else:
        tensors = (given["born"], given["dielectric"])
        ph.apply_nac(phonon, tensors, dielectric_tensor=epsilon, method=method)
        _compare_dielectric(phonon, model, device)
    formula = empirical_formula(to_ase(phonon.primitive))
    tensors_from = model if given is None else _name(read.born_from, path)
    calculation = {
        "forces": _name(read.forces_from, path),
        "relax": "none",
        "born_charges": tensors_from,
        "epsilon_infinity": epsilon_from(tensors_from, epsilon),
    }
    return PhononInput(
        phonon,
        origin=f"supercell of {len(phonon.supercell)} atoms; {describe_tensors(calculation)}, "
        f"force constants: {calculation['forces']}",
        title=f"{formula}, force constants: {path.name}",
        calculation=calculation,
    )


def _name(source: Path | None, path: Path) -> str:
    """Name a file that was read: the yaml by its name, one beside it as the user would find it."""
    return path.name if source is None or source == path else str(source)


def _compare_dielectric(phonon: Phonopy, model: str, device: str | None) -> None:
    """Warn when ε∞ of a file is much larger than the model's, if the model is there."""
    from ase_equivar.phonons import warn_if_static

    try:
        calc = inputs.equivar_calculator(model=model, device=device)
    except (ValueError, OSError) as error:
        logger.info("ε∞ is not compared with a model's: %s", error)
        return
    warn_if_static(phonon, calc)


def epsilon_from(source: str, epsilon: Epsilon) -> str:
    """Say where ε∞ is from, of a source that gives one; and how far it is expected to be off."""
    if epsilon is None:
        return source
    if not isinstance(epsilon, str):
        return GIVEN
    from ase_equivar.phonons.electronic_correction import EXPECTED_ERROR

    return f"{source}, corrected (expected error {100 * EXPECTED_ERROR:.0f} %)"


def _is_given(epsilon: Epsilon) -> bool:
    return epsilon is not None and not isinstance(epsilon, str)


def _require_dielectric(properties: list[str], model: str) -> None:
    if "dielectric_tensor" not in properties:
        raise ValueError(f"phonons need ε∞, which the model {model!r} does not predict")
