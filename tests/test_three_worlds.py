"""
One program, three worlds: a provider, an engine that is attached by its URL, and an engine that
is started here, by the config map alone. Results, events and errors are the same in each.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import modelplug as mp
from modelplug.errors import ConfigError, ContextTooLong, UnknownOption, Unsupported
from modelplug.models import Model
from modelplug.testing import FaultServer
from modelplug.types import Completion, Embeddings, Finish, ModelType, Ranking, Text, Usage

QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 32}

World = Callable[[str], Model]
"""Gives the model of a type: llm, embed or rerank. The same program in each world."""

NAMES = {"llm": "tiny", "embed": "tiny-embed", "rerank": "tiny-rerank"}
SOURCES = {"llm": "openai", "embed": "openai", "rerank": "siliconflow"}
DOCUMENTS = ["A stone lies.", "A kite flies.", "Bread is tasty."]


def program(name: str) -> Model:
    """What a user's program does; the config map alone says in which world."""
    return mp.AutoModel(name)


def configure(entries: Mapping[str, object]) -> None:
    """The config map of the working directory."""
    Path("modelplug.yaml").write_text(json.dumps(entries))


@pytest.fixture
def online(server: FaultServer, key: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """A provider's API."""
    monkeypatch.setenv("TEAM_KEY", key)
    common = {"name": "some-model", "url": server.url, "api_key": "env:TEAM_KEY"}
    configure({type: {"type": type, "source": SOURCES[type], **common} for type in NAMES})
    return program


@pytest.fixture
def started() -> Iterator[World]:
    """Engines that are started here."""
    configure({type: {"source": "local", "name": name} for type, name in NAMES.items()})
    made: list[Model] = []

    def world(type: str) -> Model:
        made.append(program(type))
        return made[-1]

    yield world
    for model in made:
        model.close()


@pytest.fixture
def attached(started: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same engines, as somebody else's who was told their URL and their key."""

    def world(type: str) -> Model:
        there = started(type)
        entry = {"framework": "llama_cpp", "type": type, "name": NAMES[type], "url": there.url}
        assert there.api_key is not None
        monkeypatch.setenv("ENGINE_KEY", there.api_key.reveal())
        Path("attached.yaml").write_text(json.dumps({type: entry | {"api_key": "env:ENGINE_KEY"}}))
        monkeypatch.setenv("MODELPLUG_AUTO_MODEL_CONFIG_MAP_PATH", "attached.yaml")
        try:
            return program(type)
        finally:
            monkeypatch.delenv("MODELPLUG_AUTO_MODEL_CONFIG_MAP_PATH")

    return world


@pytest.fixture(params=["online", "attached", "started"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Each world in turn."""
    monkeypatch.chdir(tmp_path)
    chosen: World = request.getfixturevalue(request.param)
    return chosen


class TestEveryWorld:
    """What a caller can rely on, wherever the model is."""

    def test_a_question_gives_a_text(self, world: World) -> None:
        assert ANSWER == world("llm")(QUESTION, **GREEDY)

    def test_awaiting_gives_the_same_text(self, world: World) -> None:
        assert ANSWER == asyncio.run(world("llm").acall(QUESTION, **GREEDY))

    def test_the_rich_result_has_the_same_fields(self, world: World) -> None:
        result = world("llm").respond(QUESTION, **GREEDY)

        assert isinstance(result, Completion)
        assert (ANSWER, "", (), "stop") == (
            result.text,
            result.reasoning,
            result.tool_calls,
            result.finish_reason,
        )
        assert result.usage.input_tokens is not None
        assert result.usage.input_tokens > 0
        assert frozenset() == result.usage.estimated
        assert result.model
        assert result.id
        assert result.raw["choices"]

    def test_a_stream_adds_up_and_ends_with_the_one_finish(self, world: World) -> None:
        events = list(world("llm").events(QUESTION, **GREEDY))
        texts = [event.text for event in events if isinstance(event, Text)]
        usages = [event for event in events if isinstance(event, Usage)]

        assert ANSWER == "".join(texts)
        assert len(texts) > 1
        assert 1 == len(usages)
        assert [Finish] == [type(event) for event in events if isinstance(event, Finish)]
        assert isinstance(events[-1], Finish)
        assert "stop" == events[-1].reason

    def test_a_list_is_answered_in_its_order(self, world: World) -> None:
        assert [ANSWER] * 3 == world("llm").map([QUESTION] * 3, concurrency=2, **GREEDY)

    def test_a_text_gives_a_vector_and_a_list_gives_a_list_of_them(self, world: World) -> None:
        embed = world("embed")
        one, both = embed("a text"), embed(["a text", "another text"])

        assert {float} == {type(number) for number in one}
        assert [len(one)] * 2 == [len(vector) for vector in both]
        assert one == pytest.approx(both[0], abs=1e-3)
        assert isinstance(embed.respond("a text"), Embeddings)
        assert [] == embed([])

    def test_documents_are_ranked_best_first(self, world: World) -> None:
        rerank = world("rerank")
        every, best = (rerank("What flies?", documents=DOCUMENTS, top_n=n) for n in (3, 1))

        assert {0, 1, 2} == {index for index, _ in every}
        assert {float} == {type(score) for _, score in every}
        assert every == sorted(every, key=lambda pair: -pair[1])
        assert [1] == [index for index, _ in best]
        assert isinstance(rerank.respond("What flies?", documents=DOCUMENTS), Ranking)
        assert [] == rerank("What flies?", documents=[])

    def test_an_unknown_option_is_refused_with_the_near_one(self, world: World) -> None:
        with pytest.raises(UnknownOption) as caught:
            world("llm")(QUESTION, temprature=0)

        assert "has no option 'temprature'; did you mean 'temperature'?" in str(caught.value)

    @pytest.mark.parametrize(
        ("type", "given", "says"),
        [
            ("llm", 42, "a chat model takes a text, a list of messages"),
            ("llm", {"country": "France"}, "needs a prompt with a user template"),
            ("embed", 42, "an embedding model takes a text or a list of texts, not int"),
            ("rerank", "What flies?", "documents="),
            ("embed", ["a", 1], "an embedding model takes a text or a list of texts, not list"),
        ],
    )
    def test_a_wrong_input_is_refused_before_it_is_sent(
        self, type: str, given: Any, says: str, world: World
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            world(type)(given)

        assert says in str(caught.value)

    def test_what_does_not_stream_says_so(self, world: World) -> None:
        with pytest.raises(Unsupported) as caught:
            next(world("embed").stream("a text"))

        assert "a model of type embed does not stream; call it" == str(caught.value)

    def test_a_text_beyond_the_context_is_an_error_of_its_own(self, world: World) -> None:
        with pytest.raises(ContextTooLong) as caught:
            world("llm")("many words " * 2000)

        assert 400 == caught.value.status
        assert not caught.value.retryable

    def test_views_have_prompts_of_their_own(self, world: World) -> None:
        llm = world("llm")
        slots = llm.share(prompt={"user": "What is the capital of {country}?"})

        assert ANSWER == slots({"country": "France"}, **GREEDY)
        assert ANSWER == llm(QUESTION, **GREEDY)

    def test_a_formatter_stands_after_every_reply(self, world: World) -> None:
        loud = world("llm") | str.upper

        assert ANSWER.upper() == loud(QUESTION, **GREEDY)

    def test_a_model_tells_its_type_and_never_its_key(self, world: World) -> None:
        llm = world("llm")

        assert ModelType.LLM == llm.type
        assert llm.url.endswith("/v1")
        assert llm.api_key is not None
        assert llm.api_key.reveal() not in f"{llm!r} {llm.api_key!r} {llm.share()!r}"
