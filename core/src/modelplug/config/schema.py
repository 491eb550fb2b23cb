"""The JSON Schema of a config map, made of the classes; the same one checks each field."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import attrs

from modelplug.config.entries import Entry, call_options
from modelplug.schema import schema_of
from modelplug.types import ModelType

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@cache
def field_schemas() -> Mapping[str, Mapping[str, Any]]:
    """The schema of each field of an entry, by name."""
    properties = schema_of(Entry)["properties"]
    return {name: _without_null(schema) for name, schema in properties.items()}


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def config_schema() -> dict[str, Any]:
    """The schema of a whole config map, for editors and other programs."""
    about = {field.name: field.metadata["about"] for field in attrs.fields(Entry)}
    properties: dict[str, Any] = {
        name: {**schema, "description": about[name]} for name, schema in field_schemas().items()
    }
    properties["config_id"] = {**properties["id"], "description": "the same as `id`"}
    properties["type"]["examples"] = [*ModelType, "sd"]
    properties |= {name: {"description": "a call option"} for name in sorted(call_options())}
    entry = {"type": "object", "properties": properties, "additionalProperties": False}
    one = {"$ref": "#/$defs/entry"}
    order = {
        "type": "array",
        "items": {"type": "string"},
        "description": "which of several providers that have a key is taken: the first of these",
    }
    return {
        "$schema": DIALECT,
        "title": "modelplug config map",
        "description": "Names of models, each with an entry or a list of entries.",
        "type": "object",
        "properties": {"$schema": {"type": "string"}, "sources": order},
        "additionalProperties": {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]},
        "$defs": {"entry": entry},
    }
