"""Writes web/src/wire/types.ts from the wire schema, or checks that it is still the same.

python -m liqfield.server.typescript [--check] [PATH]
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec
from msgspec.inspect import (
    BoolType,
    DictType,
    FloatType,
    IntType,
    NoneType,
    StrType,
    StructType,
    TupleType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from liqfield.server import wire

DEFAULT_PATH = Path("web/src/wire/types.ts")
HEAD = "// Generated from src/liqfield/server/wire.py by `python -m liqfield.server.typescript`.\n"
SCALARS: dict[type[Type], str] = {
    StrType: "string",
    IntType: "number",
    FloatType: "number",
    BoolType: "boolean",
    NoneType: "null",
}


def generate() -> str:
    """The whole file; structs in the order in which wire.py defines them."""
    structs = [
        value
        for value in vars(wire).values()
        if inspect.isclass(value)
        and issubclass(value, msgspec.Struct)
        and value.__module__ == wire.__name__
        and value is not wire.WireStruct
    ]
    outgoing = set(get_args(wire.ClientMessage))
    parts = [HEAD, f"export const WIRE_VERSION = {wire.WIRE_VERSION};\n"]
    parts += [_interface(struct, optional=struct in outgoing) for struct in structs]
    for name in ("ClientMessage", "ServerMessage"):
        members = " | ".join(member.__name__ for member in get_args(getattr(wire, name)))
        parts.append(f"export type {name} = {members};\n")
    return "\n".join(parts)


def _interface(struct: type[msgspec.Struct], *, optional: bool) -> str:
    info = type_info(struct)
    if not isinstance(info, StructType):
        raise TypeError(f"{struct.__name__} is not a struct")
    lines = []
    text = inspect.cleandoc(vars(struct).get("__doc__") or "")  # its own, not an inherited one
    if text:
        lines += ["/**", *(f" * {line}".rstrip() for line in text.splitlines()), " */"]
    lines.append(f"export interface {struct.__name__} {{")
    if info.tag_field is not None:
        lines.append(f"  readonly {info.tag_field}: {json.dumps(info.tag)};")
    for field in info.fields:
        # What the browser may leave out is optional; the server always writes every field.
        mark = "?" if optional and not field.required else ""
        lines.append(f"  readonly {field.encode_name}{mark}: {_type(field.type)};")
    return "\n".join([*lines, "}", ""])


def _type(info: Type) -> str:
    if type(info) in SCALARS:
        return SCALARS[type(info)]
    if isinstance(info, StructType):
        return info.cls.__name__
    if isinstance(info, VarTupleType):
        inner = _type(info.item_type)
        return f"readonly ({inner})[]" if " " in inner else f"readonly {inner}[]"
    if isinstance(info, TupleType):
        return f"readonly [{', '.join(_type(item) for item in info.item_types)}]"
    if isinstance(info, DictType):
        return f"Readonly<Record<{_type(info.key_type)}, {_type(info.value_type)}>>"
    if isinstance(info, UnionType):
        return " | ".join(_type(member) for member in info.types)
    raise TypeError(f"no TypeScript for {info}: add it to typescript.py")


def main(argv: Sequence[str] | None = None) -> int:
    """0 when written or unchanged, 1 on drift."""
    parser = argparse.ArgumentParser(prog="liqfield.server.typescript", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the file differs")
    parser.add_argument("path", nargs="?", type=Path, default=DEFAULT_PATH)
    options = parser.parse_args(argv)
    path: Path = options.path
    text = generate()
    if options.check:
        if path.is_file() and path.read_text() == text:
            return 0
        command = "python -m liqfield.server.typescript"
        print(f"{path} differs from server/wire.py: run `{command} {path}`", file=sys.stderr)
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
