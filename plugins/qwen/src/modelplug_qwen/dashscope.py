"""What DashScope's routes have in common: addresses, errors, tasks and uploads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import orjson
from attrs import evolve, field, frozen

from modelplug.errors import BadReply, CallError, NotFound, TaskFailed
from modelplug.media import Media
from modelplug.openai_wire import OpenAICodec, read_usage
from modelplug.types import Usage
from modelplug.wire import Flow, Request, Response
from modelplug_qwen.live import LiveTask

C = TypeVar("C")
R = TypeVar("R")

_PREFIX = re.compile(r"/(compatible-mode/v1|compatible-api/v1|api/v1|apps/anthropic)(/.*)?$")
_MEANT: Mapping[str, str] = {
    "Range of input length should be [": "context_length_exceeded",
    "Model not exist": "ModelNotFound",
    "Free allocated quota exceeded": "AllocationQuota.FreeTierOnly",
}
"""
The code that is meant, by documented texts that come with one that misleads: the first two
with InvalidParameter or InternalError.Algo, the third with the code of a rate limit (2026-11).
"""
_WAITING = frozenset({"PENDING", "RUNNING", "SUSPENDED"})


def host_of(url: str) -> str:
    """*url* without the prefix that the vendor's pages end a base URL with, and what follows."""
    return _PREFIX.sub("", url)


def matches(model: str, patterns: tuple[str, ...]) -> bool:
    """Whether *model* is one of *patterns* (fnmatch, lower case)."""
    return any(fnmatchcase(model.lower(), pattern) for pattern in patterns)


def usage_of(usage: object) -> Usage:
    """`usage` of a native reply; figures other than tokens stay in the raw reply."""
    if not isinstance(usage, dict):
        return Usage()
    return read_usage(
        {
            "prompt_tokens": usage.get("input_tokens"),
            "completion_tokens": usage.get("output_tokens"),
            "total_tokens": usage.get("total_tokens"),
        }
    )


def seconds_of(usage: object, name: str) -> float | None:
    """`usage` as a length of sound."""
    seconds = usage.get(name) if isinstance(usage, dict) else None
    return float(seconds) if isinstance(seconds, int | float) else None


@frozen
class _Task:
    task_status: str
    task_id: str | None = None


@frozen
class _TaskReply:
    output: _Task


@frozen
class _Submitted:
    task_id: str


@frozen
class _SubmitReply:
    output: _Submitted


@frozen
class _Policy:
    upload_host: str
    upload_dir: str
    oss_access_key_id: str
    policy: str = field(repr=False)
    signature: str = field(repr=False)
    x_oss_object_acl: str = "private"
    x_oss_forbid_overwrite: str = "true"


@frozen
class _PolicyReply:
    data: _Policy | None = None
    output: _Policy | None = None


