"""Speech and images on the OpenAI wire, driven by hand and over loopback."""
# ruff: noqa: E501 - tables of exact texts read best one row a line

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from attrs import evolve
from core_helpers import ENDPOINT, KEY, Site, failing, finish, provider

import modelplug
from modelplug.errors import BadReply, ConfigError, InvalidRequest, Refused, Unsupported
from modelplug.media import Media, Remote
from modelplug.openai_wire import OpenAIEmbed, OpenAIImageEdit, OpenAIImages, OpenAISpeak
from modelplug.openai_wire.audio import OpenAITranscribe
from modelplug.tasks import (
    View,
    cross_modal_flow,
    edit_flow,
    image_flow,
    speak_flow,
    transcribe_flow,
)
from modelplug.testing import FaultServer, Reply
from modelplug.types import (
    EmbedCall,
    Embeddings,
    ImageCall,
    Limits,
    Produced,
    Quirks,
    Segment,
    SpeakCall,
    TranscribeCall,
    Transcript,
    Usage,
)
from modelplug.wire import Flow, Request, Response

PNG = b"\x89PNG\r\n\x1a\nx"
B64 = base64.b64encode(PNG).decode()
IMAGE = Media(PNG, "image/png")
SOUND = Media(b"ID3x", "audio/mpeg", "a.mp3")
IMAGES, EDITS = OpenAIImages(ENDPOINT), OpenAIImageEdit(ENDPOINT)
SPEAK, TRANSCRIBE = OpenAISpeak(ENDPOINT), OpenAITranscribe(ENDPOINT)
DRAW, SAY, WRITE = ImageCall("m", "a cat"), SpeakCall("m", "hi"), TranscribeCall("m", SOUND)


def told(body: object, status: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {k.replace("_", "-"): v for k, v in headers.items()}, raw)


# Images.


def test_tv12_images_come_as_bytes_from_base64_and_from_urls() -> None:
    items = [
        {"b64_json": B64},
        {"b64_json": f"data:image/png;base64,{B64}"},
        {"url": "http://c/x.png"},
    ]
    reply = {"data": items, "model": "m2", "usage": {"total_tokens": 3}}

    produced, requests = finish(
        IMAGES.flow(DRAW), told(reply), told(PNG, content_type="image/png; q=1")
    )

    assert (IMAGE, IMAGE, IMAGE) == produced.media
    assert ("m2", Usage(None, None, 3), reply) == (produced.model, produced.usage, produced.raw)
    assert {"model": "m", "prompt": "a cat"} == json.loads(requests[0].body)
    assert ("GET", "http://c/x.png", None, {}) == (
        requests[1].method, requests[1].url, requests[1].auth, requests[1].secret_headers,
    )  # fmt: skip


def test_one_refused_image_among_others_is_noted() -> None:
    items = [{"b64_json": B64}, {"error": {"code": "c", "message": "m"}}]

    produced, _ = finish(IMAGES.flow(DRAW), told({"data": items}))

    assert ((IMAGE,), ("c: m",), "m") == (produced.media, produced.notes, produced.model)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ({}, "the reply holds no list of images @ $.data"),
        ([], "the reply holds no list of images @ $.data"),
        ({"data": ["x"]}, "the reply holds no list of images @ $.data"),
        ({"data": []}, "the reply holds no image @ $.data"),
        ({"data": [{}]}, "the reply holds no image @ $.data"),
        ({"data": [{"error": {"code": "c", "message": "m"}}]}, "the reply holds no image: c: m @ $.data"),
        ({"data": [{"b64_json": "~"}]}, "an image is no base64: "),
        ({"data": [{"b64_json": 5}]}, "an image is no base64: "),
    ],
)  # fmt: skip
def test_a_reply_without_an_image_is_a_bad_reply(reply: object, text: str) -> None:
    with pytest.raises(BadReply) as caught:
        finish(IMAGES.flow(DRAW), told(reply, x_request_id="r-1"))

    assert str(caught.value).startswith(text)
    assert ("acme", "r-1", 200) == (
        caught.value.provider,
        caught.value.request_id,
        caught.value.status,
    )


@pytest.mark.parametrize("url", [5, ["x"], {"a": 1}], ids=repr)
def test_an_address_that_is_no_text_is_a_bad_reply(url: object) -> None:
    with pytest.raises(BadReply):
        finish(IMAGES.flow(DRAW), told({"data": [{"url": url}]}))


