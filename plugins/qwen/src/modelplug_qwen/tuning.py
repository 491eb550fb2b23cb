"""Fine-tuning at DashScope: files, a job, and a model that must be deployed before it serves."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from attrs import evolve, field, frozen

from modelplug.errors import BadReply, Unsupported
from modelplug.media import Media
from modelplug.wire import Flow, Request, Response, TuneCall, TuneJob, TuningCodec
from modelplug_qwen.dashscope import DashScope

STATES = {
    "PENDING": "queued",
    "QUEUING": "queued",
    "RUNNING": "running",
    "CANCELING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "cancelled",
}
METHODS = {"lora": "efficient_sft", "full": "sft"}


@frozen
class _File:
    file_id: str


@frozen
class _Uploads:
    uploaded_files: list[_File]
    failed_uploads: list[Any] = field(factory=list)


@frozen
class _UploadReply:
    data: _Uploads


@frozen
class _Job:
    job_id: str
    status: str
    finetuned_output: str | None = None
    message: str | None = None


@frozen
class _JobReply:
    output: _Job


class QwenTuning(DashScope[TuneCall, TuneJob], TuningCodec):
    """The routes of the vendor's SDK `dashscope` 2.0.2: /files and /fine-tunes."""

    settings = {  # noqa: RUF012
        "method": "method",
        "epochs": "n_epochs",
        "batch_size": "batch_size",
        "lr": "learning_rate",
        "lora_r": "lora_rank",
    }
    own = frozenset({"eval_steps", "lora_alpha", "lora_dropout", "max_length", "warmup_ratio"})
    # A tuned model answers only after it has been deployed, which is paid by the hour.
    serves = False

    def begin(self, call: TuneCall) -> Flow[str]:
        """Upload the files and create the job."""
        asked = self.hyperparameters(call)
        method = asked.pop("method", "lora")
        if method not in METHODS:
            msg = f"qwen tunes with method {' or '.join(map(repr, METHODS))}, not {method!r}"
            raise Unsupported(msg)
        if "learning_rate" in asked:
            asked["learning_rate"] = str(asked["learning_rate"])  # a number is refused
        training = yield from self._uploaded(call.training)
        validation = yield from self._uploaded(call.validation)
        payload: dict[str, Any] = {
            "model": call.model,
            "training_file_ids": training,
            "validation_file_ids": validation,
            "training_type": METHODS[method],
            "hyper_parameters": asked,
        }
        if call.name:
            payload["suffix"] = call.name
        response = yield from self.send(self.native("/fine-tunes", payload))
        with self.reading(response):
            return response.parse(_JobReply).output.job_id

    def job_request(self, id: str) -> Request:
        """GET of the job."""
        return self._get(f"/fine-tunes/{quote(id, safe='')}")

    def cancel_request(self, id: str) -> Request:
        """POST to its `cancel`."""
        return evolve(self._get(f"/fine-tunes/{quote(id, safe='')}/cancel"), method="POST")

    def read_job(self, response: Response) -> TuneJob:
        """The job's state."""
        job = response.parse(_JobReply).output
        if job.status not in STATES:
            msg = f"a job is {job.status!r}, which is no known state @ $.output.status"
            raise BadReply(msg)
        status = STATES[job.status]
        return TuneJob(job.job_id, status, job.finetuned_output, job.message or "", response.json())

    def _uploaded(self, media: Media | None) -> Flow[list[str]]:
        if media is None:
            return []
        request = evolve(
            self._get("/files"),
            method="POST",
            form={"purpose": "fine-tune"},
            files=[("files", media)],
        )
        response = yield from self.send(request)
        with self.reading(response):
            told = response.parse(_UploadReply).data
            if not told.uploaded_files:
                msg = f"the file was not taken: {told.failed_uploads!r} @ $.data.uploaded_files"
                raise BadReply(msg)
        return [file.file_id for file in told.uploaded_files]
