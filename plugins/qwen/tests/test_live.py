"""The models that are reached by WebSocket alone, against a server that speaks as documented."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import define, field
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

import modelplug as mp
from modelplug.errors import (
    AuthRefused,
    BadReply,
    ConfigError,
    Filtered,
    TransportFailed,
    Unsupported,
)
from modelplug.wire import Response
from modelplug_qwen.live import LiveTask
from modelplug_qwen.transcribe import joined, sound_of

KEY = "sk-canary-live"
HEAD = (b"RIFF", 36, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16_000, 2, 16, b"data", 30_000)
WAV = struct.pack("<4sI4s4sIHHIIHH4sI", *HEAD) + bytes(30_000)


@define
class Live:
    """
    A server for one WebSocket after another.

    `script` is asked with each message that came and gives what is sent: bytes, or events as
    (name, payload, more of the header). None hangs up.
    """

    script: Callable[[Any], Any] = lambda message: ()
    refuse: int = 0
    came: list[Any] = field(factory=list)
    requests: list[Request] = field(factory=list)
    closed: list[int] = field(factory=list)
    pongs: list[bytes] = field(factory=list)
    task: str = ""
    url: str = ""

    def serve(self, listening: socket.socket) -> None:
        """Until *listening* is closed."""
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            with peer:
                self._converse(peer)

    def _converse(self, peer: socket.socket) -> None:
        wire = WSConnection(ConnectionType.SERVER)
        while data := peer.recv(65536):
            wire.receive_data(data)
            for event in wire.events():
                if not self._answer(wire, peer, event):
                    return

    def _answer(self, wire: WSConnection, peer: socket.socket, event: Any) -> bool:
        match event:
            case Request():
                self.requests.append(event)
                if self.refuse:
                    body = b'{"code": "InvalidApiKey", "message": "no such key"}'
                    kind = [(b"content-type", b"application/json")]
                    head = RejectConnection(status_code=self.refuse, headers=kind, has_body=True)
                    peer.sendall(wire.send(head))
                    peer.sendall(wire.send(RejectData(data=body)))
                    return False
                peer.sendall(wire.send(AcceptConnection()))
            case Message():
                came = json.loads(event.data) if isinstance(event.data, str) else event.data
                self.came.append(came)
                if isinstance(came, dict):
                    self.task = came["header"]["task_id"]
                for answer in self.script(came):
                    if answer is None:
                        return False
                    peer.sendall(wire.send(self._event(answer)))
            case Pong():
                self.pongs.append(bytes(event.payload))
            case CloseConnection():
                self.closed.append(event.code)
                peer.sendall(wire.send(event.response()))
                return False
        return True

    def _event(self, answer: Any) -> Any:
        if isinstance(answer, bytes):
            return BytesMessage(data=answer)
        if isinstance(answer, tuple):
            name, payload, more = (*answer, {}, {})[:3]
            header = {"task_id": self.task, "event": name, "attributes": {}, **more}
            return TextMessage(data=json.dumps({"header": header, "payload": payload}))
        return answer


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """A running server, which qwen's address names."""
    server = Live()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setenv("MODELPLUG_QWEN_BASE_URL", f"{server.url}/api/v1")
        monkeypatch.setenv("MODELPLUG_QWEN_API_KEY", KEY)
        thread = threading.Thread(target=server.serve, args=(listening,), daemon=True)
        thread.start()
        yield server
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def action(message: Any) -> str:
    """What a message asks for."""
    return str(message["header"]["action"]) if isinstance(message, dict) else "sound"


def speaking(message: Any) -> Any:
    """CosyVoice, and sambert, which starts with its text."""
    match action(message):
        case "run-task" if message["header"]["streaming"] == "out":
            end = {"output": {"sentence": {"words": []}}, "usage": {"characters": 2}}
            return [("task-started",), b"ID3", b"sound", ("task-finished", end)]
        case "run-task":
            return [("task-started",)]
        case "continue-task":
            return [("result-generated", {"output": {}}), b"ID3", b"sound"]
        case "finish-task":
            return [("task-finished", {"output": {}, "usage": {"characters": 2}})]
    return []


