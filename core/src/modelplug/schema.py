"""
`schema=`: attrs classes as JSON Schema, and replies checked against either.

The dialect is what strict structured output takes (OpenAI's page on it, read 2026-11): every
property required, no others, references under `$defs`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import orjson

from modelplug.errors import BadReply, ConfigError, FormatError

Definitions = dict[type[Any], tuple[str, dict[str, Any]]]
"""Class → (its name under `$defs`, its schema)."""

_SIMPLE: dict[object, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def schema_of(given: object) -> Mapping[str, Any]:
    """The JSON Schema of an attrs class; a mapping is one already."""
    if isinstance(given, Mapping):
        return given
    if isinstance(given, type) and attrs.has(given):
        definitions: Definitions = {}
        schema = _object(given, definitions, given)
        if definitions:
            schema["$defs"] = dict(definitions.values())
        return {"title": given.__name__, **schema}
    msg = f"schema= takes an attrs class or a JSON Schema, not {given!r}"
    raise ConfigError(msg)


def _object(cls: type[Any], definitions: Definitions, root: type[Any]) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(cls)
    except NameError as exc:
        msg = f"the types of {cls.__name__}'s fields cannot be found: {exc}; define it in a module"
        raise ConfigError(msg) from exc
    properties = {
        field.name: _schema(hints[field.name], definitions, root)
        for field in attrs.fields(cls)
        if field.init
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _schema(hint: Any, definitions: Definitions, root: type[Any]) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(each, definitions, root) for each in arguments]}
    if origin in (list, tuple, set, frozenset) or hint in (list, tuple):
        inner = next(iter(arguments), Any)
        return {"type": "array", "items": _schema(inner, definitions, root)}
    if origin is dict or hint is dict:
        values = arguments[1] if len(arguments) == 2 else Any
        return {"type": "object", "additionalProperties": _schema(values, definitions, root)}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    if isinstance(hint, type) and attrs.has(hint):
        if hint is root:
            return {"$ref": "#"}
        return {"$ref": f"#/$defs/{_define(hint, definitions, root)}"}
    msg = f"a field of type {hint!r} has no JSON Schema; use attrs classes and plain types"
    raise ConfigError(msg)


def _define(cls: type[Any], definitions: Definitions, root: type[Any]) -> str:
    """The name under which *cls* is defined; two classes may have one name."""
    if cls not in definitions:
        taken = {name for name, _ in definitions.values()}
        number, name = 1, cls.__name__
        while name in taken:
            number += 1
            name = f"{cls.__name__}{number}"
        definitions[cls] = name, {}  # a class that holds itself ends here
        definitions[cls] = name, _object(cls, definitions, root)
    return definitions[cls][0]


def read_reply(text: str, given: object) -> Any:
    """The reply *text* as *given* asks: an attrs instance, or the JSON that fits the schema."""
    try:
        data = orjson.loads(_unfenced(text))
    except orjson.JSONDecodeError as exc:
        msg = f"the reply is not JSON: {text[:200]!r}"
        raise FormatError(msg, reply=text) from exc
    if isinstance(given, Mapping):
        try:
            faults = list(_faults(data, given, given, "$"))
        except RecursionError:
            faults = ["nested too deeply to be checked @ $"]
        if faults:
            msg = f"the reply does not fit the schema: {'; '.join(faults)}"
            raise FormatError(msg, reply=text)
        return data
    from modelplug.structure import structure

    try:
        return structure(data, typing.cast("type[Any]", given))
    except BadReply as exc:
        raise FormatError(str(exc), reply=text) from exc


def _unfenced(text: str) -> str:
    stripped = text.strip()
    if stripped.startswith("```") and stripped.endswith("```"):
        language, newline, rest = stripped[3:-3].partition("\n")
        return rest if newline else language.removeprefix("json")
    return stripped


_CHECKS: dict[str, tuple[type[Any], ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def _is(value: object, type_: str) -> bool:
    if isinstance(value, bool):
        return type_ == "boolean"
    return isinstance(value, _CHECKS.get(type_, ()))


def faults(value: object, schema: Mapping[str, Any], path: str) -> list[str]:
    """What is wrong with *value*, each with its path, which begins with *path*."""
    return list(_faults(value, schema, schema, path))


def _faults(
    value: Any, schema: Mapping[str, Any] | bool, root: Mapping[str, Any], path: str
) -> typing.Iterator[str]:
    """Each fault of *value* with its path, by the keywords that strict output knows."""
    if isinstance(schema, bool):
        if not schema:
            yield f"no value is allowed @ {path}"
        return
    if reference := schema.get("$ref"):
        yield from _faults(value, _resolve(reference, root), root, path)
        return
    if "anyOf" in schema:
        if not any(not list(_faults(value, each, root, path)) for each in schema["anyOf"]):
            yield f"fits none of the alternatives @ {path}"
        return
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{' or '.join(kinds)} expected, not {type(value).__name__} @ {path}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{value!r} is none of {schema['enum']!r} @ {path}"
    if "const" in schema and value != schema["const"]:
        yield f"{value!r} is not {schema['const']!r} @ {path}"
    if isinstance(value, dict):
        yield from _object_faults(value, schema, root, path)
    elif isinstance(value, list) and isinstance(items := schema.get("items"), Mapping):
        for at, item in enumerate(value):
            yield from _faults(item, items, root, f"{path}[{at}]")


def _object_faults(
    value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], path: str
) -> typing.Iterator[str]:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"required field missing @ {path}.{name}"
    others = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in properties:
            yield from _faults(item, properties[name], root, f"{path}.{name}")
        elif others is False:
            yield f"unknown field @ {path}.{name}"
        elif isinstance(others, Mapping):
            yield from _faults(item, others, root, f"{path}.{name}")


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    seen = {reference}
    while True:
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                found = found.get(step) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            msg = f"the schema has no {reference!r}"
            raise ConfigError(msg)
        if "$ref" not in found:
            return found
        found, reference = root, found["$ref"]
        if reference in seen:
            msg = f"the schema's {reference!r} refers to itself"
            raise ConfigError(msg)
        seen.add(reference)
