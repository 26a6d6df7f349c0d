"""The sections of a training run: what may be said, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass

from ase_equivar.arguments import finite_number, positive_number, whole_number

LOSSES = ("mae", "norm")
ELEMENT_STARTS = ("chemistry", "random")
ORDERS = ("field-first", "displacement-first")


@dataclass(frozen=True)
class DataConfig:
    """Where the labels are and what they are called.

    Attributes
    ----------
    train, valid : tuple of str
        Files that ASE reads (extended XYZ as a rule) or outputs of programs that `io.read_labels`
        knows, relative to the YAML file; a part of one in ASE's way, ``file.extxyz@1::5`` being
        every fifth frame from the second on.
    born_charges : str
        Name of the per-atom array with nine columns, or of a result. Where the default is not
        there, ASE's own ``born_effective_charges`` is taken; likewise ``dielectric_tensor``. In
        outputs of programs no names are needed.
    order : str
        "field-first" when the nine are Z[a, b] with a = polarization and b = displacement, row by
        row (the package's own order); "displacement-first" when they are the transpose. Outputs of
        programs have orders of their own, which this leaves alone.
    dielectric : str or None
        Name of the 3×3 entry of ``atoms.info``, or of the results, with ε∞; None when there is
        none to learn. Another name than the default must be in one frame at least.
    polarizability : str or None
        Name of the 3×3 entry of ``atoms.info`` with α = ∂(Ω P)/∂E of the whole cell at fixed ions,
        e·Å²/V, of which ε∞ is worked out where there is no entry `dielectric`.
    max_sum_rule_violation : float
        Frames whose |Σ Z| exceeds this many e in any component are kept out.
    max_asymmetry : float
        Frames whose Z* an operation of the crystal's own space group changes by more than this many
        e, in any component, are kept out.
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
        """Refuse an order that is none, and limits that keep nothing out or everything."""
        for name in ("max_sum_rule_violation", "max_asymmetry"):
            if getattr(self, name) != float("inf"):  # which keeps all frames, and says so
                positive_number(name, getattr(self, name), "e", zero=True)
        if self.order not in ORDERS:
            raise ValueError(
                f"order is {self.order!r}; it must be {' or '.join(map(repr, ORDERS))}"
            )


@dataclass(frozen=True)
class FitConfig:
    """How the weights are found.

    Attributes
    ----------
    epochs : int
        Passes over the training data.
    batch_size : int
        Crystals per step, over all processes.
    learning_rate : float
        Peak of the one-cycle schedule.
    warm_up : float
        Part of the run in which the rate rises.
    weight_decay : float
        Of AdamW.
    loss : str
        What is minimized of Z* after the sum rule is imposed: "mae" or "norm", see
        `objective.charge_loss`.
    dropout : float
        Chance that a channel is dropped (gated networks).
    violation_weight : float
        Weight of the network's own violation of the sum rule: mean over structures and components
        of |Σ Z*| before it is removed, e. A small violation makes a large one a useful alarm.
    dielectric_weight : float
        Weight of the mean absolute error of ln(ε∞ - 1).
    averaging : float
        Decay of the exponential moving average of the weights, which is the model in the end.
    gradient_clip : float
        Largest norm of the gradient.
    element_start : str
        Where the numbers that describe an element start (gated networks from scratch): "chemistry",
        so that similar elements are close, if there are at least `chemistry.MIN_ELEMENTS` of them;
        or "random".
    seed : int
        Of weights, order and dropout.
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
        """Refuse what no run can be made with."""
        for name, known in (("loss", LOSSES), ("element_start", ELEMENT_STARTS)):
            if getattr(self, name) not in known:
                found = getattr(self, name)
                raise ValueError(f"{name} is {found!r}; it must be one of {', '.join(known)}")
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
    """A better model, and the structures that it labels for this one to learn besides.

    Attributes
    ----------
    model : str
        Bundled model, or folder of one, that gives the labels.
    structures : tuple of str
        Files with structures, labelled or not; a part of one as in `DataConfig`.
    left_out : tuple of str
        Files with structures whose compositions are not to be learnt so: validation and test data.
    copies : int
        Altered copies of each training structure, see `augmentation.augmented_copy`.
    max_atoms : int
        Largest structure that is labelled; small ones say as much at less cost.
    batch_size : int
        Structures with such labels in each step, over all processes, beside ``fit.batch_size``
        with their own.
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
            raise ValueError("structures or copies must be given; there is nothing to label else")
        for name in ("max_atoms", "batch_size"):
            whole_number(name, getattr(self, name), at_least=1)
