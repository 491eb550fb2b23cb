"""A conversation becomes the token ids that a server would make of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from modelplug_training.testing import KIT


@pytest.fixture
def chats(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as a training script sees it."""
    monkeypatch.syspath_prepend(str(KIT))
    import training_kit_chats

    return training_kit_chats


class Letters:
    """A tokenizer of one token for each character, with the templates of the tests."""

    eos_token_id = ord("]")

    def __init__(self, forgets: bool = False, opens: str = "a[") -> None:
        self.forgets, self.opens = forgets, opens

    def apply_chat_template(
        self,
        messages: list[dict[str, str]],
        tools: Any,
        tokenize: bool,
        add_generation_prompt: bool,
    ) -> str:
        text = "T" * len(tools or [])
        for place, each in enumerate(messages):
            said = each["content"]
            if self.forgets and place < len(messages) - 1:
                said = said.replace("(thought)", "")
            text += f"{each['role'][0]}[{said}]\n"
        return text + (self.opens if add_generation_prompt else "")

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [ord(letter) for letter in text]


def learnt(example: tuple[list[int], list[int]]) -> str:
    ids, labels = example
    assert len(ids) == len(labels)
    assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))
    return "".join(chr(label) if label != -100 else "·" for label in labels)


def chat(*said: str) -> dict[str, Any]:
    roles = ["user", "assistant"] * len(said)
    return {"messages": [{"role": r, "content": c} for r, c in zip(roles, said, strict=False)]}


def test_only_answers_are_learnt_and_their_end(chats: ModuleType) -> None:
    (made,) = chats.examples(Letters(), chat("hi", "yo", "bye", "ok"), 99)

    assert "u[hi]\na[yo]\nu[bye]\na[ok]\n" == "".join(map(chr, made[0]))
    assert "········yo]··········ok]·" == learnt(made)


def test_tools_stand_before_the_conversation(chats: ModuleType) -> None:
    (made,) = chats.examples(Letters(), chat("hi", "yo") | {"tools": [{}, {}]}, 99)

    assert "TTu[hi]\na[yo]\n" == "".join(map(chr, made[0]))


def test_each_answer_is_an_example_where_earlier_turns_are_rewritten(chats: ModuleType) -> None:
    row = chat("hi", "(thought)yo", "bye", "(thought)ok")

    first, second = chats.examples(Letters(forgets=True), row, 99)

    assert "u[hi]\na[(thought)yo]\n" == "".join(map(chr, first[0]))
    assert "u[hi]\na[yo]\nu[bye]\na[(thought)ok]\n" == "".join(map(chr, second[0]))
    assert learnt(first).endswith("·(thought)yo]·")
    assert "(thought)ok]" == learnt(second).strip("·")


def test_a_template_that_asks_otherwise_than_it_renders_is_refused(chats: ModuleType) -> None:
    with pytest.raises(ValueError) as caught:
        chats.examples(Letters(opens="a{"), chat("hi", "yo"), 99)

    assert "the chat template renders an answer otherwise than it asks for one" == str(caught.value)


def test_one_token_too_many_is_too_long(chats: ModuleType) -> None:
    assert chats.examples(Letters(), chat("hi", "yo"), 12)
    with pytest.raises(chats.TooLong):
        chats.examples(Letters(), chat("hi", "yo"), 11)


class Told:
    """A run that keeps what it is told."""

    def __init__(self, folder: Path, *said: tuple[str, ...]) -> None:
        self.path = folder / "data.jsonl"
        self.path.write_text("".join(json.dumps(chat(*each)) + "\n" for each in said))
        self.request = {"data": str(self.path)}
        self.events: list[tuple[str, dict[str, Any]]] = []

    def tell(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields))


def test_conversations_that_are_too_long_are_left_out_and_told(
    chats: ModuleType, tmp_path: Path
) -> None:
    run = Told(tmp_path, ("hi" * 30, "yo"), ("hi", "yo"))

    made = chats.tokens(run, Letters(), run.path, 30)

    assert [1] == made["row"]
    assert [("warning", {"text": "1 conversations of more than 30 tokens left out"})] == run.events


def test_data_of_which_nothing_is_short_enough_is_refused(
    chats: ModuleType, tmp_path: Path
) -> None:
    run = Told(tmp_path, ("hi", "yo"))

    with pytest.raises(chats.Failed) as caught:
        chats.tokens(run, Letters(), run.path, 8)

    assert ("every conversation has more than 8 tokens", "raise max_len", "data") == (
        str(caught.value),
        caught.value.mend,
        caught.value.kind,
    )


def test_a_sample_tells_where_the_last_answer_begins(chats: ModuleType, tmp_path: Path) -> None:
    run = Told(tmp_path, ("hi", "yo", "bye", "ok"))

    chats.tell_samples(run, chats.tokens(run, Letters(), run.path, 99))

    ((event, told),) = run.events
    (sample,) = told["samples"]
    assert "samples" == event
    assert "ok]\n" == "".join(map(chr, sample["ids"][sample["answer"] :]))
    assert ["hi", "yo", "bye", "ok"] == [each["content"] for each in sample["messages"]]


def test_it_needs_no_library(chats: ModuleType) -> None:
    source = Path(chats.__file__ or "").read_text(encoding="utf-8")
    imported = [line for line in source.splitlines() if line.startswith(("import", "from"))]

    assert [
        "from __future__ import annotations",
        "from typing import Any",
        "from training_kit import Failed, Run, rows",
    ] == imported
