"""The server that runners stand on, over real sockets and under hostile requests."""

from __future__ import annotations

import http.client
import importlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any

import pytest
from attrs import define, field

from modelplug_local.runners import SERVER_FOLDER
from modelplug_local.testing import DEADLINE

TOKEN = "canary-token"
BOUNDARY = "b0undary"


@pytest.fixture(scope="module")
def kit() -> Iterator[Any]:
    """engine_server, imported as a runner imports it."""
    sys.path.insert(0, str(SERVER_FOLDER))
    try:
        yield importlib.import_module("engine_server")
    finally:
        sys.path.remove(str(SERVER_FOLDER))


@define
class Served:
    """A server and what its handlers do: `/hold` works until `release` is set."""

    server: Any
    working: threading.Semaphore = field(factory=lambda: threading.Semaphore(0))
    release: threading.Event = field(factory=threading.Event)
    done: list[bytes] = field(factory=list)

    def raw(self, request: bytes, *, then_close: bool = False) -> bytes:
        """All that comes back for *request*, sent as it is."""
        with socket.create_connection(self.server.server_address, timeout=DEADLINE) as sock:
            sock.sendall(request)
            if then_close:
                sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(65536), b""))

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        token: str = f"Bearer {TOKEN}",
        mime: str = "application/json",
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """(status, parsed JSON, headers)."""
        connection = http.client.HTTPConnection(*self.server.server_address, timeout=DEADLINE)
        try:
            headers = {"Authorization": token, "Content-Type": mime}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return response.status, json.load(response), told
        finally:
            connection.close()


@pytest.fixture(scope="module")
def running(kit: Any) -> Iterator[Served]:
    """One worker, one that waits, bodies of at most 1500 bytes."""

    def echo(request: Any) -> dict[str, Any]:
        return {"got": dict(request.json().values)}

    def form(request: Any) -> dict[str, Any]:
        fields = request.form()
        files = {name: data.hex() for name, data in fields.files.items()}
        return {"got": dict(fields.values), "files": files}

    def hold(request: Any) -> Any:
        served.working.release()
        assert served.release.wait(DEADLINE)
        served.done.append(request.body)
        return kit.Reply(request.body, "audio/wav")

    def broken(request: Any) -> Any:
        message = "a secret prompt"
        raise ZeroDivisionError(message)

    def checked(request: Any) -> dict[str, Any]:
        fields = request.json()
        fields.only("text", "count", "share", "word")
        return {
            "text": fields.text("text", longest=5),
            "count": fields.whole("count", 3, least=1, most=9),
            "share": fields.number("share", 0.5, least=0, most=1),
            "word": fields.one_of("word", "red", ("red", "blue")),
        }

    server = kit.EngineServer("127.0.0.1", 0, TOKEN)
    served = Served(server)
    routes = {"/echo": echo, "/form": form, "/hold": hold, "/broken": broken, "/checked": checked}
    service = kit.Service(routes, "m", workers=1, queue=1, body_limit=1500)
    thread = threading.Thread(target=server.serve, args=(service,), daemon=True)
    server.server_activate()  # so that the tests need not wait for the thread to do it
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join(DEADLINE)
    assert not thread.is_alive()


@pytest.fixture
def served(running: Served) -> Iterator[Served]:
    """The server, with nothing held or done yet."""
    running.working, running.release = threading.Semaphore(0), threading.Event()
    running.done.clear()
    yield running
    running.release.set()


def multipart(*parts: bytes, end: bytes = b"--") -> bytes:
    """A form of ready-made parts."""
    marker = b"--" + BOUNDARY.encode()
    return b"".join(marker + b"\r\n" + part + b"\r\n" for part in parts) + marker + end + b"\r\n"


def part(name: str, content: bytes, filename: str = "") -> bytes:
    """A field, or a file."""
    file = f'; filename="{filename}"' if filename else ""
    head = f'Content-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content


