"""Notebooks: figures are pictures, and names complete."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import ase_equivar
from ase_equivar import plotting
from ase_equivar.phonons.band_structure import BandSegment
from ase_equivar.plotting import plot_bands


def test_figures_are_their_own_pictures():
    qpoints = np.linspace([0, 0, 0], [0.5, 0, 0], 3)
    segment = BandSegment("G", "X", qpoints, np.linspace(0, 1, 3), np.ones((3, 6)), None)
    picture = plot_bands([segment])._repr_png_()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 5000


def test_every_module_makes_such_figures():
    for file in Path(plotting.__file__).parent.glob("*.py"):
        if file.name != "figure.py":
            text = file.read_text(encoding="utf-8")
            assert not re.search("(from|import) matplotlib.(figure|pyplot)", text), file.name


def test_names_complete():
    assert set(ase_equivar.__all__) <= set(dir(ase_equivar))
