"""Tables and picture of docs/developer/performance.md, from the results of `speed`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "developer" / "performance.md"
PICTURE = ROOT / "docs" / "developer" / "performance.png"
START, END = "<!-- measured: make bench -->", "<!-- end -->"
COLORS = {
    "universal": "#c0392b",
    "universal-ensemble": "#8e44ad",
    "bm2": "#2c6fa8",
    "bm1": "#3f8f4f",
    "SevenNet-0 forces": "#777777",
}


def write_page(results: dict[str, Any]) -> str:
    """Put the tables into the page, and return them."""
    tables = report(results)
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(START)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{START}\n{tables}\n{END}{after}", encoding="utf-8")
    return tables


def report(results: dict[str, Any]) -> str:
    """Write the results as Markdown."""
    where, rows = results["machine"], results["rows"]
    of = {kind: [row for row in rows if row["kind"] == kind] for kind in ("ours", "literal")}
    forces = {row["atoms"]: row["ms_per_atom"] for row in rows if row["kind"] == "forces"}
    lines = [
        f"{where['cpu']}, {where['threads']} threads, {where['capability']}, torch "
        f"{where['torch']}, GPU: {where['gpu'] or 'none'}; {where['date']}. A large matrix product "
        f"runs at {where['matmul_gflops']:.0f} GFLOP/s.",
        "",
        "| model | device | atoms | edges per atom | ms/atom | kB/atom | of the force call | "
        "of it neighbors | GFLOP/s of the convolutions |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in of["ours"]:
        force = forces.get(row["atoms"]) if row["device"] == "cpu" else None
        memory = f"{row['kb_per_atom']:.1f}" if row["atoms"] > 2000 else ""
        gflops = "" if row["gflops"] is None else f"{row['gflops']:.0f}"
        share = f"{row['ms_per_atom'] / force:.1%}" if force else ""
        lines.append(
            f"| {row['model']} | {row['device']} | {row['atoms']} | {row['edges_per_atom']:.1f} | "
            f"{row['ms_per_atom']:.3f} | {memory} | {share} | {row['graph_share']:.1%} | "
            f"{gflops} |"
        )
    for size, value in forces.items():
        lines.append(f"| SevenNet-0 forces | cpu | {size} | | {value:.2f} | | | | |")
    lines += [
        "",
        "| model | atoms | e3nn literally, ms/atom | ours, ms/atom | times faster | "
        "largest difference, e | from float64, e | largest component, e |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in of["literal"]:
        ours = next(
            one["ms_per_atom"]
            for one in of["ours"]
            if (one["model"], one["atoms"], one["device"]) == (row["model"], row["atoms"], "cpu")
        )
        lines.append(
            f"| {row['model']} | {row['atoms']} | {row['ms_per_atom']:.1f} | {ours:.3f} | "
            f"{row['ms_per_atom'] / ours:.0f} | {row['largest_difference']:.1e} | "
            f"{row['largest_difference_from_float64']:.1e} | {row['largest_charge']:.1f} |"
        )
    lines += [
        "",
        "| training step, 64 atoms | e3nn literally, ms | ours, ms | times faster | "
        "relative difference of the gradients |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        if row["kind"] == "training":
            ours, literal = row["ms_per_step"], row["ms_per_step_literal"]
            lines.append(
                f"| {row['model']} | {literal:.0f} | {ours:.0f} | {literal / ours:.1f} | "
                f"{row['relative_gradient_difference']:.0e} |"
            )
    return "\n".join(lines)


def draw(results: dict[str, Any]) -> None:
    """Draw time and memory per atom against size."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    times, memory = figure.subplots(1, 2)
    rows = results["rows"]
    for name, color in COLORS.items():
        for device, style in (("cpu", "o-"), ("cuda", "s--")):
            mine = [row for row in rows if row["model"] == name and row.get("device") == device]
            mine = [row for row in mine if row["kind"] in ("ours", "forces")]
            if not mine:
                continue
            label = name if device == "cpu" else f"{name}, GPU"
            atoms = [row["atoms"] for row in mine]
            times.loglog(
                atoms, [row["ms_per_atom"] for row in mine], style, color=color, label=label
            )
            large = [row for row in mine if row["atoms"] > 2000 and device == "cpu"]
            if large and "kb_per_atom" in large[0]:
                memory.semilogx(
                    [row["atoms"] for row in large],
                    [row["kb_per_atom"] for row in large],
                    style,
                    color=color,
                    label=label,
                )
    for row in rows:
        if row["kind"] == "literal":
            times.loglog(row["atoms"], row["ms_per_atom"], "x", color=COLORS[row["model"]])
    times.set(xlabel="atoms", ylabel="ms per atom (× e3nn run literally)")
    times.legend(frameon=False, loc="upper right")
    memory.set(xlabel="atoms", ylabel="peak memory, kB per atom", ylim=(0, None))
    for axes in (times, memory):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, dpi=150)
