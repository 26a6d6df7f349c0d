"""A client for i-PI that provides Z* besides forces: i-PI's own dynamics, driven by its own field.

i-PI (https://ipi-code.org) integrates the motion and handles replicas, thermostats and the field
E(t); any number of clients on any machines calculate energies and forces and send them through
sockets. Its driven dynamics (``driven_dynamics``, modes ``eda-nve`` and ``eda-nvt``) reads Z* from
the entry ``BEC`` of the JSON text that a client may send with the forces, with the displacement as
the first index, unlike here. i-PI adds Z* E(t) itself, so the calculator must not have a field.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.cell import Cell
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import born_charges_array, finite_real, whole_number
from ase_equivar.calculator import EquivarCalculator
from ase_equivar.charge_source import read_charges
from ase_equivar.dynamics.checks import check_calculator
from ase_equivar.engines.ipi_socket import Answer, IPISocket
from ase_equivar.sum_rule import neutralize
from ase_equivar.warning_types import FieldWarning

DEFAULT_PORT = 31415
SAME_CELL = 1e-6  # Å, of cell vectors
ROUNDED = 0.02  # Å, and degrees: files have few decimals
SUM_RULE = 1e-8
"""i-PI stops where an element of |Σ_i Z_i| / N exceeds this times N (``asr_threshold``)."""


def ipi_born_charges(born_charges: ArrayLike) -> NDArray[np.float64]:
    """Return Z* in the index order of i-PI.

    Parameters
    ----------
    born_charges : array_like
        Row = polarization, column = displacement, |e|, shape=(N, 3, 3).

    Returns
    -------
    numpy.ndarray
        Row = displacement of atom i along b at 3 i + b, column = polarization; shape=(3 N, 3).

    Raises
    ------
    ValueError
        If the shape differs, or Z* do not sum to zero as closely as i-PI requires.
    """
    charges = born_charges_array("born_charges", born_charges)
    excess = float(np.abs(charges.sum(axis=0)).max())
    limit = SUM_RULE * len(charges) ** 2
    if excess > limit:
        raise ValueError(
            f"the Z* sum to {excess:.1e} e, but i-PI stops above {limit:.1e} e for {len(charges)} "
            "atoms: neutralize them, as EquivarCalculator does, for a cell of total charge 0"
        )
    return charges.transpose(0, 2, 1).reshape(-1, 3)


def run_ipi_client(
    atoms: Atoms,
    *,
    unixsocket: str | None = None,
    host: str = "localhost",
    port: int = DEFAULT_PORT,
    with_stress: bool | None = None,
) -> int:
    """Serve forces and Z* to i-PI until it closes the socket or ends.

    Start as many clients as replicas are to be calculated at the same time. If ``ffsocket`` of
    i-PI's input has a ``batch_size``, each client receives so many replicas at once, and
    `EquivarCalculator` gives their Z* by one call of its network; energies and forces are still
    calculated one after the other.

    Parameters
    ----------
    atoms : ase.Atoms
        The same atoms in the same order as in i-PI, with a calculator that provides energy, forces
        and ``born_effective_charges``; their positions and cell are overwritten by those of i-PI.
    unixsocket : str, optional
        Name of a Unix socket, i-PI's ``<address>`` if the mode of ``ffsocket`` is ``unix``. `host`
        and `port` are then not used.
    host : str
        Machine on which i-PI runs.
    port : int
        Port on which i-PI listens.
    with_stress : bool, optional
        Whether to send the virial, for a barostat. It is the virial without field. Default: if the
        calculator gives the stress and the atoms are periodic in all directions.

    Returns
    -------
    int
        Number of structures whose results i-PI has taken, with those by which it fills a batch.

    Raises
    ------
    ValueError
        If i-PI has another number of atoms, the calculator has its own field, Z* violate the sum
        rule, a result is not finite, or if i-PI changes the cell and no virial is sent.
    ase.calculators.calculator.PropertyNotImplementedError
        If the calculator does not provide Z*, forces or energy.
    OSError
        If i-PI is not listening there.

    Warns
    -----
    FieldWarning
        If i-PI has turned the crystal: its fields are along its own axes.
    InputWarning
        If the connection was closed without a word.
    """
    port = whole_number("port", port, at_least=1, at_most=65535)
    if atoms.calc is None:
        raise ValueError("the atoms have no calculator; set atoms.calc first")
    check_calculator(atoms.calc)
    given = atoms.calc.implemented_properties
    if with_stress is None:
        with_stress = "stress" in given and atoms.cell.rank == 3 and bool(atoms.pbc.all())
    for name in ("energy", "stress") if with_stress else ("energy",):
        if name not in given:
            raise PropertyNotImplementedError(
                f"the calculator {type(atoms.calc).__name__} does not give {name!r}, which i-PI "
                "needs"
            )
    ipi_born_charges(read_charges(atoms.calc)(atoms))
    served, cell = 0, None
    with IPISocket.connected(unixsocket, host, port) as connection:
        while (images := connection.next_structures(atoms)) is not None:
            if cell is None:
                cell = images[0].cell.array
                _warn_of_other_axes(atoms, cell)
            if not with_stress and any(np.abs(one.cell - cell).max() > SAME_CELL for one in images):
                raise ValueError(
                    "i-PI changes the cell, but is sent no virial, as if there were no forces on "
                    "the cell: send it (with_stress=True, --stress), by a calculator that gives "
                    "the stress"
                )
            if connection.answer(_answers(images, with_stress)):
                served += len(images)
            atoms.cell, atoms.positions = images[-1].cell, images[-1].positions
    return served


def _warn_of_other_axes(atoms: Atoms, cell: NDArray[np.float64]) -> None:
    """Warn if i-PI has the cell of the atoms in other axes, as it has of most files."""
    given = atoms.cell.array
    shapes = atoms.cell.cellpar(), Cell(cell).cellpar()
    is_the_same = np.allclose(*shapes, rtol=0, atol=ROUNDED)
    if atoms.cell.rank < 3 or not is_the_same or np.abs(given - cell).max() < ROUNDED:
        return
    axes = np.linalg.solve(cell, given)  # rows: those of i-PI along those of the structure
    rows = (", ".join(f"{one:.3f}" for one in row) for row in np.round(axes, 3) + 0.0)
    texts = [f"{name} is ({row})" for name, row in zip("xyz", rows, strict=True)]
    warnings.warn(
        "i-PI has the crystal in other axes than the structure given here: in those of the "
        f"structure, i-PI's {'; '.join(texts)}. The field in i-PI's input is along i-PI's axes, "
        "and so are its results",
        FieldWarning,
        stacklevel=3,
    )


def _answers(images: Sequence[Atoms], with_stress: bool) -> list[Answer]:
    """Calculate what i-PI expects of each structure; constraints are i-PI's own affair."""
    answers = []
    for image, charges in zip(images, _born_charges(images), strict=True):
        virial = np.zeros((3, 3))
        energy = image.get_potential_energy(apply_constraint=False)
        forces = image.get_forces(apply_constraint=False)
        if with_stress:
            virial = -image.get_volume() * image.get_stress(voigt=False, apply_constraint=False)
        extras = json.dumps({"BEC": ipi_born_charges(charges).tolist()})
        answers.append(
            Answer(
                energy=float(finite_real("the energy", energy, ())),
                forces=finite_real("the forces", forces, (len(image), 3)),
                virial=finite_real("the virial", virial, (3, 3)),
                extras=extras,
            )
        )
    return answers


def _born_charges(images: Sequence[Atoms]) -> list[NDArray[np.float64]]:
    """Return the Z* of structures that share their calculator."""
    calculator = images[0].calc
    if len(images) > 1 and isinstance(calculator, EquivarCalculator):
        return [neutralize(raw.born_charges) for raw in calculator.predictor.predict(images)]
    charges = read_charges(calculator)
    return [charges(image) for image in images]
