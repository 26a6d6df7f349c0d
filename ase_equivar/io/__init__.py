"""Files: reading, with errors that name the file, and writing of structures and spectra.

A module is imported when one of its names is first used: most need `ase.io`, which imports half of
SciPy, and a prediction needs none of them.
"""

from typing import TYPE_CHECKING

from ase_equivar.lazy_names import lazy_names

if TYPE_CHECKING:
    from ase_equivar.io.current_files import write_current_csv, write_current_json
    from ase_equivar.io.extxyz import read_extxyz, write_extxyz
    from ase_equivar.io.infrared_files import (
        write_infrared_json,
        write_modes_csv,
        write_spectrum_csv,
    )
    from ase_equivar.io.label_files.reading import read_labels
    from ase_equivar.io.phonon_files import write_bands_csv, write_density_csv
    from ase_equivar.io.piezoelectric_files import (
        write_piezoelectric_csv,
        write_piezoelectric_json,
    )
    from ase_equivar.io.raman_files import (
        write_raman_json,
        write_raman_modes_csv,
        write_raman_spectrum_csv,
    )

__all__ = [
    "read_extxyz",
    "read_labels",
    "write_bands_csv",
    "write_current_csv",
    "write_current_json",
    "write_density_csv",
    "write_extxyz",
    "write_infrared_json",
    "write_modes_csv",
    "write_piezoelectric_csv",
    "write_piezoelectric_json",
    "write_raman_json",
    "write_raman_modes_csv",
    "write_raman_spectrum_csv",
    "write_spectrum_csv",
]

_HOMES = {
    "current_files": (
        "write_current_csv",
        "write_current_json",
    ),
    "extxyz": (
        "read_extxyz",
        "write_extxyz",
    ),
    "infrared_files": (
        "write_infrared_json",
        "write_modes_csv",
        "write_spectrum_csv",
    ),
    "label_files.reading": ("read_labels",),
    "phonon_files": (
        "write_bands_csv",
        "write_density_csv",
    ),
    "piezoelectric_files": (
        "write_piezoelectric_csv",
        "write_piezoelectric_json",
    ),
    "raman_files": (
        "write_raman_json",
        "write_raman_modes_csv",
        "write_raman_spectrum_csv",
    ),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
