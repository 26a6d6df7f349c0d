"""The model card: CARD.md, generated from the distributed weights, never written by hand."""

from __future__ import annotations

from typing import Any

from ase.data import atomic_numbers, chemical_symbols

from ase_equivar.network import Ensemble, Network
from ase_equivar.training.evaluate import BornErrors, Evaluation
from ase_equivar.training.uncertainty_quality import UncertaintyQuality

ELEMENTS_PER_ROW = 3
FINE = 0.02  # e; errors below are given with four digits


def model_card(
    name: str,
    network: Network,
    metadata: dict[str, Any],
    found: Evaluation,
    data: str,
    doubt: UncertaintyQuality | None = None,
    options: str = "",
    model: str = "",
    written: bool = False,
) -> str:
    """Return the card of a model.

    Parameters
    ----------
    name : str
        Name of the model.
    network : torch.nn.Module
    metadata : dict
        As in the model's config.json: ``about`` and the settings of its training.
    found : Evaluation
        Errors for the test data.
    data : str
        Name of the test data.
    doubt : UncertaintyQuality, optional
        Quality of the model's uncertainties for the test data.
    options : str
        Options of the command that give the names of the labels.
    model : str
        The model as given in the command, if not by its name.
    written : bool
        Whether the command writes the card, instead of printing it alone.

    Returns
    -------
    str
        Markdown.
    """
    digits = 3 if found.born.mae >= FINE else 4
    symbols = [chemical_symbols[z] for z in network.elements]
    parts = ("ase-equivar evaluate", model or name, data, options, "--card" if written else "")
    command = " ".join(filter(None, parts))
    lines = [
        f"# Model `{name}`",
        "",
        f"{'Written' if written else 'Printed'} by `{command}`.",
        "",
    ]
    for heading, text in metadata.get("training", {}).get("about", {}).items():
        lines += [f"## {heading}", "", str(text), ""]
    lines += [
        f"## Elements ({len(symbols)})",
        "",
        ", ".join(symbols) + ". Any other element is refused.",
        "",
        "## Errors of Z* (|e|)",
        "",
        f"{found.n_structures} structures of `{data}`; charges made neutral; all nine components.",
        "",
        *_born_table({"all": found.born}, digits),
        "",
        *_born_table(found.by_source, digits),
        "",
        *_born_table(found.by_label, digits),
        "",
        *_born_table(found.by_crystal_system, digits),
        "",
        "- error of the largest component, mean over structures: "
        f"{found.largest_charge_mae:.{digits}f}",
        f"- sum-rule violation before correction, mean of the largest component of |Σ Z*|: "
        f"{found.raw_violation:.3f} per cell, {found.raw_violation_per_atom:.4f} per atom",
    ]
    if found.unknown:
        lines.append(f"- left out, element unknown: {', '.join(found.unknown)}")
    lines += [
        "",
        "By element (MAE of all and of the diagonal components; few atoms say little):",
        "",
        *_element_table(found.by_element, digits),
        "",
    ]
    if doubt is not None:
        lines += ["## Uncertainty of Z*", "", *uncertainty_lines(doubt), ""]
    if found.dielectric is not None:
        eps = found.dielectric
        lines += [
            "## Errors of ε∞",
            "",
            f"- median relative error of the trace: {100 * eps.median_relative_trace:.1f} % "
            f"({eps.n_structures} structures)",
        ]
        if eps.n_moderate:
            lines.append(
                f"- mean absolute error of all components where trace/3 < 20: "
                f"{eps.moderate_mae:.{digits}f} ({eps.n_moderate} structures)"
            )
        lines.append("")
    lines += ["## Training", ""]
    if isinstance(network, Ensemble):
        for member, its_metadata in zip(network.members, metadata["members"], strict=True):
            lines += [f"Member `{its_metadata['name']}`:", ""]
            lines += [*_training_lines(member, its_metadata), ""]
        lines.pop()
    else:
        lines += _training_lines(network, metadata)
    return "\n".join(lines) + "\n"


def _training_lines(network: Network, metadata: dict[str, Any]) -> list[str]:
    """Architecture of one network, and settings and time of its training."""
    fit, shape = metadata.get("training", {}).get("fit", {}), dict(network.build_config)
    shape.pop("elements")
    n_parameters = sum(p.numel() for p in network.parameters())
    lines = [
        f"- {n_parameters} parameters; " + ", ".join(f"{k} {v}" for k, v in shape.items()),
        "- " + ", ".join(f"{k} {v}" for k, v in fit.items()),
    ]
    if "training_seconds" in metadata:
        n_train, per_epoch = metadata["n_train"], metadata.get("frames_per_epoch")
        repeated = "" if per_epoch in (None, n_train) else f" ({per_epoch} with repetitions)"
        lines.append(
            f"- {n_train} training{repeated} and {metadata['n_valid']} validation structures, "
            f"{metadata['training_seconds']} s on {metadata['hardware']}"
        )
    return lines


def uncertainty_lines(doubt: UncertaintyQuality) -> list[str]:
    """Describe the quality of the uncertainties."""
    return [
        f"- root mean square of all errors over that of all uncertainties: {doubt.rms_ratio:.2f}",
        f"- rank correlation with the error of an atom: {doubt.rank_correlation:.2f}",
        f"- components off by less than one uncertainty: {100 * doubt.within_one:.0f} %, less "
        f"than two: {100 * doubt.within_two:.0f} % (normally distributed errors: 68 %, 95 %)",
        f"- miscalibration area: {doubt.miscalibration_area:.3f}",
    ]


def _element_table(rows: dict[str, BornErrors], digits: int) -> list[str]:
    """All elements by atomic number, several per row."""
    cells = [
        f"| {symbol} | {row.n_atoms} | {row.mae:.{digits}f} | {row.diagonal_mae:.{digits}f} "
        for symbol, row in sorted(rows.items(), key=lambda item: atomic_numbers[item[0]])
    ]
    n = min(ELEMENTS_PER_ROW, len(cells))
    cells += ["| | | | "] * (-len(cells) % n)
    return [
        "| | atoms | MAE | diagonal " * n + "|",
        "|---" * 4 * n + "|",
        *("".join(cells[k : k + n]) + "|" for k in range(0, len(cells), n)),
    ]


def _born_table(rows: dict[str, BornErrors], digits: int) -> list[str]:
    table = [
        "| | atoms | MAE | RMSE | diagonal MAE | RMSE | off-diagonal MAE | RMSE |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for label, row in rows.items():
        numbers = (
            row.mae,
            row.rmse,
            row.diagonal_mae,
            row.diagonal_rmse,
            row.off_diagonal_mae,
            row.off_diagonal_rmse,
        )
        cells = " | ".join(f"{x:.{digits}f}" for x in numbers)
        table.append(f"| {label} | {row.n_atoms} | {cells} |")
    return table
