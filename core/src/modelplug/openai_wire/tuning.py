"""Fine-tuning: two files, a job, a model whose name begins with `ft:`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from attrs import evolve, frozen

from modelplug.errors import BadReply
from modelplug.media import Media
from modelplug.openai_wire.base import OpenAICodec
from modelplug.openai_wire.chat import OpenAIChat
from modelplug.wire import Flow, Request, Response, TuneCall, TuneJob, TuningCodec

STATES = {
    "validating_files": "queued",
    "queued": "queued",
    "running": "running",
    "paused": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}


@frozen
class _File:
    id: str


@frozen
class _Error:
    message: str | None = None
    code: str | None = None


@frozen
class _Job:
    id: str
    status: str
    fine_tuned_model: str | None = None
    error: _Error | None = None


class OpenAITuning(OpenAICodec[TuneCall, TuneJob], TuningCodec):
    """https://platform.openai.com/docs/api-reference/fine-tuning, read 2026-11."""

    path = "/fine_tuning/jobs"
    settings = {"epochs": "n_epochs", "batch_size": "batch_size", "seed": "seed"}  # noqa: RUF012
    # It takes no learning rate, only a factor on one that it chooses.
    own = frozenset({"learning_rate_multiplier"})

    def begin(self, call: TuneCall) -> Flow[str]:
        """Upload the files and create the job."""
        payload: dict[str, Any] = {"model": call.model}
        for name, media in (("training_file", call.training), ("validation_file", call.validation)):
            if media is not None:
                payload[name] = yield from self._uploaded(media)
        if call.name:
            payload["suffix"] = call.name
        asked = self.hyperparameters(call)
        if "seed" in asked:
            payload["seed"] = asked.pop("seed")
        supervised = {"hyperparameters": asked} if asked else {}
        payload["method"] = {"type": "supervised", "supervised": supervised}
        response = yield from self.send(self.post(payload))
        with self.reading(response):
            return response.parse(_Job).id

    def job_request(self, id: str) -> Request:
        """GET of the job."""
        return evolve(self._to(f"/{quote(id, safe='')}"), method="GET")

    def cancel_request(self, id: str) -> Request:
        """POST to its `cancel`."""
        return self._to(f"/{quote(id, safe='')}/cancel")

    def read_job(self, response: Response) -> TuneJob:
        """The job's state."""
        job = response.parse(_Job)
        if job.status not in STATES:
            msg = f"a job is {job.status!r}, which is no known state @ $.status"
            raise BadReply(msg)
        reason = (job.error.message or job.error.code or "") if job.error else ""
        status = STATES[job.status]
        return TuneJob(job.id, status, job.fine_tuned_model, reason, response.json())

    def _to(self, rest: str) -> Request:
        request = self.post({})
        return evolve(request, url=request.url + rest, headers={}, body=b"")

    def _uploaded(self, media: Media) -> Flow[str]:
        request = self.multipart({"purpose": "fine-tune"}, [("file", media)])
        url = request.url.removesuffix(self.path) + "/files"
        response = yield from self.send(evolve(request, url=url))
        with self.reading(response):
            return response.parse(_File).id


class TunableChat(OpenAIChat):
    """POST /chat/completions, at a provider that tunes its models."""

    tuning = OpenAITuning