FORM = f"multipart/form-data; boundary={BOUNDARY}"


def test_a_request_gets_its_handlers_answer(served: Served) -> None:
    status, body, _ = served.ask("POST", "/echo", '{"text": "你好"}'.encode())

    assert (200, {"got": {"text": "你好"}}) == (status, body)


def test_health_needs_no_token_and_models_names_the_model(served: Served) -> None:
    assert 200 == served.ask("GET", "/health", token="")[0]
    assert "m" == served.ask("GET", "/v1/models")[1]["data"][0]["id"]


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Bearer \xe9"])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/models"), ("POST", "/echo"), ("POST", "/nowhere")]
)
def test_without_the_token_nothing_is_told(
    served: Served, method: str, path: str, token: str
) -> None:
    status, body, _ = served.ask(method, path, b"{}", token=token)

    assert 401 == status
    assert "invalid_api_key" == body["error"]["code"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("POST", "/nowhere", 404), ("GET", "/echo", 405)],
)
def test_other_routes_and_methods_are_refused(
    served: Served, method: str, path: str, status: int
) -> None:
    assert status == served.ask(method, path)[0]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"x": NaN}', b"[" * 900, b'{"x": ' + b"9" * 900],
)
def test_a_body_that_is_no_json_object_is_the_callers_fault(served: Served, body: bytes) -> None:
    status, said, _ = served.ask("POST", "/echo", body)

    assert 400 == status
    assert "JSON" in said["error"]["message"]


@pytest.mark.parametrize(
    ("path", "kept"), [("/checked", True), ("/nowhere", False)], ids=["body read", "body unread"]
)
def test_a_refusal_ends_the_connection_only_where_a_body_was_left_unread(
    served: Served, path: str, kept: bool
) -> None:
    connection = http.client.HTTPConnection(*served.server.server_address, timeout=DEADLINE)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    said = []
    for route in ("/echo", "/echo", path):
        connection.request("POST", route, b"{}", headers)
        response = connection.getresponse()
        said.append((response.status, json.load(response)))

    assert [(200, {"got": {}})] * 2 == said[:2]
    assert 400 <= said[2][0] < 500
    assert ("close" != response.getheader("connection")) == kept
    connection.close()


HEAD = f"POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (HEAD + b"\r\n{}", 411),
        (HEAD + b"Content-Length: -1\r\n\r\n{}", 411),
        (HEAD + b"Content-Length: +2\r\n\r\n{}", 411),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", 411),
        (HEAD + b"Content-Length: 1501\r\n\r\n", 413),
        (HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n", 413),
        (HEAD + b"Content-Length: 10\r\n\r\n{}", 400),
        (b"BREW / HTTP/1.1\r\n\r\n", 501),
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"POST /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
    ],
)
def test_a_malformed_request_is_refused_and_the_next_one_served(
    served: Served, request_: bytes, status: int
) -> None:
    answer = served.raw(request_, then_close=True)

    if answer.startswith(b"HTTP/"):
        assert str(status).encode() == answer.split(b" ", 2)[1]
    else:
        assert answer.startswith(b'{"error"')  # nothing said which HTTP it was to be
    assert 200 == served.ask("POST", "/echo", b"{}")[0]


def test_a_form_gives_fields_and_files_byte_for_byte(served: Served) -> None:
    data = bytes(range(256)) + b"\r\n--b0undar" + b"\r\n"
    body = multipart(
        part("model", "whisper 你好".encode()),
        part("file", data, "a.wav"),
        part("timestamp_granularities[]", b"word"),
        part("timestamp_granularities[]", b"segment"),
    )

    status, said, _ = served.ask("POST", "/form", body, mime=FORM)

    assert 200 == status
    granularities = {"timestamp_granularities[]": "word,segment"}
    assert {"model": "whisper 你好", **granularities} == said["got"]
    assert {"file": data.hex()} == said["files"]


