"""What JsonFormatter finds in a reply's text."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import modelplug_formats.mend
from modelplug.errors import FormatError, ModelplugError
from modelplug_formats import JsonFormatter

parse = JsonFormatter()

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
containers = st.dictionaries(st.text(), values, min_size=1, max_size=4)
prose = st.text(st.characters(exclude_characters="{}[]`<>", codec="utf-8"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        (" \ufeff[1, 2]\n", [1, 2]),
        ("\ufeff[1, 2]\n", [1, 2]),
        ("42", 42),
        ('"text"', "text"),
        ("null", None),
        ("[]", []),
        ('Here: {"a": [1, {"b": "}"}]}. Done.', {"a": [1, {"b": "}"}]}),
        ('答案是{"a": 1}。', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```JSON\n{"a": 1}\n```', {"a": 1}),
        ('Look:\n```\n[1, 2]\n```\nas {"asked": 1}.', [1, 2]),
        ('```python\nx = {"no": 1}\n```\n```json\n{"yes": 1}\n```', {"yes": 1}),
        ('```json\n{"code": "```py\\nx\\n```"}\n```', {"code": "```py\nx\n```"}),
        ('```json\n{"a": 1}', {"a": 1}),
        ('```json {"a": 1} ```', {"a": 1}),
        ('```json\nnothing\n```\n{"a": 1}', {"a": 1}),
        ('<think>maybe {"no": 1}</think>{"yes": 1}', {"yes": 1}),
        ('maybe {"no": 1}\n</think>\n\n{"yes": 1}', {"yes": 1}),
        ('see: {"tag": "</think>"}', {"tag": "</think>"}),
        ('{"tag": "</think>"}', {"tag": "</think>"}),
    ],
)
def test_one_value_is_given_as_it_is(text: str, expected: object) -> None:
    assert expected == parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}\n{"b": 2}', [{"a": 1}, {"b": 2}]),
        ("first [1, 2] then [3, 4]", [[1, 2], [3, 4]]),
        ("[1, 2][3, 4]", [[1, 2], [3, 4]]),
        ('```json\n{"a": 1}\n```\nor\n```json\n{"b": 2}\n```', [{"a": 1}, {"b": 2}]),
        ('{"name": "Bob"}后面还有{name: "Charlie"}', [{"name": "Bob"}, {"name": "Charlie"}]),
        (
            '{"message": "This is {not} a brace"}后面{"code": "f() { return 1; }"}',
            [{"message": "This is {not} a brace"}, {"code": "f() { return 1; }"}],
        ),
    ],
)
def test_several_values_are_a_list(text: str, expected: object) -> None:
    assert expected == parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": [1, 2,],}', {"a": [1, 2]}),
        ("{'a': 'it\\'s', 'b': 'say \"x\"'}", {"a": "it's", "b": 'say "x"'}),
        ("{'a': True, 'b': False, 'c': None}", {"a": True, "b": False, "c": None}),
        ('{a: 1, "b": 2}', {"a": 1, "b": 2}),
        ("{1: 2}", {"1": 2}),
        ('{"a": 1 // one\n, /* two */ "b": 2 # three\n}', {"a": 1, "b": 2}),
        ('{"a": "two\nlines",}', {"a": "two\nlines"}),
        ('{"a": [1, 2}', {"a": [1, 2]}),
        ('["a"}]', ["a"]),
        ('{"a": "he said "x" y", "b": 1}', {"a": 'he said "x" y', "b": 1}),
        ("{'a': 'it's fine', 'b': 2}", {"a": "it's fine", "b": 2}),
        ('["a" "b"]', ["a", "b"]),
        ("{“a”: “b”}", {"a": "b"}),
        ('{{"a": 1}}', {"a": 1}),
    ],
)
def test_damage_is_mended(text: str, expected: object) -> None:
    assert expected == parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"t": "one"}, {"t": "tw', [{"t": "one"}, {"t": "tw"}]),
        ('{"a": 1, "b": [1, 2', {"a": 1, "b": [1, 2]}),
        ('{"a": 1, "b":', {"a": 1}),
        ('{"a": 1, "b', {"a": 1}),
        ('{"a": 1, "b": tr', {"a": 1}),
        ('{"a": "x\\u00', {"a": "x"}),
        ('{"a": "x\\', {"a": "x"}),
        ("[1, [2, 3], ", [1, [2, 3]]),
        ("{'a': 'x', 'b': 'y", {"a": "x", "b": "y"}),
    ],
)
def test_a_reply_that_was_cut_off_gives_what_had_arrived(text: str, expected: object) -> None:
    assert expected == parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('As [1] says: {"b": 2} [2].', {"b": 2}),
        ('items[0] is {"b": 2}', {"b": 2}),
        ('grid[0][1] is {"b": 2}', {"b": 2}),
        ('use {} for {"b": 2}', {"b": 2}),
        ("[see the note] [x](http://y.z) [1, 2]", [1, 2]),
        ("The answer is [7].", [7]),
        ("The answer is [].", []),
    ],
)
def test_what_only_resembles_json_is_left_out(text: str, expected: object) -> None:
    assert expected == parse(text)


@pytest.mark.parametrize("text", ["", "no", "NaN", "-Infinity", "a[0]", "[see this]", "9" * 5000])
def test_a_reply_without_json_is_an_error_that_holds_it(text: str) -> None:
    with pytest.raises(FormatError, match="the reply holds no JSON: ") as caught:
        parse(text)

    assert text == caught.value.reply


def test_the_error_shows_how_the_reply_begins() -> None:
    with pytest.raises(FormatError) as caught:
        parse("I am\nsorry")

    assert "the reply holds no JSON: 'I am sorry'; ask the model for JSON alone" == str(
        caught.value
    )


def test_what_is_no_text_passes() -> None:
    value = {"a": [1]}

    assert value is parse(value)


def test_of_two_equal_keys_the_last_counts() -> None:
    assert {"a": 2} == parse('{"a": 1, "a": 2}')


def test_numbers_that_are_not_finite_are_floats_inside_a_container() -> None:
    value = parse('{"a": NaN, "b": -Infinity, "c": 1e999}')

    assert math.isnan(value.pop("a"))
    assert {"b": -math.inf, "c": math.inf} == value


def test_large_whole_numbers_stay_exact() -> None:
    assert [2**70] == parse(f"the number [{2**70}] is large")


def test_a_lone_surrogate_passes_as_python_reads_it() -> None:
    assert {"a": "\ud800"} == parse('{"a": "\\ud800"}')


@given(values)
def test_json_is_read_as_python_reads_it(value: object) -> None:
    assert value == parse(json.dumps(value))


@given(containers, prose, prose)
def test_json_is_found_amid_any_prose(value: dict[str, Any], before: str, after: str) -> None:
    assert value == parse(f"{before} {json.dumps(value)} {after}")


@given(containers)
def test_json_is_found_in_a_fence(value: dict[str, Any]) -> None:
    assert value == parse(f"Sure!\n```json\n{json.dumps(value, indent=2)}\n```\nAnything else?")


@given(st.lists(containers, min_size=2, max_size=4))
def test_lines_of_json_are_a_list(several: list[dict[str, Any]]) -> None:
    assert several == parse("\n".join(map(json.dumps, several)))


@given(
    st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), min_size=1)
)
def test_a_python_literal_is_read(value: dict[str, Any]) -> None:
    text = (
        "{" + ", ".join(f"{_single(key)}: {_literal(item)}" for key, item in value.items()) + ",}"
    )

    assert value == parse(text)


@given(containers, st.data())
def test_cut_json_never_raises_anything_but_format_error(
    value: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(value)
    _parse_or_refuse(text[: data.draw(st.integers(0, len(text)))])


@given(st.lists(st.integers(-9, 99999), min_size=2), st.data())
def test_a_cut_list_is_a_prefix_of_the_whole(whole: list[int], data: st.DataObject) -> None:
    text = json.dumps(whole)
    got = parse(text[: data.draw(st.integers(text.index(",") + 1, len(text)))])

    # The last number itself may have been cut.
    assert whole[: len(got) - 1] == got[:-1]


@given(st.text(st.sampled_from("[]{}\"'\\:,/*# \n`1aNue-“")))
def test_no_text_raises_anything_but_format_error(text: str) -> None:
    _parse_or_refuse(text)


HOSTILE = {
    "brackets": "[" * 100_000,
    "braces": "{" * 100_000,
    "objects": '{"a":' * 100_000,
    "closed brackets": "[" * 100_000 + "]" * 100_000,
    "numbers": "[1 " * 100_000,
    "open strings": '["a ' * 100_000,
    "bare keys": "{" + "a: b, " * 100_000,
    "escapes": "['\\" + "'\\" * 200_000,
    "wrong closers": "[" * 100 + "}" * 300_000,
    "comments": "[/*" * 100_000,
    "fences": "```\n" * 100_000,
    "blanks": "[ 1 " + " " * 500_000 + "{",
    "a long word": "{" + "a" * 500_000,
    "damaged pieces": "[1 x] " * 50_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_neither_overflows_nor_takes_long(text: str) -> None:
    began = time.process_time()
    _parse_or_refuse(text)

    # The slowest takes about a second; anything quadratic would take minutes.
    assert time.process_time() - began < 20


def test_a_long_list_that_was_cut_off_is_mended() -> None:
    text = "[" + '{"title": "abc", "b": [1, 2]},' * 50_000 + '{"title": "ab'

    assert 50_001 == len(parse(text))


def test_a_long_text_with_quotes_that_were_not_escaped_is_mended() -> None:
    body = 'He said "no", and went on. ' * 60

    assert {"text": body} == parse('{"text": "' + body + '"}')


def test_repairs_share_one_budget_over_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modelplug_formats.mend, "LEAST_EFFORT", 4_000_000)

    assert [[1, "x"], [2, "x"]] == parse("[1 x] [2 x] [3 x] [4 x]")


def _parse_or_refuse(text: str) -> None:
    try:
        parse(text)
    except ModelplugError as error:
        assert isinstance(error, FormatError)  # noqa: PT017 - the point is which class it is
        assert text == error.reply


def _single(text: str) -> str:
    return "'" + json.dumps(text)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


def _literal(value: object) -> str:
    return _single(value) if isinstance(value, str) else repr(value)
