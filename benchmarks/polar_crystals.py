"""What is known of some polar crystals: DFPT's Z* and ε∞, and the infrared experiments.

Nothing here is fitted or adjusted to what the package gives.
"""

from __future__ import annotations

from polar_crystal_record import Axis, PolarCrystal, Site, axial, ball, diagonal

PETRETTO = "Petretto et al., Sci. Data 5, 180065 (2018), ABINIT, PBEsol"


def rock_salt(
    cation: str, anion: str, a: float, born: float, electronic: float, axis: Axis, experiment: str
) -> PolarCrystal:
    """Return an NaCl-type crystal."""
    return PolarCrystal(
        name=cation + anion,
        phase="rock salt",
        spacegroup=225,
        cell=(a, a, a, 90, 90, 90),
        sites=(Site(cation, (0, 0, 0), ball(born)), Site(anion, (0.5, 0.5, 0.5), ball(-born))),
        electronic=ball(electronic),
        theory=PETRETTO,
        axes=(axis,),
        experiment=experiment,
    )


def zincblende(
    cation: str, anion: str, a: float, born: float, electronic: float, axis: Axis, experiment: str
) -> PolarCrystal:
    """Return a ZnS-type crystal."""
    return PolarCrystal(
        name=cation + anion,
        phase="zincblende",
        spacegroup=216,
        cell=(a, a, a, 90, 90, 90),
        sites=(Site(cation, (0, 0, 0), ball(born)), Site(anion, (0.25, 0.25, 0.25), ball(-born))),
        electronic=ball(electronic),
        theory=PETRETTO,
        axes=(axis,),
        experiment=experiment,
    )


def wurtzite(
    cation: str,
    anion: str,
    cell: tuple[float, float, float],
    born: tuple[float, float],
    electronic: tuple[float, float],
    axes: tuple[Axis, Axis],
    experiment: str,
) -> PolarCrystal:
    """Return a wurtzite; `cell` is a, c and u, tensors are across and along the axis."""
    a, c, u = cell
    return PolarCrystal(
        name=cation + anion,
        phase="wurtzite",
        spacegroup=186,
        cell=(a, a, c, 90, 90, 120),
        sites=(
            Site(cation, (1 / 3, 2 / 3, 0), axial(*born)),
            Site(anion, (1 / 3, 2 / 3, u), axial(-born[0], -born[1])),
        ),
        electronic=axial(*electronic),
        theory=PETRETTO,
        axes=axes,
        experiment=experiment,
    )


LOWNDES = "Lowndes & Martin, Proc. R. Soc. A 308, 473 (1969), 290 K"
JACOBSON = "Jacobson & Nixon, J. Phys. Chem. Solids 29, 967 (1968)"

