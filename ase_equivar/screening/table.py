"""Rows in the order of the structures, whatever the order in which they are calculated."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from ase_equivar.screening.journal import Journal
from ase_equivar.screening.output import Output
from ase_equivar.screening.row import Row

EXAMPLES = 10  # rows with a problem that a summary holds


@dataclass(frozen=True)
class Summary:
    """Summary of a screening, whose rows are in the table.

    Attributes
    ----------
    n_crystals : int
        Rows of the table.
    n_problems : int
        Rows with a problem.
    n_gaps : int
        Rows with a band gap.
    problems : tuple of Row
        The first ten with a problem.
    """

    n_crystals: int
    n_problems: int
    n_gaps: int
    problems: tuple[Row, ...]


@dataclass
class OrderedRows:
    """Writes rows into the table as soon as all rows before them are known.

    Rows that wait are in the journal; memory holds their places there, 8 bytes for each.
    """

    journal: Journal
    output: Output
    n_written: int = field(default=0, init=False)
    _waiting: dict[int, array[int]] = field(default_factory=dict, init=False)
    _n_problems: int = field(default=0, init=False)
    _n_gaps: int = field(default=0, init=False)
    _examples: list[Row] = field(default_factory=list, init=False)

    def put(self, first: int, places: Sequence[int]) -> None:
        """Accept the places, in the journal, of the rows of structures from number `first` on."""
        self._waiting[first] = array("q", places)
        while (ready := self._waiting.pop(self.n_written, None)) is not None:
            rows = self.journal.rows(ready)
            self.output.write(rows)
            self.n_written += len(rows)
            self._n_gaps += sum(row.band_gap_eV is not None for row in rows)
            problems = [row for row in rows if row.problem]
            self._n_problems += len(problems)
            self._examples += problems[: EXAMPLES - len(self._examples)]

    def summary(self) -> Summary:
        """Return the summary of the rows written so far."""
        examples = tuple(self._examples)
        return Summary(self.n_written, self._n_problems, self._n_gaps, examples)
