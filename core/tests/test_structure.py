"""JSON to attrs classes: nothing is coerced, and every fault is named with its path."""
# ruff: noqa: E501 - tables of exact texts read best one row a line

from __future__ import annotations

from typing import Any

import orjson
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from modelplug.errors import BadReply, ConfigError
from modelplug.structure import parse_json, structure, structure_config


@frozen
class Leaf:
    n: int
    text: str = "-"
    ratio: float = 0.0
    flag: bool | None = None


@frozen
class Tree:
    leaves: list[Leaf]
    by_name: dict[str, Leaf] = field(factory=dict)
    child: Tree | None = None


@frozen
class Settings:
    base_url: str
    key_env: list[str] = field(factory=list)
    inner: Leaf | None = None
    table: dict[str, str] = field(factory=dict)


def test_nested_data_becomes_classes() -> None:
    data = {"leaves": [{"n": 1, "ratio": 2}], "by_name": {"x": {"n": 2, "flag": True}}}

    tree = structure(data | {"child": {"leaves": []}}, Tree)

    assert Tree([Leaf(1, ratio=2.0)], {"x": Leaf(2, flag=True)}, Tree([])) == tree
    assert type(tree.leaves[0].ratio) is float


def test_fields_that_the_class_does_not_have_are_left_out() -> None:
    assert Leaf(1) == structure({"n": 1, "new": [1, 2]}, Leaf)


@pytest.mark.parametrize(
    ("data", "path", "expected"),
    [
        ({}, "$.n", "required field missing"),
        ({"n": "1"}, "$.n", "int expected, not str"),
        ({"n": 1.0}, "$.n", "int expected, not float"),
        ({"n": True}, "$.n", "int expected, not bool"),
        ({"n": None}, "$.n", "int expected, not NoneType"),
        ({"n": 1, "text": None}, "$.text", "str expected, not NoneType"),
        ({"n": 1, "text": 5}, "$.text", "str expected, not int"),
        ({"n": 1, "ratio": "0.5"}, "$.ratio", "number expected, not str"),
        ({"n": 1, "ratio": True}, "$.ratio", "number expected, not bool"),
    ],
)
def test_nothing_is_coerced_and_the_path_is_named(data: Any, path: str, expected: str) -> None:
    with pytest.raises(BadReply) as caught:
        structure(data, Leaf)

    assert str(caught.value).startswith("the reply is not a Leaf: ")
    assert f"@ {path}" in str(caught.value)
    assert expected in str(caught.value)


def test_the_path_goes_through_lists_and_mappings() -> None:
    data = {"leaves": [{"n": 1}, {"n": "x"}], "by_name": {"a b": {"n": None}}}

    with pytest.raises(BadReply) as caught:
        structure(data, Tree)

    told = str(caught.value)
    assert "int expected, not str @ $.leaves[1].n" in told
    assert "int expected, not NoneType @ $.by_name['a b'].n" in told


@pytest.mark.parametrize("data", [None, 5, "x", [], True], ids=repr)
def test_what_is_no_object_is_a_bad_reply(data: object) -> None:
    with pytest.raises(BadReply):
        structure(data, Leaf)


def test_a_reply_nested_too_deeply_is_a_bad_reply() -> None:
    data: dict[str, Any] = {"leaves": []}
    for _ in range(5000):
        data = {"leaves": [], "child": data}

    with pytest.raises(BadReply):
        structure(data, Tree)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["leaves", "by_name", "child", "n", "text"]), inner)
    ),
    max_leaves=15,
)


@given(values)
def test_any_data_is_the_class_or_a_bad_reply(data: object) -> None:
    try:
        tree = structure(data, Tree)
    except BadReply:
        return
    assert all(type(leaf.n) is int and type(leaf.text) is str for leaf in tree.leaves)


# Configuration.


def test_keys_are_the_names_of_fields_with_hyphens() -> None:
    data = {"base-url": "u", "key-env": ["K"], "inner": {"n": 1}, "table": {"a_b": "c"}}

    assert Settings("u", ["K"], Leaf(1), {"a_b": "c"}) == structure_config(data, Settings, "x")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "x.toml: required key 'base-url' is missing"),
        ({"base-url": "u", "key-enf": []}, "x.toml: unknown key 'key-enf'; did you mean 'key-env'?"),
        ({"base-url": "u", "zzz": 1}, "x.toml: unknown key 'zzz'"),
        ({"base_url": "u", "base-url": "u"}, "x.toml: unknown key 'base_url'; did you mean 'base-url'?"),
        ({"base-url": 5}, "x.toml: str expected, not int @ $.base_url"),
        ({"base-url": "u", "key-env": [1]}, "x.toml: str expected, not int @ $.key_env[0]"),
        ({"base-url": "u", "inner": {"n": 1, "m": 2}}, "x.toml: unknown key 'm'"),
    ],
    ids=["missing", "near", "unknown", "underscore", "type", "item", "inner"],
)  # fmt: skip
def test_a_fault_in_a_file_is_named_with_its_mend(data: object, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        structure_config(data, Settings, "x.toml")

    assert str(caught.value).startswith(told)


@pytest.mark.parametrize("data", [None, 5, "text", [1]], ids=repr)
def test_a_table_that_is_none_is_a_config_error(data: object) -> None:
    with pytest.raises(ConfigError) as caught:
        structure_config(data, Settings, "x.toml")

    assert str(caught.value).startswith("x.toml: ")


# JSON.


@pytest.mark.parametrize("body", [b"{}", b"  \n{}\r\n", b"[1]", b"null", b'"x"'])
def test_json_is_parsed_whatever_blank_lines_are_round_it(body: bytes) -> None:
    assert orjson.loads(body) == parse_json(body)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the reply is not JSON: 'nothing at all'"),
        (b"\n\n", "the reply is not JSON: 'nothing at all'"),
        (b"NaN", "the reply is not JSON: 'NaN'"),
        (b'{"a":}', "the reply is not JSON: '{\"a\":}'"),
        (b"x" * 900, f"the reply is not JSON: {'x' * 200!r}"),
        (b"\xe4\xbd\xa0\xff", "the reply is not JSON: '你\ufffd'"),
        (b'"' + b"\xed\xa0\x80" + b'"', "the reply is not JSON: '\"\ufffd\ufffd\ufffd\"'"),
    ],
    ids=["nothing", "blank", "nan", "half", "long", "bytes", "surrogate"],
)
def test_what_is_no_json_is_shown_from_its_beginning(body: bytes, told: str) -> None:
    with pytest.raises(BadReply) as caught:
        parse_json(body)

    assert told == str(caught.value)


def test_json_nested_too_deeply_is_a_bad_reply() -> None:
    with pytest.raises(BadReply):
        parse_json(b"[" * 100_000 + b"]" * 100_000)


@given(st.binary())
def test_any_bytes_are_json_or_a_bad_reply(body: bytes) -> None:
    try:
        value = parse_json(body)
    except BadReply as error:
        assert str(error).startswith("the reply is not JSON: ")
    else:
        assert value == orjson.loads(body)
