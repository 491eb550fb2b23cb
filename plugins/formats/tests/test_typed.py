"""Replies as typed values."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from attrs import frozen

from modelplug.errors import ConfigError, FormatError
from modelplug_formats import TypedFormatter


@frozen
class Person:
    name: str
    age: int = 0
    mood: Literal["good", "bad"] | None = None


@frozen
class Team:
    people: list[Person]


@pytest.mark.parametrize(
    ("target", "text", "expected"),
    [
        (Person, '{"name": "A", "age": 3}', Person("A", 3)),
        (Person, '```json\n{"name": "A", "mood": "good",}\n```', Person("A", 0, "good")),
        (Person, '{"name": "A", "shoe": 44}', Person("A")),
        (Team, '{"people": [{"name": "A"}]}', Team([Person("A")])),
        (list[Person], '[{"name": "A"}, {"name": "B"}]', [Person("A"), Person("B")]),
        (list[Person], '{"name": "A"}\n{"name": "B"}', [Person("A"), Person("B")]),
        (list[Person], 'one: {"name": "A"}', [Person("A")]),
        (list[list[int]], "[1, 2]\n[3, 4]", [[1, 2], [3, 4]]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (int, "3", 3),
        (float, "3", 3.0),
    ],
)
def test_text_becomes_the_target(target: Any, text: str, expected: object) -> None:
    assert expected == TypedFormatter(target)(text)


def test_a_parsed_value_becomes_the_target() -> None:
    assert Person("A") == TypedFormatter(Person)({"name": "A"})


def test_a_value_of_the_target_passes() -> None:
    person = Person("A")

    assert person is TypedFormatter(Person)(person)


@pytest.mark.parametrize(
    ("target", "text", "expected"),
    [
        (Person, '{"nme": "A"}', "the reply is not a Person: required field missing @ $.name"),
        (Person, '{"name": 1}', "@ $.name"),
        (Team, '{"people": [{"name": "A", "age": "3"}]}', "$.people[0].age"),
        (list[Person], '[{"name": "A"}, {}]', "required field missing @ $[1].name"),
        (dict[str, int], '{"a": null}', "@ $['a']"),
        (int, "true", "int expected, not bool"),
        (
            Person,
            '{"name": "A"} {"name": "B"}',
            "the reply holds 2 JSON values, not one Person; list[Person] would take several",
        ),
        (Person, "[1]", "the reply holds a list, not one Person"),
        (Person, "sorry", "the reply holds no JSON: 'sorry'"),
    ],
)
def test_what_does_not_fit_is_an_error_that_holds_the_reply(
    target: Any, text: str, expected: str
) -> None:
    with pytest.raises(FormatError) as caught:
        TypedFormatter(target)(text)

    assert expected in str(caught.value)
    assert text == caught.value.reply


def test_a_target_that_is_no_class_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="is no class; give an attrs class"):
        TypedFormatter(Person | None)
