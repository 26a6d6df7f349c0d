"""The sections of a training configuration, and checks of their entries."""

from __future__ import annotations

from dataclasses import dataclass

from ase_equivar.arguments import finite_number, known_word, positive_number, whole_number

LOSSES = ("mae", "norm")
ELEMENT_STARTS = ("chemistry", "random")
ORDERS = ("field-first", "displacement-first")


@dataclass(frozen=True)
class DataConfig:
    """Files and names of the labels.

    Attributes
    ----------
    train, valid : tuple of str
        Files that ASE reads (usually extended XYZ) or program outputs that `io.read_labels` reads,
        relative to the YAML file; parts in ASE's notation: ``file.extxyz@1::5`` is every fifth
        frame, starting with the second.
    born_charges : str
        Name of the per-atom array with nine columns, or of a result. If the default does not exist,
        ASE's own ``born_effective_charges`` is used; likewise ``dielectric_tensor``. Program
        outputs need no names.
    order : str
        "field-first" if the nine columns are Z[a, b] with a = polarization and b = displacement,
        row by row (the order of this package); "displacement-first" if they are the transpose. It
        does not apply to program outputs, whose order is known.
    dielectric : str or None
        Name of the 3×3 entry of ``atoms.info``, or of the results, with ε∞; None if ε∞ is not to be
        learned. A name other than the default must occur in at least one frame.
    polarizability : str or None
        Name of the 3×3 entry of ``atoms.info`` with α = ∂(Ω P)/∂E of the whole cell at fixed ions,
        e·Å²/V, from which ε∞ is calculated if there is no entry `dielectric`.
    max_sum_rule_violation : float
        Frames in which a component of |Σ Z| exceeds this value (e) are rejected.
    max_asymmetry : float
        Frames in which an operation of the crystal's space group changes a component of Z* by more
        than this value (e) are rejected.
    """

    train: tuple[str, ...]
    valid: tuple[str, ...]
    born_charges: str = "born_charges"
    order: str = "field-first"
    dielectric: str | None = "electronic_dielectric_tensor"
    polarizability: str | None = None
    max_sum_rule_violation: float = 0.5
    max_asymmetry: float = 0.1

    def __post_init__(self) -> None:
        """Refuse an unknown order, and limits that are not positive numbers."""
        for name in ("max_sum_rule_violation", "max_asymmetry"):
            if getattr(self, name) != float("inf"):  # infinity accepts all frames
                positive_number(name, getattr(self, name), "e", zero=True)
        known_word("order", self.order, ORDERS)


@dataclass(frozen=True)
class FitConfig:
    """Settings of the optimization.

    Attributes
    ----------
    epochs : int
        Passes over the training data.
    batch_size : int
        Crystals per step, over all processes.
    learning_rate : float
        Peak of the one-cycle schedule.
    warm_up : float
        Fraction of the run in which the rate increases.
    weight_decay : float
        Weight decay of AdamW.
    loss : str
        Loss of Z* after the sum rule is imposed: "mae" or "norm", see `objective.charge_loss`.
    dropout : float
        Probability that a channel is dropped (gated networks).
    violation_weight : float
        Weight of the network's own violation of the sum rule: mean over structures and components
        of |Σ Z*| before it is removed, e. If violations are usually small, a large one is a useful
        warning.
    dielectric_weight : float
        Weight of the mean absolute error of ln(ε∞ - 1).
    averaging : float
        Decay of the exponential moving average of the weights, which is the final model; in runs
        of few steps a smaller one, see `fit.averaging_decay`.
    gradient_clip : float
        Largest norm of the gradient.
    element_start : str
        Initial embedding of the elements (gated networks from scratch): "chemistry", in which
        similar elements are close, if there are at least `chemistry.MIN_ELEMENTS` elements; or
        "random".
    seed : int
        Seed of weights, order and dropout.
    """

    epochs: int = 60
    batch_size: int = 16
    learning_rate: float = 4e-3
    warm_up: float = 0.1
    weight_decay: float = 0.05
    loss: str = "mae"
    dropout: float = 0.0
    violation_weight: float = 0.05
    dielectric_weight: float = 0.1
    averaging: float = 0.998
    gradient_clip: float = 10.0
    element_start: str = "chemistry"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that are out of range."""
        for name, known in (("loss", LOSSES), ("element_start", ELEMENT_STARTS)):
            known_word(name, getattr(self, name), known)
        for name in ("epochs", "batch_size"):
            whole_number(name, getattr(self, name), at_least=1)
        whole_number("seed", self.seed)
        for name in ("learning_rate", "gradient_clip"):
            positive_number(name, getattr(self, name), "any size")
        for name in ("weight_decay", "violation_weight", "dielectric_weight"):
            positive_number(name, getattr(self, name), "any size", zero=True)
        for name in ("warm_up", "dropout", "averaging"):
            if not 0 <= finite_number(name, getattr(self, name)) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be from 0 to below 1")


@dataclass(frozen=True)
class TeacherConfig:
    """A better model, and the structures that it labels as additional training data.

    Attributes
    ----------
    model : str
        Bundled model, or folder of a model, that provides the labels.
    structures : tuple of str
        Files with structures, labelled or not; parts as in `DataConfig`.
    left_out : tuple of str
        Files with structures whose compositions are excluded: validation and test data.
    copies : int
        Number of altered copies of each training structure, see `augmentation.augmented_copy`.
    max_atoms : int
        Size of the largest structure to label; small ones give as much information at less cost.
    batch_size : int
        Number of structures with such labels per step, over all processes, in addition to
        ``fit.batch_size`` with their own labels.
    """

    model: str
    structures: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    copies: int = 0
    max_atoms: int = 40
    batch_size: int = 8

    def __post_init__(self) -> None:
        """Refuse a teacher with nothing to label."""
        whole_number("copies", self.copies)
        if not self.structures and not self.copies:
            raise ValueError(
                "structures or copies must be given; otherwise there is nothing to label"
            )
        for name in ("max_atoms", "batch_size"):
            whole_number(name, getattr(self, name), at_least=1)
