"""Values that go in and out: types, secrets, media, results."""
# ruff: noqa: E501 - tables of exact texts read best one row a line

from __future__ import annotations

import asyncio
import copy
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from attrs import evolve
from core_helpers import ENDPOINT, KEY

from modelplug.errors import ConfigError
from modelplug.media import Media, Remote, as_file, from_data_uri, sniff
from modelplug.types import (
    Completion,
    Embeddings,
    Endpoint,
    Fingerprint,
    ModelType,
    Plan,
    Produced,
    Ranking,
    Secret,
    Timeouts,
    ToolCall,
    Transcript,
)
from modelplug.wire import Request

PNG = b"\x89PNG\r\n\x1a\n" + b"x"


# Model types.


@pytest.mark.parametrize("member", list(ModelType), ids=str)
def test_a_type_is_read_by_its_own_text(member: ModelType) -> None:
    assert member is ModelType.parse(member)
    assert member is ModelType.parse(member.upper().replace("_", "-"))
    assert member == member.value
    assert f"{member}" == member.value


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("sd", "text2image"),
        ("chat", "llm"),
        ("Embedding", "embed"),
        ("embeddings", "embed"),
        ("reranker", "rerank"),
        ("speech2text", "stt"),
        ("text2speech", "tts"),
        ("image-edit", "image_editing"),
        ("cross-modal-embed", "cross_modal_embed"),
    ],
)
def test_a_type_is_read_by_what_users_call_it(name: str, member: str) -> None:
    assert member == ModelType.parse(name)


def test_a_type_that_is_none_names_the_known_and_the_near() -> None:
    with pytest.raises(ConfigError) as caught:
        ModelType.parse("embbed")

    assert str(caught.value).startswith("'embbed' is not a model type (llm, vlm, embed, ")
    assert "; did you mean 'embed' or 'embedding'?" in str(caught.value)


def test_only_language_models_chat() -> None:
    assert ["llm", "vlm"] == [member for member in ModelType if member.chats]


# Secrets.

SECRET = Secret(KEY)


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda s: f"{s}",
        lambda s: f"{s!r}",
        lambda s: f"{s!s}",
        lambda s: "%s %r" % (s, s),  # noqa: UP031 - the old way is the point
        lambda s: "{}".format(s),  # noqa: UP032 - as above
        lambda s: str([s]),
        lambda s: str({"key": s}),
        lambda s: json.dumps({"key": s}, default=repr),
        lambda s: repr(evolve(ENDPOINT, api_key=s)),
        lambda s: repr(Request("POST", "http://h", auth=s, secret_headers={"x-key": s})),
        lambda s: repr(attrs.asdict(Request("POST", "http://h", auth=s))),
        lambda s: ascii(s),
    ],
    ids="repr str f r s percent format list dict json endpoint request asdict ascii".split(),
)
def test_a_secret_is_never_shown(show: Callable[[Secret], str]) -> None:
    assert KEY not in show(SECRET)


@pytest.mark.parametrize(
    "give_away",
    [
        json.dumps,
        orjson.dumps,
        pickle.dumps,
        lambda s: pickle.dumps({"key": s}, protocol=0),
        copy.deepcopy,
        vars,
        list,
        bytes,
        "".join,
        lambda s: s + "x",
        lambda s: s.encode(),
    ],
    ids="json orjson pickle nested deepcopy vars list bytes join add encode".split(),
)
def test_a_secret_is_not_given_away(give_away: Callable[[Any], object]) -> None:
    with pytest.raises((TypeError, AttributeError)) as caught:
        give_away(SECRET)

    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_pickling_a_secret_says_what_to_do() -> None:
    with pytest.raises(TypeError) as caught:
        pickle.dumps(SECRET)

    assert (
        "a secret cannot be pickled; pass api_key='env:NAME' and let each process read it"
    ) == str(caught.value)


