"""A crystal's measured dispersion, and the halves for the fit and the test of a correction."""

from __future__ import annotations

from dataclasses import dataclass

from dispersion import Dispersion

FIT = (
    "alkali fluorides",
    "alkali bromides",
    "other halides",
    "oxides of groups 2, 13, 14, 16",
    "ABO3",
    "sulfides of Zn, Cd, Hg",
    "chalcogenides with Ga",
    "III-V phosphides and arsenides",
)
TEST = (
    "alkali chlorides",
    "alkali iodides",
    "fluorides of group 2",
    "oxides of d and f metals",
    "salts of oxygen acids",
    "selenides and tellurides of Zn, Cd",
    "nitrides",
    "II-IV-V2",
    "group 14 and PbS",
)


@dataclass(frozen=True)
class Refraction:
    """Dispersion of a crystal: of n, or of n_o and n_e (None: not measured)."""

    name: str
    group: str
    ordinary: Dispersion
    extraordinary: Dispersion | None
    source: str
    quoted: tuple[float, ...] | None = None

    @property
    def electronic(self) -> tuple[float, ...]:
        """ε∞: one number, of a cubic crystal or across the axis; or two, across and along it."""
        if self.extraordinary is None:
            return (self.ordinary.electronic,)
        return (self.ordinary.electronic, self.extraordinary.electronic)


def cubic(
    name: str, group: str, dispersion: Dispersion, source: str, quoted: float | None = None
) -> Refraction:
    """Return a crystal with one index, or of whose indices the ordinary one was measured."""
    return Refraction(name, group, dispersion, None, source, None if quoted is None else (quoted,))


AF, AB, OH, OM, PE, ZS, GC, TV = FIT
AC, AI, F2, OD, OS, ZT, NI, CP, G4 = TEST
