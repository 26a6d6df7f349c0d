"""Z*, ε∞, ε0 and LO–TO gaps of polar crystals against DFPT and experiment: docs/validation.md.

    python benchmarks/validation.py             # calculates what is missing, writes the page
    python benchmarks/validation.py NaCl MgO    # only some crystals: prints, writes no page
    python benchmarks/validation.py MgO --calculator mace --relax positions  # of one potential

The crystals keep their force constants in runs/validation/, so that a stopped run goes on where it
was; delete a file there to have it calculated again. Packages of potentials (nequix, chgnet) are
needed only for what is missing there. Frequencies at Γ do not depend on the supercell, since Γ fits
into any: the primitive cell is enough. Each potential is used with the lattice as measured,
SevenNet-0 and the default also with their own, and with three ε∞ (`validation_table.py`). The
details of the page are those of SevenNet-l3i5, the default of all commands, with lattices as
measured: the same force constants get Z* and ε∞ of the bundled model and, once more, those of DFPT:
what changes between the two is the model's share of the error, what stays is that of the forces.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
from phonopy import Phonopy
from polar_crystal_record import Axis, PolarCrystal, Response, Result
from polar_crystals import CRYSTALS
from rich.progress import track
from validation_page import write_page
from validation_phonons import RUNS, Lattice, Potential, measured_pairs, phonons
from validation_polarization import polarizations
from validation_raman import raman_section
from validation_table import outcome, section

from ase_equivar import EquivarCalculator
from ase_equivar.cli.potentials import DEFAULT_POTENTIAL
from ase_equivar.dielectric import infrared_modes
from ase_equivar.phonons import (
    apply_nac,
    make_phonon,
    nac_params,
)
from ase_equivar.phonons.born_source import Source

ROOT = Path(__file__).resolve().parent.parent
DEFAULTS = ("sevennet-0", DEFAULT_POTENTIAL)
OTHERS = ("other_potentials:sevennet_mf_0", "nequix", "chgnet")  # with the lattice as measured


def main() -> None:
    """Calculate and, unless only some crystals or potentials were asked for, write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="of crystals; default: all")
    parser.add_argument(
        "--calculator",
        action="append",
        type=Potential,
        help="of the table, as for the commands: a name, nequix:FILE or module:factory; may be "
        f"repeated; default: {', '.join(DEFAULTS + OTHERS)}",
    )
    parser.add_argument(
        "--relax",
        choices=("positions", "cell"),
        help="positions: only with the lattice as measured; cell: relaxed; default: both",
    )
    arguments = parser.parse_args()
    modes: dict[Lattice, str] = {"measured": "positions", "relaxed": "cell"}
    lattices = [one for one, mode in modes.items() if arguments.relax in (None, mode)]
    names = arguments.names
    known = [crystal.name for crystal in CRYSTALS]
    if unknown := set(names) - set(known):
        parser.error(f"unknown crystals {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [crystal for crystal in CRYSTALS if not names or crystal.name in names]
    outcomes = []
    runs = [
        (one, lattice)
        for one in arguments.calculator or map(Potential, DEFAULTS)
        for lattice in lattices
    ]
    if not arguments.calculator and "measured" in lattices:
        runs += [(Potential(name), "measured") for name in OTHERS]
    for potential, lattice in runs:
        title = f"{potential.name}, lattice {lattice}"
        made = [phonons(crystal, potential, lattice) for crystal in track(chosen, title)]
        outcomes.append(outcome(potential, lattice, chosen, made))
    table = section(outcomes)
    if names or arguments.calculator or arguments.relax:
        print(table)
        return
    details = Potential(DEFAULT_POTENTIAL)
    results = [evaluate(one, phonons(one, details, "measured").phonon) for one in CRYSTALS]
    (RUNS / "results.json").write_text(
        json.dumps([asdict(one) for one in results], indent=1) + "\n"
    )
    raman = raman_section([details, Potential("nequix")])
    write_page(ROOT / "docs", CRYSTALS, results, polarizations(), table, raman)


def evaluate(crystal: PolarCrystal, phonon: Phonopy) -> Result:
    """Return what the model's and DFPT's Z* and ε∞ make of the same force constants."""
    reference = crystal.charges(phonon.primitive)
    independent = phonon.primitive_symmetry.get_independent_atoms()
    calc = EquivarCalculator(device="cpu")
    charges = nac_params(make_phonon(crystal.atoms()), calc)["born"][independent]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # instabilities are shown in the table
        model = responses(phonon, calc, crystal.axes)
        dfpt = None if reference is None else responses(phonon, reference, crystal.axes)
    return Result(
        name=crystal.name,
        cell=np.linalg.norm(phonon.unitcell.cell, axis=1).tolist(),
        symbols=[phonon.primitive.symbols[i] for i in independent],
        model_charges=charges.tolist(),
        dfpt_charges=None if reference is None else reference[0][independent].tolist(),
        model=model,
        dfpt=dfpt,
    )


def responses(phonon: Phonopy, source: Source, axes: tuple[Axis, ...]) -> list[Response]:
    """Return the response along each axis."""
    apply_nac(phonon, source)
    modes = infrared_modes(phonon)
    found = []
    for axis in axes:
        pairs = measured_pairs(phonon, axis)
        unit = np.array(axis.vector)
        along = [mode for mode in modes if unit @ mode.oscillator @ unit > 1e-6]
        # Not static_dielectric(): an instability across this axis does not matter here.
        assert modes.electronic is not None
        static = sum([mode.strength for mode in along], start=modes.electronic)
        is_stable = all(mode.frequency > 0 for mode in along)
        found.append(
            Response(
                transverse=[pair.to_cm for pair in pairs],
                longitudinal=[pair.lo_cm for pair in pairs],
                electronic=float(unit @ modes.electronic @ unit),
                static=float(unit @ static @ unit) if is_stable else None,
            )
        )
    return found


if __name__ == "__main__":
    main()
