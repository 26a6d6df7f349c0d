"""The configuration of a training run: one YAML file, checked before any work is done."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase_equivar.inference.model_files import available_models, model_folder
from ase_equivar.io.file_selection import split_selection
from ase_equivar.io.input_files import check_file
from ase_equivar.network import build_network
from ase_equivar.training.sections import DataConfig, FitConfig, TeacherConfig

POLAR = {"architecture": "polar"}
SECTIONS = {"output", "data", "network", "start", "teacher", "fit", "about"}


@dataclass(frozen=True)
class TrainingConfig:
    """Configuration of a run: its start, its training data and its output.

    Attributes
    ----------
    output : str
        Folder of the model, checkpoints and logs, relative to the YAML file.
    data : DataConfig
    network : dict
        Arguments of `build_network`, without the elements, which are those of the training data.
    start : str or None
        Instead of `network`: name of a bundled model, or else folder of a model, to fine-tune.
        Together with it, `network` can only be `POLAR`, which turns a gated network into a polar
        one.
    fit : FitConfig
    teacher : TeacherConfig or None
        Model whose labels of other structures are learned in addition (distillation).
    about : dict of str to str
        Sections of the model card: heading and text.
    """

    output: str
    data: DataConfig
    network: dict[str, Any] | None = None
    start: str | None = None
    fit: FitConfig = field(default_factory=FitConfig)
    teacher: TeacherConfig | None = None
    about: dict[str, str] = field(default_factory=dict)


def read_training_config(path: str | Path) -> TrainingConfig:
    """Read a YAML file.

    Parameters
    ----------
    path : str or Path
        File with the sections ``output``, ``data``, ``network`` or ``start`` and, optionally,
        ``teacher``, ``fit`` and ``about``.

    Returns
    -------
    TrainingConfig
        See `parse_config`.

    Raises
    ------
    OSError, ValueError
        Those of `check_file` and `parse_config`, and if the file is not YAML.
    """
    import yaml

    path = check_file(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a YAML file: {error}") from error
    return parse_config(content, path.resolve().parent, str(path))


def parse_config(content: Any, folder: Path, where: str) -> TrainingConfig:
    """Check the content of a YAML file.

    Parameters
    ----------
    content : Any
        A mapping, as read from YAML.
    folder : Path
        Folder to which relative paths refer.
    where : str
        Name of the file, for messages.

    Returns
    -------
    TrainingConfig
        With all paths made absolute.

    Raises
    ------
    OSError
        If a data file is missing or a folder, or a model to start from is missing.
    ValueError
        If a section or an entry is missing, unknown, of a wrong type or out of range; the message
        names it.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{where} is not a mapping with output, data, network and fit")
    _known(content, SECTIONS, {"output", "data"}, where)
    for name in {"data", "network", "teacher", "fit", "about"} & set(content):
        if not isinstance(content[name] or {}, dict):
            raise ValueError(f"{where}: {name} is {content[name]!r}; it must be a mapping")
    if not isinstance(content["output"], str):
        raise ValueError(f"{where}: output is {content['output']!r}; it must name a folder")
    if ("network" in content) == ("start" in content) and content.get("network") != POLAR:
        raise ValueError(
            f"{where} must have either network, to train from scratch, or start, to fine-tune; "
            "together with start, network may only be {architecture: polar}"
        )
    data = dict(content["data"] or {})
    for split in sorted({"train", "valid"} & set(data)):
        data[split] = _files(data[split], folder, f"{where}: data.{split}")
    start = None if content.get("start") is None else _model(content["start"], folder)
    if start is None:
        _check_network(content.get("network") or {}, f"{where}: network")
    else:
        model_folder(start)
    return TrainingConfig(
        output=str((folder / content["output"]).resolve()),
        data=_section(DataConfig, data, f"{where}: data"),
        network=content.get("network"),
        start=start,
        teacher=_teacher(content.get("teacher"), folder, f"{where}: teacher"),
        fit=_section(FitConfig, content.get("fit") or {}, f"{where}: fit"),
        about=dict(content.get("about") or {}),
    )


def _files(files: Any, folder: Path, where: str) -> tuple[str, ...]:
    """Make the names of data files absolute, and check that they exist."""
    files = [files] if isinstance(files, str) else files
    if not isinstance(files, list) or not files or not all(isinstance(f, str) for f in files):
        raise ValueError(f"{where} is {files!r}; it must name one file or more")
    found = tuple(str((folder / file).resolve()) for file in files)
    for file in found:
        try:
            check_file(split_selection(file)[0])
        except (OSError, ValueError) as error:
            raise type(error)(f"{where}: {error}") from error
    return found


def _check_network(network: dict[str, Any], where: str) -> None:
    """Refuse impossible network architectures, before the data are read."""
    for name, value in network.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
            raise ValueError(f"{where}.{name} is {value}; it must be above 0")
    try:
        build_network({**network, "elements": (1,)})
    except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        raise ValueError(f"{where}: {error}") from error


def _model(name: str, folder: Path) -> str:
    """Return the name of a bundled model unchanged, or a folder as an absolute path.

    A folder of the name of a bundled model is not meant, as in all other commands.
    """
    path = (folder / name).resolve()
    return str(path) if name not in available_models() and path.is_dir() else name


def _teacher(content: dict[str, Any] | None, folder: Path, where: str) -> TeacherConfig | None:
    """Check the section of the teacher, and that its model and files exist."""
    if content is None:
        return None
    content = dict(content)
    for name in sorted({"structures", "left_out"} & set(content)):
        content[name] = _files(content[name], folder, f"{where}.{name}")
    teacher: TeacherConfig = _section(TeacherConfig, content, where)
    model = _model(str(teacher.model), folder)
    model_folder(model)
    return dataclasses.replace(teacher, model=model)


def _section(kind: type, content: dict[str, Any], where: str) -> Any:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    required = {
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    _known(content, set(fields), required, where)
    values = {}
    for name, value in content.items():
        default = fields[name].default
        if isinstance(default, float) and isinstance(value, int):
            value = float(value)
        if isinstance(default, int | float) and type(value) is not type(default):
            raise ValueError(f"{where}.{name} must be a number like {default!r}, not {value!r}")
        values[name] = value
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where}.{error}") from error


def _known(content: dict[str, Any], known: set[str], required: set[str], where: str) -> None:
    unknown, missing = sorted(set(content) - known), sorted(required - set(content))
    if unknown:
        raise ValueError(
            f"{where} has no entry {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
