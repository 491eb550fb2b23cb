"""
The same call made twice, by a vendor's own SDK and by modelplug, and where the requests differ.

A vendor's file has a `Test...` class that inherits `VendorSuite`, with its calls as `cases` and
what differs on purpose in `explained`. Both sides speak to a loopback server that gives the
provider's recorded replies, and what the SDK read must be what the recording says: a reply that
the vendor's SDK cannot read is no reply of that vendor. So with errors, each of which the SDK
must tell as modelplug does.
"""

from __future__ import annotations

import email
import email.policy
import inspect
import json
import pprint
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

import modelplug as mp
from modelplug.errors import CallError
from modelplug.testing import Expected, FaultServer, Recorded, Replies, Request, block_network

KEY = "key-of-nobody-which-opens-nothing"
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REPLIES = HERE / "replies"

ABSENT = "(absent)"
"""Stands for what one of two requests lacks."""

# What a client says about itself and its connection, and how it counts or packs the same body.
_OF_THE_CLIENT = frozenset(
    "accept accept-encoding accept-language cache-control connection content-length date host "
    "idempotency-key transfer-encoding user-agent".split()
)
_PROXIES = [
    name
    for low in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    for name in (low, low.upper())
]


@dataclass(frozen=True, kw_only=True)
class Case:
    """
    One call, made twice.

    `theirs(sdk, model)` makes it with the vendor's SDK and gives what that read, as fields of
    an expected.toml; `ours(module)` with modelplug. `reply` is the file name of the recorded
    reply. `model` is called, of `type`.
    """

    name: str
    reply: str
    model: str
    theirs: Callable[[Any, str], Mapping[str, Any]]
    ours: Callable[[Any], Any]
    type: str = "llm"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What an error of an SDK tells; None where it does not tell that."""

    status: int
    code: object = None
    message: str | None = None
    request_id: str | None = None


def taken_by(method: Callable[..., Any]) -> frozenset[str]:
    """The names of what *method* takes."""
    return frozenset(inspect.signature(method).parameters)


class VendorSuite:
    """
    What the vendor's SDK says about a provider's requests and replies.

    `source` is the provider, `package` the name under which pip knows the SDK, `base_path` what
    the provider's base URL ends with, `replies` the folders of recorded replies, first found
    first. With a `host` both sides call that name, with the server as their HTTP proxy: for a
    provider that speaks otherwise to its own host. `key` is what modelplug is given, with KEY in
    it.

    `explained` gives the reason for each difference, by (case, field), where a field is
    `method`, `path`, `query`, `header NAME`, `part NAME` or a path into the JSON body; of the
    second request of a case it is `2: FIELD`, and so on. `of_the_sdk` are headers with which
    the SDK tells that it is one; with `sends_nulls` it writes null for what was not given,
    which is no difference.

    `only_blocking` gives the reason for each case that is not made with the asyncio client.

    `knows` are the names of what the SDK's method for a type takes, and `unknown` gives the
    reason for each call option, by (type, option), that is none of them.
    """

    source: ClassVar[str]
    package: ClassVar[str]
    base_path: ClassVar[str] = "/v1"
    host: ClassVar[str] = ""
    key: ClassVar[str] = KEY
    replies: ClassVar[Sequence[Path]]
    cases: ClassVar[Sequence[Case]]
    explained: ClassVar[Mapping[tuple[str, str], str]] = {}
    knows: ClassVar[Mapping[str, frozenset[str]]] = {}
    unknown: ClassVar[Mapping[tuple[str, str], str]] = {}
    only_blocking: ClassVar[Mapping[str, str]] = {}
    of_the_sdk: ClassVar[Sequence[str]] = ()
    sends_nulls: ClassVar[bool] = False

    def sdk(self, server: FaultServer) -> Any:
        """The vendor's client, with KEY, for *server*."""
        raise NotImplementedError

    def read_by_server(self, name: str, value: object) -> tuple[str, object]:
        """The field as the vendor's server reads it, for one that reads several spellings alike."""
        return name, value

    def origin(self, server: FaultServer) -> str:
        """Scheme and host that both sides call."""
        return f"http://{self.host}" if self.host else server.origin

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        """One test for each case, and for each recorded error."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", cls.cases, ids=[case.name for case in cls.cases])
        if "awaited" in metafunc.fixturenames:
            awaited = [case for case in cls.cases if case.name not in cls.only_blocking]
            metafunc.parametrize("awaited", awaited, ids=[case.name for case in awaited])
        if "failure" in metafunc.fixturenames:
            failures = Replies(*cls.replies).errors()
            metafunc.parametrize("failure", failures, ids=[failure.file for failure in failures])

    @pytest.fixture(autouse=True)
    def _stay_on_this_machine(self) -> Iterator[None]:
        with block_network():
            yield

    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
        """A loopback server with nothing to say yet."""
        for name in _PROXIES:
            monkeypatch.delenv(name, raising=False)
        with FaultServer() as server:
            if self.host:
                monkeypatch.setenv("http_proxy", server.origin)
            yield server

    def test_the_vendors_sdk_reads_the_reply_as_it_was_recorded(
        self, case: Case, server: FaultServer
    ) -> None:
        recorded = self._serve(case, server)

        read = case.theirs(self.sdk(server), case.model)

        told, read = _both_tell(recorded.expected, read)
        assert told
        assert told == read

    def test_the_request_is_the_one_that_the_vendors_sdk_makes(
        self, case: Case, server: FaultServer
    ) -> None:
        self._serve(case, server)
        case.theirs(self.sdk(server), case.model)
        theirs = list(server.requests)
        self._serve(case, server)
        case.ours(self._module(case, server))
        ours = server.requests[len(theirs) :]

        found = self.differences(theirs, ours)

        reasons = {where: why for (name, where), why in self.explained.items() if name == case.name}
        unexplained = {where: two for where, two in found.items() if where not in reasons}
        assert not unexplained, pprint.pformat(unexplained)
        assert set(reasons) == set(found), "an explained difference does not occur"

    def test_each_call_option_is_a_parameter_of_the_sdk(self, server: FaultServer) -> None:
        found = {
            (type, option)
            for type, names in self.knows.items()
            for option in self._options(type, server) - names
        }

        assert set(self.unknown) == found
        assert all(self.unknown.values())

    def test_each_explanation_is_of_a_case_and_gives_a_reason(self) -> None:
        names = {case.name for case in self.cases}

        assert {name for name, _ in self.explained} <= names
        assert all(self.explained.values())

    def differences(
        self, theirs: Sequence[Request], ours: Sequence[Request]
    ) -> dict[str, tuple[object, object]]:
        """(theirs, ours) by the name of each field that differs, and means something."""
        return {
            where: two
            for where, two in _differences(theirs, ours, self.read_by_server).items()
            if where.partition("header ")[2] not in self.of_the_sdk
            and not (self.sends_nulls and two == (None, ABSENT))
        }

    def _serve(self, case: Case, server: FaultServer) -> Recorded:
        recorded = Replies(*self.replies)[case.reply]
        server.answer(*recorded.replies_from(server.origin))
        return recorded

    def _options(self, type: str, server: FaultServer) -> frozenset[str]:
        url = self.origin(server) + self.base_path
        module = mp.OnlineModule(source=self.source, type=type, url=url, api_key=self.key)
        codec = module._online
        return codec.options | codec.endpoint.options

    def _module(self, case: Case, server: FaultServer) -> Any:
        return mp.OnlineModule(
            case.model,
            source=self.source,
            type=case.type,
            url=self.origin(server) + self.base_path,
            api_key=self.key,
            max_retries=0,
        )


class ErrorSuite(VendorSuite):
    """
    A suite whose SDK tells of an error its status and more.

    `unlike` gives the reason for each difference between the errors of both, by (recorded
    error, field of Told); `id_header` is where a request's id comes, unless it is in the body.
    """

    unlike: ClassVar[Mapping[tuple[str, str], str]] = {}
    id_header: ClassVar[str] = "x-request-id"

    def told(self, error: Exception) -> Told:
        """What the SDK's *error* tells; asserts that its class is the one for its status."""
        raise NotImplementedError

    def test_an_error_tells_the_vendors_sdk_what_it_tells_modelplug(
        self, failure: Recorded, server: FaultServer
    ) -> None:
        case = self.cases[0]
        headers = dict(failure.reply.headers)
        id = headers.pop("x-request-id")
        if self.id_header:
            headers[self.id_header] = id
        server.answer(failure.reply.but(headers=headers))
        with pytest.raises(Exception) as theirs:  # noqa: PT011 - told() looks at its class
            case.theirs(self.sdk(server), case.model)
        with pytest.raises(CallError) as ours:
            case.ours(self._module(case, server))

        told = self.told(theirs.value)

        found = _unlike(told, ours.value)
        reasons = {name for (file, name) in self.unlike if file == failure.file}
        assert reasons == set(found), found

    def test_each_error_that_is_told_otherwise_is_recorded_and_has_a_reason(self) -> None:
        recorded = {failure.file for failure in Replies(*self.replies).errors()}

        assert {file for file, _ in self.unlike} <= recorded
        assert all(self.unlike.values())


