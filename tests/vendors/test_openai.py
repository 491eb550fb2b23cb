"""OpenAI's SDK and the provider openai."""

from __future__ import annotations

from functools import partial
from typing import Any

import openai
import pydantic
from attrs import frozen
from blocking import AsyncClient
from common import KEY, REPLIES, Case, taken_by
from openai_sdk import (
    OpenAISuite,
    chat,
    completion,
    draw,
    drawn,
    embed,
    stream,
    transcribe,
    usual_chats,
)
from usual import KITE, SILENCE, TOOLS

from modelplug.testing import OPENAI, FaultServer


@frozen(kw_only=True)
class City:
    """What modelplug is asked for."""

    name: str
    people: int


THEIR_CITY = pydantic.create_model("City", name=(str, ...), people=(int, ...))


def parse(sdk: openai.OpenAI, model: str) -> dict[str, Any]:
    """A chat with a class for its schema."""
    messages: Any = [{"role": "user", "content": "Bern?"}]
    reply = sdk.chat.completions.parse(model=model, messages=messages, response_format=THEIR_CITY)
    assert THEIR_CITY(name="Bern", people=134794) == reply.choices[0].message.parsed
    return completion(reply)


def speak(sdk: openai.OpenAI, model: str) -> dict[str, Any]:
    """Speech, of which the SDK gives the bytes."""
    sound = sdk.audio.speech.create(
        model=model, input="Hello!", voice="nova", instructions="Whisper.", response_format="mp3"
    )
    return {"media": [{"mime": "audio/mpeg", "size": len(sound.content)}]}


def edit(sdk: openai.OpenAI, model: str, copies: int = 1, **options: Any) -> dict[str, Any]:
    """An image changed, or several."""
    files = [("kite.png", KITE.read_bytes(), "image/png")] * copies
    reply = sdk.images.edit(
        model=model, prompt="make it blue", image=files[0] if copies == 1 else files, **options
    )
    return drawn(reply)


LLM = "gpt-5.4-mini"
EMBED = "text-embedding-3-small"
STT = "gpt-transcribe"
TTS = "gpt-4o-mini-tts"
IMAGE = "gpt-image-2"


_PROPERTIES = "response_format.json_schema.schema.properties"
_ELSEWHERE = "other servers of this wire take it"
_DRAWN = "an option of drawing, which has the same codec"
_TITLE = "pydantic titles each property by its own name, which tells a model nothing"
_LIST = "one text is sent as a list of one, which the API takes alike"


