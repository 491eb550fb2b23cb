"""What a caller writes, as the messages of a request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplug.chat import Prompt, build_messages, fill
from modelplug.errors import ConfigError
from modelplug.media import Media, Remote

PNG = b"\x89PNG\r\n\x1a\nx"
URI = "data:image/png;base64,iVBORw0KGgp4"
NOTHING = Prompt()


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def system(content: str) -> dict[str, Any]:
    return {"role": "system", "content": content}


def messages(given: object, prompt: Any = None, **more: Any) -> list[Mapping[str, Any]]:
    return build_messages(given, prompt=Prompt.read(prompt), **more)


# Prompts.


@pytest.mark.parametrize(
    ("given", "prompt"),
    [
        (None, NOTHING),
        ("Be brief.", Prompt("Be brief.")),
        ({"system": "s", "user": "u {x}"}, Prompt("s", "u {x}")),
        ({"user": "u"}, Prompt("", "u")),
        ({}, NOTHING),
        (Prompt("s"), Prompt("s")),
    ],
)
def test_a_prompt_is_read_as_users_give_one(given: Any, prompt: Prompt) -> None:
    assert prompt == Prompt.read(given)


def test_an_unknown_part_of_a_prompt_names_the_near_match() -> None:
    with pytest.raises(ConfigError) as caught:
        Prompt.read({"sytem": "s"})

    assert (
        "a prompt has no part 'sytem', only 'system' and 'user'; did you mean 'system'?"
    ) == str(caught.value)


@pytest.mark.parametrize("given", [5, ["s"], {"system": 5}, {"user": None}], ids=repr)
def test_a_prompt_of_another_type_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError):
        Prompt.read(given)


# Names in braces.


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{name}", "Ada"),
        ("{name}{name}!", "AdaAda!"),
        ("{{name}}", "{name}"),
        ("{{{name}}}", "{Ada}"),
        ('{"a": 1, "b": [{}]}', '{"a": 1, "b": [{}]}'),
        (
            "{name.__class__} {0} {name!r} {name:>9} {}",
            "{name.__class__} {0} {name!r} {name:>9} {}",
        ),
        ("{名前}", "エイダ"),
        ("{ name }", "{ name }"),
        ("no names", "no names"),
        ("{", "{"),
        ("}", "}"),
        ("", ""),
    ],
)
def test_names_in_braces_are_filled_and_other_braces_stay(template: str, text: str) -> None:
    assert text == fill(template, {"name": "Ada", "名前": "エイダ"})


def test_a_value_is_not_filled_again() -> None:
    assert "{b} 2" == fill("{a} {b}", {"a": "{b}", "b": 2})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"nmae": 1}, "the prompt needs 'name' and the call gave nmae; did you mean 'nmae'?"),
        ({}, "the prompt needs 'name' and the call gave nothing"),
        ({"x": 1, "y": 2}, "the prompt needs 'name' and the call gave x, y"),
    ],
)
def test_a_name_without_a_value_is_told_with_what_was_given(
    values: dict[str, int], told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        fill("{name}", values)

    assert told == str(caught.value)


@given(st.text())
def test_a_value_comes_out_as_it_went_in(value: str) -> None:
    assert f"<{value}>" == fill("<{x}>", {"x": value})


@given(st.text(st.characters(exclude_characters="{}")))
def test_text_without_braces_is_unchanged(text: str) -> None:
    assert text == fill(text, {})


# Messages.


def test_a_text_is_a_users_turn() -> None:
    assert [user("hi")] == messages("hi")
    assert [user("")] == messages("")


def test_the_system_text_stands_first_and_the_history_before_the_question() -> None:
    assert [
        system("s"),
        user("q1"),
        {"role": "assistant", "content": "a1"},
        user("q2"),
        {"role": "assistant", "content": "a2"},
        user("hi"),
    ] == messages("hi", "s", history=[["q1", "a1"], ("q2", "a2")])


def test_a_text_fills_the_name_input_of_a_template() -> None:
    assert [user("Q: hi?")] == messages("hi", {"user": "Q: {input}?"})


def test_braces_in_a_text_are_left_alone() -> None:
    assert [user("{x} {{y}}")] == messages("{x} {{y}}")
    assert [user("Q: {x} {{y}}")] == messages("{x} {{y}}", {"user": "Q: {input}"})


def test_a_mapping_fills_both_parts_of_the_prompt() -> None:
    prompt = {"system": "You know {topic}.", "user": "About {topic}: {q}"}

    assert [system("You know art."), user("About art: why")] == (
        messages({"topic": "art", "q": "why"}, prompt)
    )


def test_a_mapping_without_a_template_is_told_the_mend() -> None:
    with pytest.raises(ConfigError) as caught:
        messages({"q": "why"}, "s")

    assert (
        "a mapping of values needs a prompt with a user template; "
        "call m.prompt({'user': '... {name} ...'}) first"
    ) == str(caught.value)


def test_a_system_text_with_names_and_a_text_for_the_question_keeps_its_braces() -> None:
    assert [system("You know {topic}."), user("hi")] == messages("hi", "You know {topic}.")


@pytest.mark.parametrize("kind", [dict, MappingProxyType], ids=["dict", "proxy"])
def test_one_message_or_a_list_of_them_is_sent_as_it_is(kind: Any) -> None:
    tool = kind({"role": "tool", "tool_call_id": "c", "content": "3"})

    assert [tool] == messages(tool)
    assert [system("s"), user("q"), tool] == messages((user("q"), tool), "s")


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_list_with_a_system_turn_of_its_own_keeps_it(role: str) -> None:
    own = {"role": role, "content": "own"}

    assert [own, user("q")] == messages([own, user("q")], "s")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (None, "NoneType"),
        (5, "int"),
        ([], "list"),
        (["hi"], "list"),
        ([user("q"), "hi"], "list"),
        ([{"content": "q"}], "list"),
        ([{"role": 5}], "list"),
        (b"hi", "bytes"),
    ],
    ids=repr,
)
def test_what_is_no_question_is_refused(given: object, kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        messages(given)

    assert (
        "a chat model takes a text, a list of messages ({'role': ..., 'content': ...}) or "
        f"a mapping for its prompt, not {kind}"
    ) == str(caught.value)


@pytest.mark.parametrize(
    "turn",
    ["ab", ["q"], ["q", "a", "x"], [], user("q"), None, 5],
    ids=["text", "one", "three", "none", "message", "null", "number"],
)
def test_a_history_of_anything_but_pairs_is_refused(turn: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        messages("hi", history=[turn])

    assert f"the history is a list of [question, answer] pairs, and holds {turn!r}" == str(
        caught.value
    )


# Files.


def part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def test_files_go_into_the_last_turn_beside_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    files = [
        PNG, tmp_path / "a.png", str(tmp_path / "a.png"), Media(PNG, "image/png"),
        URI, "https://h/b.png", Remote("https://h/c.png"),
    ]  # fmt: skip

    question = messages("what?", "s", history=[["q", "a"]], files=files)[-1]

    text = {"type": "text", "text": "what?"}
    urls = [URI] * 5 + ["https://h/b.png", "https://h/c.png"]
    assert user([text, *map(part, urls)]) == question


def test_files_go_beside_the_parts_of_a_message_and_leave_the_callers_alone() -> None:
    mine = user([{"type": "text", "text": "a"}])

    sent = messages([mine], files=iter([PNG]))

    assert [user([{"type": "text", "text": "a"}, part(URI)])] == sent
    assert user([{"type": "text", "text": "a"}]) == mine


def test_files_may_stand_alone_in_a_message() -> None:
    assert [{"role": "user", "content": [part(URI)]}] == messages({"role": "user"}, files=[PNG])


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF....WAVE")

    with pytest.raises(ConfigError) as caught:
        messages("hi", files=[tmp_path / "a.wav"])

    told = str(caught.value)
    assert told.startswith(f"a chat model takes images, and '{tmp_path / 'a.wav'}' is audio/")


def test_bytes_that_are_no_image_are_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        messages("hi", files=[b"secret text"])

    assert ("a chat model takes images, and one of the files is application/octet-stream") == str(
        caught.value
    )


@pytest.mark.parametrize("one", ["a.png", PNG, URI], ids=["path", "bytes", "uri"])
def test_one_file_in_place_of_a_list_is_refused(one: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        messages("hi", files=one)

    assert "files= takes a list; put the one file into [...]" == str(caught.value)