def test_cosyvoice_speaks_over_the_websocket(live: Live) -> None:
    live.script = speaking
    speak = mp.OnlineModule("cosyvoice-v2", source="qwen")

    sound = speak("你好", voice="longxiaochun_v2", sample_rate=22050)

    assert ("audio/mpeg", b"ID3sound") == (sound.mime, sound.data)
    start, more, end = live.came
    assert ["run-task", "continue-task", "finish-task"] == [action(m) for m in live.came]
    assert {"duplex"} == {message["header"]["streaming"] for message in live.came}
    assert 1 == len({message["header"]["task_id"] for message in live.came})
    assert {
        "model": "cosyvoice-v2",
        "task_group": "audio",
        "task": "tts",
        "function": "SpeechSynthesizer",
        "input": {},
        "parameters": {
            "text_type": "PlainText",
            "format": "mp3",
            "voice": "longxiaochun_v2",
            "sample_rate": 22050,
        },
    } == start["payload"]
    assert {"text": "你好"} == more["payload"]["input"]
    assert {"input": {}} == end["payload"]
    assert [1000] == live.closed


def test_the_websocket_is_opened_at_its_path_with_the_key_in_the_head(live: Live) -> None:
    live.script = speaking
    mp.OnlineModule("cosyvoice-v2", source="qwen")("hi", voice="v")

    (request,) = live.requests
    assert "/api-ws/v1/inference" == request.target
    assert (b"authorization", f"Bearer {KEY}".encode()) in request.extra_headers


def test_sambert_is_told_its_text_at_once_and_asked_for_nothing_more(live: Live) -> None:
    live.script = speaking
    sound = mp.OnlineModule("sambert-zhichu-v1", source="qwen")("hi", format="wav")

    assert ("audio/wav", b"ID3sound") == (sound.mime, sound.data)
    (start,) = live.came
    assert ("out", {"text": "hi"}) == (start["header"]["streaming"], start["payload"]["input"])
    assert {"format": "wav"} == start["payload"]["parameters"]


def listening(message: Any) -> Any:
    """A recogniser: a sentence grows and ends, then another."""
    match action(message):
        case "run-task":
            return [("task-started",), Ping(payload=b"still there?")]
        case "finish-task":
            told = [("hel", None), ("hello.", 900), ("World", 1800)]
            sentences = [
                {"begin_time": 0, "end_time": end, "text": text, "words": []} for text, end in told
            ]
            return [
                *(
                    ("result-generated", {"output": {"sentence": s}, "usage": {"duration": 2}})
                    for s in sentences
                ),
                ("task-finished", {"output": {}}),
            ]
    return []


@pytest.mark.parametrize("model", ["paraformer-realtime-v2", "fun-asr-realtime"])
def test_a_recording_is_sent_piece_by_piece_and_its_sentences_come_back(
    live: Live, model: str
) -> None:
    live.script = listening
    said = mp.OnlineModule(model, source="qwen").respond(WAV, language="en")

    assert "hello. World" == said.text
    assert [(0.0, 0.9), (0.0, 1.8)] == [(part.start, part.end) for part in said.segments]
    assert 2.0 == said.duration
    pieces = [message for message in live.came if isinstance(message, bytes)]
    assert WAV == b"".join(pieces)
    assert [12_800, 12_800] == [len(piece) for piece in pieces[:2]]
    parameters = {"format": "wav", "sample_rate": 8000, "language_hints": ["en"]}
    assert parameters == live.came[0]["payload"]["parameters"]
    assert ("asr", "recognition") == (
        live.came[0]["payload"]["task"],
        live.came[0]["payload"]["function"],
    )
    assert [b"still there?"] == live.pongs


def translating(message: Any) -> Any:
    """A recogniser that translates: other names for the same."""
    match action(message):
        case "run-task":
            return [("task-started",)]
        case "finish-task":
            told = [("hel", 400, False), ("hello.", 900, True)]
            heard = [
                {
                    "sentence_id": 0,
                    "begin_time": 0,
                    "end_time": end,
                    "text": text,
                    "sentence_end": done,
                    "words": [],
                }
                for text, end, done in told
            ]
            also = [{**heard[-1], "lang": "zh", "text": "你好。"}]
            return [
                ("result-generated", {"output": {"transcription": heard[0]}}),
                ("result-generated", {"output": {"transcription": heard[1], "translations": also}}),
                ("task-finished", {"output": {}, "usage": {"duration": 1}}),
            ]
    return []


def test_a_translator_writes_down_what_it_hears_and_keeps_what_it_translated(live: Live) -> None:
    live.script = translating
    said = mp.OnlineModule("gummy-realtime-v1", source="qwen").respond(
        WAV, language="en", translation_enabled=True, translation_target_languages=["zh"]
    )

    assert "hello." == said.text
    assert [(0.0, 0.9)] == [(part.start, part.end) for part in said.segments]
    assert "你好。" == said.raw["outputs"][1]["translations"][0]["text"]
    assert {
        "format": "wav",
        "sample_rate": 8000,
        "source_language": "en",
        "transcription_enabled": True,
        "translation_enabled": True,
        "translation_target_languages": ["zh"],
    } == live.came[0]["payload"]["parameters"]


