"""Frames and graphs on disk: the same numbers as in memory, built once, never stale or damaged."""

from __future__ import annotations

import errno
import os
import tempfile
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.training_runs import NETWORK, labelled, run_config, write

from ase_equivar.graph import build_graph
from ase_equivar.io.label_files.reading import label_frames
from ase_equivar.network import Network, build_network
from ase_equivar.training import examples, record_writer, run_data, stored_frames
from ase_equivar.training.batches import make_batch
from ase_equivar.training.data import LabelledFrame, read_frames
from ase_equivar.training.examples import StoredExamples, store_examples
from ase_equivar.training.fit import fit
from ase_equivar.training.frame_source import unread_frames
from ase_equivar.training.label_summary import LabelSummary, summarize
from ase_equivar.training.record_writer import writing_records
from ase_equivar.training.records import Records
from ase_equivar.training.sections import DataConfig
from ase_equivar.training.stored_frames import StoredFrames, store_frames


def frames_of_all_kinds() -> list[Atoms]:
    """Low-symmetry crystals of two sizes, a slab, one without ε∞, one to be rejected."""
    frames = labelled(5)
    frames[1] *= (1, 2, 1)
    frames[2].pbc = (True, False, True)
    del frames[3].info["electronic_dielectric_tensor"]
    frames[4].arrays["born_charges"][0, 0] += 0.9
    return frames


def small_network(**more: Any) -> Network:
    torch.manual_seed(0)
    return build_network({**NETWORK, "elements": (8, 11, 12, 17), **more}).float()


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_stored_frames_are_those_read(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.extxyz", frames_of_all_kinds()),
        write(tmp_path / "b.extxyz", labelled(4, seed=2)) + "@1::2",
    ]
    config = DataConfig((), ())
    store_frames(tmp_path / "stored", files, config)
    stored = StoredFrames(tmp_path / "stored")
    read, rejected = read_frames(files, config)
    assert stored.n_rejected == len(rejected) == 1
    assert len(stored) == len(read) == 6
    for ours, theirs in zip(stored, read, strict=True):
        assert ours.atoms == Atoms(
            theirs.atoms.numbers, theirs.atoms.positions, cell=theirs.atoms.cell,
            pbc=theirs.atoms.pbc,
        )  # fmt: skip
        assert np.array_equal(ours.born_charges, theirs.born_charges)
        assert (ours.dielectric is None) == (theirs.dielectric is None)
        assert theirs.dielectric is None or np.array_equal(ours.dielectric, theirs.dielectric)
    assert stored.summary == summarize(read)
    assert [len(f.atoms) for f in stored.with_elements([8, 11, 12, 17])] == [
        len(f.atoms) for f in read
    ]
    assert len(stored.with_elements([8, 11, 12])) == 0


def test_content_tells_a_molecule_from_the_same_crystal(tmp_path: Path) -> None:
    [frame], _ = read_frames([write(tmp_path / "a.extxyz", labelled(1))], DataConfig((), ()))
    other = replace(frame, atoms=frame.atoms.copy())
    other.atoms.pbc = False
    assert summarize([frame]).content != summarize([other]).content


def test_summary_by_hand(tmp_path: Path) -> None:
    frames, _ = read_frames([write(tmp_path / "a.extxyz", labelled(4))], DataConfig((), ()))
    frames[0] = replace(frames[0], dielectric=None)
    found = summarize(iter(frames))
    of_oxygen = [
        np.trace(z) / 3
        for frame in frames
        for number, z in zip(frame.atoms.numbers, frame.born_charges, strict=True)
        if number == 8
    ]
    assert found.median_charges[8] == np.median(of_oxygen)
    logs = []
    for frame in frames[1:]:
        values, axes = np.linalg.eigh(frame.dielectric - np.eye(3))
        logs.append(np.trace(axes @ np.diag(np.log(values)) @ axes.T) / 3)
    assert found.log_susceptibility == pytest.approx(np.mean(logs), rel=1e-9)
    assert LabelSummary.from_dict(found.as_dict()) == found
    frames[2].born_charges[1, 0, 2] += 1e-9
    assert summarize(frames).content != found.content