def _unlike(told: Told, error: CallError) -> dict[str, tuple[object, object]]:
    """(theirs, ours) by the name of each field that the SDK's error tells otherwise than ours."""
    pairs = {
        "status": (told.status, error.status),
        "code": (told.code and str(told.code), error.code),
        "message": (told.message, str(error)),
        "request_id": (told.request_id, error.request_id),
    }
    return {
        name: (one, other)
        for name, (one, other) in pairs.items()
        if one and (one not in str(other) if name == "message" else one != other)
    }


def _both_tell(
    expected: Expected, read: Mapping[str, Any]
) -> tuple[dict[str, object], dict[str, object]]:
    """What is expected and what was read, of the fields that both know, and of `usage` too."""
    told: dict[str, object] = {}
    seen: dict[str, object] = {}
    for name, value in read.items():
        wanted = getattr(expected, name)
        if isinstance(wanted, Mapping):
            wanted, value = _common(wanted, value), _common(value, wanted)
        if wanted is not None:
            told[name], seen[name] = wanted, value
    return told, seen


def _common(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in one.items() if key in other}


def _differences(
    theirs: Sequence[Request],
    ours: Sequence[Request],
    read: Callable[[str, object], tuple[str, object]],
) -> dict[str, tuple[object, object]]:
    """
    (theirs, ours) by the name of each field that differs.

    An SDK that stops at a link leaves the fetching to its user: GETs at the end of ours, which
    must not carry the key.
    """
    assert theirs, "the SDK sent nothing"
    found: dict[str, tuple[object, object]] = {}
    for number, (one, other) in enumerate(zip(theirs, ours, strict=False), start=1):
        prefix = "" if number == 1 else f"{number}: "
        seen, sent = (
            dict(read(*field) for field in _fields(request).items()) for request in (one, other)
        )
        for name in sorted(seen.keys() | sent.keys()):
            pair = seen.get(name, ABSENT), sent.get(name, ABSENT)
            if pair[0] != pair[1]:
                found[prefix + name] = pair
    for extra in ours[len(theirs) :]:
        assert ("GET", b"") == (extra.method, extra.body)
        assert KEY not in str(dict(extra.headers))
    assert len(theirs) <= len(ours), "the SDK sent more requests"
    return found


