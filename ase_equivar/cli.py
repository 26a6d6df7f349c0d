"""The command line: ``ase-equivar born``, ``phonons``, ``train`` and ``evaluate``.

Heavy imports wait until a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ase_equivar.training import commands

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms
    from ase.calculators.calculator import BaseCalculator
    from numpy.typing import NDArray

    from ase_equivar.calculator import EquivarCalculator
    from ase_equivar.phonons import LoToSplitting

logger = logging.getLogger(__name__)

BAD_INPUT, FAILURE = 2, 1

app = typer.Typer(
    help="Born effective charges, and what follows from them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(commands.train)
app.command()(commands.evaluate)


Structure = Annotated[Path, typer.Argument(help="Any file that ASE reads; its last structure.")]
Model = Annotated[str, typer.Option(help="Bundled model, or folder of a saved one.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; by default CUDA if there is one.")]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Log more; tracebacks too.")] = False,
) -> None:
    if debug:
        package = logging.getLogger("ase_equivar")
        package.addHandler(logging.StreamHandler())
        package.setLevel(logging.DEBUG)


@app.command()
def born(
    structure: Structure,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="BORN…, ….extxyz or ….json")
    ] = None,
    model: Model = "universal",
    total_charge: Annotated[float, typer.Option(help="Of the cell, |e|.")] = 0.0,
    device: Device = None,
) -> None:
    """Born effective charges Z* and ε∞ of a structure.

    Z* in |e|: first index field or polarization, second displacement. A BORN file is for phonopy,
    given the same structure as unit cell: Z* of the independent atoms of its primitive cell.
    """
    with user_errors():
        kind = _output_kind(output)
        atoms = _read(structure)
        calc = _equivar_calculator(model=model, device=device, total_charge=total_charge)
        if kind == "BORN" and total_charge:
            raise ValueError(f"a BORN file needs a neutral cell, not total charge {total_charge}")
        if kind == "BORN" and "dielectric_tensor" not in calc.implemented_properties:
            raise ValueError(
                f"a BORN file needs ε∞, which the model {model!r} does not predict; "
                "write .extxyz or .json"
            )
        charges = calc.get_property("born_charges", atoms)
        dielectric = None
        if "dielectric_tensor" in calc.implemented_properties:
            dielectric = calc.get_property("dielectric_tensor", atoms)
        excess = calc.diagnostics.sum_rule_violation

        console = _console()
        console.print(_born_table(atoms, charges))
        if dielectric is not None:
            console.print(_tensor_table("ε∞", dielectric))
        console.print(
            f"largest sum-rule violation before its removal: {abs(excess).max():.3f} e, "
            f"{abs(excess).max() / len(atoms):.4f} e per atom"
        )
        if output is None:
            return
        if kind == "BORN":
            from ase_equivar.phonons import write_born

            write_born(output, atoms, (charges, dielectric))
        elif kind == "extxyz":
            from ase_equivar.extxyz import write_extxyz

            atoms.calc = calc
            write_extxyz(output, atoms)
        else:
            _write_json(output, atoms, charges, dielectric, excess, model, total_charge)
        console.print(f"written: {escape(str(output))}")


@app.command()
def phonons(
    structure: Structure,
    supercell: Annotated[
        tuple[int, int, int] | None,
        typer.Option(help="Repetitions of the cell; by default, images are 12 Å apart."),
    ] = None,
    calculator: Annotated[str, typer.Option(help="Forces: sevennet-0.")] = "sevennet-0",
    relax: Annotated[bool, typer.Option("--relax", help="Relax cell and positions first.")] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Picture of the bands, any matplotlib format.")
    ] = Path("phonons.png"),
    model: Model = "universal",
    device: Device = None,
) -> None:
    """Phonons with and without the non-analytical correction: bands, TO and LO at Γ.

    Forces come from a universal potential, Z* and ε∞ from the model.
    """
    with user_errors():
        _check_picture(output)
        atoms = _read(structure)
        calc = _equivar_calculator(model=model, device=device)
        if "dielectric_tensor" not in calc.implemented_properties:
            raise ValueError(f"phonons need ε∞, which the model {model!r} does not predict")

        from ase_equivar import phonons as ph
        from ase_equivar.plotting import plot_bands

        ph.make_phonon(atoms)  # refuses what cannot have phonons, before any forces
        calc.get_property("born_charges", atoms)  # and elements that the model does not know
        forces = _forces_calculator(calculator, device)
        if relax:
            atoms = ph.relax(atoms, forces)
        cells = supercell or ph.supercell_for_length(atoms)
        phonon = ph.force_constants(atoms, forces, cells)
        ph.apply_nac(phonon, calc)
        splitting = ph.lo_to_splitting(phonon)
        title = f"{atoms.get_chemical_formula('metal', empirical=True)}, forces: {calculator}"
        plot_bands(ph.bands(phonon), title=title).savefig(output)

        console = _console()
        console.print(
            f"supercell {'×'.join(map(str, cells))}, {len(phonon.supercell)} atoms; "
            f"Z* and ε∞: {escape(model)}, forces: {calculator}"
        )
        console.print(_lo_to_table(splitting))
        console.print(f"written: {escape(str(output))}")


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn what a user can do wrong into one line on stderr, and warnings likewise."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, UserWarning):
            console.print(f"[yellow]warning:[/] {escape(str(message))}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        try:
            yield
        except (ValueError, OSError, ImportError, RuntimeError, ArithmeticError) as error:
            # A typer.Exit is a RuntimeError too, and none of ours to explain.
            if isinstance(error, typer.Exit):
                raise
            logger.debug("the command failed", exc_info=True)
            console.print(f"[red]error:[/] {escape(' '.join(str(error).split()))}")
            failed = isinstance(error, RuntimeError | ArithmeticError)
            raise typer.Exit(FAILURE if failed else BAD_INPUT) from None


def _read(path: Path) -> Atoms:
    import ase.io
    from ase.io.formats import UnknownFileTypeError

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        atoms = ase.io.read(path)
    except (UnknownFileTypeError, StopIteration) as error:
        raise ValueError(f"ASE does not know the format of {path}") from error
    except Exception as error:  # its readers raise anything on a damaged file
        raise ValueError(f"ASE cannot read {path}: {type(error).__name__}: {error}") from error
    assert not isinstance(atoms, list)
    # The file's own results (forces of a DFT run, say) are not what is asked for.
    atoms.calc = None
    return atoms


def _equivar_calculator(**arguments: Any) -> EquivarCalculator:
    from ase_equivar.calculator import EquivarCalculator

    return EquivarCalculator(**arguments)


def _forces_calculator(name: str, device: str | None) -> BaseCalculator:
    if name != "sevennet-0":
        raise ValueError(f"unknown calculator {name!r}; there is: sevennet-0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about accelerators that need not be there
        try:
            from sevenn.calculator import SevenNetCalculator
        except ImportError as error:
            raise ImportError(
                "SevenNet is not installed; pip install 'ase-equivar[sevennet]'"
            ) from error
        return SevenNetCalculator("7net-0", device=device or "auto")


def _output_kind(path: Path | None) -> str:
    if path is None:
        return ""
    _check_folder(path)
    if path.name.startswith("BORN"):
        return "BORN"
    if path.suffix in (".extxyz", ".json"):
        return path.suffix[1:]
    raise ValueError(
        f"the name {path.name!r} tells no format: use BORN (or BORN.something) for phonopy, or a "
        "name that ends in .extxyz or .json"
    )


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} into")


def _check_picture(path: Path) -> None:
    from matplotlib.figure import Figure

    _check_folder(path)
    formats = Figure().canvas.get_supported_filetypes()
    if path.suffix[1:] not in formats:
        raise ValueError(
            f"the name {path.name!r} tells no picture format; use one of {', '.join(formats)}"
        )


def _console() -> Console:
    # Wide enough for the tables where the output is not a terminal, such as a file.
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=100)


def _born_table(atoms: Atoms, charges: NDArray[np.float64]) -> Table:
    table = Table(title="Born effective charges (|e|)", box=None, padding=(0, 1))
    table.add_column("atom", justify="right")
    table.add_column("")
    for name in ("xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz"):
        table.add_column(name, justify="right")
    for i, (symbol, charge) in enumerate(zip(atoms.symbols, charges, strict=True)):
        table.add_row(str(i), symbol, *(_number(value) for value in charge.ravel()))
    return table


def _tensor_table(title: str, tensor: NDArray[np.float64]) -> Table:
    table = Table(title=title, box=None, show_header=False, padding=(0, 1))
    for row in tensor:
        table.add_row(*(_number(value) for value in row))
    return table


def _number(value: float) -> str:
    return f"{value + 0.0:.3f}" if abs(value) >= 5e-4 else "0.000"


def _lo_to_table(splitting: LoToSplitting) -> Table:
    table = Table(title="Polar modes at Γ", box=None, padding=(0, 1))
    table.add_column("q → 0 along (Cartesian)")
    for name in ("TO (cm⁻¹)", "LO (cm⁻¹)", "LO − TO (cm⁻¹)", "TO (THz)", "LO (THz)"):
        table.add_column(name, justify="right")
    for modes in splitting:
        direction = " ".join(f"{x:g}" for x in modes.direction.round(3))
        if not modes.pairs:
            table.add_row(direction, "none")
        for pair in modes.pairs:
            table.add_row(
                direction,
                f"{pair.to_cm:.1f}",
                f"{pair.lo_cm:.1f}",
                f"{pair.gap_cm:.1f}",
                f"{pair.to:.3f}",
                f"{pair.lo:.3f}",
            )
    return table


def _write_json(
    path: Path,
    atoms: Atoms,
    charges: NDArray[np.float64],
    dielectric: NDArray[np.float64] | None,
    excess: NDArray[np.float64],
    model: str,
    total_charge: float,
) -> None:
    content = {
        "model": model,
        "total_charge": total_charge,
        "symbols": list(atoms.symbols),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
        "positions": atoms.positions.tolist(),
        "born_charges": charges.tolist(),
        "dielectric_tensor": None if dielectric is None else dielectric.tolist(),
        "sum_rule_violation": excess.tolist(),
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
