"""A model is tuned at DashScope, request by request."""

from __future__ import annotations

from typing import Any

import pytest

from modelplug.errors import BadReply, TaskFailed, UnknownOption, Unsupported
from modelplug.media import Media
from modelplug.types import Endpoint, Secret
from modelplug.wire import TuneCall
from modelplug_qwen.tuning import QwenTuning

ENDPOINT = Endpoint(
    provider="qwen",
    model="qwen-turbo",
    url="https://dashscope.aliyuncs.com",
    api_key=Secret("canary"),
)
DATA = Media(b'{"messages": []}\n', "application/jsonl", "training.jsonl")
UPLOADED = {"data": {"uploaded_files": [{"file_id": "f1"}], "failed_uploads": []}}


def job(status: str, **more: Any) -> dict[str, Any]:
    return {"output": {"job_id": "ft-1", "status": status, **more}, "request_id": "r"}


def call(**arguments: Any) -> TuneCall:
    return TuneCall("qwen-turbo", DATA, arguments=arguments)


def test_files_go_up_and_a_job_is_waited_for(play: Any) -> None:
    told: list[str] = []
    asked = TuneCall("qwen-turbo", DATA, DATA, {}, "demo", "", lambda job: told.append(job.status))

    played = play(
        QwenTuning(ENDPOINT).flow(asked),
        UPLOADED,
        UPLOADED,
        job("PENDING"),
        job("QUEUING"),
        job("RUNNING"),
        job("SUCCEEDED", finetuned_output="qwen-turbo-ft-1"),
    )

    assert [
        "POST /api/v1/files",
        "POST /api/v1/files",
        "POST /api/v1/fine-tunes",
        "GET /api/v1/fine-tunes/ft-1",
        "GET /api/v1/fine-tunes/ft-1",
        "GET /api/v1/fine-tunes/ft-1",
    ] == played.addresses
    assert [("files", DATA)] == list(played.sent[0].files)
    assert {"purpose": "fine-tune"} == played.sent[0].form
    assert {
        "model": "qwen-turbo",
        "training_file_ids": ["f1"],
        "validation_file_ids": ["f1"],
        "training_type": "efficient_sft",
        "hyper_parameters": {},
        "suffix": "demo",
    } == played.bodies[2]
    assert ["queued", "running", "succeeded"] == told
    assert ("ft-1", "qwen-turbo-ft-1") == (played.result.id, played.result.model)


def test_a_learning_rate_is_sent_as_text(play: Any) -> None:
    flow = QwenTuning(ENDPOINT).flow(call(method="full", epochs=2, lr=1.6e-5, lora_r=8))

    played = play(flow, UPLOADED, job("PENDING"), job("SUCCEEDED", finetuned_output="m"))

    body = played.bodies[1]
    assert "sft" == body["training_type"]
    assert {"n_epochs": 2, "learning_rate": "1.6e-05", "lora_rank": 8} == body["hyper_parameters"]


def test_a_job_that_failed_is_told_with_its_reason(play: Any) -> None:
    played = play(
        QwenTuning(ENDPOINT).flow(TuneCall("qwen-turbo", resume="ft-1")),
        job("FAILED", message="bad data"),
    )

    assert isinstance(played.error, TaskFailed)
    assert "qwen: fine-tuning job ft-1 failed: bad data" == str(played.error)
    assert "ft-1" == played.error.task


def test_a_file_that_was_not_taken_ends_it(play: Any) -> None:
    refused = {"data": {"uploaded_files": [], "failed_uploads": [{"name": "training.jsonl"}]}}

    played = play(QwenTuning(ENDPOINT).flow(call()), refused)

    assert isinstance(played.error, BadReply)
    assert "the file was not taken" in str(played.error)


def test_a_job_is_cancelled_and_looked_at(play: Any) -> None:
    played = play(QwenTuning(ENDPOINT).cancel("ft-1"), {"request_id": "r"}, job("CANCELING"))

    assert ["POST /api/v1/fine-tunes/ft-1/cancel", "GET /api/v1/fine-tunes/ft-1"] == (
        played.addresses
    )
    assert "running" == played.result.status


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            {"method": "dpo"},
            Unsupported,
            "qwen tunes with method 'lora' or 'full', not 'dpo'",
        ),
        (
            {"epoch": 1},
            UnknownOption,
            "qwen tunes with no 'epoch' (it has: method, epochs, batch_size, lr, lora_r, "
            "eval_steps, lora_alpha, lora_dropout, max_length, warmup_ratio); "
            "did you mean 'epochs'?",
        ),
    ],
)
def test_what_it_has_not_is_refused_before_anything_is_sent(
    play: Any, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    played = play(QwenTuning(ENDPOINT).flow(call(**arguments)))

    assert [] == played.sent
    assert isinstance(played.error, error)
    assert text == str(played.error)


def test_its_tuned_models_are_not_called_before_they_are_deployed() -> None:
    assert QwenTuning(ENDPOINT).serves is False
