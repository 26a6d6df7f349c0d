"""A deprecated name of a library that the package still uses fails the tests, before it goes."""

from __future__ import annotations

import warnings

import pytest


@pytest.mark.parametrize("category", [DeprecationWarning, PendingDeprecationWarning, FutureWarning])
@pytest.mark.parametrize("module", ["ase_equivar", "ase_equivar.phonons.nac"])
def test_deprecations_in_the_package_are_errors(category, module) -> None:
    with pytest.raises(category, match="old name"):
        warnings.warn_explicit("old name", category, "file.py", 1, module=module)


def test_deprecations_inside_libraries_are_not() -> None:
    with pytest.warns(DeprecationWarning, match="old name"):
        warnings.warn_explicit("old name", DeprecationWarning, "file.py", 1, module="ase.atoms")