CRYSTALS = (
    rock_salt("Li", "F", 4.0015, 1.0487, 2.0829, Axis("x", (305,), (659,), 1.93, 9.04), LOWNDES),
    rock_salt("Na", "Cl", 5.6036, 1.0935, 2.5726, Axis("x", (164,), (264,), 2.33, 5.90), LOWNDES),
    rock_salt("K", "Cl", 6.2423, 1.1241, 2.3849, Axis("x", (142,), (214,), 2.17, 4.82), LOWNDES),
    rock_salt(
        "Mg",
        "O",
        4.2138,
        1.9857,
        3.2333,
        Axis("x", (401,), (718,), 3.01, 9.64),
        "Jasperse et al., Phys. Rev. 146, 526 (1966)",
    ),
    rock_salt("Ca", "O", 4.7631, 2.3630, 3.8427, Axis("x", (295,), (577,), 3.33, 11.8), JACOBSON),
    rock_salt("Sr", "O", 5.1191, 2.4589, 3.8537, Axis("x", (231,), (487,), 3.46, 13.3), JACOBSON),
    wurtzite(
        "Zn",
        "O",
        (3.2267, 5.2069, 0.3791),
        (2.1262, 2.1484),
        (5.5253, 4.8463),
        (Axis("x", (409,), (588,), 3.70, 7.65), Axis("z", (378,), (574,), 3.78, 8.72)),
        "Ashkenov et al., J. Appl. Phys. 93, 126 (2003); ε0 from their modes (LST)",
    ),
    zincblende(
        "Zn",
        "S",
        5.3551,
        1.9561,
        6.1842,
        Axis("x", (276,), (351,), 5.1, 8.3),
        "Brafman & Mitra, Phys. Rev. 171, 931 (1968); ε: Berlincourt et al., Phys. Rev. 129, 1009 "
        "(1963)",
    ),
    wurtzite(
        "Ga",
        "N",
        (3.1837, 5.1866, 0.3766),
        (2.6305, 2.7612),
        (5.9340, 5.9438),
        (Axis("x", (558.8,), (741.0,), 5.35, 9.5), Axis("z", (531.8,), (734.0,), 5.35, 10.4)),
        "Davydov et al., Phys. Rev. B 58, 12899 (1998); ε: Barker & Ilegems, Phys. Rev. B 7, 743 "
        "(1973)",
    ),
    wurtzite(
        "Al",
        "N",
        (3.1132, 4.9830, 0.3819),
        (2.5020, 2.6660),
        (4.4650, 4.6840),
        (Axis("x", (670.8,), (912.0,), 4.16, 7.76), Axis("z", (611.0,), (890.0,), 4.35, 9.22)),
        "Davydov et al., Phys. Rev. B 58, 12899 (1998); ε: Moore et al., Appl. Phys. Lett. 86, "
        "141912 (2005)",
    ),
    zincblende(
        "Al",
        "As",
        5.6744,
        2.1404,
        9.8103,
        Axis("x", (361,), (402,), 8.16, 10.06),
        "Adachi, J. Appl. Phys. 58, R1 (1985)",
    ),
    PolarCrystal(
        name="CaF2",
        phase="fluorite",
        spacegroup=225,
        cell=(5.4150, 5.4150, 5.4150, 90, 90, 90),
        sites=(
            Site("Ca", (0, 0, 0), ball(2.3755)),
            Site("F", (0.25, 0.25, 0.25), ball(-1.1877)),
        ),
        electronic=ball(2.3175),
        theory=PETRETTO,
        axes=(Axis("x", (257,), (463,), 2.045, 6.63),),
        experiment="Kaiser et al., Phys. Rev. 127, 1950 (1962)",
    ),
    PolarCrystal(
        name="SrTiO3",
        phase="cubic",
        spacegroup=221,
        cell=(3.905, 3.905, 3.905, 90, 90, 90),
        sites=(
            Site("Sr", (0, 0, 0), ball(2.54)),
            Site("Ti", (0.5, 0.5, 0.5), ball(7.12)),
            Site("O", (0.5, 0.5, 0.0), axial(-2.00, -5.66)),
        ),
        electronic=ball(5.18),
        electronic_is_measured=True,
        theory="Z*: Zhong et al., Phys. Rev. Lett. 72, 3618 (1994), LDA; ε∞: experiment, as there",
        axes=(Axis("x", (91, 175, 547), (172, 475, 795), 5.18, 300.0),),
        experiment="Servoin et al., Phys. Rev. B 22, 5501 (1980), 300 K",
    ),
    PolarCrystal(
        name="SiO2",
        phase="α-quartz",
        spacegroup=154,
        cell=(4.916, 4.916, 5.405, 90, 90, 120),
        sites=(
            Site("Si", (0.4697, 0.0, 2 / 3), None),
            Site("O", (0.4135, 0.2669, 0.7858), None),
        ),
        electronic=None,
        theory="",
        axes=(
            # Without the E mode at 128, whose TO and LO are the same: light hardly excites it.
            Axis(
                "x",
                (265, 394, 450, 697, 795, 1072, 1162),
                (270, 403, 511, 699, 809, 1155, 1235),
                2.356,
                4.43,
            ),
            Axis("z", (364, 495, 778, 1080), (388, 552, 789, 1239), 2.383, 4.63),
        ),
        experiment="Spitzer & Kleinman, Phys. Rev. 121, 1324 (1961), and Scott & Porto, Phys. Rev. "
        "161, 903 (1967); ε0: Bechmann, Phys. Rev. 110, 1060 (1958)",
    ),
    PolarCrystal(
        name="Al2O3",
        phase="corundum",
        spacegroup=167,
        cell=(4.7683, 4.7683, 12.9981, 90, 90, 120),
        sites=(
            Site("Al", (0, 0, 0.35198), axial(2.9430, 2.9144, 0.0278, -0.0278)),
            Site(
                "O",
                (0.36096, 1 / 3, 7 / 12),
                ((-2.0616, 0.0, 0.0), (0.0, -1.8624, 0.2511), (0.0, 0.3430, -1.9429)),
            ),
        ),
        electronic=axial(3.2493, 3.2104),
        theory=PETRETTO,
        axes=(
            Axis(
                "x",
                (384.99, 439.1, 569.0, 633.63),
                (387.60, 481.68, 629.50, 906.6),
                3.077,
                9.395,
            ),
            Axis("z", (397.52, 582.41), (510.87, 881.1), 3.072, 11.589),
        ),
        experiment="Schubert et al., Phys. Rev. B 61, 8187 (2000); ε0: Fontanella et al., J. Appl. "
        "Phys. 45, 2852 (1974)",
    ),
    PolarCrystal(
        name="TiO2",
        phase="rutile",
        spacegroup=136,
        cell=(4.5868, 4.5868, 2.9383, 90, 90, 90),
        sites=(
            Site("Ti", (0, 0, 0.5), axial(6.2445, 7.6368, -0.9971)),
            Site("O", (0.19552, 0.19552, 0), axial(-3.1222, -3.8184, -1.7797)),
        ),
        electronic=axial(7.3103, 8.6996),
        theory=PETRETTO,
        axes=(
            Axis("x", (189, 381.5, 508), (367, 443.5, 831), 5.91, 86.0),
            Axis("z", (172,), (796,), 7.20, 170.0),
        ),
        experiment="Gervais & Piriou, Phys. Rev. B 10, 1642 (1974); ε∞: Devore, J. Opt. Soc. Am. "
        "41, 416 (1951); ε0: Parker, Phys. Rev. 124, 1719 (1961)",
    ),
    PolarCrystal(
        name="BaTiO3",
        phase="tetragonal",
        spacegroup=99,
        cell=(3.9573, 3.9573, 4.0524, 90, 90, 90),
        sites=(
            Site("Ba", (0, 0, 0.01332), axial(2.7407, 2.8430)),
            Site("Ti", (0.5, 0.5, 0.52925), axial(7.0000, 5.6668)),
            Site("O", (0, 0.5, 0.49443), diagonal(-5.5901, -2.1345, -1.9522)),
            Site("O", (0.5, 0.5, 0.98257), axial(-2.0162, -4.6054)),
        ),
        electronic=axial(6.3720, 5.6269),
        theory=PETRETTO,
        axes=(Axis("z", (170, 270, 520), (185, 475, 720), 5.07, 56.0),),
        experiment="Freire & Katiyar, Phys. Rev. B 37, 2074 (1988); ε0, clamped: Zgonik et al., "
        "Phys. Rev. B 50, 5941 (1994)",
    ),
)