def test_a_file_is_followed_through_redirects_without_the_key() -> None:
    replies = [
        told({"data": [{"url": "https://a/1"}]}),
        told(b"", 302, location="/2"),
        told(b"", 307, location="https://b/3"),
        told(PNG, content_type="application/octet-stream"),
    ]

    produced, requests = finish(IMAGES.flow(DRAW), *replies)

    assert (IMAGE,) == produced.media
    assert ["https://a/1", "https://a/2", "https://b/3"] == [r.url for r in requests[1:]]
    assert [None] * 3 == [r.auth for r in requests[1:]]


def test_redirects_without_an_end_are_given_up() -> None:
    turns = [told(b"", 302, location="/again")] * 5

    with pytest.raises(Refused) as caught:
        finish(IMAGES.flow(DRAW), told({"data": [{"url": "https://a/1"}]}), *turns)

    assert 302 == caught.value.status


def test_a_file_of_a_provider_on_https_is_fetched_by_https() -> None:
    codec = OpenAIImages(evolve(ENDPOINT, url="https://acme.test/v1"))

    _, requests = finish(codec.flow(DRAW), told({"data": [{"url": "http://c/x"}]}), told(PNG))

    assert "https://c/x" == requests[1].url


def test_a_file_that_is_gone_is_a_refusal() -> None:
    with pytest.raises(Refused) as caught:
        finish(IMAGES.flow(DRAW), told({"data": [{"url": "http://c/x"}]}), told(b"", 404))

    assert ("acme", 404) == (caught.value.provider, caught.value.status)


def test_a_server_that_draws_one_at_a_time_is_asked_as_often() -> None:
    one_by_one = OpenAIImages(evolve(ENDPOINT, limits=Limits(image_batch=1)))
    flow = one_by_one.flow(evolve(DRAW, options={"n": 2, "size": "s"}))
    step: Any = next(flow)
    parts = [finish(each, told({"data": [{"b64_json": B64}]})) for each in step.flows]

    with pytest.raises(StopIteration) as stop:
        flow.send([part for part, _ in parts])

    assert (IMAGE, IMAGE) == stop.value.value.media
    assert [{"model": "m", "prompt": "a cat", "size": "s"}] * 2 == [
        json.loads(requests[0].body) for _, requests in parts
    ]
    for n in (0, "2", True):
        with pytest.raises(ConfigError):
            next(one_by_one.flow(evolve(DRAW, options={"n": n})))


def test_more_images_than_a_request_draws_have_seeds_of_their_own() -> None:
    codec = OpenAIImages(evolve(ENDPOINT, limits=Limits(image_batch=2)))

    step: Any = next(codec.flow(evolve(DRAW, options={"n": 3, "seed": 7})))

    sent = [json.loads(next(flow).body) for flow in step.flows]
    assert [(2, 7), (1, 9)] == [(body["n"], body["seed"]) for body in sent]


def test_tv13_an_edit_is_a_form_with_its_images_and_mask() -> None:
    call = evolve(DRAW, images=[IMAGE], mask=IMAGE, options={"n": 1})

    _, (request,) = finish(EDITS.flow(call), told({"data": [{"b64_json": B64}]}))

    assert "http://127.0.0.1:9/v1/images/edits" == request.url
    assert [("image", IMAGE), ("mask", IMAGE)] == list(request.files)
    assert {"model": "m", "prompt": "a cat", "n": "1"} == request.form
    assert {} == request.headers
    assert request.auth is not None
    assert KEY == request.auth.reveal()


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"files": [PNG] * 3}, ConfigError, "image editing needs files=[...], 1 to 2 images, and got 3"),
        ({}, ConfigError, "image editing needs files=[...], 1 to 2 images, and got 0"),
        ({"files": [PNG], "mask": PNG}, Unsupported, "acme takes no mask; say in the prompt what to change"),
        ({"resume": "t1"}, Unsupported, "acme's acme-1 has no jobs to resume; leave resume= out"),
    ],
)  # fmt: skip
def test_an_edit_that_the_server_would_refuse_is_not_sent(
    options: dict[str, Any], error: type[Exception], why: str
) -> None:
    limits, quirks = Limits(edit_images=2), Quirks(mask=False)
    codec = OpenAIImageEdit(evolve(ENDPOINT, limits=limits, quirks=quirks))

    with pytest.raises(error) as caught:
        next(edit_flow(codec, View(), "a dog", options))

    assert why == str(caught.value)


@pytest.mark.parametrize("flow", [speak_flow, transcribe_flow, image_flow])
def test_only_what_has_jobs_takes_one_up_again(flow: Any) -> None:
    codec = OpenAIImages(ENDPOINT)

    with pytest.raises(Unsupported, match="has no jobs to resume; leave resume= out"):
        next(flow(codec, View(), None, {"resume": "t1"}))