@pytest.mark.parametrize("part", [":", "1::2", "2:4", "-3:", ":-2", "::-1", "1", "-1", "9:"])
def test_parts_of_files(tmp_path: Path, part: str) -> None:
    for name in ("a.extxyz", "a.extxyz.gz"):
        path = write(tmp_path / name, labelled(5))
        found = [(one.number, one.frame().atoms) for one in unread_frames(path, part)]
        assert found == [(frame.number, frame.atoms) for frame in label_frames(path, part)]


def test_truncated_file_is_read_up_to_there(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.extxyz", labelled(3)))
    path.write_text(path.read_text()[:-600])
    found = [one.frame() for one in unread_frames(str(path), ":")]
    assert [one.atoms is None for one in found] == [False, False, True]
    assert "lines for" in found[2].trouble
    store_frames(tmp_path / "stored", [str(path)], DataConfig((), ()))
    assert len(StoredFrames(tmp_path / "stored")) == 2


def test_stored_graphs_are_those_built(tmp_path: Path) -> None:
    """To the bit, so that training gives the same numbers; the atoms of one graph are sorted."""
    path = write(tmp_path / "a.extxyz", frames_of_all_kinds())
    frames, _ = read_frames([path], DataConfig((), ()))
    many = frames[0].atoms * (6, 9, 8)
    charges = np.random.default_rng(0).normal(size=(len(many), 3, 3))
    frames[0] = LabelledFrame(many, charges, frames[0].dielectric)
    network = small_network()
    store_examples(tmp_path / "graphs", frames, network, {})
    assert not isinstance(build_graph(many, network.cutoff).places, slice)
    stored = StoredExamples(tmp_path / "graphs")
    assert len(stored) == len(frames) == 4
    for example, frame in zip((stored[k] for k in range(4)), frames, strict=True):
        graph = build_graph(frame.atoms, network.cutoff)
        for name in ("numbers", "senders", "receivers", "vectors", "structure"):
            ours, theirs = getattr(example.graph, name), getattr(graph, name)
            assert ours.dtype == theirs.dtype
            assert torch.equal(ours, theirs), name
        assert torch.equal(
            example.born_charges[graph.places], torch.tensor(frame.born_charges).float()
        )
        if frame.dielectric is None:
            assert torch.isnan(example.dielectric).all()
        else:
            assert torch.equal(example.dielectric, torch.tensor(frame.dielectric).float())
    batch = make_batch([stored[0], stored[2]])
    assert batch.graph.n_structures == 2
    assert batch.graph.latent is None


def test_run_reads_and_builds_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped and started again, without its files even being parsed; removed at the end."""
    config = run_config(tmp_path)
    whole = replace(config, output=str(tmp_path / "whole"))
    fit(whole, progress=False)

    def stop(*_: Any, **__: Any) -> None:
        raise RuntimeError("stopped here")

    with monkeypatch.context() as patch:
        patch.setattr("ase_equivar.training.module.TrainingModule.training_step", stop)
        with pytest.raises(RuntimeError, match="stopped here"):
            fit(config, progress=False)
    folder = Path(config.output) / run_data.FOLDER
    assert {file.name for file in folder.iterdir()} == {
        "train_frames", "valid_frames", "train_graphs", "valid_graphs",
    }  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(stored_frames, "read_labels_of", stop)
        patch.setattr(examples, "build_graph", stop)
        fit(config, progress=False)
    assert not folder.exists()
    for name in ("weights.safetensors", "learning_curve.csv"):
        assert (Path(config.output) / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_checkpoint_is_written_beside_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another file system, which holds the temporary files, it was copied over that one."""
    config = run_config(tmp_path)
    folder = Path(config.output)
    folder.joinpath("checkpoints").mkdir(parents=True)
    left = folder / "checkpoints" / ".last.123.partial.ckpt"
    left.write_bytes(b"of a killed process")
    save, saved = torch.save, []

    def stop_in_the_middle(checkpoint: Any, path: Any) -> None:
        save(checkpoint, path)
        saved.append(Path(path))
        if len(saved) == 2:
            os.truncate(path, os.path.getsize(path) // 2)
            raise OSError("no space left")

    monkeypatch.setattr(tempfile, "mkstemp", None)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", stop_in_the_middle)
        with pytest.raises(OSError, match="no space left"):
            fit(config, progress=False)
    assert [path.parent for path in saved] == [folder / "checkpoints"] * 2
    assert [file.name for file in (folder / "checkpoints").iterdir()] == ["last.ckpt"]
    fit(config, progress=False)  # goes on from the first
    fit(replace(config, output=str(tmp_path / "whole")), progress=False)
    for name in ("weights.safetensors", "learning_curve.csv"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_interrupted_training_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning turns Ctrl-C into the exit status of a failure."""
    config = run_config(tmp_path)

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ase_equivar.training.module.TrainingModule.training_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(config, progress=False)
    assert not (Path(config.output) / "weights.safetensors").exists()
    fit(config, progress=False)
    data = Path(config.output) / run_data.FOLDER
    data.mkdir()  # as a kill between the model and the end leaves it
    fit(config, progress=False)
    assert not data.exists()


@pytest.mark.parametrize("end", ["interrupted", "killed"])
def test_building_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    frames, _ = read_frames([write(tmp_path / "a.extxyz", labelled(6))], DataConfig((), ()))
    network = small_network()
    store_examples(tmp_path / "whole", frames, network, {})
    build, numbers = examples.make_example, []

    def stopping(frame: LabelledFrame, network: Network) -> Any:
        numbers.append(next(k for k, one in enumerate(frames) if one is frame))
        if numbers == [0, 1, 2, 3]:
            raise KeyboardInterrupt
        return build(frame, network)

    monkeypatch.setattr(examples, "make_example", stopping)
    if end == "killed":  # only what was written before counts, whatever else is in the files
        monkeypatch.setattr(record_writer, "SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt):
        store_examples(tmp_path / "graphs", frames, network, {})
    if end == "killed":
        for file in (tmp_path / "graphs").glob("*.bin"):
            with file.open("ab") as more:
                more.write(b"half a record")
    with pytest.raises(ValueError, match="no complete records"):
        StoredExamples(tmp_path / "graphs")
    store_examples(tmp_path / "graphs", frames, network, {})
    assert numbers == [0, 1, 2, 3, 3, 4, 5]
    assert content(tmp_path / "graphs") == content(tmp_path / "whole")


def test_reading_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the second file, behind a rejected frame."""
    files = [
        write(tmp_path / "a.extxyz", labelled(3)),
        write(tmp_path / "b.extxyz", frames_of_all_kinds()[::-1]),
    ]
    config = DataConfig((), ())
    store_frames(tmp_path / "whole", files, config)
    read, seen = stored_frames.read_labels_of, []

    def stopping(path: str, unread: Any, config: DataConfig) -> Any:
        seen.append((Path(path).name[0], unread.number))
        if len(seen) == 6:
            raise KeyboardInterrupt
        return read(path, unread, config)

    monkeypatch.setattr(stored_frames, "read_labels_of", stopping)
    with pytest.raises(KeyboardInterrupt):
        store_frames(tmp_path / "stored", files, config)
    store_frames(tmp_path / "stored", files, config)
    assert seen[5:] == [("b", 2), ("b", 2), ("b", 3), ("b", 4)]
    assert content(tmp_path / "stored") == content(tmp_path / "whole")


@pytest.mark.parametrize("change", ["label", "part", "order", "limit", "version"])
def test_frames_of_other_data_or_options_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    frames = labelled(4)
    file, config = write(tmp_path / "a.extxyz", frames), DataConfig((), ())
    store_frames(tmp_path / "stored", [file], config)
    if change == "label":
        frames[2].arrays["born_charges"][:2, 3] += [1e-3, -1e-3]
        write(tmp_path / "a.extxyz", frames)
    elif change == "part":
        file += "@:3"
    elif change == "order":
        config = replace(config, order="displacement-first")
    elif change == "limit":
        config = replace(config, max_asymmetry=0.2)
    else:
        monkeypatch.setattr(stored_frames, "__version__", "0.0.0")
    read = []
    of_one = stored_frames.read_labels_of
    monkeypatch.setattr(
        stored_frames, "read_labels_of", lambda *given: read.append(given) or of_one(*given)
    )
    store_frames(tmp_path / "stored", [file], config)
    expected, _ = read_frames([file], config)
    assert len(read) == len(expected)
    for ours, theirs in zip(StoredFrames(tmp_path / "stored"), expected, strict=True):
        assert np.array_equal(ours.born_charges, theirs.born_charges)


def test_graphs_of_other_networks_or_frames_are_not_used(tmp_path: Path) -> None:
    frames, _ = read_frames([write(tmp_path / "a.extxyz", labelled(2))], DataConfig((), ()))
    network = small_network()
    for other, made_from in (
        (network, {"structures": "a"}),
        (small_network(cutoff=3.0), {"structures": "a"}),
        (small_network(cutoff=3.0).double(), {"structures": "a"}),
        (small_network(cutoff=3.0).double(), {"structures": "b"}),
    ):
        before = content(tmp_path / "graphs") if (tmp_path / "graphs").is_dir() else {}
        store_examples(tmp_path / "graphs", frames, other, made_from)
        assert content(tmp_path / "graphs") != before
        graph = StoredExamples(tmp_path / "graphs")[1].graph
        dtype = next(other.parameters()).dtype
        built = build_graph(frames[1].atoms, other.cutoff, dtype=dtype)
        assert torch.equal(graph.vectors, built.vectors)


@pytest.mark.parametrize("damage", ["shorter", "longer", "missing", "index"])
def test_damaged_files_are_made_again(tmp_path: Path, damage: str) -> None:
    frames, _ = read_frames([write(tmp_path / "a.extxyz", labelled(3))], DataConfig((), ()))
    folder = tmp_path / "graphs"
    store_examples(folder, frames, small_network(), {})
    before, file = content(folder), folder / "senders.bin"
    if damage == "shorter":
        file.write_bytes(before["senders.bin"][:-4])
    elif damage == "longer":
        file.write_bytes(before["senders.bin"] + b"\0\0\0\0")
    elif damage == "missing":
        file.unlink()
    else:
        (folder / "index.json").write_bytes(before["index.json"][:-20])
    with pytest.raises(ValueError, match=r"no complete records|graphs is damaged: senders.bin has"):
        StoredExamples(folder)
    store_examples(folder, frames, small_network(), {})
    assert content(folder) == before


def test_other_numbers_in_the_files_are_noticed(tmp_path: Path) -> None:
    """One bit in one array of one record; the others can still be read."""
    frames, _ = read_frames([write(tmp_path / "a.extxyz", labelled(3))], DataConfig((), ()))
    folder = tmp_path / "graphs"
    store_examples(folder, frames, small_network(), {})
    for file in sorted(folder.glob("*.bin")):
        if file.name in ("ends.bin", "checksums.bin"):
            continue
        before = file.read_bytes()
        middle = len(before) // 2
        file.write_bytes(before[:middle] + bytes([before[middle] ^ 4]) + before[middle + 1 :])
        stored = StoredExamples(folder)
        assert stored[0].graph.n_atoms == len(frames[0].atoms)
        with pytest.raises(ValueError, match=r"graphs is damaged in record 1; delete it and start"):
            stored[1]
        file.write_bytes(before)


def test_full_disk_says_how_to_continue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, _ = read_frames([write(tmp_path / "a.extxyz", labelled(5))], DataConfig((), ()))
    folder = tmp_path / "graphs"
    monkeypatch.setattr(record_writer, "SECONDS", -1.0)
    sync, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) >= 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"no space is left for .*graphs.*make room") as caught:
            store_examples(folder, frames, small_network(), {})
    assert caught.value.errno == errno.ENOSPC
    store_examples(folder, frames, small_network(), {})
    assert len(StoredExamples(folder)) == 5


def test_mapped_records_take_no_memory(tmp_path: Path) -> None:
    array = np.arange(5000, dtype=np.float64).reshape(-1, 2)
    with writing_records(tmp_path / "records", {}) as writer:
        for number in range(500):
            writer.append({"a": array + number, "b": array[: number % 3]})
        writer.finish({"n": 1})
    tracemalloc.start()
    records = Records(tmp_path / "records")
    for number in range(500):
        record = records[number]
        assert record["a"][-1, -1] == 4999 + number
        assert len(record["b"]) == number % 3
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 200_000  # bytes; all records are 20 MB
    assert not record["a"].flags.writeable