class TestOpenAI(AsyncClient, OpenAISuite):
    source = "openai"
    host = "api.openai.com"  # to other hosts go what all compatible servers take
    replies = (OPENAI, REPLIES)
    knows = {
        "llm": taken_by(openai.resources.chat.Completions.create),
        "embed": taken_by(openai.resources.Embeddings.create),
        "stt": taken_by(openai.resources.audio.Transcriptions.create),
        "tts": taken_by(openai.resources.audio.Speech.create),
        "text2image": taken_by(openai.resources.Images.generate),
        "image_editing": taken_by(openai.resources.Images.edit),
    }
    unknown = {
        ("text2image", "seed"): _ELSEWHERE,
        ("image_editing", "seed"): _ELSEWHERE,
        ("image_editing", "moderation"): _DRAWN,
        ("image_editing", "style"): _DRAWN,
    }
    cases = (
        *usual_chats(LLM, LLM, replies={"image-input": "chat.json"}, without=("stream",)),
        Case(
            name="chat-options",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk,
                model,
                max_completion_tokens=64,
                temperature=0.5,
                top_p=0.9,
                stop=["\n"],
                seed=7,
                reasoning_effort="low",
                logit_bias={"50256": -100},
                metadata={"a": "b"},
                user="u",
            ),
            ours=lambda m: m(
                "2+2?",
                max_tokens=64,
                temperature=0.5,
                top_p=0.9,
                stop=["\n"],
                seed=7,
                reasoning_effort="low",
                logit_bias={"50256": -100},
                metadata={"a": "b"},
                user="u",
            ),
        ),
        Case(
            name="stream",
            reply="chat.sse",
            model=LLM,
            theirs=stream,
            ours=lambda m: list(m.events("2+2?")),
        ),
        Case(
            name="tools-choice",
            reply="tools.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk, model, tools=TOOLS, tool_choice="auto", parallel_tool_calls=True
            ),
            ours=lambda m: m("2+2?", tools=TOOLS, tool_choice="auto", parallel_tool_calls=True),
        ),
        Case(
            name="tools-stream",
            reply="tools.sse",
            model=LLM,
            theirs=lambda sdk, model: stream(sdk, model, tools=TOOLS),
            ours=lambda m: list(m.events("2+2?", tools=TOOLS)),
        ),
        Case(
            name="schema-class",
            reply="city.json",
            model=LLM,
            theirs=parse,
            ours=lambda m: m("Bern?", schema=City),
        ),
        Case(
            name="embed",
            reply="embed.json",
            type="embed",
            model=EMBED,
            theirs=lambda sdk, model: embed(sdk, model, encoding_format="float"),
            ours=lambda m: m(["a", "b"], encoding_format="float"),
        ),
        Case(
            name="embed-base64",
            reply="embed-base64.json",
            type="embed",
            model=EMBED,
            theirs=lambda sdk, model: embed(sdk, model, texts="a", dimensions=2),
            ours=lambda m: m("a", dimensions=2),
        ),
        Case(
            name="stt",
            reply="stt.json",
            type="stt",
            model=STT,
            theirs=lambda sdk, model: transcribe(
                sdk, model, language="en", prompt="Hi.", temperature=0.2
            ),
            ours=lambda m: m(SILENCE, language="en", prompt="Hi.", temperature=0.2),
        ),
        Case(
            name="stt-verbose",
            reply="stt-verbose.json",
            type="stt",
            model="whisper-1",
            theirs=lambda sdk, model: transcribe(
                sdk,
                model,
                response_format="verbose_json",
                timestamp_granularities=["word", "segment"],
            ),
            ours=lambda m: m(
                SILENCE,
                response_format="verbose_json",
                timestamp_granularities=["word", "segment"],
            ),
        ),
        Case(
            name="tts",
            reply="tts.mp3",
            type="tts",
            model=TTS,
            theirs=speak,
            ours=lambda m: m(
                "Hello!", voice="nova", instructions="Whisper.", response_format="mp3"
            ),
        ),
        Case(
            name="text2image",
            reply="text2image.json",
            type="text2image",
            model=IMAGE,
            theirs=partial(draw, prompt="a red kite", size="1024x1024", quality="low", n=1),
            ours=lambda m: m("a red kite", size="1024x1024", quality="low", n=1),
        ),
        Case(
            name="image-edit",
            reply="image_editing.json",
            type="image_editing",
            model=IMAGE,
            theirs=lambda sdk, model: edit(
                sdk, model, size="1024x1024", n=2, mask=("kite.png", KITE.read_bytes(), "image/png")
            ),
            ours=lambda m: m("make it blue", files=[KITE], mask=KITE, size="1024x1024", n=2),
        ),
        Case(
            name="image-edit-two",
            reply="image_editing.json",
            type="image_editing",
            model=IMAGE,
            theirs=lambda sdk, model: edit(sdk, model, copies=2),
            ours=lambda m: m("make it blue", files=[KITE, KITE]),
        ),
    )
    explained = {
        ("schema-class", f"{_PROPERTIES}.name.title"): _TITLE,
        ("schema-class", f"{_PROPERTIES}.people.title"): _TITLE,
        ("schema-class", "stream"): "the helper of the SDK says what is the default",
        ("embed-base64", "input"): _LIST,
        ("embed-base64", "input.0"): _LIST,
    }

    def async_sdk(self, server: FaultServer) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            api_key=KEY, base_url=self.origin(server) + self.base_path, max_retries=0, timeout=10
        )
