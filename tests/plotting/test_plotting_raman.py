"""What the Raman pictures show, read back from their axes."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.bond_polarizability import BondPolarizability
from helpers.polar_phonons import wurtzite

from ase_equivar.dielectric import (
    dielectric_function,
    infrared_modes,
    raman_modes,
    raman_spectrum,
)
from ase_equivar.plotting import plot_raman
from ase_equivar.units import FrequencyUnit


@pytest.fixture(scope="module")
def found():
    phonon = wurtzite()
    modes = raman_modes(phonon, BondPolarizability(), progress=False)
    return modes, infrared_modes(phonon)


def test_raman_and_infrared_over_one_axis(found, tmp_path):
    modes, polar = found
    spectra = [raman_spectrum(modes, 0.3), raman_spectrum(modes, 0.3, "parallel")]
    infrared = dielectric_function(polar, 0.3, spectra[0].frequencies)
    figure = plot_raman(modes, spectra, infrared, title="zinc oxide")
    upper, lower = figure.axes
    for line, spectrum in zip(upper.lines, spectra, strict=True):
        np.testing.assert_allclose(line.get_xdata(), 33.3564095 * spectrum.frequencies)
        height = spectrum.intensity.max()
        np.testing.assert_allclose(line.get_ydata(), spectrum.intensity / height)
    texts = [text.get_text() for text in upper.get_legend().get_texts()]
    assert texts == [f"{one.name}: {one.intensity.max():.3g}" for one in spectra]
    strongest = modes[int(spectra[0].intensities.argmax())]
    assert strongest.label in {text.get_text() for text in upper.texts}
    assert not {"B1"} & {text.get_text() for text in upper.texts}
    (line,) = lower.lines
    peak = line.get_xdata()[line.get_ydata().argmax()]
    assert min(abs(peak - mode.frequency_cm) for mode in polar.active) < 2
    assert upper.get_xlim() == lower.get_xlim()
    assert "cm⁻¹" in lower.get_xlabel()
    figure.savefig(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_raman_alone(found):
    modes, _ = found
    figure = plot_raman(modes, [raman_spectrum(modes, 0.3)], unit=FrequencyUnit.MEV)
    (ax,) = figure.axes
    assert ax.get_xlabel() == "Raman shift, energy (meV)"
    with pytest.raises(ValueError, match="spectra is empty"):
        plot_raman(modes, [])
