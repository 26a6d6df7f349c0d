"""Structures that symmetry does not make easy."""

import numpy as np
from ase import Atoms
from ase.build import bulk, graphene, molecule


def triclinic() -> Atoms:
    """Five atoms of four elements in a cell without any symmetry."""
    return Atoms(
        "NaClONaMg",
        scaled_positions=[
            [0.02, 0.05, 0.01],
            [0.48, 0.31, 0.22],
            [0.17, 0.66, 0.55],
            [0.79, 0.12, 0.71],
            [0.61, 0.82, 0.33],
        ],
        cell=[[4.9, 0.1, 0.0], [1.3, 5.3, 0.2], [-0.9, 0.7, 5.8]],
        pbc=True,
    )


def skewed() -> Atoms:
    """The crystal of `triclinic`, in a cell with very small angles."""
    atoms = triclinic()
    shear = np.array([[1, 0, 0], [3, 1, 0], [-2, 4, 1]])
    atoms.set_cell(shear @ atoms.cell.array)
    return atoms


def lone_atom_crystal() -> Atoms:
    """One atom in a cell far smaller than any cutoff."""
    return bulk("Na", "bcc", a=3.1)


def wire() -> Atoms:
    """Periodic along one direction, without cell vectors along the others."""
    return Atoms(
        "NaCl",
        [[0.1, 0.2, 0.3], [2.4, 1.1, -0.4]],
        cell=[[4.7, 0, 0], [0, 0, 0], [0, 0, 0]],
        pbc=[True, False, False],
    )


def sheet() -> Atoms:
    """Boron-nitride-like sheet of carbon and nitrogen, without a third cell vector."""
    atoms = graphene(vacuum=0.0)
    atoms.symbols = "CN"
    atoms.cell[2] = 0
    atoms.positions += [0.1, 0.2, 7.0]
    return atoms


def sheet_across_b() -> Atoms:
    """Periodic along a and c; the b vector is there, means nothing and is parallel to a."""
    atoms = triclinic()
    atoms.cell[1] = 2 * atoms.cell[0]
    atoms.pbc = [True, False, True]
    return atoms


def ethanol() -> Atoms:
    """A molecule without a cell; hydrogen replaced by sodium to stay with few elements."""
    atoms = molecule("CH3CH2OH")
    atoms.numbers[atoms.numbers == 1] = 11
    return atoms


ALL = {
    build.__name__: build
    for build in (triclinic, skewed, lone_atom_crystal, wire, sheet, sheet_across_b, ethanol)
}
