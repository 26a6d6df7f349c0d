"""The page docs/validation.md and its picture, from what `validation.py` has calculated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from polar_crystal_record import Axis, PolarCrystal, Response, Result
from polar_crystals import PETRETTO
from validation_plot import parity
from validation_polarization import Polarization

HEAD = """# Validation on polar crystals

This page is written by `python benchmarks/validation.py`; no number is adjusted. Except in the
[next section](#which-potential-which-lattice-which-ε), forces are those of SevenNet-l3i5, and atoms
are relaxed in the lattice as measured at room temperature. Z* and ε∞ are those of the bundled model
`universal` or, with the same force constants, of DFPT (at the DFPT structure). The difference
between the two is the error due to the model; the error that remains with Z* and ε∞ of DFPT is
due to the forces, the functional and temperature (most experiments are at room temperature).

This is not a test on unseen crystals: of those compared with Petretto et al., all are in the
model's training data except ZnS and GaN, which are in the validation data. SrTiO₃ (cubic) and
quartz are in neither, apart from crystals labelled by the teacher model, though other phases of
SrTiO₃ are. For SrTiO₃ there are only Z* of theory, which go with the measured ε∞: it is not counted
where DFPT's ε∞ matters. For the errors on unseen crystals, see the
[card](reference/models.md#model-universal) of the model.
"""
READING = """What the errors come from:

- TO modes depend only on forces and lattice. With SevenNet-l3i5 in the measured lattice they are a
  few per cent too low; with its own, relaxed lattice, which is PBE's and too long, three times as
  much, and SevenNet-0 is softer still (the table above).
- LO modes and gaps are too low because the model reproduces ε∞ of its training data, PBE and
  PBEsol, which exceeds experiment. With ε∞ as measured, or corrected, the errors of gaps are half
  as large (the table above).
- Soft modes: the A2u mode of rutile, measured at 172 cm⁻¹, is imaginary with SevenNet-l3i5, and
  too soft with nequix (80), SevenNet-0 (115) and SevenNet-MF-0 (157); CHGNet, whose other modes are
  far off, has 177 (`python benchmarks/validation.py TiO2 --calculator chgnet --relax positions`,
  along z). That of cubic SrTiO₃ is near zero at rest, so that its ε0 has no meaning; in
  experiments at room temperature it is stabilized by anharmonic motion.
- The model itself is worst for wurtzite ZnO. But ε∞ of ZnO by DFPT, 5.53 and 4.85, looks
  under-converged: the same data set has 6.81 for its zincblende form, and other PBE values for
  wurtzite are near 5.2 (from memory). The largest differences of ZnO may be errors of the label.

What the comparison cannot decide:

- BaTiO₃: only the z axis is compared. The measured ε0 is not what the measured A1 modes give by
  the Lyddane–Sachs–Teller relation: hopping Ti ions and overdamped modes add to it.
- Measured modes of CaO and SrO are uncertain by about 10 %.
"""
_Entry = tuple[PolarCrystal, Axis, "Response", "Response | None"]


def write_page(
    folder: Path,
    crystals: Sequence[PolarCrystal],
    results: Sequence[Result],
    polarizations: Sequence[Polarization],
    comparison: str,
    raman: str,
) -> None:
    """Write validation.md and validation.png; `comparison` and `raman` are sections of it.

    The section on piezoelectric tensors is kept: `validation_piezoelectricity.py` prints it.
    """
    entries = list(_entries(crystals, results))
    parity([entry[1:] for entry in entries], results).savefig(folder / "validation.png")
    parts = [
        HEAD,
        comparison,
        "## In short\n\n" + _summary(entries, results),
        "![Calculated over measured frequencies, dielectric constants and charges]"
        "(validation.png)\n",
        READING,
        "## LO–TO gaps\n\nPer axis (field along x or z; z is the axis of a uniaxial crystal) the "
        "pair of modes whose gap is widest in the experiment, and the calculated pair of the same "
        "rank; cm⁻¹; negative: imaginary. A pair is a pole and the next zero of ε along the axis, "
        "the n-th TO and the n-th LO mode of those that are polar along it, as experiments pair "
        "them. `ase-equivar phonons` prints the same pairs, all of them; its widest may be of "
        "another rank. All modes are in `runs/validation/results.json`, which the command above "
        "makes.\n\n" + _gap_table(entries),
        "## Dielectric constants\n\nε0 is that of the clamped cell; –: a polar mode along this "
        "axis is unstable, so that ε0 does not exist, or there are no DFPT values.\n\n"
        + _dielectric_table(entries),
        "## Born effective charges\n\nAt the DFPT structure (quartz, SrTiO₃: as measured): a "
        "third of the trace, |e|, and the largest difference of any component.\n\n"
        + _charge_table(crystals, results),
        "## Spontaneous polarization\n\nAlong c, from the ideal cubic structure of the same volume "
        "to the measured tetragonal one, µC/cm². Linear: DFPT's Z* (Petretto et al.) of the polar "
        "structure for the whole way.\n\n" + _polarization_table(polarizations),
        raman,
        _kept_section(folder / "validation.md", "Piezoelectric tensors"),
        "## Sources\n\nExperimental values as they are commonly quoted from these papers; most "
        "were not checked against the originals.\n\n" + _sources(crystals, polarizations),
    ]
    (folder / "validation.md").write_text("\n".join(parts), encoding="utf-8")


def _kept_section(page: Path, title: str) -> str:
    """Return a section of the page as it is, which has the output of another command."""
    start = f"## {title}\n"
    text = page.read_text(encoding="utf-8")
    return start + text.split(start)[1].split("\n## ")[0].rstrip() + "\n"


def _entries(crystals: Sequence[PolarCrystal], results: Sequence[Result]) -> Iterator[_Entry]:
    for crystal, result in zip(crystals, results, strict=True):
        for k, axis in enumerate(crystal.axes):
            yield crystal, axis, result.model[k], result.dfpt[k] if result.dfpt else None


def _all_of_dfpt(entry: _Entry) -> Response | None:
    """Return the response with Z* and ε∞ of DFPT; None where theory lacks one of them."""
    crystal, _, _, dfpt = entry
    return None if crystal.electronic_is_measured else dfpt


def _gap(axis: Axis, response: Response) -> tuple[float, float, float]:
    """Return TO, LO and gap of the pair that is widest in the experiment."""
    to, lo = response.transverse[axis.largest], response.longitudinal[axis.largest]
    return to, lo, lo - to


def _measured(axis: Axis) -> tuple[float, float, float]:
    to, lo = axis.transverse[axis.largest], axis.longitudinal[axis.largest]
    return to, lo, lo - to


def _stable(axis: Axis, response: Response) -> bool:
    return _gap(axis, response)[0] > 0


def _median(errors: Iterable[float]) -> str:
    values = np.abs(list(errors))
    return f"{100 * np.median(values):.1f} % | {100 * values.max():.0f} % | {len(values)}"


def _summary(entries: Sequence[_Entry], results: Sequence[Result]) -> str:
    def over(value: Callable[[_Entry], tuple[float, float] | None]) -> str:
        pairs = [pair for entry in entries if (pair := value(entry)) is not None]
        return _median(found / known - 1 for found, known in pairs)

    def gap_to_experiment(entry: _Entry) -> tuple[float, float] | None:
        _, axis, model, _ = entry
        return (_gap(axis, model)[2], _measured(axis)[2]) if _stable(axis, model) else None

    def dfpt_gap_to_experiment(entry: _Entry) -> tuple[float, float] | None:
        _, axis, _, _ = entry
        dfpt = _all_of_dfpt(entry)
        if dfpt is None or not _stable(axis, dfpt):
            return None
        return _gap(axis, dfpt)[2], _measured(axis)[2]

    def gap_to_dfpt(entry: _Entry) -> tuple[float, float] | None:
        _, axis, model, _ = entry
        dfpt = _all_of_dfpt(entry)
        if dfpt is None or not _stable(axis, model):
            return None
        return _gap(axis, model)[2], _gap(axis, dfpt)[2]

    def electronic_to_dfpt(entry: _Entry) -> tuple[float, float] | None:
        dfpt = _all_of_dfpt(entry)
        return None if dfpt is None else (entry[2].electronic, dfpt.electronic)

    rows = [
        ("LO–TO gap, model's Z* and ε∞, to experiment (aim: 15 %)", over(gap_to_experiment)),
        ("LO–TO gap, DFPT's Z* and ε∞, to experiment", over(dfpt_gap_to_experiment)),
        ("LO–TO gap, model's to DFPT's Z* and ε∞ (aim: 8 %)", over(gap_to_dfpt)),
        (
            "TO, which only the forces decide, to experiment",
            over(lambda e: (_gap(*e[1:3])[0], _measured(e[1])[0]) if _stable(*e[1:3]) else None),
        ),
        ("LO, model, to experiment", over(lambda e: (_gap(*e[1:3])[1], _measured(e[1])[1]))),
        ("ε∞, model, to experiment", over(lambda e: (e[2].electronic, e[1].electronic))),
        ("ε∞, model, to DFPT", over(electronic_to_dfpt)),
        (
            "ε0, model, to experiment",
            over(lambda e: (e[2].static, e[1].static) if e[2].static is not None else None),
        ),
    ]  # fmt: skip
    differences = [
        np.subtract(result.model_charges, result.dfpt_charges).ravel()
        for result in results
        if result.dfpt_charges is not None
    ]
    mean = np.abs(np.concatenate(differences)).mean()
    lines = [f"| {name} | {numbers} |" for name, numbers in rows]
    return (
        "Relative errors over crystals and axes. Where the TO mode is imaginary, "
        "its gap is not counted.\n\n"
        "| | median | largest | number |\n|---|---|---|---|\n" + "\n".join(lines) + "\n\n"
        f"Z*, model to DFPT: mean absolute difference {mean:.3f} e over all components of the "
        "independent atoms.\n"
    )


def _gap_table(entries: Sequence[_Entry]) -> str:
    lines = [
        "| crystal | axis | TO | TO exp. | LO | LO, DFPT Z* | LO exp. | gap | gap, DFPT Z* "
        "| gap exp. | to exp. | to DFPT |",
        "|---" * 12 + "|",
    ]
    for entry in entries:
        crystal, axis, model, dfpt = entry
        to, lo, gap = _gap(axis, model)
        to_known, lo_known, gap_known = _measured(axis)
        with_dfpt = _gap(axis, dfpt) if dfpt is not None else None
        counted, whole = _stable(axis, model), _all_of_dfpt(entry)
        cells = [
            *(f"{x:.0f}" for x in (to, to_known, lo)),
            "–" if with_dfpt is None else f"{with_dfpt[1]:.0f}",
            f"{lo_known:.0f}",
            f"{gap:.0f}",
            "–" if with_dfpt is None else f"{with_dfpt[2]:.0f}",
            f"{gap_known:.0f}",
            f"{100 * (gap / gap_known - 1):+.0f} %" if counted else "–",
            f"{100 * (gap / _gap(axis, whole)[2] - 1):+.1f} %" if counted and whole else "–",
        ]
        lines.append(f"| {_label(crystal)} | {axis.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _dielectric_table(entries: Sequence[_Entry]) -> str:
    lines = [
        "| crystal | axis | ε∞ | ε∞ DFPT | ε∞ exp. | ε0 | ε0, DFPT Z* | ε0 exp. |",
        "|---" * 8 + "|",
    ]
    for entry in entries:
        crystal, axis, model, _ = entry
        dfpt = _all_of_dfpt(entry)
        electronic, static = (None, None) if dfpt is None else (dfpt.electronic, dfpt.static)
        lines.append(
            f"| {_label(crystal)} | {axis.name} | {model.electronic:.2f} | "
            f"{_number(electronic, 2)} | {axis.electronic:.2f} | "
            f"{_number(model.static, 1)} | {_number(static, 1)} | "
            f"{axis.static:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _charge_table(crystals: Sequence[PolarCrystal], results: Sequence[Result]) -> str:
    lines = ["| crystal | atom | model | DFPT | largest difference |", "|---" * 5 + "|"]
    for crystal, result in zip(crystals, results, strict=True):
        for k, symbol in enumerate(result.symbols):
            model = np.array(result.model_charges[k])
            known, away = "–", "–"
            if result.dfpt_charges is not None:
                dfpt = np.array(result.dfpt_charges[k])
                known, away = f"{dfpt.trace() / 3:.2f}", f"{np.abs(model - dfpt).max():.2f}"
            lines.append(
                f"| {_label(crystal)} | {symbol} | {model.trace() / 3:.2f} | {known} | {away} |"
            )
    return "\n".join(lines) + "\n"


def _polarization_table(polarizations: Sequence[Polarization]) -> str:
    lines = ["| crystal | model | linear, DFPT | experiment | quantum |", "|---" * 5 + "|"]
    lines += [
        f"| {p.name} | {p.model:.0f} | {p.linear:.0f} | {p.experiment:.0f} | {p.quantum:.0f} |"
        for p in polarizations
    ]
    return "\n".join(lines) + "\n"


def _sources(crystals: Sequence[PolarCrystal], polarizations: Sequence[Polarization]) -> str:
    lines = [f"- Z* and ε∞ of DFPT, where nothing else is said: {PETRETTO}."]
    for crystal in crystals:
        theory = "" if crystal.theory in ("", PETRETTO) else f" {crystal.theory}."
        lines.append(f"- {_label(crystal)}: {crystal.experiment}.{theory}")
    lines += [
        f"- Polarization of {p.name}: {p.source}; structure: {p.structure}." for p in polarizations
    ]
    return "\n".join(lines) + "\n"


def _label(crystal: PolarCrystal) -> str:
    return f"{crystal.name} ({crystal.phase})"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
