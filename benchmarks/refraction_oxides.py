"""Measured dispersion of oxides: see `measured_refraction.py`."""

from __future__ import annotations

from dispersion import Fractions, Table, sellmeier, squared
from refraction_record import OD, OM, OS, PE, Refraction, cubic

BOND = "Bond, J. Appl. Phys. 36, 1674 (1965)"
MEDENBACH = "Medenbach et al., J. Opt. A 3, 174 (2001)"
GHOSH = "Ghosh, Opt. Commun. 163, 95 (1999)"

OXIDES = (
    cubic(
        "MgO",
        OM,
        Fractions(2.956362, ((0.0219577, 0.01428322),)),
        "Stephens & Malitson, J. Res. Natl. Bur. Stand. 49, 249 (1952)",
        2.95,
    ),
    cubic(
        "BeO",
        OM,
        sellmeier(1, (1.92274, 0.07908), (1.24209, 9.7131)),
        "Edwards & White, in Palik, Handbook of Optical Constants of Solids II (1991), p. 805",
        2.95,
    ),
    Refraction(
        "Al2O3",
        OM,
        sellmeier(1, (1.4313493, 0.0726631), (0.65054713, 0.1193242), (5.3414021, 18.028251)),
        sellmeier(1, (1.5039759, 0.0740288), (0.55069141, 0.1216529), (6.5927379, 20.072248)),
        "Malitson & Dodge, J. Opt. Soc. Am. 62, 1405 (1972)",
        (3.077, 3.072),
    ),
    Refraction(
        "SiO2",
        OM,
        squared(1.28604141, (1.07044083, 1.00585997e-2), (1.10202242, 100)),
        squared(1.28851804, (1.09509924, 1.02101864e-2), (1.15662475, 100)),
        GHOSH,
        (2.356, 2.383),
    ),
    Refraction(
        "TeO2",
        OM,
        sellmeier(1, (2.584, 0.1342), (1.157, 0.2638)),
        sellmeier(1, (2.823, 0.1342), (1.542, 0.2631)),
        "Uchida, Phys. Rev. B 4, 3736 (1971)",
    ),
    Refraction(
        "ZnO",
        OD,
        sellmeier(2.81418, (0.87968, 0.3042)),
        sellmeier(2.80333, (0.9447, 0.3004)),
        BOND,
        (3.70, 3.78),
    ),
    Refraction(
        "TiO2",
        OD,
        Fractions(5.913, ((0.2441, 0.0803),)),
        Fractions(7.197, ((0.3322, 0.0843),)),
        "Devore, J. Opt. Soc. Am. 41, 416 (1951)",
        (6.0, 7.8),
    ),
    cubic(
        "Y2O3",
        OD,
        sellmeier(1, (2.578, 0.1387), (3.935, 22.936)),
        "Nigara, Jpn. J. Appl. Phys. 7, 404 (1968)",
        3.6,
    ),
    cubic("Sc2O3", OD, squared(1, (2.8169, 0.018592)), MEDENBACH),
    cubic("Lu2O3", OD, squared(1, (2.609, 0.01722)), MEDENBACH),
    cubic(
        "SrTiO3",
        PE,
        sellmeier(1, (3.042143, 0.1475902), (1.170065, 0.2953086), (30.83326, 33.18606)),
        "Dodge, in Weber, Handbook of Laser Science and Technology IV (1986)",
        5.18,
    ),
    cubic(
        "KTaO3",
        PE,
        sellmeier(1, (3.591, 0.193)),
        "Fujii & Sakudo, J. Phys. Soc. Jpn. 41, 888 (1976)",
        4.6,
    ),
    Refraction(
        "LiNbO3",
        PE,
        squared(1, (2.6734, 0.01764), (1.2290, 0.05914), (12.614, 474.60)),
        squared(1, (2.9804, 0.02047), (0.5981, 0.0666), (8.9543, 416.08)),
        "Zelmon et al., J. Opt. Soc. Am. B 14, 3319 (1997)",
        (5.0, 4.6),
    ),
    Refraction(
        "LiTaO3",
        PE,
        Table(
            (
                (0.45, 2.2420), (0.5, 2.2160), (0.6, 2.1834), (0.7, 2.1652), (0.8, 2.1538),
                (0.9, 2.1454), (1.0, 2.1391), (1.2, 2.1305), (1.4, 2.1236), (1.6, 2.1174),
                (1.8, 2.1120), (2.0, 2.1066), (2.4, 2.0951), (2.8, 2.0825), (3.2, 2.0680),
            )
        ),
        Table(
            (
                (0.45, 2.2468), (0.5, 2.2205), (0.6, 2.1878), (0.7, 2.1696), (0.8, 2.1578),
                (0.9, 2.1493), (1.0, 2.1432), (1.2, 2.1341), (1.4, 2.1273), (1.6, 2.1213),
                (1.8, 2.1170), (2.0, 2.1115), (2.4, 2.0993), (2.8, 2.0871), (3.2, 2.0727),
            )
        ),
        BOND,
        (4.5, 4.5),
    ),
    Refraction(
        "PbTiO3",
        PE,
        squared(1, (5.3635, 0.050267)),
        squared(1, (5.3660, 0.047148)),
        "Singh et al., Appl. Phys. Lett. 20, 135 (1972)",
    ),
    cubic(
        "BaTiO3",
        PE,
        sellmeier(1, (4.187, 0.223)),
        "Wemple et al., J. Phys. Chem. Solids 29, 1797 (1968)",
        5.19,
    ),
    Refraction(
        "CaCO3",
        OS,
        squared(1.73358749, (0.96464345, 1.94325203e-2), (1.82831454, 120)),
        squared(1.35859695, (0.8242783, 1.06689543e-2), (0.14429128, 120)),
        GHOSH,
        (2.69, 2.18),
    ),
    Refraction(
        "CaWO4",
        OS,
        sellmeier(1, (2.5493, 0.1347), (0.92, 10.815)),
        sellmeier(1, (2.6041, 0.1379), (4.1237, 21.371)),
        BOND,
    ),
    Refraction(
        "CaMoO4",
        OS,
        sellmeier(1, (2.784, 0.1483), (1.2425, 11.576)),
        sellmeier(1, (2.8045, 0.1542), (1.0055, 10.522)),
        BOND,
    ),
    Refraction(
        "SrMoO4",
        OS,
        sellmeier(1, (2.4839, 0.1451), (0.1015, 4.603)),
        sellmeier(1, (2.4923, 0.1488), (0.105, 4.544)),
        BOND,
    ),
    Refraction(
        "YVO4",
        OS,
        Fractions(3.77879, ((0.070479, 0.045731),)),
        Fractions(4.6072, ((0.108087, 0.052495),)),
        "Shi et al., J. Synthetic Cryst. 30, 85 (2001)",
        (3.76, 4.58),
    ),
    Refraction(
        "AlPO4",
        OS,
        Table(
            (
                (0.4, 1.5369), (0.5, 1.5287), (0.6, 1.5243), (0.7, 1.5215), (0.8, 1.5192),
                (1.0, 1.5161), (1.2, 1.5136), (1.4, 1.5112), (1.6, 1.5088), (1.8, 1.5062),
                (2.0, 1.5034), (2.2, 1.5001), (2.4, 1.4969), (2.6, 1.4928),
            )
        ),
        Table(
            (
                (0.4, 1.5465), (0.5, 1.5385), (0.6, 1.5334), (0.7, 1.5301), (0.8, 1.5281),
                (1.0, 1.5245), (1.2, 1.5223), (1.4, 1.5198), (1.6, 1.5174), (1.8, 1.5145),
                (2.0, 1.5116), (2.2, 1.5083), (2.4, 1.5048), (2.6, 1.5006),
            )
        ),
        BOND,
    ),
)  # fmt: skip
