"""The numbers that a field gives LAMMPS in each step, its vector ``f_ID``, by name."""

from __future__ import annotations

from collections.abc import Iterable

AXES = ("x", "y", "z")
OF_ALL = ("electric_field", "polarization_change", "current_density")
OF_ELEMENT = ("transported_charge", "displacement")


def vector_names(elements: Iterable[str]) -> list[str]:
    """Return the names of ``f_ID[1]``, ``f_ID[2]`` and so on: ``work``, ``electric_field x``, ….

    `FieldFix` describes them; those of an element are like ``displacement O z``.
    """
    of_all = [f"{quantity} {axis}" for quantity in OF_ALL for axis in AXES]
    of_elements = [
        f"{quantity} {element} {axis}"
        for element in elements
        for quantity in OF_ELEMENT
        for axis in AXES
    ]
    return ["work", *of_all, *of_elements, "largest_uncertainty"]
