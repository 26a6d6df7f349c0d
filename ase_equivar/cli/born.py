"""The command ``ase-equivar born``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ase_equivar.ase_properties import UNCERTAINTY
from ase_equivar.cli import inputs
from ase_equivar.cli.born_comparison import comparison_table, labelled_structure, labels_of
from ase_equivar.cli.phonon_input import Epsilon, epsilon_from
from ase_equivar.cli.phonopy_files import is_phonopy_file, read_phonopy
from ase_equivar.cli.tables import number, open_console, tensor_table
from ase_equivar.cli.training import Charges, Order
from ase_equivar.io.numbers_files import write_json
from ase_equivar.io.output_files import check_folder
from ase_equivar.structures.symmetry import SYMPREC
from ase_equivar.training.sections import DataConfig

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray

    from ase_equivar.calculator import EquivarCalculator


def born(
    structure: Annotated[
        Path,
        typer.Argument(help="Any file that ASE reads, its last structure; or a phonopy.yaml."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="BORN…, ….extxyz, ….extxyz.gz or ….json")
    ] = None,
    model: inputs.Model = "universal",
    total_charge: Annotated[float, typer.Option(help="Of the cell, |e|.")] = 0.0,
    dielectric_tensor: inputs.DielectricTensor = None,
    refractive_index: inputs.RefractiveIndex = None,
    symprec: inputs.Symprec = SYMPREC,
    compare: Annotated[
        str | None,
        typer.Option(
            help="File with labels of the same structure: an output of VASP, ph.x, ABINIT, CASTEP "
            "or phonopy, or extended XYZ. Prints differences and what to think of them."
        ),
    ] = None,
    born_charges: Charges = "born_charges",
    order: Order = "field-first",
    device: inputs.Device = None,
    index: inputs.Index = None,
    format: inputs.Format = None,
) -> None:
    """Born effective charges Z* and ε∞ of a structure.

    Z* in |e|: first index field or polarization, second displacement. A BORN file is for phonopy,
    given the same structure as unit cell: Z* of the independent atoms of its primitive cell. With
    a phonopy.yaml, it fits that file's unit cell and primitive cell.
    """
    with inputs.user_errors():
        kind = _output_kind(output)
        config = DataConfig((), (), born_charges, order)
        if compare is None and config != DataConfig((), ()):
            raise ValueError("--born-charges and --order are of labels: they go with --compare")
        phonon, labels = None, None
        if is_phonopy_file(structure):
            inputs.refuse_selection(structure, index, format)
            from ase_equivar.phonons.cells import to_ase

            phonon = read_phonopy(structure, with_force_constants=False, symprec=symprec).phonon
            atoms = to_ase(phonon.unitcell)
        elif compare == str(structure) and index is None and format is None:
            atoms, labels = labelled_structure(compare, config)
        else:
            atoms = inputs.read_structure(structure, index, format)
        if compare is not None and labels is None:
            labels = labels_of(atoms, compare, config)
        from ase_equivar.structures.metals import refuse_metal

        calc = inputs.equivar_calculator(model=model, device=device, total_charge=total_charge)
        if kind == "BORN" and total_charge:
            raise ValueError(f"a BORN file needs a neutral cell, not total charge {total_charge}")
        given = inputs.given_epsilon(dielectric_tensor, refractive_index)
        if kind == "extxyz" and given is not None:
            raise ValueError("only the model's own ε∞ goes into .extxyz; write BORN or .json")
        predicted = "dielectric_tensor" in calc.implemented_properties
        if isinstance(given, str) and not predicted:
            raise ValueError(f"the model {model!r} predicts no ε∞ that could be corrected")
        if kind == "BORN" and given is None and not predicted:
            raise ValueError(
                f"a BORN file needs ε∞, which the model {model!r} does not predict; "
                "write .extxyz or .json"
            )
        refuse_metal(atoms)
        charges = calc.get_property("born_charges", atoms)
        expected = None
        if labels is not None and UNCERTAINTY in calc.implemented_properties:
            expected = calc.get_property(UNCERTAINTY, atoms)
        dielectric = _electronic(calc, atoms, given)
        source = epsilon_from(model, given)
        excess = calc.diagnostics.sum_rule_violation

        if output is not None and kind == "BORN":  # before the tables: it may refuse ε∞
            from ase_equivar.phonons import write_born

            write_born(
                output,
                phonon or atoms,
                (charges, dielectric),
                dielectric_tensor=None if isinstance(given, str) else given,
                symprec=symprec,
            )

        console = open_console()
        console.print(_born_table(atoms, charges))
        if dielectric is not None:
            console.print(tensor_table("ε∞" if given is None else f"ε∞, {source}", dielectric))
        console.print(
            f"largest sum-rule violation before its removal: {abs(excess).max():.3f} e, "
            f"{abs(excess).max() / len(atoms):.4f} e per atom"
        )
        comparison = None if labels is None else labels.compared(charges, expected, total_charge)
        if comparison is not None:
            console.print(comparison_table(atoms, comparison))
            if comparison.dielectric is not None and dielectric is not None:
                differences = dielectric - comparison.dielectric
                console.print(tensor_table("ε∞: predicted − label", differences))
            console.print(comparison.verdict())
        if output is None:
            return
        if kind == "extxyz":
            from ase_equivar.io.extxyz import write_extxyz

            atoms.calc = calc
            write_extxyz(output, atoms)
        elif kind == "json":
            content = _content(atoms, charges, dielectric, excess, model, total_charge, source)
            if comparison is not None:
                content["labels"] = {"file": compare, **comparison.as_dict()}
            write_json(output, content)
        console.print(f"written: {escape(str(output))}")


def _electronic(
    calc: EquivarCalculator, atoms: Atoms, given: Epsilon
) -> NDArray[np.float64] | None:
    """Return ε∞ as the options ask for it; None where the model predicts none."""
    if given is not None and not isinstance(given, str):
        return given
    if "dielectric_tensor" not in calc.implemented_properties:
        return None
    predicted: NDArray[np.float64] = calc.get_property("dielectric_tensor", atoms)
    if given is None:
        return predicted
    from ase_equivar.phonons import corrected_dielectric

    return corrected_dielectric(predicted)


def _output_kind(path: Path | None) -> str:
    if path is None:
        return ""
    check_folder(path)
    if path.name.startswith("BORN"):
        return "BORN"
    if path.suffix == ".json":
        return "json"
    if path.name.endswith((".extxyz", ".extxyz.gz")):
        return "extxyz"
    raise ValueError(
        f"the name {path.name!r} tells no format: use BORN (or BORN.something) for phonopy, or a "
        "name that ends in .extxyz, .extxyz.gz or .json"
    )


def _born_table(atoms: Atoms, charges: NDArray[np.float64]) -> Table:
    table = Table(title="Born effective charges (|e|)", box=None, padding=(0, 1))
    table.add_column("atom", justify="right")
    table.add_column("")
    for name in ("xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz"):
        table.add_column(name, justify="right")
    for i, (symbol, charge) in enumerate(zip(atoms.symbols, charges, strict=True)):
        table.add_row(str(i), symbol, *(number(value) for value in charge.ravel()))
    return table


def _content(
    atoms: Atoms,
    charges: NDArray[np.float64],
    dielectric: NDArray[np.float64] | None,
    excess: NDArray[np.float64],
    model: str,
    total_charge: float,
    dielectric_from: str,
) -> dict[str, Any]:
    return {
        "model": model,
        "epsilon_infinity": dielectric_from,
        "total_charge": total_charge,
        "symbols": list(atoms.symbols),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
        "positions": atoms.positions.tolist(),
        "born_charges": charges.tolist(),
        "dielectric_tensor": None if dielectric is None else dielectric.tolist(),
        "sum_rule_violation": excess.tolist(),
    }
