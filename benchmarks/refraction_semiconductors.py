"""Measured dispersion of semiconductors: see `measured_refraction.py`."""

from __future__ import annotations

from dispersion import Fractions, Table, sellmeier, squared
from refraction_record import CP, G4, GC, NI, TV, ZS, ZT, Refraction, cubic

BOND = "Bond, J. Appl. Phys. 36, 1674 (1965)"
BOYD = "Boyd et al., IEEE J. Quantum Electron. 8, 419 (1972)"
KATO = "Kato & Umemura, Opt. Lett. 36, 746 (2011)"

SEMICONDUCTORS = (
    cubic(
        "ZnS",
        ZS,
        Fractions(8.393, ((0.14383, 0.2421**2), (4430.99, 36.71**2))),
        "Klein, Appl. Opt. 25, 1873 (1986), data of Debenham, Appl. Opt. 23, 2238 (1984)",
        5.1,
    ),
    Refraction(
        "CdS",
        ZS,
        Fractions(5.1792, ((0.23504, 0.083591), (0.036927, 0.23504))),
        Fractions(5.2599, ((0.20865, 0.10799), (0.027527, 0.23305))),
        "Bieniewski & Czyzak, J. Opt. Soc. Am. 53, 496 (1963)",
        (5.24, 5.31),
    ),
    Refraction(
        "HgS",
        ZS,
        squared(4.1506, (2.7896, 0.1328), (1.1378, 705)),
        squared(4.0101, (4.3736, 0.1284), (1.5604, 705)),
        "Bond et al., J. Appl. Phys. 38, 4090 (1967)",
    ),
    cubic(
        "ZnSe",
        ZT,
        sellmeier(1, (4.45813734, 0.200859853), (0.467216334, 0.391371166), (2.8956629, 47.136211)),
        "Tatian, Appl. Opt. 23, 4477 (1984), data of Connolly et al., Proc. SPIE 181, 141 (1979)",
        5.9,
    ),
    cubic(
        "ZnTe",
        ZT,
        Fractions(9.92, ((0.4253, 0.37766**2), (8414.13, 56.5**2))),
        "Li, J. Phys. Chem. Ref. Data 13, 103 (1984)",
        7.28,
    ),
    Refraction(
        "CdSe",
        ZT,
        squared(4.2243, (1.7680, 0.2270), (3.12, 3380)),
        squared(4.2009, (1.8875, 0.2171), (3.6461, 3629)),
        "Lisitsa et al., Phys. Status Solidi 31, 389 (1969)",
        (6.0, 6.1),
    ),
    cubic(
        "CdTe",
        ZT,
        squared(5.68, (1.53, 0.366)),
        "Marple, J. Appl. Phys. 35, 539 (1964)",
        7.2,
    ),
    Refraction(
        "GaS",
        GC,
        Fractions(7.12996, ((0.26073, 0.04627), (127.335, 258.431))),
        Fractions(5.30813, ((0.20852, 0.05251), (101.479, 302.223))),
        KATO,
    ),
    Refraction(
        "AgGaS2",
        GC,
        Fractions(5.79419, ((0.23114, 0.06882),)),
        Fractions(5.5412, ((0.22041, 0.09824),)),
        "Kato & Shirahata, Jpn. J. Appl. Phys. 35, 4645 (1996)",
    ),
    Refraction(
        "AgGaSe2",
        GC,
        Fractions(11.62264, ((0.43221, 0.15597), (18868.52, 3953.34))),
        Fractions(11.33168, ((0.45951, 0.21284), (17816.81, 3828.78))),
        "Kato et al., Appl. Opt. 60, 805 (2021)",
    ),
    Refraction(
        "CuGaS2",
        GC,
        squared(3.9064, (2.3065, 0.1149), (1.5479, 738.43)),
        squared(4.3165, (1.8692, 0.1364), (1.7575, 738.43)),
        "Boyd et al., IEEE J. Quantum Electron. 7, 563 (1971)",
    ),
    Refraction(
        "AlN",
        NI,
        sellmeier(3.1399, (1.3786, 0.1715), (3.861, 15.03)),
        sellmeier(3.0729, (1.6173, 0.1746), (4.139, 15.03)),
        "Pastrňák & Roskovcová, Phys. Status Solidi 14, K5 (1966)",
        (4.16, 4.35),
    ),
    Refraction(
        "GaN",
        NI,
        sellmeier(3.60, (1.75, 0.256), (4.1, 17.86)),
        sellmeier(5.35, (5.08, 18.76)),
        "Barker & Ilegems, Phys. Rev. B 7, 743 (1973)",
        (5.2, 5.3),
    ),
    cubic(
        "GaP",
        TV,
        Table(
            (
                (0.8, 3.183), (0.9, 3.143), (1.0, 3.1192), (1.1, 3.0981), (1.2, 3.0844),
                (1.4, 3.0646), (1.6, 3.0509), (1.8, 3.0439), (2.0, 3.0379), (2.2, 3.0331),
                (2.4, 3.0296), (2.6, 3.0271), (2.8, 3.0236), (3.0, 3.0215), (3.2, 3.0197),
                (3.4, 3.0181), (3.6, 3.0166), (3.8, 3.0159), (4.0, 3.0137),
            )
        ),
        BOND,
        9.1,
    ),
    cubic(
        "InP",
        TV,
        sellmeier(7.255, (2.316, 0.6263), (2.765, 32.935)),
        "Pettit & Turner, J. Appl. Phys. 36, 2081 (1965)",
        9.6,
    ),
    cubic(
        "GaAs",
        TV,
        sellmeier(5.372514, (5.466742, 0.4431307), (0.0242996, 0.8746453), (1.957522, 36.9166)),
        "Skauli et al., J. Appl. Phys. 94, 6447 (2003)",
        10.9,
    ),
    cubic(
        "AlAs",
        TV,
        sellmeier(2.0792, (6.084, 0.2822), (1.9, 27.62)),
        "Fern & Onton, J. Appl. Phys. 42, 3499 (1971)",
        8.16,
    ),
    cubic(
        "InAs",
        TV,
        sellmeier(11.1, (0.71, 2.551), (2.75, 45.66)),
        "Lorimor & Spitzer, J. Appl. Phys. 36, 1841 (1965)",
        12.0,
    ),
    Refraction(
        "ZnGeP2",
        CP,
        squared(8.0409, (1.68625, 0.40824), (1.288, 611.05)),
        squared(8.0929, (1.8649, 0.41468), (0.84052, 452.05)),
        "Zelmon et al., J. Opt. Soc. Am. B 18, 1307 (2001)",
    ),
    Refraction(
        "CdGeP2",
        CP,
        squared(5.9677, (4.2286, 0.2021), (1.6351, 671.33)),
        squared(6.1573, (4.0970, 0.2330), (1.4925, 671.33)),
        BOYD,
    ),
    Refraction(
        "CdGeAs2",
        CP,
        squared(10.1064, (2.2988, 1.0872), (1.6247, 1370)),
        squared(11.8018, (1.2152, 2.6971), (1.6922, 1370)),
        BOYD,
    ),
    Refraction(
        "ZnSiAs2",
        CP,
        squared(4.6006, (5.6912, 0.1437), (1.1316, 700)),
        squared(4.9091, (5.5565, 0.1578), (1.1287, 700)),
        BOYD,
    ),
    cubic("C", G4, sellmeier(1, (0.3306, 0.175), (4.3356, 0.106)), "Peter, Z. Phys. 15, 358 (1923)",
          5.7),
    cubic(
        "Si",
        G4,
        sellmeier(1, (10.6684293, 0.301516485), (0.0030434748, 1.13475115), (1.54133408, 1104)),
        "Tatian, Appl. Opt. 23, 4477 (1984), data of Salzberg & Villa, J. Opt. Soc. Am. 47, 244 "
        "(1957)",
        11.7,
    ),
    cubic(
        "Ge",
        G4,
        squared(9.28156, (6.7288, 0.44105), (0.21307, 3870.1)),
        "Barnes & Piltch, J. Opt. Soc. Am. 69, 178 (1979), data of Icenogle et al., Appl. Opt. 15, "
        "2348 (1976)",
        16.0,
    ),
    cubic(
        "SiC",
        G4,
        Fractions(2.5538**2),  # n = 2.5538 + 0.0342/λ²
        "Shaffer, Appl. Opt. 10, 1034 (1971)",
        6.52,
    ),
    cubic(
        "PbS",
        G4,
        sellmeier(1, (15.9, 0.77), (133.2, 141)),
        "Zemel et al., Phys. Rev. 140, A330 (1965)",
        17.0,
    ),
)  # fmt: skip