class DashScope(OpenAICodec[C, R]):
    """A codec of DashScope: its errors, and the ways of its native routes."""

    def post(self, payload: Mapping[str, Any]) -> Request:
        """POST *payload* to this codec's path."""
        request = super().post(payload)
        if b'"oss://' not in request.body:
            return request
        # Without this header an oss:// address is refused as one that cannot be read.
        headers = {**request.headers, "x-dashscope-ossresourceresolve": "enable"}
        return evolve(request, headers=headers)

    def native(self, path: str, payload: Mapping[str, Any], *, task: bool = False) -> Request:
        """POST *payload* to a native route; with *task* as a job that is asked for later."""
        request = evolve(self.post(payload), url=f"{self.endpoint.url}/api/v1{path}")
        headers = {**request.headers, "x-dashscope-async": "enable"} if task else request.headers
        return evolve(request, headers=headers)

    # Errors.

    def is_error(self, response: Response) -> bool:
        """Some gateways answer 200 with a native error for a body; the vendor's SDK looks too."""
        if super().is_error(response):
            return True
        return not response.streaming and b'"code"' in response.body and _holds_code(response)

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """(message, code, family or type); the code that is meant where the one sent misleads."""
        message, code, type_ = super().error_details(response)
        meant = next((code for text, code in _MEANT.items() if text in message), None)
        if meant:
            code = meant
        family, dot, _ = (code or "").partition(".")
        return message, code, family if dot else type_

    def parse_error(self, response: Response) -> CallError:
        """The error; the request's id is documented in the body, and in a header (2026-11)."""
        error = super().parse_error(response)
        if error.request_id is None and isinstance(id := _body(response).get("request_id"), str):
            error.request_id = id
        return error

    # Tasks.

    def submitted(self, request: Request) -> Flow[str]:
        """The id of the task that *request* begins."""
        response = yield from self.send(request)
        with self.reading(response):
            return response.parse(_SubmitReply).output.task_id

    def ended(self, id: str, resume: str) -> Flow[Response]:
        """
        The reply that says that task *id* succeeded; the error, where it says otherwise. One
        that is picked up by *resume* is asked for at once.
        """
        request = self._get(f"/tasks/{quote(id, safe='')}")
        response = yield from self.poll(
            request, self._state, task=id, every=1.0, longest=8.0, at_once=bool(resume)
        )
        return response

    @contextmanager
    def task(self, id: str) -> Iterator[None]:
        """An error from inside carries the task's id: what was made can still be fetched."""
        try:
            yield
        except CallError as error:
            error.task = error.task or id
            raise

    def task_failed(self, response: Response, told: Mapping[str, Any], what: str) -> CallError:
        """The error that *told*, a task or a part of one with `code` and `message`, is."""
        body = orjson.dumps({"code": told.get("code"), "message": told.get("message")})
        message, code, family = self.error_details(Response(200, body=body))
        cls = self.codes.get(code or "") or self.codes.get(family or "") or TaskFailed
        return cls(
            f"{self.endpoint.provider}'s {what}: {message or code or 'no reason was given'}",
            status=response.status,
            code=code,
            provider=self.endpoint.provider,
            request_id=response.request_id,
        )

    def _state(self, response: Response) -> Response | None:
        # All states come with status 200, also that of a task that never was.
        with self.reading(response):
            task = response.parse(_TaskReply).output
            if task.task_status in _WAITING:
                return None
            if task.task_status == "SUCCEEDED":
                return response
            if task.task_status in ("FAILED", "CANCELED"):
                what = f"task {task.task_id!r} ended as {task.task_status}"
                raise self.task_failed(response, response.json()["output"], what)
            if task.task_status == "UNKNOWN":
                who = self.endpoint.provider
                msg = f"{who} knows no such task; it forgets one a day after it was submitted"
                raise NotFound(msg, status=response.status, code="UNKNOWN")
            msg = f"a task is {task.task_status!r}, which is no known state @ $.output.task_status"
            raise BadReply(msg)

    # Live tasks.

    def live(
        self,
        payload: Mapping[str, Any],
        inputs: Sequence[bytes | Mapping[str, Any]],
        streaming: str,
    ) -> LiveTask:
        """A task on the WebSocket, whose failure is an error as on the other routes."""
        return LiveTask(payload, inputs, streaming, self._live_failed)

    def opening(self, task: LiveTask) -> Request:
        """The request that opens *task*'s WebSocket."""
        return task.request(self.endpoint.url, self.endpoint.api_key, self.endpoint.timeouts)

    def _live_failed(self, told: Mapping[str, Any]) -> CallError:
        return self.task_failed(Response(200), told, "task failed")

    # Uploads.

    def uploaded(self, model: str, media: Media) -> Flow[str]:
        """The oss:// address of *media*, for two days, for this account and *model* alone."""
        query = urlencode({"action": "getPolicy", "model": model})
        response = yield from self.send(self._get(f"/uploads?{query}"))
        with self.reading(response):
            reply = response.parse(_PolicyReply)
            policy = reply.data or reply.output
            if policy is None:
                msg = "the reply is no upload policy: required field missing @ $.data"
                raise BadReply(msg)
        # The name becomes a part of an address.
        name = re.sub(r"[^A-Za-z0-9._-]", "_", media.file_name)
        key = f"{policy.upload_dir}/{name}"
        form = {
            "OSSAccessKeyId": policy.oss_access_key_id,
            "Signature": policy.signature,
            "policy": policy.policy,
            "key": key,
            "x-oss-object-acl": policy.x_oss_object_acl,
            "x-oss-forbid-overwrite": policy.x_oss_forbid_overwrite,
            "success_action_status": "200",
            "x-oss-content-type": media.mime,
        }
        yield from self.send(
            Request(
                "POST",
                policy.upload_host,
                form=form,
                files=[("file", media)],
                timeouts=self.endpoint.timeouts,
            )
        )
        return f"oss://{key}"

    def _get(self, path: str) -> Request:
        return Request(
            "GET",
            f"{self.endpoint.url}/api/v1{path}",
            auth=self.endpoint.api_key,
            timeouts=self.endpoint.timeouts,
        )


def _holds_code(response: Response) -> bool:
    code = _body(response).get("code")
    return isinstance(code, str) and code != ""


def _body(response: Response) -> Mapping[str, Any]:
    """The JSON object of *response*; empty if it is something else, such as a proxy's page."""
    try:
        data = response.json()
    except BadReply:
        return {}
    return data if isinstance(data, dict) else {}
