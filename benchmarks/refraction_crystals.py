"""Structures of the crystals of `measured_refraction.py`, as measured at room temperature.

Cells and free coordinates as they are commonly quoted (Wyckoff, Crystal Structures, vol. 1 to 3, or
the paper named); not checked against the originals. `LABELS` says where ../shared/data/crystals has
DFPT's ε∞ of the same phase, by split and index: of Petretto et al. (PBEsol), where nothing else is
said.
"""

from __future__ import annotations

from dataclasses import dataclass

from ase import Atoms
from ase.spacegroup import crystal
from measured_lattices import LATTICES, Cell, cubic, hexagonal, tetragonal

Sites = tuple[tuple[str, tuple[float, float, float]], ...]


@dataclass(frozen=True)
class Structure:
    """A measured structure: number and setting of the space group, cell, independent atoms."""

    spacegroup: int
    cell: Cell
    sites: Sites
    setting: int = 1

    def atoms(self) -> Atoms:
        """Return the primitive cell, the axis of a uniaxial crystal along z."""
        return crystal(
            [symbol for symbol, _ in self.sites],
            [position for _, position in self.sites],
            spacegroup=self.spacegroup,
            setting=self.setting,
            cellpar=self.cell,
            primitive_cell=True,
        )


ORIGIN = (0.0, 0.0, 0.0)


def rock_salt(cation: str, anion: str, a: float) -> Structure:
    """Return an NaCl-type crystal."""
    return Structure(225, cubic(a), ((cation, ORIGIN), (anion, (0.5, 0.5, 0.5))))


def caesium_chloride(cation: str, anion: str, a: float) -> Structure:
    """Return a CsCl-type crystal."""
    return Structure(221, cubic(a), ((cation, ORIGIN), (anion, (0.5, 0.5, 0.5))))


def zincblende(cation: str, anion: str, a: float) -> Structure:
    """Return a ZnS-type crystal."""
    return Structure(216, cubic(a), ((cation, ORIGIN), (anion, (0.25, 0.25, 0.25))))


def diamond(symbol: str, a: float) -> Structure:
    """Return a diamond-type crystal."""
    return Structure(227, cubic(a), ((symbol, ORIGIN),))


def fluorite(cation: str, a: float) -> Structure:
    """Return a CaF2-type fluoride."""
    return Structure(225, cubic(a), ((cation, ORIGIN), ("F", (0.25, 0.25, 0.25))))


def wurtzite(cation: str, anion: str, cell: Cell, u: float) -> Structure:
    """Return a wurtzite."""
    return Structure(186, cell, ((cation, (1 / 3, 2 / 3, 0)), (anion, (1 / 3, 2 / 3, u))))


def rutile(cation: str, anion: str, cell: Cell, x: float) -> Structure:
    """Return a rutile-type crystal."""
    return Structure(136, cell, ((cation, ORIGIN), (anion, (x, x, 0))))


def perovskite(a_site: str, b_site: str, a: float) -> Structure:
    """Return a cubic perovskite."""
    sites = ((a_site, ORIGIN), (b_site, (0.5, 0.5, 0.5)), ("O", (0.5, 0.5, 0)))
    return Structure(221, cubic(a), sites)


def polar_perovskite(
    a_site: str, b_site: str, cell: Cell, heights: tuple[float, float, float]
) -> Structure:
    """Return a tetragonal perovskite; heights of B, O at the sides and O at the top, in c."""
    b, side, top = heights
    sites = (
        (a_site, ORIGIN), (b_site, (0.5, 0.5, b)), ("O", (0.5, 0, side)), ("O", (0.5, 0.5, top))
    )  # fmt: skip
    return Structure(99, cell, sites)


def bixbyite(metal: str, a: float, x: float, oxygen: tuple[float, float, float]) -> Structure:
    """Return a sesquioxide of bixbyite type."""
    sites = ((metal, (0.25, 0.25, 0.25)), (metal, (x, 0, 0.25)), ("O", oxygen))
    return Structure(206, cubic(a), sites)


