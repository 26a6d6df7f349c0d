"""How public functions that take numbers are called: fields, networks, phonons."""

from __future__ import annotations

import numpy as np
import torch
from ase import Atoms

import ase_equivar
from ase_equivar import EquivarCalculator, fields, graph, network
from ase_equivar import phonons as phonon_functions
from ase_equivar.phonons.cells import to_ase
from helpers.argument_rows import (
    CHARGE_VALUES,
    DIRECTIONS,
    FIELD,
    FIELDS,
    GATED,
    NAC,
    POLAR_SOURCES,
    PULSE,
    SALT_BORN,
    SALT_DIELECTRIC,
    SALT_PHONONS,
    SALT_SOURCES,
    SUPERCELLS,
    Z_STAR,
    Row,
    folder,
    row,
    salt,
    wave,
)
from helpers.bad_values import (
    ABSURD_FIELD,
    COUNT,
    NO_ARRAYS,
    NOT_NEGATIVE,
    NUMBER,
    POSITIVE,
    arrays_like,
    structures,
    tensors_like,
)
from helpers.driven_crystal import crystal
from helpers.harmonic_runs import ELECTRONIC
from helpers.structures import triclinic
from helpers.toy_network import ToyNetwork

INDICES = [0.5, -1, float("nan"), 1e3, "n", [1.5, 1.5], [[1.5, 0, 0]], True]
ROWS: dict[str, Row] = {
    "field_forces": row(
        ase_equivar.field_forces,
        {"born_charges": CHARGE_VALUES, "field": FIELDS},
        born_charges=Z_STAR,
        field=FIELD,
    ),
    "neutralize": row(
        ase_equivar.neutralize,
        {"born_charges": CHARGE_VALUES, "total_charge": [*NUMBER, 1e308]},
        born_charges=Z_STAR,
    ),
    "neutralize of tensors": row(
        ase_equivar.neutralize,
        {"n_structures": COUNT},
        born_charges=torch.ones(2, 3, 3),
        structure=torch.tensor([0, 1]),
        n_structures=2,
    ),
    "EquivarCalculator": row(
        EquivarCalculator,
        {"electric_field": FIELDS, "total_charge": [*NUMBER, 1e308]},
        model=ToyNetwork(),
    ),
    "EquivarCalculator.predict": row(
        lambda max_edges: EquivarCalculator(model=ToyNetwork()).predict([], max_edges=max_edges),
        {"max_edges": COUNT},
        max_edges=9,
    ),
    "fields.check_field": row(fields.check_field, {"field": FIELDS}, field=FIELD),
    "fields.field_forces": row(
        fields.field_forces,
        {"born_charges": CHARGE_VALUES, "field": FIELDS},
        born_charges=Z_STAR,
        field=FIELD,
    ),
    "fields.ConstantDisplacement": row(
        fields.ConstantDisplacement,
        {"displacement": [*arrays_like(FIELD, 1.0), ABSURD_FIELD, 1.0],
         "polarization": [*arrays_like(FIELD, 1.0), ABSURD_FIELD],
         "dielectric_tensor": tensors_like(ELECTRONIC)},
        displacement=FIELD,
    ),
    "fields.ConstantDisplacement along a normal": row(
        fields.ConstantDisplacement,
        {"displacement": [*NUMBER, 1e30, FIELD], "normal": DIRECTIONS},
        displacement=1.0,
        normal=FIELD,
    ),
    "fields.ConstantDisplacement.electric_field": row(
        fields.ConstantDisplacement(FIELD).electric_field,
        {"polarization": arrays_like(FIELD), "dielectric_tensor": tensors_like(ELECTRONIC)},
        polarization=FIELD,
        dielectric_tensor=ELECTRONIC,
    ),
    "fields.AppliedField": row(
        fields.AppliedField,
        {"field": FIELDS, "normal": DIRECTIONS, "dielectric_tensor": tensors_like(ELECTRONIC)},
        field=FIELD,
        normal=FIELD,
    ),
    "fields.AppliedField.inside": row(
        fields.AppliedField(FIELD, FIELD).inside,
        {"electric_field": FIELDS, "dielectric_tensor": tensors_like(ELECTRONIC)},
        electric_field=FIELD,
        dielectric_tensor=ELECTRONIC,
    ),
    "fields.FieldOfPosition": row(
        lambda positions, time: fields.FieldOfPosition(lambda r, t: 0 * r)(positions, time),
        {"positions": arrays_like([FIELD]), "time": NUMBER},
        positions=[FIELD],
        time=0.0,
    ),
    "fields.FieldOfPosition of a function": row(
        fields.FieldOfPosition, {"function": [3.0, None, FIELD]}, function=np.cross
    ),
    "fields.SpatialField": row(
        fields.PlaneWave(FIELD, FIELD).__call__,
        {"positions": arrays_like([FIELD]), "time": NUMBER},
        positions=[FIELD],
        time=0.0,
    ),
    "fields.PlaneWave": row(
        fields.PlaneWave,
        {"amplitude": FIELDS, "wavevector": [*arrays_like(FIELD, 1.0), [0.0, 7.0, 0.0]],
         "frequency": NOT_NEGATIVE, "phase": NUMBER},
        amplitude=FIELD,
        wavevector=FIELD,
    ),
    "fields.GaussianBeam": row(
        fields.GaussianBeam,
        {"field": FIELDS, "center": arrays_like(FIELD, 1.0), "direction": DIRECTIONS,
         "waist": [*POSITIVE, 1e30]},
        field=FIELD,
        center=FIELD,
        direction=FIELD,
        waist=5.0,
    ),
    "fields.FieldOnAtoms": row(
        fields.FieldOnAtoms,
        {"field": FIELDS, "indices": [*NO_ARRAYS, [], [1.5], [-1], [0, 0], [True], 1, [np.nan]]},
        field=FIELD,
        indices=[0],
    ),
    "fields.ConstantField": wave("ConstantField"),
    "fields.SineField": wave("SineField", frequency=POSITIVE, phase=NUMBER),
    "fields.TriangleField": wave("TriangleField", period=POSITIVE),
    "fields.StepField": wave("StepField", start=NUMBER, rise=NOT_NEGATIVE),
    "fields.GaussianPulse": wave("GaussianPulse", **PULSE),
    "fields.ChirpedPulse": wave("ChirpedPulse", **PULSE, chirp=NUMBER),
    "fields.TabulatedField": row(
        fields.TabulatedField,
        {
            "times": [*arrays_like([0.0, 1.0]), [1.0, 0.0], [0.0]],
            "values": [*arrays_like([FIELD, FIELD], 1.0), 3.0],
        },
        times=[0.0, 1.0],
        values=[FIELD, FIELD],
    ),
    "fields.Waveform": row(  # the field of one
        lambda time: fields.ConstantField(FIELD)(time), {"time": NUMBER}, time=0.0
    ),
    "graph.check_atoms": row(graph.check_atoms, {"atoms": structures()}, atoms=triclinic),
    "graph.check_distances": row(
        lambda atoms: graph.check_distances(atoms, graph.NeighborSearch(3.0).pairs(atoms)),
        {"atoms": [Atoms("H2", [[0, 0, 0], [0, 0, 0.3]])]},
        atoms=triclinic,
    ),
    "graph.check_elements": row(
        graph.check_elements,
        {"atoms": [None, "NaCl"]},
        atoms=triclinic,
        known=range(1, 100),
    ),
    "graph.build_graph": row(
        graph.build_graph,
        {"atoms": structures(), "cutoff": [*POSITIVE, 300.0]},
        atoms=triclinic,
        cutoff=4.0,
    ),
    "graph.NeighborSearch": row(
        graph.NeighborSearch, {"cutoff": POSITIVE, "skin": NOT_NEGATIVE}, cutoff=4.0
    ),
    "network.GatedConfig": row(network.GatedConfig, GATED, elements=(1, 2)),
    "network.HybridConfig": row(
        network.HybridConfig, {**GATED, "layers": [3, [1.5], ["1"], [True], [-1]]}, elements=(1, 2)
    ),
    "network.EquivarConfig": row(
        network.EquivarConfig,
        {name: GATED[name] for name in ("elements", "cutoff", "embedding", "l_max")}
        | {name: [*COUNT, 10**9] for name in ("radial_functions", "features", "interactions")},
        elements=(1, 2),
    ),
    "phonons.nac_params": row(
        phonon_functions.nac_params,
        {"phonon": [None], "refractive_index": INDICES, **NAC},
        phonon=salt,
        source=(SALT_BORN, SALT_DIELECTRIC),
    ),
    "phonons.apply_nac": row(
        phonon_functions.apply_nac,
        {"phonon": [None], "refractive_index": INDICES, **NAC},
        phonon=salt,
        source=(SALT_BORN, SALT_DIELECTRIC),
    ),
    "phonons.write_born": row(
        phonon_functions.write_born,
        {"source": SALT_SOURCES, "dielectric_tensor": NAC["dielectric_tensor"], "symprec": POSITIVE,
         "refractive_index": INDICES,
         "cell": structures()},
        path=folder() / "BORN",
        cell=lambda: to_ase(salt().unitcell),
        source=(SALT_BORN, SALT_DIELECTRIC),
    ),
    "phonons.warn_if_static": row(
        phonon_functions.warn_if_static,
        {"phonon": [None], "source": SALT_SOURCES},
        phonon=salt,
        source=(SALT_BORN, SALT_DIELECTRIC),
    ),
    "phonons.make_phonon": row(
        phonon_functions.make_phonon,
        {"atoms": structures(), "supercell": SUPERCELLS, "symprec": POSITIVE},
        atoms=triclinic,
    ),
    "phonons.supercell_for_length": row(
        phonon_functions.supercell_for_length,
        {"atoms": structures(), "length": [*POSITIVE, 1e9]},
        atoms=triclinic,
    ),
    "phonons.force_constants": row(
        phonon_functions.force_constants,
        {"atoms": structures(), "supercell": SUPERCELLS, "distance": [*POSITIVE, 1e9],
         "symprec": POSITIVE},
        atoms=lambda: crystal(False),
        calculator=lambda: crystal().calc,
        supercell=(1, 1, 1),
        progress=False,
    ),
    "phonons.relax": row(
        phonon_functions.relax,
        {"atoms": structures(), "fmax": POSITIVE, "steps": COUNT, "symprec": POSITIVE,
         "mode": ["", "yes", None, True]},
        atoms=lambda: crystal(False),
        calculator=lambda: crystal().calc,
    ),
    "phonons.polar_phonon": row(
        phonon_functions.polar_phonon,
        {"atoms": structures(), "source": POLAR_SOURCES, "supercell": SUPERCELLS,
         "dielectric_tensor": tensors_like(ELECTRONIC), "refractive_index": INDICES,
         "symprec": POSITIVE, "relax": ["", "yes", None, True]},
        atoms=lambda: crystal(False),
        calculator=lambda: crystal().calc,
        source=(Z_STAR, ELECTRONIC),
        supercell=(1, 1, 1),
        progress=False,
    ),
    "phonons.corrected_dielectric": row(
        phonon_functions.corrected_dielectric,
        {"dielectric_tensor": tensors_like(ELECTRONIC)},
        dielectric_tensor=ELECTRONIC,
    ),
    "phonons.lo_to_splitting": row(
        phonon_functions.lo_to_splitting,
        {"phonon": SALT_PHONONS, "directions": [*arrays_like([[1, 0, 0]]), [1, 0, 0], [[0, 0, 0]]]},
        phonon=salt,
    ),
    "phonons.angular_dispersion": row(
        phonon_functions.angular_dispersion,
        {"phonon": SALT_PHONONS, "start": DIRECTIONS, "end": DIRECTIONS, "n_angles": [*COUNT, 1]},
        phonon=salt,
        n_angles=3,
    ),
    "phonons.bands": row(
        phonon_functions.bands,
        {"phonon": SALT_PHONONS, "n_points": [*COUNT, 1], "path": [3, ["G", "X"], b"GX"]},
        phonon=salt,
        path="GX",
        n_points=3,
    ),
    "phonons.density_of_states": row(
        phonon_functions.density_of_states,
        {"phonon": SALT_PHONONS, "mesh_length": [*POSITIVE, 1e9], "n_points": [*COUNT, 1]},
        phonon=salt,
        mesh_length=10.0,
        n_points=11,
    ),
}  # fmt: skip
