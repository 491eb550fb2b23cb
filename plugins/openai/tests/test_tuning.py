"""A model is tuned at a server that holds every request to the documented form."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import modelplug as mp
from modelplug.errors import BadReply, ConfigError, NotFound, TaskFailed, UnknownOption, Unsupported

MODEL = "gpt-4.1-mini-2025-04-14"
ROWS = [
    {"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": f"{n}!"}]}
    for n in range(10)
]


class OpenAI:
    """OpenAI's files and jobs: `states` are what a job goes through, one each time it is asked."""

    def __init__(self) -> None:
        self.files: list[tuple[str, bytes]] = []
        self.jobs: list[dict[str, Any]] = []
        self.states = ["validating_files", "running", "succeeded"]
        self.asked = 0
        self.cancelled: list[str] = []
        self.answered: list[str] = []

    def post_files(self, fields: dict[str, Message]) -> dict[str, Any]:
        assert {"purpose", "file"} == set(fields)
        assert b"fine-tune" == fields["purpose"].get_payload(decode=True)
        data = fields["file"].get_payload(decode=True)
        assert isinstance(data, bytes)
        self.files.append((fields["file"].get_filename() or "", data))
        return {"id": f"file-{len(self.files)}", "object": "file", "purpose": "fine-tune"}

    def post_jobs(self, body: dict[str, Any]) -> dict[str, Any]:
        assert set(body) <= {
            "model",
            "training_file",
            "validation_file",
            "suffix",
            "seed",
            "method",
        }
        assert "supervised" == body["method"]["type"]
        self.jobs.append(body)
        return self.job("validating_files")

    def job(self, status: str) -> dict[str, Any]:
        tuned = f"ft:{MODEL}:org:demo:1" if status == "succeeded" else None
        error = {"code": "exceeded_quota", "message": "no money left", "param": None}
        return {
            "id": "ftjob-1",
            "object": "fine_tuning.job",
            "status": status,
            "fine_tuned_model": tuned,
            "trained_tokens": None,
            "error": error if status == "failed" else None,
        }

    def get_job(self) -> dict[str, Any]:
        self.asked += 1
        return self.job(self.states[min(self.asked, len(self.states)) - 1])

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        self.answered.append(body["model"])
        message = {"role": "assistant", "content": "tuned"}
        return {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


class Handler(BaseHTTPRequestHandler):
    """Routes to `server.openai`; 404 for whatever is not documented."""

    def do_GET(self) -> None:
        assert "Bearer canary" == self.headers["Authorization"]
        if self.path == "/v1/fine_tuning/jobs/ftjob-1":
            return self._send(200, self._openai.get_job())
        return self._send(404, {"error": {"message": "no such job", "code": None}})

    def do_POST(self) -> None:
        assert "Bearer canary" == self.headers["Authorization"]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match self.path:
            case "/v1/files":
                return self._send(200, self._openai.post_files(self._form(body)))
            case "/v1/fine_tuning/jobs":
                return self._send(200, self._openai.post_jobs(json.loads(body)))
            case "/v1/fine_tuning/jobs/ftjob-1/cancel":
                assert b"" == body
                self._openai.states = ["cancelled"]
                return self._send(200, self._openai.job("cancelled"))
            case "/v1/chat/completions":
                return self._send(200, self._openai.chat(json.loads(body)))
        return self._send(404, {"error": {"message": "no such route", "code": None}})

    @property
    def _openai(self) -> OpenAI:
        openai: OpenAI = self.server.openai  # type: ignore[attr-defined]
        return openai

    def _form(self, body: bytes) -> dict[str, Message]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + body).get_payload()
        names = {}
        for part in parts:
            assert isinstance(part, Message)
            found = re.search(r'name="([^"]+)"', str(part["Content-Disposition"]))
            assert found
            names[found[1]] = part
        return names

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def openai() -> Iterator[OpenAI]:
    """The server; `url` is its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = OpenAI()
    server.openai = state  # type: ignore[attr-defined]
    state.url = f"http://127.0.0.1:{server.server_port}/v1"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are asked for without waiting in between."""
    from modelplug.openai_wire import OpenAITuning

    monkeypatch.setattr(OpenAITuning, "every", 0.001)
    monkeypatch.setattr(OpenAITuning, "longest", 0.001)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    return path


def module(openai: Any) -> mp.OnlineModule:
    return mp.OnlineModule(MODEL, "openai", url=openai.url, api_key="canary")