def test_a_secret_is_not_in_a_traceback_with_locals() -> None:
    def fail(secret: Secret) -> None:
        raise ValueError(secret)

    with pytest.raises(ValueError) as caught:
        fail(SECRET)

    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert KEY not in "".join(shown.format())


def test_a_secret_is_not_in_a_log() -> None:
    stream = io.StringIO()
    logger = logging.Logger("test")
    logger.addHandler(logging.StreamHandler(stream))

    logger.warning("%s %r", SECRET, {"key": SECRET})

    assert "*** {'key': ***}\n" == stream.getvalue()


def test_a_secret_is_revealed_on_demand_and_masked_in_text() -> None:
    assert KEY == SECRET.reveal()
    assert "a *** b ***" == SECRET.redact(f"a {KEY} b {KEY}")
    assert "as it was" == Secret("").redact("as it was")


def test_of_a_pair_the_secret_alone_is_masked_as_well() -> None:
    assert "id is *** or ***" == Secret("id:s3cret").redact("id is id:s3cret or s3cret")


def test_equal_secrets_are_equal() -> None:
    assert {Secret(KEY)} == {SECRET}
    assert Secret("other") != SECRET
    assert KEY != SECRET


# Endpoints, results and plans.


def test_an_endpoint_without_a_key_has_none() -> None:
    assert Endpoint("p", "m", "http://h").api_key is None
    assert "http://h" == Endpoint("p", "m", "http://h").url


def test_an_endpoint_takes_one_or_several() -> None:
    several = Endpoint("p", "m", ["http://a", "http://b"], api_key=[Secret("1"), Secret("2")])

    assert ("http://a", Secret("1")) == (several.url, several.api_key)
    assert ("http://a", "http://b") == several.urls.items


def test_the_value_of_a_completion_is_what_was_asked_for() -> None:
    assert "4" == Completion("4").value
    assert {"x": 1} == Completion("{}", parsed={"x": 1}).value
    assert [] == Completion("[]", parsed=[]).value