def test_tv13_several_images_are_repeated_and_urls_are_fetched_first() -> None:
    call = evolve(DRAW, images=[IMAGE, Remote("http://h/x.png")], mask=Remote("http://h/m.png"))

    _, requests = finish(
        EDITS.flow(call), told(PNG), told(PNG), told({"data": [{"b64_json": B64}]})
    )

    assert ["http://h/x.png", "http://h/m.png"] == [r.url for r in requests[:2]]
    assert ["image[]", "image[]", "mask"] == [name for name, _ in requests[2].files]


# Speech.


def test_tv14_sound_comes_as_it_is() -> None:
    produced, (request,) = finish(SPEAK.flow(SAY), told(b"ID3x", content_type="audio/mpeg"))

    assert Produced((Media(b"ID3x", "audio/mpeg"),), "m") == produced
    assert {"model": "m", "input": "hi", "voice": "alloy"} == json.loads(request.body)


def test_a_voice_of_the_callers_stands_and_the_type_is_told_by_the_bytes() -> None:
    produced, (request,) = finish(
        SPEAK.flow(evolve(SAY, options={"voice": "x"})), told(b"OggS", content_type="binary/x")
    )

    assert "audio/ogg" == produced.value.mime
    assert "x" == json.loads(request.body)["voice"]


@pytest.mark.parametrize(
    "reply", [told(b""), told(b'{"a":1}', content_type="application/json; charset=utf-8")]
)
def test_tv14_json_is_no_sound(reply: Response) -> None:
    with pytest.raises(BadReply) as caught:
        finish(SPEAK.flow(SAY), reply)

    assert "the reply holds no sound" == str(caught.value)


def test_tv14_an_error_is_not_returned_as_sound() -> None:
    with pytest.raises(InvalidRequest):
        finish(SPEAK.flow(SAY), told({"error": {"message": "no"}}, 400))


def test_a_transcript_is_asked_for_by_a_form() -> None:
    options = {"temperature": 0, "stream": False, "include": ["a", "b"], "language": "de"}

    transcript, (request,) = finish(
        TRANSCRIBE.flow(evolve(WRITE, options=options)), told({"text": "hello"})
    )

    assert Transcript("hello", model="m", raw={"text": "hello"}) == transcript
    assert [("file", SOUND)] == list(request.files)
    assert {
        "model": "m", "temperature": "0", "stream": "false", "include[]": ["a", "b"],
        "language": "de",
    } == request.form  # fmt: skip


def test_a_verbose_transcript_has_its_segments() -> None:
    segments = [{"start": 0, "end": 1.5, "text": "a", "id": 0}]
    reply = {"text": "a", "segments": segments, "language": "de", "duration": 1.5, "model": "m2"}

    transcript, _ = finish(TRANSCRIBE.flow(WRITE), told(reply))

    assert ((Segment(0.0, 1.5, "a"),), "de", 1.5, "m2") == (
        transcript.segments,
        transcript.language,
        transcript.duration,
        transcript.model,
    )


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_other_forms_of_a_transcript_come_as_text(form: str) -> None:
    call = evolve(WRITE, options={"response_format": form})

    transcript, _ = finish(TRANSCRIBE.flow(call), told("WEBVTT\n你".encode()))

    assert "WEBVTT\n你" == transcript.text


@pytest.mark.parametrize(
    "reply",
    [{}, [], {"text": 5}, {"text": "a", "segments": [{}]}, {"text": "a", "segments": ["x"]},
     {"text": "a", "segments": [{"start": "x", "end": 1, "text": ""}]}, b"text"],
)  # fmt: skip
def test_what_is_no_transcript_is_a_bad_reply(reply: object) -> None:
    with pytest.raises(BadReply):
        finish(TRANSCRIBE.flow(WRITE), told(reply))


def test_sound_at_a_url_is_fetched_first() -> None:
    call = evolve(WRITE, file=Remote("http://h/a.mp3"))

    _, (fetch, upload) = finish(TRANSCRIBE.flow(call), told(b"ID3x"), told({"text": "a"}))

    assert isinstance(fetch, Request)
    assert ("http://h/a.mp3", None) == (fetch.url, fetch.auth)
    assert [("file", Media(b"ID3x", "audio/mpeg"))] == list(upload.files)


# Texts and images in one space.


class Vectors(OpenAIEmbed):
    """Answers without a server, and keeps what it was asked."""

    def flow(self, call: EmbedCall) -> Flow[Embeddings]:
        """One vector for each input."""
        self.asked = [*getattr(self, "asked", []), call]
        return Embeddings([[1.0] for _ in call.inputs], call.model)
        yield