def test_a_tuned_model_answers_in_the_place_of_its_base(openai: OpenAI, rows: Path) -> None:
    told: list[str] = []
    model = module(openai).finetune_method(epochs=3, seed=1, name="demo").trainset(rows)

    model.evalset(rows).mode("finetune").update(progress=lambda job: told.append(job.status))

    assert ["queued", "running", "succeeded"] == told
    assert f"ft:{MODEL}:org:demo:1" == model.model
    assert model.tuned is not None
    assert ("ftjob-1", model.model) == (model.tuned.id, model.tuned.model)
    assert "tuned" == model("hi")
    assert [model.model] == openai.answered


def test_the_job_is_what_was_asked_for(openai: OpenAI, rows: Path) -> None:
    model = module(openai).finetune_method(
        epochs=3, seed=1, learning_rate_multiplier=0.5, name="demo"
    )

    model.trainset(rows).evalset(rows).update()

    hyper = {"n_epochs": 3, "learning_rate_multiplier": 0.5}
    assert [
        {
            "model": MODEL,
            "training_file": "file-1",
            "validation_file": "file-2",
            "suffix": "demo",
            "seed": 1,
            "method": {"type": "supervised", "supervised": {"hyperparameters": hyper}},
        }
    ] == openai.jobs
    assert ["training.jsonl", "validation.jsonl"] == [name for name, _ in openai.files]
    assert ROWS == [json.loads(line) for line in openai.files[0][1].splitlines()]


def test_other_forms_of_conversations_are_sent_as_messages(openai: OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "sharegpt.json"
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]
    path.write_text(json.dumps([{"conversations": turns}]))

    module(openai).trainset(path).update()

    assert {
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
    } == (json.loads(openai.files[0][1]))


def test_a_job_that_failed_is_told_with_its_reason_and_the_base_stays(
    openai: OpenAI, rows: Path
) -> None:
    openai.states = ["running", "failed"]
    model = module(openai).trainset(rows)

    with pytest.raises(TaskFailed) as caught:
        model.update()

    assert "openai: fine-tuning job ftjob-1 failed: no money left" == str(caught.value)
    assert "ftjob-1" == caught.value.task
    assert MODEL == model.model
    assert model.tuned is None


def test_a_job_is_picked_up_by_its_id(openai: OpenAI) -> None:
    model = module(openai).update(resume="ftjob-1")

    assert f"ft:{MODEL}:org:demo:1" == model.model
    assert [] == openai.files + openai.jobs


def test_a_job_that_is_not_there_is_not_waited_for(openai: OpenAI) -> None:
    with pytest.raises(NotFound):
        module(openai).update(resume="ftjob-2")


def test_a_job_can_be_cancelled(openai: OpenAI) -> None:
    assert "cancelled" == module(openai).cancel("ftjob-1").status
    with pytest.raises(TaskFailed) as caught:
        module(openai).update(resume="ftjob-1")

    assert "openai: fine-tuning job ftjob-1 cancelled" == str(caught.value)


def test_a_state_that_is_not_known_is_no_success(openai: OpenAI) -> None:
    openai.states = ["levitating"]

    with pytest.raises(BadReply) as caught:
        module(openai).update(resume="ftjob-1")

    assert "a job is 'levitating', which is no known state @ $.status" == str(caught.value)


def test_async_is_the_same(openai: OpenAI, rows: Path) -> None:
    import asyncio

    model = asyncio.run(module(openai).trainset(rows).aupdate())

    assert f"ft:{MODEL}:org:demo:1" == model.model


def test_an_unknown_hyperparameter_is_refused_at_once(openai: OpenAI) -> None:
    with pytest.raises(UnknownOption) as caught:
        module(openai).finetune_method(epoch=3)

    assert (
        "openai tunes with no 'epoch' (it has: epochs, batch_size, seed, "
        "learning_rate_multiplier); did you mean 'epochs'?"
    ) == str(caught.value)


def test_without_data_nothing_is_sent(openai: OpenAI) -> None:
    with pytest.raises(ConfigError) as caught:
        module(openai).update()

    assert "update() has nothing to train on; call trainset(path) first" == str(caught.value)
    assert [] == openai.files


def test_what_cannot_be_tuned_is_refused(openai: Any) -> None:
    embed = mp.OnlineModule("text-embedding-3-small", "openai", url=openai.url, api_key="canary")

    with pytest.raises(Unsupported) as caught:
        embed.finetune_method(epochs=1)

    assert "openai offers no fine-tuning of 'text-embedding-3-small' here" == str(caught.value)
