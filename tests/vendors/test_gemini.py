"""Google's SDK and the provider gemini."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from blocking import AsyncClient
from common import KEY, REPLIES, ROOT, Case, ErrorSuite, Told
from google import genai
from google.genai import errors, types
from usual import CITY, KITE, SILENCE, TOOLS, usual

from modelplug.testing import FaultServer

LLM = "gemini-3.8-flash"
IMAGE = "gemini-3.1-flash-image"
FUNCTIONS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name=tool["function"]["name"],
                description=tool["function"]["description"],
                parameters_json_schema=tool["function"]["parameters"],
            )
            for tool in TOOLS
        ]
    )
]
TURNS = [
    types.UserContent("Zürich?"),
    types.ModelContent(types.Part.from_function_call(name="weather", args={"city": "Zürich"})),
    types.UserContent(
        types.Part.from_function_response(name="weather", response={"result": "rain"})
    ),
]


def kite() -> types.Part:
    """An image as a part."""
    return types.Part.from_bytes(data=KITE.read_bytes(), mime_type="image/png")


def generate(sdk: Any, model: str, contents: Any = "2+2?", **config: Any) -> dict[str, Any]:
    """An answer in one piece."""
    given: Any = config or None
    return content([sdk.models.generate_content(model=model, contents=contents, config=given)])


def stream(sdk: Any, model: str, **config: Any) -> dict[str, Any]:
    """An answer streamed."""
    given: Any = config or None
    replies = sdk.models.generate_content_stream(model=model, contents="2+2?", config=given)
    return content(list(replies))


def content(replies: list[Any]) -> dict[str, Any]:
    """What the pieces of an answer hold."""
    candidates = [candidate for reply in replies for candidate in reply.candidates]
    parts = [part for each in candidates for part in each.content.parts or ()]
    usage = replies[-1].usage_metadata
    return {
        "text": "".join(part.text or "" for part in parts if not part.thought),
        "reasoning": "".join(part.text or "" for part in parts if part.thought),
        "usage": {
            "input_tokens": usage.prompt_token_count,
            "total_tokens": usage.total_token_count,
        },
        "model": replies[-1].model_version,
    }


def calls(sdk: Any, model: str, **config: Any) -> dict[str, Any]:
    """The functions that an answer calls; their ids are ours."""
    given: Any = {"tools": FUNCTIONS, "automatic_function_calling": {"disable": True}} | config
    reply = sdk.models.generate_content(model=model, contents="2+2?", config=given)
    assert [("f", {"x": 1}), ("g", {})] == [
        (call.name, call.args or {}) for call in reply.function_calls or ()
    ]
    return {"text": ""}


def look(sdk: Any, model: str) -> dict[str, Any]:
    """An answer about an image."""
    return generate(sdk, model, ["2+2?", kite()])


def embed(sdk: Any, model: str) -> dict[str, Any]:
    """Embeddings of two texts."""
    reply = sdk.models.embed_content(
        model=model, contents=["a", "b"], config={"task_type": "RETRIEVAL_DOCUMENT"}
    )
    return {"value": [item.values for item in reply.embeddings or ()]}


def embed_image(sdk: Any, model: str) -> dict[str, Any]:
    """The embedding of an image."""
    reply = sdk.models.embed_content(model=model, contents=kite())
    (vector,) = [item.values for item in reply.embeddings]
    return {"value": vector}


def transcribe(sdk: Any, model: str) -> dict[str, Any]:
    """A transcription."""
    sound = types.Part.from_bytes(data=SILENCE.read_bytes(), mime_type="audio/wav")
    return generate(sdk, model, ["Transcribe.", sound])


def speak(sdk: Any, model: str) -> dict[str, Any]:
    """Speech, which comes as samples and is made a file of here: a head of 44 bytes."""
    voice = types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name="Kore"))
    config = types.GenerateContentConfig(
        response_modalities=["AUDIO"], speech_config=types.SpeechConfig(voice_config=voice)
    )
    (part,) = _parts(sdk.models.generate_content(model=model, contents="Say: hi", config=config))
    return {"media": [{"mime": "audio/wav", "size": 44 + len(part.inline_data.data)}]}


def draw(sdk: Any, model: str, contents: Any, **config: Any) -> dict[str, Any]:
    """Images."""
    given: Any = {"response_modalities": ["TEXT", "IMAGE"]} | config
    reply = sdk.models.generate_content(model=model, contents=contents, config=given)
    images = [part.inline_data for part in _parts(reply) if part.inline_data]
    return {"media": [{"mime": image.mime_type, "size": len(image.data)} for image in images]}


def _parts(reply: Any) -> list[Any]:
    return [part for candidate in reply.candidates for part in candidate.content.parts]


_GENERATES = ("llm", "stt", "tts", "text2image")
_THINKING = ("include_thoughts", "thinking_budget", "thinking_level")
_OPENAI = "OpenAI's name, which is translated"
_NESTED = "the SDK has it in an object of its own"
_EMPTY = "the SDK sends an empty object for what was not given"
_ROLE = "the SDK names a role where the server reads none"
_ONE = "the SDK sends a batch of one, modelplug the one itself"
_IN_ONE = (
    "model",
    "content.parts.0.inlineData.mimeType",
    "content.parts.0.inlineData.data",
)


class TestGemini(AsyncClient, ErrorSuite):
    source = "gemini"
    package = "google-genai"
    base_path = "/v1beta"
    replies = (ROOT / "plugins-contrib/gemini/tests/replies", REPLIES)
    of_the_sdk = ("x-goog-api-client", "x-server-timeout")
    knows = {
        **dict.fromkeys(_GENERATES, frozenset(types.GenerateContentConfig.model_fields)),
        "embed": frozenset(types.EmbedContentConfig.model_fields),
    }
    unknown = {
        **{(type, name): _OPENAI for type in _GENERATES for name in ("max_tokens", "stop")},
        **{(type, "reasoning_effort"): _OPENAI for type in _GENERATES},
        **{(type, name): _NESTED for type in _GENERATES for name in _THINKING},
        ("llm", "response_format"): _OPENAI,
        ("llm", "tool_choice"): _OPENAI,
        ("embed", "dimensions"): _OPENAI,
        ("tts", "voice"): _OPENAI,
        ("tts", "instructions"): "it stands before the text",
        ("stt", "prompt"): "it is the text beside the sound",
        ("text2image", "aspect_ratio"): _NESTED,
        ("text2image", "image_size"): _NESTED,
    }
    cases = (
        *usual(
            {
                "chat": generate,
                "stream": stream,
                "tools": calls,
                "tool-turns": partial(
                    generate, contents=TURNS, system_instruction="Be brief.", tools=FUNCTIONS
                ),
                "image-input": look,
                "schema": partial(
                    generate,
                    response_mime_type="application/json",
                    response_json_schema=CITY,
                ),
            },
            LLM,
            LLM,
            {"image-input": "image.json", "schema": "contents-city.json"},
        ),
        Case(
            name="options",
            reply="tv1-chat.json",
            model=LLM,
            theirs=lambda sdk, model: generate(
                sdk,
                model,
                system_instruction="Be brief.",
                temperature=1.0,
                top_p=0.9,
                top_k=3,
                seed=7,
                max_output_tokens=256,
                stop_sequences=["END"],
                presence_penalty=0.1,
                frequency_penalty=0.2,
                thinking_config=types.ThinkingConfig(
                    include_thoughts=True, thinking_level=types.ThinkingLevel.LOW
                ),
                safety_settings=[
                    {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
                ],
                cached_content="cachedContents/c1",
            ),
            ours=lambda m: m.prompt("Be brief.")(
                "2+2?",
                temperature=1.0,
                top_p=0.9,
                top_k=3,
                seed=7,
                max_tokens=256,
                stop="END",
                presence_penalty=0.1,
                frequency_penalty=0.2,
                include_thoughts=True,
                reasoning_effort="low",
                safety_settings=[
                    {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
                ],
                cached_content="cachedContents/c1",
            ),
        ),
        Case(
            name="tools-required",
            reply="tools.json",
            model=LLM,
            theirs=lambda sdk, model: calls(
                sdk, model, tool_config={"function_calling_config": {"mode": "ANY"}}
            ),
            ours=lambda m: m("2+2?", tools=TOOLS, tool_choice="required"),
        ),
        Case(
            name="embed",
            reply="vectors.json",
            type="embed",
            model="gemini-embedding-001",
            theirs=embed,
            ours=lambda m: m(["a", "b"], task_type="RETRIEVAL_DOCUMENT"),
        ),
        Case(
            name="cross-modal-embed",
            reply="vectors-both.json",
            type="cross_modal_embed",
            model="gemini-embedding-2",
            theirs=embed_image,
            ours=lambda m: m(files=[KITE]),
        ),
        Case(
            name="stt",
            reply="stt.json",
            type="stt",
            model="gemini-3.5-transcribe",
            theirs=transcribe,
            ours=lambda m: m(SILENCE),
        ),
        Case(
            name="tts",
            reply="tts.json",
            type="tts",
            model="gemini-3.8-flash-tts",
            theirs=speak,
            ours=lambda m: m("Say: hi"),
        ),
        Case(
            name="text2image",
            reply="text2image.json",
            type="text2image",
            model=IMAGE,
            theirs=lambda sdk, model: draw(
                sdk, model, "a red kite", image_config={"aspect_ratio": "16:9", "image_size": "1K"}
            ),
            ours=lambda m: m("a red kite", aspect_ratio="16:9", image_size="1K"),
        ),
        Case(
            name="image-editing",
            reply="image_editing.json",
            type="image_editing",
            model=IMAGE,
            theirs=lambda sdk, model: draw(sdk, model, ["make it blue", kite()]),
            ours=lambda m: m("make it blue", files=[KITE]),
        ),
    )

    explained = {
        **{
            (name, "generationConfig"): _EMPTY for name in ("tools", "tools-required", "tool-turns")
        },
        **{(name, "systemInstruction.role"): _ROLE for name in ("options", "tool-turns")},
        ("tool-turns", "contents.1.parts.0.thoughtSignature"): (
            "a call that another model made goes back with the word for one that has no signature"
        ),
        ("embed", "requests.0.content.role"): _ROLE,
        ("embed", "requests.1.content.role"): _ROLE,
        ("cross-modal-embed", "path"): _ONE,
        **{("cross-modal-embed", f"{name}"): _ONE for name in _IN_ONE},
        **{("cross-modal-embed", f"requests.0.{name}"): _ONE for name in _IN_ONE},
        ("cross-modal-embed", "requests.0.content.role"): _ROLE,
    }

    def read_by_server(self, name: str, value: object) -> tuple[str, object]:
        # JSON of protocol buffers: names in either case, base64 in either alphabet.
        camel = re.sub(r"(?<=[a-z])_([a-z])", lambda found: found[1].upper(), name)
        if name.endswith(".data") and isinstance(value, str):
            value = value.translate(str.maketrans("-_", "+/"))
        return camel, value

    unlike = {
        (
            f"error-{name}.json",
            "code",
        ): "one word of several errors; modelplug tells the narrower one"
        for name in ("400-key", "400-key-by-reason", "429-day")
    }

    def told(self, error: Any) -> Told:
        named = errors.ServerError if error.code >= 500 else errors.ClientError
        assert named is type(error)
        if "error" not in error.details:  # it was no JSON, of which the SDK makes some
            return Told(status=error.code)
        return Told(status=error.code, code=error.status, message=error.message)

    def sdk(self, server: FaultServer) -> genai.Client:
        # From version 3 on v1 is the SDK's default, which lacks what is a preview and the names
        # that end in -latest; modelplug calls v1beta, and each is documented (2026-11).
        options = types.HttpOptions(
            base_url=self.origin(server), timeout=10_000, api_version="v1beta"
        )
        return genai.Client(api_key=KEY, http_options=options)

    def async_sdk(self, server: FaultServer) -> Any:
        return self.sdk(server).aio
