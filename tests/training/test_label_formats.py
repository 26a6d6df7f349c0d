"""Labels as other programs write them, each on a tensor that is not symmetric."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from helpers.label_files import LABELS, RECORDED, asymmetric_label, outcar, write_vaspout

from ase_equivar.io import read_labels
from ase_equivar.training.data import read_frames
from ase_equivar.training.sections import DataConfig


def rows(matrix: np.ndarray, tag: str = "v") -> str:
    return "".join(f"<{tag}>{' '.join(f'{x:.10f}' for x in row)}</{tag}>" for row in matrix)


def vasprun(
    atoms: Atoms, charges: np.ndarray, dielectric: np.ndarray, name: str = "epsilon"
) -> str:
    """What VASP writes of a calculation with LEPSILON, as far as it is read.

    In the array born_charges, one set per ion holds three rows: the first index is the field, the
    second the displacement (VASP wiki, LEPSILON; phonopy takes the same rows into BORN).
    """
    structure = (
        f"<crystal><varray name='basis'>{rows(atoms.cell.array)}</varray></crystal>"
        f"<varray name='positions'>{rows(atoms.get_scaled_positions())}</varray>"
    )
    ions = "".join(f"<set>{rows(tensor)}</set>" for tensor in charges)
    energy = "<energy><i name='e_fr_energy'>-1.0</i><i name='e_0_energy'>-1.0</i></energy>"
    return (
        "<?xml version='1.0'?><modeling><kpoints>"
        "<varray name='kpointlist'><v>0 0 0</v></varray><varray name='weights'><v>1</v></varray>"
        "</kpoints>"
        "<atominfo><array name='atoms'><set>"
        + "".join(f"<rc><c>{symbol}</c><c>1</c></rc>" for symbol in atoms.symbols)
        + f"</set></array></atominfo><structure name='initialpos'>{structure}</structure>"
        f"<calculation><scstep>{energy}</scstep><structure>{structure}</structure>{energy}"
        f"<varray name='{name}_ion'>{rows(7 * dielectric)}</varray>"
        f"<varray name='{name}'>{rows(dielectric)}</varray>"
        f"<array name='born_charges'><dimension dim='1'>ion</dimension>{ions}</array>"
        "</calculation></modeling>"
    )


COMPRESSED = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.fixture
def label() -> tuple[Atoms, np.ndarray, np.ndarray]:
    return asymmetric_label()


@pytest.mark.parametrize("order", ["field-first", "displacement-first"])
def test_outputs_of_programs_have_orders_of_their_own(
    tmp_path: Path, label: tuple[Atoms, np.ndarray, np.ndarray], order: str
) -> None:
    """What is said of columns does not turn them round; nor do names of columns matter."""
    atoms, charges, dielectric = label
    by_kind = np.argsort(atoms.numbers, kind="stable")
    (tmp_path / "OUTCAR").write_text(outcar(atoms, charges, dielectric))
    (tmp_path / "vasprun.xml").write_text(vasprun(atoms, charges, dielectric))
    write_vaspout(tmp_path / "vaspout.h5", atoms[by_kind], charges[by_kind], dielectric)
    columns = charges if order == "field-first" else charges.transpose(0, 2, 1)
    atoms.set_array("zstar", columns.reshape(-1, 9))
    ase.io.write(tmp_path / "x.extxyz", atoms)
    files = [tmp_path / name for name in ("OUTCAR", "vasprun.xml", "vaspout.h5", "x.extxyz")]
    frames, rejected = read_frames(files, DataConfig((), (), born_charges="zstar", order=order))
    assert not rejected
    for frame, expected in zip(frames, (charges, charges, charges[by_kind], charges), strict=True):
        np.testing.assert_allclose(frame.born_charges, expected, atol=1e-5)
    for frame in frames[:3]:
        assert frame.dielectric is not None
        np.testing.assert_allclose(frame.dielectric, dielectric, atol=1e-6)


@pytest.mark.parametrize("name", ["epsilon", "epsilon_scf", "dielectric_dft"])
@pytest.mark.parametrize("ending", ["", ".gz", ".bz2", ".xz"])
def test_names_of_the_dielectric_tensor_of_vasprun(
    tmp_path: Path, label: tuple[Atoms, np.ndarray, np.ndarray], name: str, ending: str
) -> None:
    """Of LEPSILON, LCALCEPS, and the one that ASE knows; each step has its own, or none."""
    atoms, charges, dielectric = label
    text = vasprun(atoms, charges, dielectric, name)
    start, end = text.index("<calculation>"), text.index("</modeling>")
    step = text[start:end]
    without = re.sub(f"<varray name='{name}'>.*?</varray>", "", step)
    text = text[:end] + without + step.replace(rows(dielectric), rows(2 * dielectric)) + text[end:]
    path = tmp_path / f"vasprun.xml{ending}"
    path.write_bytes(COMPRESSED[ending](text.encode()))
    found = [atoms.calc.results.get("dielectric_tensor") for atoms in read_labels(path)]
    np.testing.assert_allclose(found[0], dielectric, atol=1e-9)
    assert found[1] is None
    np.testing.assert_allclose(found[2], 2 * dielectric, atol=1e-9)
    [last] = read_labels(path, "-1")
    np.testing.assert_allclose(last.calc.results["dielectric_tensor"], 2 * dielectric, atol=1e-9)


def test_real_outputs() -> None:
    """Of CASTEP, ABINIT and Quantum ESPRESSO, one after the other."""
    files = [LABELS / "Na2S2O8.castep", LABELS / "LiH_orthorhombic_DDB.gz", RECORDED / "ph.out"]
    frames, rejected = read_frames(files, DataConfig((), ()))
    assert not rejected
    assert [str(frame.atoms.symbols) for frame in frames] == ["O8Na2S2", "Li2H2", "Li2H2"]
    assert all(frame.dielectric is not None for frame in frames)


def test_labels_that_are_not_what_they_should_be(
    tmp_path: Path, label: tuple[Atoms, np.ndarray, np.ndarray]
) -> None:
    atoms, charges, dielectric = label
    (tmp_path / "OUTCAR").write_text(outcar(atoms, charges + 0.2 * np.eye(3), dielectric))
    with pytest.raises(ValueError, match=r"OUTCAR has no usable frame.*Σ Z\* is off by 1.000 e"):
        read_frames([tmp_path / "OUTCAR"], DataConfig((), ()))
    text = vasprun(atoms, charges, dielectric)
    start, end = text.index("<array name='born_charges'>"), text.index("</calculation>")
    (tmp_path / "vasprun.xml").write_text(text[:start] + text[end:])
    with pytest.raises(ValueError, match=r"vasprun.xml has no usable.* VASP calculated no Z\*"):
        read_frames([tmp_path / "vasprun.xml"], DataConfig((), ()))


@pytest.mark.parametrize("ending", ["", ".gz", ".xz"])
def test_truncated_vasprun(
    tmp_path: Path, label: tuple[Atoms, np.ndarray, np.ndarray], ending: str
) -> None:
    """ASE gives zero to atoms whose Z* were not written before the run was killed."""
    atoms, charges, dielectric = label
    text = vasprun(atoms, charges, dielectric)
    path = tmp_path / f"vasprun.xml{ending}"
    start, end = text.index("<array name='born_charges'>"), text.index("</calculation>")
    told = rf"Z\* has not all of its {len(atoms)} atoms: is it truncated"
    read = 0
    for cut in [*range(start + 40, end, 31), end - 9]:
        path.write_bytes(COMPRESSED[ending](text[:cut].encode()))
        try:
            found = read_labels(path)
        except ValueError as error:
            read += bool(re.search(told, str(error)))
            continue
        raise AssertionError(f"read after {cut} of {len(text)} characters: {found}")
    assert read > 5
    with pytest.raises(ValueError, match=told):
        read_frames([path], DataConfig((), ()))
    path.write_bytes(COMPRESSED[ending](text[:end].encode()))  # killed after the table
    [found] = read_labels(path)
    np.testing.assert_allclose(found.calc.results["born_effective_charges"], charges, atol=1e-9)
    np.testing.assert_allclose(found.calc.results["dielectric_tensor"], dielectric, atol=1e-9)


@pytest.mark.parametrize("file", ["x.traj", "x.json", "x.extxyz"])
@pytest.mark.parametrize("order", ["field-first", "displacement-first"])
def test_results_of_ase_have_its_order(
    tmp_path: Path, label: tuple[Atoms, np.ndarray, np.ndarray], file: str, order: str
) -> None:
    """What is said of columns of other files does not turn them round, until they are named."""
    atoms, charges, dielectric = label
    results = {"born_effective_charges": charges, "dielectric_tensor": dielectric}
    if file == "x.extxyz":  # for which ASE itself has a column
        atoms.set_array("born_effective_charges", charges.reshape(-1, 9))
    else:
        atoms.calc = SinglePointCalculator(atoms, **results)
    ase.io.write(tmp_path / file, atoms)
    [frame], _ = read_frames([tmp_path / file], DataConfig((), (), order=order))
    np.testing.assert_allclose(frame.born_charges, charges, atol=1e-7)
    named = DataConfig((), (), born_charges="born_effective_charges", order=order)
    [frame], _ = read_frames([tmp_path / file], named)
    expected = charges if order == "field-first" else charges.transpose(0, 2, 1)
    np.testing.assert_allclose(frame.born_charges, expected, atol=1e-7)
    [found] = read_labels(tmp_path / file)
    read = np.reshape(found.calc.results["born_effective_charges"], (-1, 3, 3))
    np.testing.assert_allclose(read, charges, atol=1e-7)


def test_vasprun(tmp_path: Path, label: tuple[Atoms, np.ndarray, np.ndarray]) -> None:
    """Without a word of what the labels are called."""
    atoms, charges, dielectric = label
    (tmp_path / "vasprun.xml").write_text(vasprun(atoms, charges, dielectric))
    (frame,), rejected = read_frames([str(tmp_path / "vasprun.xml")], DataConfig((), ()))
    assert not rejected
    np.testing.assert_allclose(frame.born_charges, charges, atol=1e-9)
    assert frame.dielectric is not None
    np.testing.assert_allclose(frame.dielectric, dielectric, atol=1e-9)
    np.testing.assert_allclose(frame.atoms.positions, atoms.positions, atol=1e-8)


@pytest.mark.parametrize("name", ["born_effective_charges", "bec", "REF_becs", "apt"])
def test_columns_of_other_names(
    tmp_path: Path, label: tuple[Atoms, np.ndarray, np.ndarray], name: str
) -> None:
    """ASE's own is found by itself, the others when they are named: their order is not known."""
    atoms, charges, dielectric = label
    atoms.set_array(name, charges.reshape(-1, 9))
    atoms.info["dielectric_tensor"] = dielectric
    ase.io.write(tmp_path / "x.extxyz", atoms)
    usual = name == "born_effective_charges"
    if not usual:
        told = rf"there: {name}\); --born-charges {name} takes it, with --order displacement-first"
        with pytest.raises(ValueError, match=told):
            read_frames([tmp_path / "x.extxyz"], DataConfig((), ()))
    config = DataConfig((), ()) if usual else DataConfig((), (), born_charges=name)
    (frame,), _ = read_frames([str(tmp_path / "x.extxyz")], config)
    np.testing.assert_allclose(frame.born_charges, charges, atol=1e-7)
    assert frame.dielectric is not None
    np.testing.assert_allclose(frame.dielectric, dielectric, atol=1e-7)
