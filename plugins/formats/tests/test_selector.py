"""Every form of a selector, and what is said where one does not fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplug.errors import ConfigError, FormatError
from modelplug_formats import JsonFormatter
from modelplug_formats.selector import Selector

BOOKS = [
    {"title": "One", "authors": [{"name": "A"}, {"name": "B"}], "year": 2001},
    {"title": "Two", "authors": [{"name": "C"}], "year": 2002},
    {"title": "Three", "authors": [], "year": 2003},
]
EIGHT = [1, 2, 3, 4, 5, 6, 7, 8]
SIX = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}
NESTED = [{"a": [1, 2], "b": [3, 4]}, {"a": [10, 20], "b": [30, 40]}]


@pytest.mark.parametrize(
    ("selector", "data", "expected"),
    [
        (None, EIGHT, EIGHT),
        (" ", EIGHT, EIGHT),
        ("[0]", EIGHT, 1),
        ("[-1]", EIGHT, 8),
        ("[0, 3, 6]", EIGHT, [1, 4, 7]),
        ("[0, 3, 6]", tuple(EIGHT), (1, 4, 7)),
        ("[2,]", EIGHT, [3]),
        ("[0:7:3]", EIGHT, [1, 4, 7]),
        ("[0:7:3]", tuple(EIGHT), (1, 4, 7)),
        ("[1:3]", EIGHT, [2, 3]),
        ("[-2:]", EIGHT, [7, 8]),
        ("[::-1]", [1, 2], [2, 1]),
        ("[None:2]", EIGHT, [1, 2]),
        ("[:]", EIGHT, EIGHT),
        ("[a]", SIX, 1),
        ("[a, c, e]", SIX, [1, 3, 5]),
        ("[:]", SIX, [1, 2, 3, 4, 5, 6]),
        ("{a}", SIX, {"a": 1}),
        ("{a, b, c}", SIX, {"a": 1, "b": 2, "c": 3}),
        ("[{a,b}]", SIX, {"a": 1, "b": 2}),
        ("{:}", SIX, SIX),
        ("[:][title]", BOOKS, ["One", "Two", "Three"]),
        ("[:]{title,year}", BOOKS[:1], [{"title": "One", "year": 2001}]),
        ("[0][authors][:][name]", BOOKS, ["A", "B"]),
        ("[:][authors][:][name]", BOOKS, [["A", "B"], ["C"], []]),
        ("[0:2][year,title]", BOOKS, [[2001, "One"], [2002, "Two"]]),
        ("[0, 1]{:}[:]", NESTED, NESTED),
        ("[:1]{:}[0, 1]", NESTED, NESTED[:1]),
        ("[:]{a}[:1]", NESTED, [{"a": [1]}, {"a": [10]}]),
        ("[:]{b,a}[1]", NESTED, [{"b": 4, "a": 2}, {"b": 40, "a": 20}]),
        ("[:][b, a][1]", NESTED, [[4, 2], [40, 20]]),
        ("*[0,1]", EIGHT, (1, 2)),
        ("*[a,b]", SIX, (1, 2)),
        ("*[:][a,b]", NESTED, [([1, 2], [3, 4]), ([10, 20], [30, 40])]),
        ('["a,b"]', {"a,b": 1}, 1),
        ("{' x ', y}", {" x ": 1, "y": 2}, {" x ": 1, "y": 2}),
        ('[""]', {"": 1}, 1),
        ("[标题]", {"标题": 1}, 1),
        ("[two words]", {"two words": 1}, 1),
        ("[2024]", {2024: "by number"}, "by number"),
        ("[2024]", {"2024": "by text", 2024: "by number"}, "by text"),
    ],
)
def test_a_selector_picks(selector: str | None, data: object, expected: Any) -> None:
    got = Selector.parse(selector).pick(data)

    assert expected == got
    assert type(expected) is type(got)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("title", "'[' or '{' expected at position 0, before 'title'"),
        ("[a]b", "'[' or '{' expected at position 3, before 'b'"),
        ("[a", "']' expected at position 2, before the end"),
        ("[a}", "']' expected at position 2, before '}'"),
        ("{a]", "'}' expected at position 2, before ']'"),
        ("[]", "a name or number expected at position 1, before ']'"),
        ("{}", "a name or number expected at position 1, before '}'"),
        ("[a,,b]", "a name or number expected at position 3, before ',b]'"),
        ("[{a}", "']' expected at position 4, before the end"),
        ("[a,1:2]", "',' and ':' in one step at position 2, before ',1:2]'"),
        ("[1:x]", "a number expected at position 3, before 'x]'"),
        ("[1:2:3:4]", "a slice has at most three numbers at position 6, before ':4]'"),
        ("[::0]", "the step of a slice cannot be 0 at position 3, before '0]'"),
        ("{a:b}", "only {:} may hold a ':' at position 2, before ':b}'"),
        ("*{a}", "'[' expected after '*' at position 1, before '{a}'"),
        ("[a]*", "'[' or '{' expected at position 3, before '*'"),
        ("['a]", "']' expected at position 1, before \"'a]\""),
    ],
)
def test_a_selector_that_cannot_be_read_shows_where(selector: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        JsonFormatter(selector)

    assert f"the selector {selector!r} cannot be read: {expected}" == str(caught.value)


@pytest.mark.parametrize(
    ("selector", "data", "expected"),
    [
        (
            "[:][titel]",
            BOOKS,
            "$[0] has no key 'titel' (keys: 'title', 'authors', 'year'); did you mean 'title'?",
        ),
        ("[0][authors][5]", BOOKS, "$[0].authors is a list of 2 and has no item 5"),
        ("[a]", {}, "$ has no key 'a' (keys: none)"),
        ("{a,z}", {"a b": {}}, "$ has no key 'a' (keys: 'a b')"),
        ("[title]", BOOKS, "$ is a list of 3 and has no 'title'; put [:] before it"),
        ("[0][title][x]", BOOKS, "$[0].title is str and no container and has no 'x'"),
        ("[0]{title}[:]", BOOKS, "$[0].title is str and no container, and a slice needs a list"),
        ("[1:]", SIX, "$ is a mapping, of which only [:] can be had"),
        ("{a}", EIGHT, "$ is a list of 8, and {...} needs a mapping"),
        ("['a b'][c]", {"a b": None}, "$['a b'] is null and has no 'c'"),
    ],
)
def test_a_selector_that_does_not_fit_tells_path_and_keys(
    selector: str, data: object, expected: str
) -> None:
    with pytest.raises(FormatError) as caught:
        JsonFormatter(selector)(data)

    assert f"the selector {selector!r} does not fit the reply: {expected}" == str(caught.value)
    assert data == caught.value.reply


def test_the_error_of_a_selector_holds_the_text_of_the_reply() -> None:
    with pytest.raises(FormatError) as caught:
        JsonFormatter("[b]")('so: {"a": 1}')

    assert 'so: {"a": 1}' == caught.value.reply


def test_many_keys_are_not_all_told() -> None:
    with pytest.raises(FormatError, match=r"'k9', \.\.\.\)$"):
        JsonFormatter("[x]")({f"k{i}": i for i in range(11)})


def test_a_selector_works_on_the_json_in_text() -> None:
    assert ["a", "b"] == JsonFormatter("[:][title]")(
        '```json\n[{"title": "a"}, {"title": "b"},]\n```'
    )


def test_a_formatter_shows_its_selector() -> None:
    assert "JsonFormatter('[:]{a}')" == repr(JsonFormatter(" [:]{a} "))


@given(st.text(st.sampled_from("[]{}:,*ab01- '\"")))
def test_a_selector_is_read_or_refused(text: str) -> None:
    try:
        selector = Selector.parse(text)
    except ConfigError as error:
        assert repr(text) in str(error)
    else:
        assert selector == Selector.parse(str(selector))


names = st.text(st.characters(exclude_characters="\"'", codec="utf-8"))


@given(st.lists(names, min_size=1, max_size=4, unique=True))
def test_any_name_can_be_picked_in_quotes(keys: list[str]) -> None:
    data = {key: index for index, key in enumerate(keys)}
    quoted = ",".join(f'"{key}"' for key in keys)

    assert data == Selector.parse(f"{{{quoted}}}").pick(data)
    assert keys.index(keys[-1]) == Selector.parse(f'["{keys[-1]}"]').pick(data)


bounds = st.none() | st.integers(-12, 12)


@given(st.lists(st.integers()), bounds, bounds, bounds.filter(lambda step: step != 0))
def test_slices_are_those_of_python(
    data: list[int], start: int | None, stop: int | None, step: int | None
) -> None:
    text = ":".join("" if bound is None else str(bound) for bound in (start, stop, step))

    assert data[start:stop:step] == Selector.parse(f"[{text}]").pick(data)
