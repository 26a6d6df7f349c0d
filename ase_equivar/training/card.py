"""The model card: CARD.md, written from the shipped weights and never by hand."""

from __future__ import annotations

from typing import Any

from ase.data import chemical_symbols

from ase_equivar.network import Network
from ase_equivar.training.calibration import UncertaintyQuality
from ase_equivar.training.evaluate import BornErrors, Evaluation

N_WORST = 12
MIN_ATOMS = 10  # fewer test atoms say little about an element


def model_card(
    name: str,
    network: Network,
    metadata: dict[str, Any],
    found: Evaluation,
    data: str,
    doubt: UncertaintyQuality | None = None,
) -> str:
    """Write the card of a model.

    Parameters
    ----------
    name : str
        Of the model.
    network : torch.nn.Module
    metadata : dict
        As in the model's config.json: ``about`` and how it was trained.
    found : Evaluation
        Errors on the test data.
    data : str
        Name of the test data.
    doubt : UncertaintyQuality, optional
        Of the model's uncertainties on the test data.

    Returns
    -------
    str
        Markdown.
    """
    training = metadata.get("training", {})
    fit, shape = training.get("fit", {}), dict(network.config)
    shape.pop("elements")
    symbols = [chemical_symbols[z] for z in network.elements]
    n_parameters = sum(p.numel() for p in network.parameters())
    lines = [
        f"# Model `{name}`",
        "",
        f"Written by `ase-equivar evaluate {name} {data} --card`.",
        "",
    ]
    for heading, text in training.get("about", {}).items():
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
        *_born_table({"all": found.born}),
        "",
        *_born_table(found.by_source),
        "",
        *_born_table(found.by_label),
        "",
        *_born_table(found.by_crystal_system),
        "",
        f"- error of the largest component, mean over structures: {found.largest_charge_mae:.3f}",
        f"- sum-rule violation before correction, mean of the largest component of |Σ Z*|: "
        f"{found.raw_violation:.3f} per cell, {found.raw_violation_per_atom:.4f} per atom",
    ]
    if found.unknown:
        lines.append(f"- left out, element unknown: {', '.join(found.unknown)}")
    worst = sorted(
        ((k, v) for k, v in found.by_element.items() if v.n_atoms >= MIN_ATOMS),
        key=lambda item: -item[1].mae,
    )
    lines += [
        "",
        f"Worst elements among those with at least {MIN_ATOMS} atoms:",
        "",
        *_born_table(dict(worst[:N_WORST])),
        "",
    ]
    if doubt is not None:
        lines += [
            "## Uncertainty of Z*",
            "",
            f"- rank correlation with the error of an atom: {doubt.rank_correlation:.2f}",
            f"- components off by less than one uncertainty: {100 * doubt.within_one:.0f} %, less "
            f"than two: {100 * doubt.within_two:.0f} % (normally distributed errors: 68 %, 95 %)",
            f"- miscalibration area: {doubt.miscalibration_area:.3f}",
            "",
        ]
    if found.dielectric is not None:
        eps = found.dielectric
        lines += [
            "## Errors of ε∞",
            "",
            f"- median relative error of the trace: {100 * eps.median_relative_trace:.1f} % "
            f"({eps.n_structures} structures)",
            f"- mean absolute error of all components where trace/3 < 20: "
            f"{eps.moderate_mae:.3f} ({eps.n_moderate} structures)",
            "",
        ]
    lines += [
        "## Training",
        "",
        f"- {n_parameters} parameters; " + ", ".join(f"{k} {v}" for k, v in shape.items()),
        "- " + ", ".join(f"{k} {v}" for k, v in fit.items()),
    ]
    if "training_seconds" in metadata:
        lines.append(
            f"- {metadata['n_train']} training and {metadata['n_valid']} validation structures, "
            f"{metadata['training_seconds']} s on {metadata['hardware']}"
        )
    return "\n".join(lines) + "\n"


def _born_table(rows: dict[str, BornErrors]) -> list[str]:
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
        cells = " | ".join(f"{x:.3f}" for x in numbers)
        table.append(f"| {label} | {row.n_atoms} | {cells} |")
    return table