def chalcopyrite(symbols: tuple[str, str, str], cell: Cell, x: float) -> Structure:
    """Return a chalcopyrite."""
    first, second, anion = symbols
    sites = ((first, ORIGIN), (second, (0, 0, 0.5)), (anion, (x, 0.25, 0.125)))
    return Structure(122, cell, sites)


def scheelite(symbols: tuple[str, str], anion: str, cell: Cell, x: tuple[float, ...]) -> Structure:
    """Return a scheelite; the tetrahedra are those of the second metal."""
    large, small = symbols
    sites = ((large, (0, 0, 0.5)), (small, ORIGIN), (anion, (x[0], x[1], x[2])))
    return Structure(88, cell, sites)


def ilmenate(metal: str, cell: Cell, lithium: float, oxygen: tuple[float, ...]) -> Structure:
    """Return a crystal of the type of LiNbO3."""
    sites = ((metal, ORIGIN), ("Li", (0, 0, lithium)), ("O", (oxygen[0], oxygen[1], oxygen[2])))
    return Structure(161, cell, sites)


STRUCTURES = {
    "LiF": rock_salt("Li", "F", 4.0270),
    "NaF": rock_salt("Na", "F", 4.6340),
    "KF": rock_salt("K", "F", 5.3470),
    "NaCl": rock_salt("Na", "Cl", 5.6402),
    "KCl": rock_salt("K", "Cl", 6.2931),
    "RbCl": rock_salt("Rb", "Cl", 6.5810),
    "CsCl": caesium_chloride("Cs", "Cl", 4.1230),
    "NaBr": rock_salt("Na", "Br", 5.9732),
    "KBr": rock_salt("K", "Br", 6.6000),
    "RbBr": rock_salt("Rb", "Br", 6.8540),
    "CsBr": caesium_chloride("Cs", "Br", 4.2860),
    "KI": rock_salt("K", "I", 7.0656),
    "RbI": rock_salt("Rb", "I", 7.3420),
    "CsI": caesium_chloride("Cs", "I", 4.5667),
    "CaF2": fluorite("Ca", 5.4630),
    "SrF2": fluorite("Sr", 5.7996),
    "BaF2": fluorite("Ba", 6.2001),
    "MgF2": rutile("Mg", "F", tetragonal(4.6250, 3.0520), 0.3030),
    "AgCl": rock_salt("Ag", "Cl", 5.5470),
    "CuCl": zincblende("Cu", "Cl", 5.4160),
    "PbF2": fluorite("Pb", 5.9400),
    "LaF3": Structure(  # Zalkin & Templeton, Acta Crystallogr. B 41, 91 (1985)
        165,
        hexagonal(7.1850, 7.3510),
        (
            ("La", (0.6598, 0, 0.25)),
            ("F", (0.3659, 0.0536, 0.0813)),
            ("F", (1 / 3, 2 / 3, 0.1859)),
            ("F", (0, 0, 0.25)),
        ),
    ),
    # Garcia & Ryan, Acta Crystallogr. C 49, 2053 (1993)
    "YLiF4": scheelite(("Y", "Li"), "F", tetragonal(5.1640, 10.7410), (0.2820, 0.1642, 0.0815)),
    "MgO": rock_salt("Mg", "O", 4.2117),
    "BeO": wurtzite("Be", "O", hexagonal(2.6980, 4.3770), 0.3780),
    "Al2O3": Structure(
        167, LATTICES["Al2O3"], (("Al", (0, 0, 0.35216)), ("O", (0.30624, 0, 0.25)))
    ),
    "SiO2": Structure(
        154, LATTICES["SiO2"], (("Si", (0.4697, 0, 2 / 3)), ("O", (0.4135, 0.2669, 0.7858)))
    ),
    "TeO2": Structure(  # Thomas, J. Phys. C 21, 4611 (1988)
        92,
        tetragonal(4.8082, 7.6120),
        (("Te", (0.0268, 0.0268, 0)), ("O", (0.1386, 0.2576, 0.1862))),
    ),
    "ZnO": wurtzite("Zn", "O", LATTICES["ZnO"], 0.3820),
    "TiO2": rutile("Ti", "O", LATTICES["TiO2"], 0.3053),
    "Y2O3": bixbyite("Y", 10.6040, -0.0327, (0.3910, 0.1516, 0.3798)),
    "Sc2O3": bixbyite("Sc", 9.8460, -0.0355, (0.3914, 0.1544, 0.3813)),
    "Lu2O3": bixbyite("Lu", 10.3910, -0.0330, (0.3910, 0.1520, 0.3800)),
    "SrTiO3": perovskite("Sr", "Ti", 3.9050),
    "KTaO3": perovskite("K", "Ta", 3.9885),
    # Abrahams et al., J. Phys. Chem. Solids 27, 997 (1966)
    "LiNbO3": ilmenate("Nb", hexagonal(5.1483, 13.8631), 0.2787, (0.0492, 0.3446, 0.0647)),
    # Abrahams & Bernstein, J. Phys. Chem. Solids 28, 1685 (1967)
    "LiTaO3": ilmenate("Ta", hexagonal(5.1543, 13.7835), 0.2790, (0.0534, 0.3396, 0.0695)),
    # Nelmes & Kuhs, Solid State Commun. 54, 721 (1985)
    "PbTiO3": polar_perovskite("Pb", "Ti", tetragonal(3.9020, 4.1560), (0.5377, 0.6118, 0.1117)),
    # Kwei et al., J. Phys. Chem. 97, 2368 (1993)
    "BaTiO3": polar_perovskite("Ba", "Ti", tetragonal(3.9930, 4.0370), (0.5220, 0.4890, -0.0240)),
    "CaCO3": Structure(
        167,
        hexagonal(4.9900, 17.0610),
        (("Ca", ORIGIN), ("C", (0, 0, 0.25)), ("O", (0.2568, 0, 0.25))),
    ),
    # Zalkin & Templeton, J. Chem. Phys. 40, 501 (1964)
    "CaWO4": scheelite(("Ca", "W"), "O", tetragonal(5.2430, 11.3760), (0.2413, 0.1511, 0.0861)),
    # Gürmen et al., J. Chem. Phys. 55, 1093 (1971)
    "CaMoO4": scheelite(("Ca", "Mo"), "O", tetragonal(5.2220, 11.4250), (0.2428, 0.1465, 0.0826)),
    "SrMoO4": scheelite(("Sr", "Mo"), "O", tetragonal(5.3944, 12.0200), (0.2374, 0.1387, 0.0805)),
    "YVO4": Structure(
        141,
        tetragonal(7.1180, 6.2890),
        (("Y", (0, 0.75, 0.125)), ("V", (0, 0.25, 0.375)), ("O", (0, 0.4346, 0.2024))),
        setting=2,
    ),
    "AlPO4": Structure(  # Muraoka & Kihara, Phys. Chem. Minerals 24, 243 (1997)
        152,
        hexagonal(4.9430, 10.9480),
        (
            ("Al", (0.4664, 0, 1 / 3)),
            ("P", (0.4669, 0, 5 / 6)),
            ("O", (0.4163, 0.2922, 0.3976)),
            ("O", (0.4156, 0.2576, 0.8837)),
        ),
    ),
    "ZnS": zincblende("Zn", "S", 5.4093),
    "CdS": wurtzite("Cd", "S", hexagonal(4.1367, 6.7161), 0.3770),
    "HgS": Structure(  # Auvray & Genet, Bull. Soc. Fr. Minéral. Cristallogr. 96, 218 (1973)
        152,
        hexagonal(4.1490, 9.4950),
        (("Hg", (0.7198, 0, 1 / 3)), ("S", (0.4889, 0, 5 / 6))),
    ),
    "ZnSe": zincblende("Zn", "Se", 5.6687),
    "ZnTe": zincblende("Zn", "Te", 6.1037),
    "CdSe": wurtzite("Cd", "Se", hexagonal(4.2985, 7.0150), 0.3760),
    "CdTe": zincblende("Cd", "Te", 6.4810),
    "GaS": Structure(  # Kuhn et al., Acta Crystallogr. B 32, 983 (1976)
        194,
        hexagonal(3.5870, 15.4920),
        (("Ga", (1 / 3, 2 / 3, 0.1710)), ("S", (1 / 3, 2 / 3, 0.6016))),
    ),
    # chalcopyrites: Abrahams & Bernstein, J. Chem. Phys. 55, 796 (1971); 59, 1625 (1973);
    # Shay & Wernick, Ternary Chalcopyrite Semiconductors (1975)
    "AgGaS2": chalcopyrite(("Ag", "Ga", "S"), tetragonal(5.7572, 10.3036), 0.2908),
    "AgGaSe2": chalcopyrite(("Ag", "Ga", "Se"), tetragonal(5.9920, 10.8830), 0.2758),
    "CuGaS2": chalcopyrite(("Cu", "Ga", "S"), tetragonal(5.3470, 10.4740), 0.2539),
    "AlN": wurtzite("Al", "N", LATTICES["AlN"], 0.3821),
    "GaN": wurtzite("Ga", "N", LATTICES["GaN"], 0.3770),
    "GaP": zincblende("Ga", "P", 5.4512),
    "InP": zincblende("In", "P", 5.8687),
    "GaAs": zincblende("Ga", "As", 5.6533),
    "AlAs": zincblende("Al", "As", 5.6611),
    "InAs": zincblende("In", "As", 6.0584),
    "ZnGeP2": chalcopyrite(("Zn", "Ge", "P"), tetragonal(5.4650, 10.7080), 0.2582),
    "CdGeP2": chalcopyrite(("Cd", "Ge", "P"), tetragonal(5.7410, 10.7750), 0.2819),
    "CdGeAs2": chalcopyrite(("Cd", "Ge", "As"), tetragonal(5.9432, 11.2163), 0.2785),
    "ZnSiAs2": chalcopyrite(("Zn", "Si", "As"), tetragonal(5.6100, 10.8800), 0.2656),
    "C": diamond("C", 3.5668),
    "Si": diamond("Si", 5.4307),
    "Ge": diamond("Ge", 5.6579),
    "SiC": zincblende("Si", "C", 4.3596),
    "PbS": rock_salt("Pb", "S", 5.9360),
}