@pytest.mark.parametrize(
    ("body", "mime"),
    [
        (multipart(part("a", b"1")), "application/json"),
        (multipart(part("a", b"1")), "multipart/form-data"),
        (multipart(part("a", b"1"), end=b""), FORM),
        (b"", FORM),
        (multipart(b"Content-Disposition: form-data\r\n\r\nx"), FORM),
        (multipart(b"no head at all"), FORM),
        (multipart(part("a", b"\xff")), FORM),
        (multipart(*[b"x"] * 80), FORM),
    ],
)
def test_a_form_that_is_none_is_the_callers_fault(served: Served, body: bytes, mime: str) -> None:
    assert 400 == served.ask("POST", "/form", body, mime=mime)[0]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "text is missing"),
        ({"text": None}, "text is missing"),
        ({"text": 5}, "text must be text"),
        ({"text": "abcdef"}, "text has 6 characters and may have 5"),
        ({"text": "a", "count": 0}, "count must be a number from 1 to 9"),
        ({"text": "a", "count": True}, "count must be a number from 1 to 9"),
        ({"text": "a", "count": 1.5}, "count must be a whole number"),
        ({"text": "a", "share": "much"}, "share must be a number from 0 to 1"),
        ({"text": "a", "share": [1]}, "share must be a number from 0 to 1"),
        ({"text": "a", "word": "green"}, "word must be one of red, blue"),
        ({"text": "a", "colour": 1}, "unknown field 'colour'"),
    ],
)
def test_a_field_that_cannot_be_is_named(served: Served, body: object, told: str) -> None:
    status, said, _ = served.ask("POST", "/checked", json.dumps(body).encode())

    assert 400 == status
    assert said["error"]["message"].startswith(told)


def test_fields_have_defaults_and_are_read_from_text_too(served: Served) -> None:
    said = served.ask("POST", "/checked", b'{"text": "a", "count": "4", "word": "blue"}')[1]

    assert {"text": "a", "count": 4, "share": 0.5, "word": "blue"} == said


def test_a_full_queue_is_told_at_once_and_those_in_it_are_served(served: Served) -> None:
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(served.raw, hold(b"1"))
        assert served.working.acquire(timeout=DEADLINE)
        later = [pool.submit(served.ask, "POST", "/hold", b"2") for _ in range(4)]
        refused = [future.result() for future in _first_done(later, 3)]
        served.release.set()

        assert [429] * 3 == [status for status, _, _ in refused]
        assert ["1"] * 3 == [headers["retry-after"] for _, _, headers in refused]
        assert b"200" in first.result()
    assert [b"1", b"2"] == served.done


def test_work_is_not_begun_for_a_caller_that_has_gone(served: Served) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(served.raw, hold(b"1"))
        assert served.working.acquire(timeout=DEADLINE)
        with socket.create_connection(served.server.server_address) as gone:
            gone.sendall(hold(b"2"))
            # It waits in the queue once there is no room for another.
            while served.ask("POST", "/echo", b"{}")[0] != 429:
                pass
        served.release.set()
        first.result()
        pool.submit(served.raw, hold(b"3")).result()

    assert [b"1", b"3"] == served.done


def test_a_handler_that_fails_is_a_500_that_tells_no_prompt(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    status, body, _ = served.ask("POST", "/broken", b"{}")

    assert 500 == status
    assert "the engine failed: ZeroDivisionError; see its log" == body["error"]["message"]


def test_neither_token_nor_body_is_logged(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    served.ask("POST", "/echo", b'{"text": "canary-prompt"}')
    served.ask("POST", "/nowhere/canary-path", b"{}")

    said = "".join(capfd.readouterr())
    assert "POST /echo 200" in said
    assert "canary" not in said


def hold(body: bytes) -> bytes:
    """A request for /hold after whose answer the connection ends."""
    head = f"POST /hold HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _first_done(futures: list[Any], count: int) -> list[Any]:
    return list(islice(as_completed(futures, DEADLINE), count))