def test_a_completion_becomes_the_assistants_next_turn() -> None:
    calls = (ToolCall("c", "f", {"x": 1}, '{"x":1}'), ToolCall("d", "g", {}))

    assert {"role": "assistant", "content": "4"} == Completion("4").message
    assert {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
            {"id": "d", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
        "reasoning_content": "hm",
    } == Completion("", "hm", calls).message


def test_one_text_gives_one_vector_and_a_list_a_list() -> None:
    assert [0.1] == Embeddings([[0.1]], single=True).value
    assert [[0.1]] == Embeddings([[0.1]]).value
    assert [] == Embeddings([]).value


def test_a_fingerprint_tells_which_vectors_may_be_compared() -> None:
    assert Fingerprint("m", 2, True) == Embeddings([[0.6, 0.8], [0, 0]], "m").fingerprint
    assert Fingerprint("m", 2, False) == Embeddings([[1.0, 1.0]], "m").fingerprint
    assert Fingerprint("m", 0, False) == Embeddings([], "m").fingerprint


def test_one_medium_comes_alone_and_several_as_a_list() -> None:
    media = Media(PNG, "image/png")

    assert media == Produced((media,)).value
    assert [media, media] == Produced((media, media)).value
    assert [] == Produced(()).value


def test_the_other_results_have_plain_values() -> None:
    assert "hello" == Transcript("hello").value
    assert [(0, 1.0)] == Ranking([(0, 1.0)]).value


def test_a_plan_shows_the_names_of_its_environment_alone() -> None:
    shown = repr(Plan(["engine"], {"TOKEN": "sk-1", "A": "b"}))

    assert "env=['A', 'TOKEN']" in shown
    assert "sk-1" not in shown


def test_the_limits_have_defaults_that_end_every_call() -> None:
    assert Timeouts(10.0, 300.0, 60.0, 900.0) == Timeouts()


# Media.


def test_media_do_not_show_their_bytes() -> None:
    assert "Media(data=<9 bytes>, mime='image/png', name='')" == repr(Media(PNG, "image/png"))


@pytest.mark.parametrize(
    ("mime", "suffix"),
    [
        ("image/png", ".png"),
        ("image/jpeg", ".jpg"),
        ("image/webp", ".webp"),
        ("image/gif", ".gif"),
        ("image/bmp", ".bmp"),
        ("audio/mpeg", ".mp3"),
        ("audio/wav", ".wav"),
        ("audio/x-wav", ".wav"),
        ("audio/ogg", ".ogg"),
        ("audio/flac", ".flac"),
        ("audio/aac", ".aac"),
        ("audio/pcm", ".bin"),
        ("audio/mpeg; rate=16000", ".mp3"),
        ("application/octet-stream", ".bin"),
        ("nonsense", ".bin"),
    ],
)
def test_a_path_without_a_suffix_gets_that_of_the_type(
    mime: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mimetypes

    monkeypatch.setattr(mimetypes, "knownfiles", [])  # as on a machine without /etc/mime.types
    monkeypatch.setattr(mimetypes, "_db", None)

    saved = Media(b"data", mime).save(tmp_path / "out")

    assert tmp_path / f"out{suffix}" == saved
    assert b"data" == saved.read_bytes()
    assert f"file{suffix}" == Media(b"data", mime).file_name


def test_a_path_with_a_suffix_is_kept(tmp_path: Path) -> None:
    assert str(tmp_path / "a.dat") == str(Media(PNG, "image/png").save(str(tmp_path / "a.dat")))


def test_a_data_uri_and_back_is_the_same() -> None:
    media = Media(PNG, "image/png")

    assert "data:image/png;base64,iVBORw0KGgp4" == media.data_uri()
    assert media == from_data_uri(media.data_uri())


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("data:,x", "the data URI 'data:,x'... is not data:<type>;base64,<bytes>"),
        ("data:image/png;base64", "the data URI 'data:image/png;base64'... is not data:<type>;base64,<bytes>"),
        ("data:image/png;base64,***", "the data URI 'data:image/png;base64,***'... is not base64: "),
        ("data:image/png;base64,你", "the data URI 'data:image/png;base64,你'... is not base64: "),
    ],
)  # fmt: skip
def test_a_broken_data_uri_is_shown_from_its_beginning(uri: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_data_uri(uri)

    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"BM..", "image/bmp"),
        (b"RIFF....WEBPVP8 ", "image/webp"),
        (b"RIFF....WAVEfmt ", "audio/wav"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"OggS", "audio/ogg"),
        (b"fLaC", "audio/flac"),
        (b"", "application/octet-stream"),
        (b"text", "application/octet-stream"),
    ],
)
def test_the_first_bytes_tell_the_type(data: bytes, mime: str) -> None:
    assert mime == sniff(data)
    assert Media(data, mime) == as_file(data)


def test_files_are_taken_as_users_give_them(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "b").write_bytes(PNG)
    media = Media(PNG, "image/png")

    assert Media(PNG, "image/png", "a.png") == as_file(tmp_path / "a.png")
    assert Media(PNG, "image/png", "b") == as_file(str(tmp_path / "b"))
    assert Remote("https://h/a.png") == as_file("https://h/a.png")
    assert media == as_file(media.data_uri())
    assert as_file(media) is media
    assert Remote("x") == as_file(Remote("x"))


def test_the_home_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.png").write_bytes(PNG)

    assert Media(PNG, "image/png", "a.png") == as_file("~/a.png")


@pytest.mark.parametrize("name", ["nowhere.png", "", "a\0b", "x" * 5000], ids=ascii)
def test_a_file_that_cannot_be_read_is_the_callers_mistake(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        as_file(f"{tmp_path}/{name}")

    assert "cannot be read: " in str(caught.value)
    assert str(caught.value).endswith("; give a path, bytes or URL")


def test_a_secret_may_be_used_from_any_task() -> None:
    async def reveal() -> str:
        return SECRET.reveal()

    assert KEY == asyncio.run(reveal())