def _fields(request: Request) -> dict[str, object]:
    """What of *request* is for the server, flat."""
    found: dict[str, object] = {"method": request.method, "path": request.path}
    if request.query:
        found["query"] = request.query
    for name, value in request.headers.items():
        if name not in _OF_THE_CLIENT and not name.startswith("x-stainless-"):
            # The rest is what divides the parts of a form.
            found[f"header {name}"] = value.partition(";")[0].lower() if "type" in name else value
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        found |= _parts(request)
    elif request.body:
        found |= dict(_flat(json.loads(request.body), ""))
    return found


def _flat(value: object, path: str) -> Iterator[tuple[str, object]]:
    """The leaves of a JSON value by their paths."""
    children: Iterator[tuple[object, object]]
    if isinstance(value, dict) and value:
        children = iter(value.items())
    elif isinstance(value, list) and value:
        children = iter(enumerate(value))
    else:
        # JSON knows no difference between 1 and 1.0, and Python's == none either.
        yield path, value
        return
    for key, child in children:
        yield from _flat(child, f"{path}.{key}" if path else str(key))


def _parts(request: Request) -> dict[str, object]:
    """The fields of a form: text, or (file name, content type, bytes); of repeated ones a list."""
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    found: dict[str, Any] = {}
    for part in message.iter_parts():
        name = f"part {part.get_param('name', header='content-disposition')}"
        content = part.get_payload(decode=True)
        file = part.get_filename()
        value = content if file is None else (file, part.get_content_type(), content)
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