LABELS = {
    "LiF": ("train", 1853),
    "KF": ("valid", 273),
    "NaCl": ("train", 2269),
    "KCl": ("train", 2050),
    "RbCl": ("train", 1536),
    "CsCl": ("train", 1925),
    "NaBr": ("train", 1815),
    "KBr": ("train", 1382),
    "RbBr": ("train", 1582),
    "CsBr": ("train", 2144),
    "KI": ("train", 1253),
    "RbI": ("train", 1734),
    "CaF2": ("train", 1507),
    "SrF2": ("train", 1535),
    "BaF2": ("train", 1787),
    "MgF2": ("valid", 193),
    "AgCl": ("train", 1579),
    "PbF2": ("train", 1314),
    "YLiF4": ("valid", 202),
    "MgO": ("train", 1660),
    "BeO": ("train", 1820),
    "Al2O3": ("train", 1802),
    "SiO2": ("train", 1777),
    "ZnO": ("train", 1958),
    "TiO2": ("train", 2188),
    "KTaO3": ("train", 1387),
    "LiNbO3": ("valid", 141),
    "LiTaO3": ("train", 1903),
    "PbTiO3": ("train", 1963),
    "BaTiO3": ("train", 1700),
    "CaCO3": ("train", 2172),
    "SrMoO4": ("train", 284),  # Materials Project, PBE
    "AlPO4": ("train", 822),  # Materials Project, PBE
    "ZnS": ("valid", 245),
    "CdS": ("valid", 228),
    "ZnSe": ("train", 2163),
    "ZnTe": ("train", 1495),
    "CdSe": ("train", 1940),
    "CdTe": ("train", 1730),
    "AgGaS2": ("train", 1502),
    "AgGaSe2": ("train", 1472),
    "CuGaS2": ("train", 2250),
    "AlN": ("train", 1286),
    "GaN": ("valid", 236),
    "GaP": ("train", 1765),
    "InP": ("train", 2241),
    "GaAs": ("train", 1970),
    "AlAs": ("train", 1938),
    "ZnGeP2": ("train", 1650),
    "CdGeP2": ("test", 181),
    "Si": ("train", 1644),
    "SiC": ("train", 1424),
    "PbS": ("train", 1451),
}
