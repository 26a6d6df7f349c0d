"""The irreps that a convolution couples, and the coefficients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

from torch import Tensor

from ase_equivar.network.irreps import Irrep, can_couple, wigner_3j


@dataclass(frozen=True)
class Path:
    """One coupling: irrep `input` of the features × degree `degree` → irrep `output`.

    `input` and `output` are indices into the lists of irreps.
    """

    input: int
    degree: int
    output: int


@dataclass(frozen=True)
class Coupling:
    """Definition of a convolution except its weights: irreps, paths and coefficients.

    Attributes
    ----------
    inputs, outputs : tuple of Irrep
        Irreps of the features (each once; channels are not counted here).
    l_max : int
        Largest degree of the bond harmonics.
    parity : bool
        Whether the harmonics have their true parity (-1)^l. Otherwise all count as even.
    summed : bool
        Whether all paths to the same irrep are summed. Otherwise each has its own rows.
    n_stored : int, optional
        Number of paths that weights are stored for, if these are not all; see `to_first`.
    """

    inputs: tuple[Irrep, ...]
    outputs: tuple[Irrep, ...]
    l_max: int
    parity: bool = True
    summed: bool = False
    n_stored: int | None = None

    def harmonic(self, degree: int) -> Irrep:
        """Irrep assigned to the bond harmonics of a degree."""
        return Irrep(degree, (-1) ** degree if self.parity else 1)

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """All couplings allowed by rotation and inversion, ordered by output."""
        return tuple(
            Path(i, degree, k)
            for k, target in enumerate(self.outputs)
            for i, source in enumerate(self.inputs)
            for degree in range(self.l_max + 1)
            if can_couple(source, self.harmonic(degree), target)
        )

    @property
    def n_weights(self) -> int:
        """Number of paths that weights are stored for; those of `paths` come first."""
        return len(self.paths) if self.n_stored is None else self.n_stored

    def to_first(self, n_outputs: int) -> Coupling:
        """Return the part that leads to the first outputs, with the weights of the whole."""
        if n_outputs == len(self.outputs):
            return self
        return replace(self, outputs=self.outputs[:n_outputs], n_stored=self.n_weights)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Number of paths side by side in each output: all that lead to it, or 1 for their sum."""
        if self.summed:
            return (1,) * len(self.outputs)
        return tuple(sum(path.output == k for path in self.paths) for k in range(len(self.outputs)))

    @cached_property
    def slots(self) -> tuple[int, ...]:
        """Index of each path among those side by side in its output."""
        if self.summed:
            return (0,) * len(self.paths)
        outputs = [path.output for path in self.paths]
        return tuple(n - outputs.index(output) for n, output in enumerate(outputs))

    @cached_property
    def blocks(self) -> tuple[range, ...]:
        """Rows of the result that belong to each output, numbered consecutively.

        The rows of an output are stored as (components, paths · channels).
        """
        sizes = [width * ir.dim for width, ir in zip(self.widths, self.outputs, strict=True)]
        stops = list(accumulate(sizes))
        return tuple(range(stop - size, stop) for size, stop in zip(sizes, stops, strict=True))

    @cached_property
    def rows(self) -> tuple[range, ...]:
        """Rows of the result filled by each path, one for each component."""
        return tuple(
            self.blocks[path.output][slot :: self.widths[path.output]]
            for path, slot in zip(self.paths, self.slots, strict=True)
        )

    @cached_property
    def input_dim(self) -> int:
        """Components of the features."""
        return sum(ir.dim for ir in self.inputs)

    @cached_property
    def output_dim(self) -> int:
        """Rows of the result."""
        return sum(map(len, self.blocks))

    def coefficients(self, path: Path) -> Tensor:
        """Clebsch–Gordan coefficients (dim1, dim2, dim3) in e3nn's component normalization."""
        source, target = self.inputs[path.input], self.outputs[path.output]
        return wigner_3j(source.degree, path.degree, target.degree) * target.dim**0.5
