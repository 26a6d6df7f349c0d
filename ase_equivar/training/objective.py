"""The objective of training, and initial values that shorten it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ase_equivar.graph import build_graph
from ase_equivar.network import GatedNetwork, HybridNetwork, Network, PolarNetwork
from ase_equivar.network.readout import log_susceptibility
from ase_equivar.sum_rule import excess_and_neutral
from ase_equivar.training.batches import Batch
from ase_equivar.training.data import LabelledFrame
from ase_equivar.training.label_summary import LabelSummary
from ase_equivar.training.sections import FitConfig

SAMPLE = 300  # structures from which the scale of features is estimated


@dataclass(frozen=True)
class Errors:
    """Terms of the objective for one batch.

    Attributes
    ----------
    charges : Tensor, scalar
        Loss of Z*, e; see `charge_loss`.
    neutral : Tensor, scalar
        Mean absolute error of all components of Z* after the sum rule is imposed, e.
    violation : Tensor, scalar
        Mean over structures and components of |Σ Z*| before it is imposed, e.
    log_dielectric : Tensor, scalar
        Mean absolute error of the components of ln(ε∞ - 1); 0 without labels.
    counts : Tensor, shape (3,)
        Numbers of atoms, structures and labels of ε∞ over which the means are taken.
    """

    charges: Tensor
    neutral: Tensor
    violation: Tensor
    log_dielectric: Tensor
    counts: Tensor

    def total(self, config: FitConfig, shares: Tensor | None = None) -> Tensor:
        """Return the weighted sum to be minimized.

        Parameters
        ----------
        config : FitConfig
        shares : Tensor, optional
            Weights of the three terms with which the mean over processes equals that over their
            combined batches.
        """
        terms = torch.stack([self.charges, self.violation, self.log_dielectric])
        weights = terms.new_tensor([1.0, config.violation_weight, config.dielectric_weight])
        return (terms * weights * (1.0 if shares is None else shares)).sum()


def charge_loss(difference: Tensor, loss: str) -> Tensor:
    """Return the loss of Z*, averaged over atoms.

    Parameters
    ----------
    difference : Tensor, shape (N, F, 3)
        Differences of Z*, e, along the three directions of the field or along others.
    loss : str
        "mae": mean of |components|; "norm": root mean square of the components of each atom, which
        does not depend on the axes.
    """
    if loss == "norm":
        return torch.linalg.matrix_norm(difference).mean() / difference[0].numel() ** 0.5
    return difference.abs().mean()


def errors(network: Network, batch: Batch, loss: str = "mae") -> Errors:
    """Return the errors of the network's tensors for a batch; `loss` as in `charge_loss`."""
    raw, labels, log_predicted = _beside_labels(network, batch)
    structure, n = batch.graph.structure, batch.graph.n_structures
    excess, neutral = excess_and_neutral(raw, structure, n)
    log_error = raw.new_zeros(())
    labelled = torch.isfinite(batch.dielectric).all(dim=2).all(dim=1)
    if log_predicted is not None and labelled.any():
        target = log_susceptibility(batch.dielectric[labelled])
        log_error = (log_predicted[labelled] - target).abs().mean()
    difference = neutral - labels
    return Errors(
        charges=charge_loss(difference, loss),
        neutral=difference.abs().mean(),
        violation=excess.abs().mean(),
        log_dielectric=log_error,
        counts=raw.new_tensor([len(raw), n, int(labelled.sum())]),
    )


def _beside_labels(network: Network, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
    """Predicted and labelled rows (N, F, 3) of Z*, and the predicted ln(ε∞ - 1)."""
    if isinstance(network, PolarNetwork) and network.training:
        # one direction per batch, a different one each time, costs a third
        field = torch.nn.functional.normalize(torch.randn_like(batch.born_charges[0, :1]), dim=1)
        rows, log_predicted = network.rows(batch.graph, field)
        return rows, torch.einsum("fa,nab->nfb", field, batch.born_charges), log_predicted
    parts, log_predicted = network.irreps_components(batch.graph)
    return network.cartesian(parts), batch.born_charges, log_predicted


def start_from_labels(
    network: Network, summary: LabelSummary, frames: Sequence[LabelledFrame]
) -> None:
    """Set offsets of an untrained network to each element's median charge and the mean ln(ε∞ - 1).

    A hybrid network also gets the scale of its features. Networks without such offsets (the
    published one) are not changed.

    Parameters
    ----------
    network : torch.nn.Module
    summary : LabelSummary
        Of all frames.
    frames : sequence of LabelledFrame
    """
    if not isinstance(network, GatedNetwork):
        return
    with torch.no_grad():
        for index, element in enumerate(network.elements):
            network.shift.weight[index] = summary.median_charges[element]
        head = network.dielectric_head
        if head is not None and summary.log_susceptibility is not None:
            assert head.scalar is not None  # ε∞ has a trace
            head.scalar.bias.fill_(3**0.5 * summary.log_susceptibility)
        if isinstance(network, HybridNetwork):
            some = frames[:: max(len(frames) // SAMPLE, 1)]
            network.start_from_graphs([build_graph(f.atoms, network.cutoff) for f in some])
