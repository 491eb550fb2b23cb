"""What PPIO's endpoints have in common: its errors, its two roots, and tasks that are polled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeVar
from urllib.parse import quote

from attrs import evolve

from modelplug.errors import BadReply, TaskFailed
from modelplug.openai_wire import OpenAICodec
from modelplug.wire import Flow, Request, Response

C = TypeVar("C")
R = TypeVar("R")

_ENDING = re.compile(r"(/v3/openai|/openai|/v3)?(/v1)?$")
"""How base URLs end; before it is the root of everything."""

_TASK_MODELS = ("qwen-image*", "z-image*", "jimeng*", "hunyuan-image*", "glm-image*", "flux*")
"""Media models whose path has `async/` before the name; others say it in `model=` (2026-11)."""


class PPIOCodec(OpenAICodec[C, R]):
    """OpenAI's wire under /openai/v1, and the rest under /v3 of the same host."""

    def post(self, payload: Mapping[str, Any]) -> Request:
        """POST to the chat root. `/v3/openai` and `/openai/v1` exist, `/v3/openai/v1` does not."""
        request = super().post(payload)
        return evolve(request, url=request.url.replace("/v3/openai/v1", "/openai/v1"))

    def media_request(self, model: str, payload: Mapping[str, Any]) -> Request:
        """POST *payload* to the media root, where the model's name is the path."""
        return evolve(self.post(payload), url=f"{self._root}/v3/{quote(path_of(model))}")

    def finished(self, request: Request, resume: str = "") -> Flow[Response]:
        """The reply that holds the result: to *request* itself, or of the task that it began."""
        task = resume
        if not task:
            response = yield from self.send(request)
            with self.reading(response):
                raw = response.json()
            if not isinstance(raw, dict) or not raw.get("task_id"):
                return response
            task = str(raw["task_id"])
        ask = Request(
            "GET",
            f"{self._root}/v3/async/task-result?task_id={quote(task, safe='')}",
            auth=self.endpoint.api_key,
            timeouts=self.endpoint.timeouts,
        )
        result = yield from self.poll(ask, self._outcome, task=task, at_once=bool(resume))
        return result

    def _outcome(self, response: Response) -> Response | None:
        """*response* once the task is done, None before."""
        with self.reading(response):
            try:
                task = response.json()["task"]
                status, reason = task["status"], task.get("reason")
            except (TypeError, KeyError, AttributeError) as exc:
                msg = f"the reply tells no state of the task: {exc} @ $.task.status"
                raise BadReply(msg) from exc
        if status == "TASK_STATUS_FAILED":
            msg = f"{self.endpoint.provider}: the task failed: {reason or 'no reason was told'}"
            raise TaskFailed(
                msg, status=200, provider=self.endpoint.provider, request_id=response.request_id
            )
        return response if status == "TASK_STATUS_SUCCEED" else None

    @property
    def _root(self) -> str:
        return _ENDING.sub("", self.endpoint.url.rstrip("/"), count=1)


def path_of(model: str) -> str:
    """The path of a media model under /v3: its name, for a task with `async/` before it."""
    is_task = not model.startswith("async/") and is_one_of(model, *_TASK_MODELS)
    return f"async/{model}" if is_task else model


def is_one_of(model: str, *patterns: str) -> bool:
    """Whether *model* matches one of *patterns*, as a task or not."""
    name = model.lower().removeprefix("async/")
    return any(fnmatchcase(name, pattern) for pattern in patterns)
