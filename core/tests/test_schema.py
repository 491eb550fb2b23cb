"""`schema=`: attrs classes as JSON Schema, and replies read by a class or a schema."""
# ruff: noqa: E501 - tables of exact texts read best one row a line

from __future__ import annotations

import typing
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Any, Literal

import pytest
from attrs import field, frozen, make_class
from hypothesis import given
from hypothesis import strategies as st

from modelplug.errors import ConfigError, FormatError
from modelplug.schema import read_reply, schema_of


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


@frozen
class Item:
    name: str
    price: float = 0.0


@frozen
class Order:
    id: int
    items: list[Item]
    paid: bool
    color: Color
    size: Size
    note: str | None
    kind: Literal["a", "b"]
    tags: set[str]
    pairs: tuple[int, ...]
    prices: dict[str, float]
    anything: Any
    bare: list  # type: ignore[type-arg]  # as users write it
    table: dict  # type: ignore[type-arg]  # as users write it
    nothing: None
    computed: int = field(init=False, default=3)


@frozen
class Node:
    value: int
    children: list[Node]


@frozen
class Forest:
    first: Node
    second: Node | None


ORDER = {
    "title": "Order",
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        "paid": {"type": "boolean"},
        "color": {"enum": ["red", "blue"]},
        "size": {"enum": ["small", "large"]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "kind": {"enum": ["a", "b"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "pairs": {"type": "array", "items": {"type": "integer"}},
        "prices": {"type": "object", "additionalProperties": {"type": "number"}},
        "anything": {},
        "bare": {"type": "array", "items": {}},
        "table": {"type": "object", "additionalProperties": {}},
        "nothing": {"type": "null"},
    },
    "required": [
        "id", "items", "paid", "color", "size", "note", "kind", "tags", "pairs", "prices",
        "anything", "bare", "table", "nothing",
    ],
    "additionalProperties": False,
    "$defs": {
        "Item": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
            "required": ["name", "price"],
            "additionalProperties": False,
        }
    },
}  # fmt: skip


def test_a_class_becomes_a_strict_schema() -> None:
    assert ORDER == schema_of(Order)


def test_a_schema_is_taken_as_it_is() -> None:
    given = {"type": "object"}

    assert schema_of(given) is given


def test_a_class_without_others_has_no_definitions() -> None:
    assert "$defs" not in schema_of(Item)


def test_a_class_that_holds_itself_refers_to_the_root() -> None:
    assert {
        "title": "Node",
        "type": "object",
        "properties": {
            "value": {"type": "integer"},
            "children": {"type": "array", "items": {"$ref": "#"}},
        },
        "required": ["value", "children"],
        "additionalProperties": False,
    } == schema_of(Node)


def test_a_class_below_the_root_that_holds_itself_is_defined_once() -> None:
    schema = schema_of(Forest)

    assert ["Node"] == list(schema["$defs"])
    children = schema["$defs"]["Node"]["properties"]["children"]
    assert {"type": "array", "items": {"$ref": "#/$defs/Node"}} == children


def test_two_classes_of_one_name_are_two_definitions() -> None:
    one = make_class("Part", {"a": field(type=int)})
    two = make_class("Part", {"b": field(type=str)})
    both = make_class("Both", {"one": field(type=one), "two": field(type=two)})

    schema = schema_of(both)

    properties = [schema["$defs"][name]["properties"] for name in schema["$defs"]]
    assert [{"a": {"type": "integer"}}, {"b": {"type": "string"}}] == properties
    references = [schema["properties"][name]["$ref"] for name in ("one", "two")]
    assert [f"#/$defs/{name}" for name in schema["$defs"]] == references


@pytest.mark.parametrize("given", [5, "x", int, Item("a"), None, [Item]], ids=repr)
def test_what_is_no_class_and_no_schema_is_refused(given: object) -> None:
    with pytest.raises(ConfigError) as caught:
        schema_of(given)

    assert f"schema= takes an attrs class or a JSON Schema, not {given!r}" == str(caught.value)


@pytest.mark.parametrize("hint", [bytes, object, complex, Mapping], ids=repr)
def test_a_field_without_a_json_form_is_refused(hint: type) -> None:
    with pytest.raises(ConfigError) as caught:
        schema_of(make_class("Odd", {"x": field(type=hint)}))

    assert (
        f"a field of type {hint!r} has no JSON Schema; use attrs classes and plain types"
    ) == str(caught.value)


def test_a_field_whose_type_cannot_be_found_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        schema_of(make_class("Odd", {"x": field(type=typing.cast("type", "NowhereToBeFound"))}))

    assert "NowhereToBeFound" in str(caught.value)


# Replies as classes.


@pytest.mark.parametrize(
    "text",
    [
        '{"name":"a","price":2}',
        ' \n{"name":"a","price":2}\n',
        '```json\n{"name":"a","price":2}\n```',
        '```\n{"name":"a","price":2}\n```',
        '```JSON\n{"name":"a","price":2}\n```',
    ],
)
def test_a_reply_fenced_or_not_becomes_the_class(text: str) -> None:
    assert Item("a", 2.0) == read_reply(text, Item)


def test_backticks_in_a_value_stay() -> None:
    assert Item("`a`", 0.0) == read_reply('```json\n{"name":"`a`","price":0}\n```', Item)


def test_members_of_enums_come_out_as_members() -> None:
    one = make_class("One", {"color": field(type=Color), "size": field(type=Size)})

    read = read_reply('{"color":"blue","size":"small"}', one)

    assert (Color.BLUE, Size.SMALL) == (read.color, read.size)
    assert type(read.size) is Size


@pytest.mark.parametrize("text", ['{"size":"huge"}', '{"size":5}', '{"size":null}'])
def test_a_value_that_no_member_has_is_a_fault(text: str) -> None:
    with pytest.raises(FormatError):
        read_reply(text, make_class("One", {"size": field(type=Size)}))


@pytest.mark.parametrize("text", ["", "Sure! Here you go:", "{", "```", "``````", "```json"])
def test_a_reply_that_is_no_json_is_a_format_error_with_the_reply(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_reply(text, Item)

    assert f"the reply is not JSON: {text[:200]!r}" == str(caught.value)
    assert text == caught.value.reply


def test_a_reply_that_does_not_fit_the_class_is_a_format_error_with_its_path() -> None:
    text = '{"id":"1","items":[{"price":1}]}'

    with pytest.raises(FormatError) as caught:
        read_reply(text, Order)

    assert "int expected, not str @ $.id" in str(caught.value)
    assert "required field missing @ $.items[0].name" in str(caught.value)
    assert text == caught.value.reply


@pytest.mark.parametrize("target", [Node, schema_of(Node)], ids=["class", "schema"])
def test_a_reply_nested_too_deeply_is_a_format_error(target: object) -> None:
    deep = '{"value":1,"children":[' * 400 + "]}" * 400

    try:
        read = read_reply(deep, target)
    except FormatError as error:
        assert deep == error.reply
    else:
        assert read  # deep enough for orjson and not for Python's stack


# Replies checked against a schema.


def told(text: str, schema: Mapping[str, Any]) -> list[str]:
    """The faults of *text*; [] where it fits."""
    try:
        read_reply(text, schema)
    except FormatError as error:
        assert text == error.reply
        assert str(error).startswith("the reply does not fit the schema: ")
        return str(error).partition(": ")[2].split("; ")
    return []


def test_a_reply_that_fits_is_given_as_data() -> None:
    assert {"value": 1, "children": []} == read_reply('{"value":1,"children":[]}', schema_of(Node))


@pytest.mark.parametrize(
    ("schema", "fits", "faults"),
    [
        ({"type": "integer"}, "1", {"1.5": ["integer expected, not float @ $"]}),
        ({"type": "integer"}, "-1", {"true": ["integer expected, not bool @ $"]}),
        ({"type": "number"}, "1", {'"1"': ["number expected, not str @ $"]}),
        ({"type": "number"}, "1.5", {"false": ["number expected, not bool @ $"]}),
        ({"type": "boolean"}, "true", {"1": ["boolean expected, not int @ $"]}),
        ({"type": "null"}, "null", {"0": ["null expected, not int @ $"]}),
        ({"type": "string"}, '""', {"null": ["string expected, not NoneType @ $"]}),
        ({"type": "array"}, "[1]", {"{}": ["array expected, not dict @ $"]}),
        ({"type": ["string", "null"]}, "null", {"1": ["string or null expected, not int @ $"]}),
        ({"enum": ["a", 1]}, "1", {'"b"': ["'b' is none of ['a', 1] @ $"]}),
        ({"const": 1}, "1", {"2": ["2 is not 1 @ $"]}),
        ({}, '{"a":[1]}', {}),
        ({"type": "nonsense"}, "", {"1": ["nonsense expected, not int @ $"]}),
        (
            {"items": {"type": "integer"}},
            "[1,2]",
            {'[1,"a","b"]': ["integer expected, not str @ $[1]", "integer expected, not str @ $[2]"]},
        ),
        (
            {"required": ["a"], "properties": {"a": {"type": "integer"}}},
            '{"a":1,"b":2}',
            {"{}": ["required field missing @ $.a"], '{"a":"x"}': ["integer expected, not str @ $.a"]},
        ),
        (
            {"properties": {"a": {}}, "additionalProperties": False},
            '{"a":1}',
            {'{"a":1,"b":2}': ["unknown field @ $.b"]},
        ),
        (
            {"additionalProperties": {"type": "integer"}},
            '{"a":1}',
            {'{"a":1,"b":"x"}': ["integer expected, not str @ $.b"]},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            '"a"',
            {"1": ["fits none of the alternatives @ $"]},
        ),
        (
            {"$ref": "#/definitions/n", "definitions": {"n": {"type": "integer"}}},
            "1",
            {'"a"': ["integer expected, not str @ $"]},
        ),
        ({"properties": {"a": True, "b": False}}, '{"a":1}', {'{"b":1}': ["no value is allowed @ $.b"]}),
    ],
    ids=(
        "integer whole number float boolean null string array types enum const any unknown items "
        "required closed open anyof ref booleans"
    ).split(),
)  # fmt: skip
def test_each_keyword_is_checked_and_the_path_named(
    schema: Mapping[str, Any], fits: str, faults: Mapping[str, list[str]]
) -> None:
    if fits:
        assert [] == told(fits, schema)
    assert list(faults.values()) == [told(text, schema) for text in faults]


def test_faults_below_references_keep_their_path() -> None:
    text = '{"value":1,"children":[{"value":2,"children":[{"value":"x","children":[]}]}]}'

    assert ["integer expected, not str @ $.children[0].children[0].value"] == (
        told(text, schema_of(Node))
    )


@pytest.mark.parametrize("reference", ["#/$defs/Nope", "other.json#/x", "#/type", "#/$defs/a/b"])
def test_a_reference_that_leads_nowhere_is_the_callers_mistake(reference: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_reply("1", {"$ref": reference, "$defs": {"a": 1}, "type": "x"})

    assert f"the schema has no {reference!r}" == str(caught.value)


def test_a_reference_to_itself_is_the_callers_mistake() -> None:
    with pytest.raises(ConfigError):
        read_reply("1", {"$ref": "#"})


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["value", "children", "x"]), inner),
    max_leaves=12,
))  # fmt: skip
def test_a_class_and_its_schema_agree_on_what_fits(data: Any) -> None:
    import orjson

    try:
        text = orjson.dumps(data).decode()
    except TypeError:  # an integer beyond JSON's
        return
    try:
        node = read_reply(text, Node)
    except FormatError:
        # The class lets unknown fields pass, so a reply that it refuses fits no schema either.
        assert told(text, schema_of(Node))
        return
    known = {"value", "children"}
    if set(data) == known and all(set(child) == known for child in data["children"]):
        assert node.value == data["value"]
