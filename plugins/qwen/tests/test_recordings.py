"""Recordings that are written down as tasks, and how a task may end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

import modelplug
from modelplug.errors import (
    BadReply,
    Filtered,
    NotFound,
    PermissionRefused,
    TaskFailed,
)
from modelplug.media import Media, Remote
from modelplug.testing import FaultServer, Reply
from modelplug.types import Segment, TranscribeCall

WAV = Media(b"RIFF0000WAVE", "audio/x-wav", "my talk.wav")
URL = Remote("https://x.invalid/a.wav")
SUBMIT = "POST /api/v1/services/audio/asr/transcription"
SUBMITTED = {"output": {"task_id": "t5", "task_status": "PENDING"}, "request_id": "r"}
RUNNING = {"output": {"task_id": "t5", "task_status": "RUNNING"}}
DOCUMENT = {
    "file_url": "https://x.invalid/a.wav",
    "transcripts": [
        {
            "channel_id": 0,
            "text": "hello there",
            "sentences": [
                {"begin_time": 0, "end_time": 900, "text": "hello"},
                {"begin_time": 900, "end_time": 1500, "text": "there"},
            ],
        }
    ],
}


def succeeded(**part: Any) -> dict[str, Any]:
    part = {"file_url": URL.url, "subtask_status": "SUCCEEDED", **part}
    output = {"task_id": "t5", "task_status": "SUCCEEDED", "results": [part]}
    return {"output": output, "usage": {"duration": 9}}


ENDED = succeeded(transcription_url="https://oss.invalid/t.json")


def transcribe(model: str, file: Media | Remote = URL, **options: Any) -> TranscribeCall:
    return TranscribeCall(model, file, options)


def test_a_recording_is_submitted_waited_for_and_fetched_without_the_key(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    flow = codec("stt", "paraformer-v2").flow(transcribe("paraformer-v2"))

    played = play(flow, SUBMITTED, RUNNING, ENDED, DOCUMENT)

    poll = "GET /api/v1/tasks/t5"
    assert [SUBMIT, poll, poll, "GET https://oss.invalid/t.json"] == played.addresses
    sent = {"model": "paraformer-v2", "input": {"file_urls": ["https://x.invalid/a.wav"]}}
    assert [sent, None, None, None] == played.bodies
    asked = [request.headers.get("x-dashscope-async") for request in played.sent]
    assert ["enable", None, None, None] == asked
    assert [True, True, True, False] == [request.auth is not None for request in played.sent]
    assert [0.0, 1.0, 1.5, 0.0] == [request.delay for request in played.sent]
    assert "hello there" == played.result.text
    assert (Segment(0.0, 0.9, "hello"), Segment(0.9, 1.5, "there")) == played.result.segments
    assert 9.0 == played.result.duration


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_recording_is_written_down_through_the_public_face(asynchronous: bool) -> None:
    with FaultServer() as server:
        ended = succeeded(transcription_url=server.origin + "/t.json")
        bodies = [json.dumps(body).encode() for body in (SUBMITTED, ended, DOCUMENT)]
        server.answer(*(Reply(200, {"content-type": "application/json"}, b) for b in bodies))
        stt = modelplug.OnlineModule("fun-asr", source="qwen", url=server.origin, api_key="k")

        text = asyncio.run(stt.acall(URL.url)) if asynchronous else stt(URL.url)

        assert "hello there" == text
        assert ["/api/v1/services/audio/asr/transcription", "/api/v1/tasks/t5", "/t.json"] == [
            request.path for request in server.requests
        ]
        assert "authorization" not in server.requests[2].headers


def test_a_local_recording_is_uploaded_first(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    policy = {
        "data": {
            "policy": "p",
            "signature": "s",
            "upload_dir": "d",
            "upload_host": "https://h.invalid",
            "oss_access_key_id": "a",
            "x_oss_object_acl": "private",
            "x_oss_forbid_overwrite": "true",
        }
    }

    flow = codec("stt", "paraformer-v2").flow(transcribe("paraformer-v2", WAV))
    played = play(flow, policy, b"", SUBMITTED, ENDED, DOCUMENT)

    assert "GET /api/v1/uploads?action=getPolicy&model=paraformer-v2" == played.addresses[0]
    upload = played.sent[1]
    assert ("POST", "https://h.invalid", None) == (upload.method, upload.url, upload.auth)
    assert {
        "OSSAccessKeyId": "a",
        "Signature": "s",
        "policy": "p",
        "key": "d/my_talk.wav",
        "x-oss-object-acl": "private",
        "x-oss-forbid-overwrite": "true",
        "success_action_status": "200",
        "x-oss-content-type": "audio/x-wav",
    } == upload.form
    assert [("file", WAV)] == upload.files
    assert {"file_urls": ["oss://d/my_talk.wav"]} == played.bodies[2]["input"]
    assert "enable" == played.sent[2].headers["x-dashscope-ossresourceresolve"]
    assert "hello there" == played.result.text


def test_the_policy_may_be_named_output(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    policy = {
        "policy": "p",
        "signature": "s",
        "upload_dir": "d",
        "upload_host": "https://h.invalid",
        "oss_access_key_id": "a",
    }

    flow = codec("stt", "fun-asr").flow(transcribe("fun-asr", WAV))
    played = play(flow, {"output": policy}, b"", SUBMITTED, ENDED, DOCUMENT)

    assert "private" == played.sent[1].form["x-oss-object-acl"]


def test_an_upload_that_is_refused_is_an_error_of_its_status(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    policy = {
        "policy": "p",
        "signature": "s",
        "upload_dir": "d",
        "upload_host": "https://h.invalid",
        "oss_access_key_id": "a",
    }

    flow = codec("stt", "fun-asr").flow(transcribe("fun-asr", WAV))
    played = play(flow, {"data": policy}, (403, b"<Error><Code>AccessDenied</Code></Error>"))

    assert isinstance(played.error, PermissionRefused)


def test_a_policy_that_is_none_is_a_bad_reply(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    played = play(codec("stt", "fun-asr").flow(transcribe("fun-asr", WAV)), {"request_id": "r"})

    assert isinstance(played.error, BadReply)


@pytest.mark.parametrize(
    ("model", "options", "body"),
    [
        (
            "qwen3-asr-flash-filetrans",
            {"channel_id": [0], "language": "zh"},
            {"input": {"file_url": URL.url}, "parameters": {"channel_id": [0], "language": "zh"}},
        ),
        ("qwen-audio-3.1-asr-flash-filetrans", {}, {"input": {"file_urls": [URL.url]}}),
        (
            "paraformer-v2",
            {"language": "zh", "diarization_enabled": True},
            {
                "input": {"file_urls": [URL.url]},
                "parameters": {"language_hints": ["zh"], "diarization_enabled": True},
            },
        ),
    ],
)
def test_each_model_has_its_names_for_the_same_things(
    model: str,
    options: dict[str, Any],
    body: dict[str, Any],
    codec: Callable[..., Any],
    play: Callable[..., Any],
) -> None:
    flow = codec("stt", model).flow(transcribe(model, **options))

    assert [{"model": model, **body}] == play(flow, (400, {})).bodies


def test_a_result_may_stand_alone(codec: Callable[..., Any], play: Callable[..., Any]) -> None:
    ended = {"task_status": "SUCCEEDED", "result": {"transcription_url": "https://o.invalid/t"}}

    flow = codec("stt", "qwen3-asr-flash-filetrans").flow(transcribe("qwen3-asr-flash-filetrans"))
    played = play(flow, SUBMITTED, {"output": ended}, DOCUMENT)

    assert "hello there" == played.result.text


def test_the_tags_of_sensevoice_are_taken_out(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    said = {"transcripts": [{"text": "<|en|><|NEUTRAL|><|Speech|>so 1 < 2 <laughter>"}]}

    flow = codec("stt", "sensevoice-v1").flow(transcribe("sensevoice-v1"))

    assert "so 1 < 2" == play(flow, SUBMITTED, ENDED, said).result.text


def test_each_channel_has_a_line(codec: Callable[..., Any], play: Callable[..., Any]) -> None:
    said = {"transcripts": [{"text": "hello"}, {"text": "hi"}]}

    flow = codec("stt", "fun-asr").flow(transcribe("fun-asr"))

    assert "hello\nhi" == play(flow, SUBMITTED, ENDED, said).result.text


# How a task may end.


@pytest.mark.parametrize(
    ("output", "error", "code"),
    [
        (
            {"task_status": "FAILED", "code": "DataInspectionFailed", "message": "blocked"},
            Filtered,
            "DataInspectionFailed",
        ),
        ({"task_status": "FAILED", "code": "Strange", "message": "m"}, TaskFailed, "Strange"),
        ({"task_status": "CANCELED"}, TaskFailed, None),
        ({"task_status": "UNKNOWN"}, NotFound, "UNKNOWN"),
        ({"task_status": "DANCING"}, BadReply, None),
        ({}, BadReply, None),
    ],
)
def test_a_task_that_ends_otherwise_is_an_error_after_one_poll(
    output: dict[str, Any],
    error: type[Exception],
    code: str | None,
    codec: Callable[..., Any],
    play: Callable[..., Any],
) -> None:
    call = TranscribeCall("paraformer-v2", Media(b""), resume="t2")

    played = play(codec("stt", "paraformer-v2").flow(call), {"output": output})

    assert ["GET /api/v1/tasks/t2"] == played.addresses
    assert error is type(played.error)
    assert code == played.error.code
    assert "t2" == played.error.task
    assert "qwen" == played.error.provider


def test_a_file_that_failed_is_an_error_though_the_task_succeeded(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    failed = succeeded(subtask_status="FAILED", code="FILE_DOWNLOAD_FAILED", message="no file")

    flow = codec("stt", "paraformer-v2").flow(transcribe("paraformer-v2"))
    played = play(flow, SUBMITTED, failed)

    assert isinstance(played.error, TaskFailed)
    assert "FILE_DOWNLOAD_FAILED" == played.error.code
    assert "no file" in str(played.error)
    assert "t5" == played.error.task


@pytest.mark.parametrize(
    "ended",
    [
        succeeded(subtask_status="FAILED", code="SUCCESS_WITH_NO_VALID_FRAGMENT"),
        {"output": {"task_status": "FAILED", "code": "SUCCESS_WITH_NO_VALID_FRAGMENT"}},
    ],
    ids=["of the file", "of the task"],
)
def test_silence_is_a_text_of_nothing(
    ended: object, codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    flow = codec("stt", "paraformer-v2").flow(transcribe("paraformer-v2"))

    assert "" == play(flow, SUBMITTED, ended).result.text


def test_a_document_that_cannot_be_fetched_leaves_the_id_of_the_task(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    flow = codec("stt", "paraformer-v2").flow(transcribe("paraformer-v2"))

    played = play(flow, SUBMITTED, ENDED, (403, b"expired"))

    assert isinstance(played.error, PermissionRefused)
    assert "t5" == played.error.task
