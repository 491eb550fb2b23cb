"""What YamlFormatter finds in a reply's text."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelplug.errors import FormatError
from modelplug_formats import YamlFormatter

parse = YamlFormatter()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: Alice\nage: 30\n", {"name": "Alice", "age": 30}),
        ("- 1\n- 2\n", [1, 2]),
        ("Sure:\n```yaml\na: 1\n```\nDone.", {"a": 1}),
        ("```yml\na: 1", {"a": 1}),
        ("```\na: 1\n```", {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("```sh\nls\n```\n```yaml\na: 1\n```", {"a": 1}),
        ("```yaml\na: 1\n```\nor\n```yaml\na: 2\n```", [{"a": 1}, {"a": 2}]),
        ("a: 1\n---\na: 2\n", [{"a": 1}, {"a": 2}]),
        ("<think>a: 0</think>\na: 1", {"a": 1}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
    ],
)
def test_yaml_is_found(text: str, expected: object) -> None:
    assert expected == parse(text)


def test_a_selector_picks() -> None:
    assert {"name": "Alice"} == YamlFormatter("{name}")("name: Alice\nage: 30\n")


def test_what_is_no_text_passes() -> None:
    assert [1] == YamlFormatter("[a]")({"a": [1]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the reply holds no YAML mapping or list: it is empty"),
        ("Hello there", "the reply holds no YAML mapping or list: 'Hello there'"),
        ("a: [", "the reply is no YAML: while parsing a flow node expected the node content"),
        ("a: 2024-13-45", "the reply is no YAML: month must be in 1..12"),
        ("!!python/object/apply:os.system [ls]", "the reply is no YAML: could not determine a"),
        ("a: !!timestamp x", "the reply is no YAML: "),
        ("a: !!bool x", "the reply is no YAML: "),
        ("a: !!int ''", "the reply is no YAML: "),
        ("a: \ud800", "the reply is no YAML: "),
        ("{a: " * 2_000, "the reply is no YAML: it is nested too deeply"),
        ("- " * 100_000, "the reply is no YAML: it is nested too deeply"),
    ],
)
def test_what_is_no_yaml_is_an_error_that_holds_it(text: str, expected: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse(text)

    assert str(caught.value).startswith(expected)
    assert text == caught.value.reply


scalars = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="ascii"))
containers = st.dictionaries(st.text("abc", min_size=1), scalars | st.lists(scalars), min_size=1)


@given(containers)
def test_what_pyyaml_writes_is_read(value: dict[str, object]) -> None:
    assert value == parse(f"Here:\n```yaml\n{yaml.safe_dump(value)}```\n")


@given(st.text(st.sampled_from("ab01:-?[]{}!&*|>'\"#%@` \n\t,.~<")))
def test_no_text_raises_anything_but_format_error(text: str) -> None:
    try:
        parse(text)
    except FormatError as error:
        assert text == error.reply