def test_sync_equals_async_in_two_event_loops_in_a_row(live: Live) -> None:
    live.script = listening
    hear = mp.OnlineModule("paraformer-realtime-v2", source="qwen")

    assert hear(WAV) == asyncio.run(hear.acall(WAV)) == asyncio.run(hear.acall(WAV))


def failing(code: str) -> Callable[[Any], Any]:
    """A task that fails."""
    told = {"error_code": code, "error_message": "no"}
    return lambda message: [("task-failed", {}, told)] if action(message) == "run-task" else []


@pytest.mark.parametrize(
    ("code", "error"), [("DataInspectionFailed", Filtered), ("InvalidApiKey", AuthRefused)]
)
def test_a_task_that_fails_is_the_error_that_its_code_says(
    live: Live, code: str, error: type[Exception]
) -> None:
    live.script = failing(code)

    with pytest.raises(error, match="qwen's task failed: no"):
        mp.OnlineModule("cosyvoice-v2", source="qwen")("hi", voice="v")


def test_a_websocket_that_is_refused_is_the_error_of_its_reply(live: Live) -> None:
    live.refuse = 401

    with pytest.raises(AuthRefused, match="no such key") as caught:
        mp.OnlineModule("cosyvoice-v2", source="qwen")("hi", voice="v")

    assert KEY not in str(caught.value)


def test_a_server_that_hangs_up_is_a_transport_error_and_tried_again(live: Live) -> None:
    tried: list[Any] = []

    def script(message: Any) -> Any:
        if action(message) == "run-task" and not tried:
            tried.append(message)
            return [("task-started",), None]
        return speaking(message)

    live.script = script

    assert b"ID3sound" == mp.OnlineModule("cosyvoice-v2", source="qwen")("hi", voice="v").data
    assert 2 == len(live.requests)
    assert tried[0]["header"]["task_id"] != live.task


def test_a_task_that_says_nothing_is_a_bad_reply(live: Live) -> None:
    live.script = lambda message: (
        [("task-started",), ("task-finished", {})] if action(message) == "run-task" else []
    )

    with pytest.raises(BadReply, match="said nothing"):
        mp.OnlineModule("sambert-zhichu-v1", source="qwen")("hi")


@pytest.mark.parametrize("nonsense", ["[]", "{}", '{"header": {}}', '{"header": {"event": 1}}'])
def test_a_message_that_is_no_event_is_a_bad_reply(live: Live, nonsense: str) -> None:
    live.script = lambda message: [TextMessage(data=nonsense)]

    with pytest.raises(BadReply, match=r"header\.event"):
        mp.OnlineModule("sambert-zhichu-v1", source="qwen")("hi")


def test_a_server_that_does_not_know_the_websockets_key_is_no_websocket() -> None:
    task = LiveTask({}, (), "out", lambda told: TransportFailed("never"))

    with pytest.raises(BadReply, match="without the key"):
        next(task.begin(Response(101, {"sec-websocket-accept": "x"})))


def test_what_a_live_model_cannot_do_is_said_before_anything_is_sent(live: Live) -> None:
    with pytest.raises(ConfigError, match="pass voice="):
        mp.OnlineModule("cosyvoice-v2", source="qwen")("hi")
    with pytest.raises(Unsupported, match="leave resume= out"):
        mp.OnlineModule("cosyvoice-v2", source="qwen")(None, resume="t1", voice="v")
    with pytest.raises(Unsupported, match="leave resume= out"):
        mp.OnlineModule("paraformer-realtime-v2", source="qwen")(None, resume="t1")
    assert [] == live.requests


def test_a_conversation_is_not_put_on_a_tape(live: Live, tmp_path: Any) -> None:
    speak = mp.OnlineModule("cosyvoice-v2", source="qwen")

    with mp.tape(str(tmp_path / "t.jsonl")), pytest.raises(Unsupported, match="a tape holds no"):
        speak("hi", voice="v")


@pytest.mark.parametrize(
    ("mime", "data", "told"),
    [
        ("audio/mpeg", b"ID3", {"format": "mp3", "sample_rate": 16000}),
        ("audio/x-wav", WAV, {"format": "wav", "sample_rate": 8000}),
        ("audio/aac", b"", {"format": "aac", "sample_rate": 16000}),
    ],
)
def test_a_recordings_format_is_told_by_the_file(mime: str, data: bytes, told: Any) -> None:
    assert told == sound_of(mp.Media(data, mime))


def test_sentences_are_joined_as_their_language_does() -> None:
    assert "Hello. World" == joined(["Hello.", "World"])
    assert "你好。世界" == joined(["你好。", "世界"])