def embedded(given: object, **options: Any) -> tuple[Embeddings, list[Any]]:
    codec = Vectors(ENDPOINT)
    result, _ = finish(cross_modal_flow(codec, View(), given, options))
    return result, [item for call in getattr(codec, "asked", []) for item in call.inputs]


@pytest.mark.parametrize(
    ("given", "options", "inputs", "single"),
    [
        ("a", {}, ["a"], True),
        (["a", PNG], {}, ["a", IMAGE], False),
        (PNG, {}, [IMAGE], True),
        ("http://h/x.png", {"modality": "image"}, [Remote("http://h/x.png")], True),
        (None, {"files": [PNG]}, [IMAGE], True),
        ("a", {"files": [PNG]}, ["a", IMAGE], False),
        ([], {}, [], False),
    ],
)
def test_texts_and_images_are_embedded_together(
    given: object, options: dict[str, Any], inputs: list[Any], single: bool
) -> None:
    result, asked = embedded(given, **options)

    assert (inputs, single) == (asked, result.single)


def test_a_modality_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        embedded("a", modality="smell")

    assert "modality= is 'text' or 'image', not 'smell'" == str(caught.value)


# As models.


@pytest.fixture
def make(site: Site, server: FaultServer) -> Any:
    types = "".join(f'{name} = "{name}-1"\n' for name in (
        "stt", "tts", "text2image", "image_editing", "vlm", "cross_modal_embed"))  # fmt: skip
    manifest = provider("acme").replace('llm = "acme-1"\n', f'llm = "acme-1"\n{types}')
    site.plugin("acme", manifest=manifest)
    return lambda type_: modelplug.OnlineModule(
        source="acme", type=type_, url=server.url, api_key=KEY
    )


def test_each_type_of_model_gives_its_plain_value(make: Any, server: FaultServer) -> None:
    server.answer(Reply(200, {}, b'{"text":"hello"}'))
    assert "hello" == make("stt")(b"ID3x")
    assert "hello" == make("stt")(files=[b"ID3x"])
    server.answer(Reply(200, {"content-type": "audio/mpeg"}, b"ID3x"))
    assert Media(b"ID3x", "audio/mpeg") == make("tts")("say it")
    server.answer(Reply(200, {}, json.dumps({"data": [{"b64_json": B64}] * 2}).encode()))
    assert [IMAGE, IMAGE] == make("text2image")("a cat", n=2)
    assert [IMAGE, IMAGE] == make("image_editing")("a dog", files=[PNG], mask=PNG)
    assert b'name="mask"' in server.requests[-1].body


def test_a_file_at_a_url_of_the_server_is_downloaded(make: Any, server: FaultServer) -> None:
    first = json.dumps({"data": [{"url": f"{server.origin}/x.png"}]}).encode()
    server.answer(Reply(200, {}, first), Reply(200, {}, PNG))

    assert IMAGE == make("text2image")("a cat")
    assert "authorization" not in server.requests[-1].headers


@pytest.mark.parametrize(
    ("type_", "call", "text"),
    [
        ("stt", lambda m: m(), "a speech-to-text model takes one file, and got 0"),
        ("stt", lambda m: m(b"a", files=[b"b"]), "a speech-to-text model takes one file, and got 2"),
        ("stt", lambda m: m("/nowhere.mp3"), "the file '/nowhere.mp3' cannot be read: "),
        ("tts", lambda m: m(), "a text-to-speech model takes a text, not nothing"),
        ("tts", lambda m: m(""), "a text-to-speech model takes a text, not nothing"),
        ("tts", lambda m: m(5), "a text-to-speech model takes a text, not int"),
        ("text2image", lambda m: m(["a"]), "an image model takes a text, not list"),
        ("image_editing", lambda m: m("a"), "image editing needs files=[...], at least one image"),
    ],
)  # fmt: skip
def test_what_such_a_model_cannot_take_is_the_callers_mistake(
    make: Any, server: FaultServer, type_: str, call: Any, text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        call(make(type_))

    assert str(caught.value).startswith(text)
    assert 0 == server.connections


def test_an_error_of_such_a_model_is_one(make: Any, server: FaultServer) -> None:
    server.answer(failing(400, b'{"error":{"message":"no"}}'))

    for type_, given in (("tts", "a"), ("text2image", "a"), ("stt", b"ID3x")):
        with pytest.raises(InvalidRequest, match="acme answered 400: no"):
            make(type_)(given)
