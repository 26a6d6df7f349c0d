"""LO–TO splitting of rock salt: forces from SevenNet-l3i5, Z* and ε∞ from the bundled model.

The lattice constant is the measured one, as in the file of a diffraction experiment. (Relaxed, it
is 5.69 Å, and TO and LO come out 10 and 7 cm⁻¹ lower, further from experiment: the functional that
the potential was trained on makes crystals too large and therefore too soft.)

Writes nacl_lo_to.png.
"""

import warnings
from pathlib import Path

from ase.build import bulk
from rich.console import Console
from rich.table import Table

from ase_equivar import EquivarCalculator
from ase_equivar.phonons import apply_nac, bands, force_constants, lo_to_splitting
from ase_equivar.plotting import plot_bands

# Infrared reflectivity at room temperature, cm⁻¹: R. P. Lowndes and D. H. Martin,
# Proc. R. Soc. Lond. A 308, 473 (1969).
EXPERIMENT_TO, EXPERIMENT_LO = 164.0, 264.0

PICTURE = Path("nacl_lo_to.png")


def main() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SevenNet: about accelerators that need not be there
        from sevenn.calculator import SevenNetCalculator

        forces = SevenNetCalculator("7net-l3i5", device="cpu")
    charges = EquivarCalculator(device="cpu")

    atoms = bulk("NaCl", "rocksalt", a=5.64)  # the atoms have no freedom to relax in it
    phonon = force_constants(atoms, forces, (4, 4, 4))
    apply_nac(phonon, charges)
    pair = lo_to_splitting(phonon, [(1, 0, 0)]).largest
    if pair is None:
        raise SystemExit("the model says that NaCl is not polar: it is broken")

    born = phonon.nac_params["born"][0].trace() / 3
    dielectric = phonon.nac_params["dielectric"].trace() / 3
    console = Console(highlight=False)
    console.print(
        f"NaCl, a = {(4 * atoms.get_volume()) ** (1 / 3):.3f} Å, "
        f"Z*(Na) = {born:.3f} e, ε∞ = {dielectric:.2f}"
    )
    gap = EXPERIMENT_LO - EXPERIMENT_TO
    table = Table(title="NaCl at Γ, cm⁻¹")
    for name in ("", "TO", "LO", "LO − TO"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("predicted", f"{pair.to_cm:.0f}", f"{pair.lo_cm:.0f}", f"{pair.splitting_cm:.0f}")
    table.add_row("experiment", f"{EXPERIMENT_TO:.0f}", f"{EXPERIMENT_LO:.0f}", f"{gap:.0f}")
    table.add_row("deviation", *(
        f"{predicted / measured - 1:+.0%}"
        for predicted, measured in (
            (pair.to_cm, EXPERIMENT_TO),
            (pair.lo_cm, EXPERIMENT_LO),
            (pair.splitting_cm, gap),
        )
    ))  # fmt: skip
    console.print(table)

    plot_bands(bands(phonon), title="NaCl").savefig(PICTURE)
    console.print(f"bands: {PICTURE}")


if __name__ == "__main__":
    main()
