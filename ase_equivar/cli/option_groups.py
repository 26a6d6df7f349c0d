"""Options that several commands share, declared once as a dataclass."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any, get_type_hints

Command = Callable[..., None]


def with_options(
    group: type,
    *,
    first: Collection[str] = (),
    left_out: Collection[str] = (),
    defaults: Mapping[str, Any] | None = None,
    annotations: Mapping[str, Any] | None = None,
) -> Callable[[Command], Command]:
    """Give a command the options of a group.

    Parameters
    ----------
    group : type
        A dataclass whose fields are annotated as Typer's options. The command takes an instance
        of it as its first parameter; the others are its own options.
    first : collection of str
        Fields that stand before the command's own options, in this order; the rest stand after.
    left_out : collection of str
        Fields that this command does not offer; they keep the dataclass's default.
    defaults : mapping, optional
        Defaults of this command, by field, in place of the dataclass's.
    annotations : mapping, optional
        Typer's annotations for this command, by field, in place of the dataclass's.
    """
    types = get_type_hints(group, include_extras=True) | dict(annotations or {})

    def default(name: str) -> Any:
        return (defaults or {}).get(name, getattr(group, name, inspect.Parameter.empty))

    shared = {
        field.name: inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default(field.name),
            annotation=types[field.name],
        )
        for field in fields(group)
        if field.name not in left_out
    }

    def expand(command: Command) -> Command:
        [_, *own] = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [
            *(shared[name] for name in first if name in shared),
            *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own),
            *(parameter for name, parameter in shared.items() if name not in first),
        ]

        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            command(group(**{name: arguments.pop(name) for name in shared}), **arguments)

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return expand
