"""`LocalContract`: what every engine must do, to be inherited by its tests."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import socket
import wave
from array import array
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import pytest

import modelplug
from modelplug.errors import EngineFailed, Unsupported
from modelplug.plugins import installed
from modelplug.testing.base import Contract
from modelplug.testing.network import block_network, outside_world
from modelplug.testing.online.construction import loaded_by_importing
from modelplug.testing.processes import alive, descendants
from modelplug.types import ModelType

if TYPE_CHECKING:
    from modelplug.catalog import EngineTraits

ROUTES = {
    "llm": "/chat/completions",
    "embed": "/embeddings",
    "cross_modal_embed": "/embeddings",
    "rerank": "/rerank",
    "stt": "/audio/transcriptions",
    "tts": "/audio/speech",
    "text2image": "/images/generations",
}


def second_of_sound() -> bytes:
    """A WAV file: a ramp that repeats 250 times a second."""
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 16_000, "NONE", "not compressed"))
        sound.writeframes(
            array("h", [step % 64 * 400 - 12_800 for step in range(16_000)]).tobytes()
        )
    return file.getvalue()


CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "llm": ("Hello!", {"temperature": 0, "max_tokens": 16}),
    "embed": ("a red kite", {}),
    "cross_modal_embed": ("a red kite", {}),
    "rerank": ("What flies?", {"documents": ["A stone lies.", "A kite flies."]}),
    "stt": (second_of_sound(), {}),
    "tts": ("Hello, how are you?", {}),
    "text2image": ("a red kite", {"size": "64x64", "seed": 7}),
}


class LocalContract(Contract):
    """
    What every engine must do. Inherit it in a class whose name begins with `Test`:

        class TestLlamaCpp(LocalContract):
            engine = "llama_cpp"
            weights = "tiny"

    `weights` is what a user would write, small and at hand without a network; a fixture of
    the class may set it to weights that it makes. `type` is what they are for, so an engine
    of several types has several classes. `options` go to
    `deploy_method`. `corrupt_says` is what the error of a start with spoiled weights must
    name; without it, some line of the engine's log is enough.
    """

    engine: ClassVar[str]
    weights: ClassVar[str]
    type: ClassVar[str] = "llm"
    options: ClassVar[dict[str, Any]] = {}
    corrupt_says: ClassVar[str] = ""

    @property
    def traits(self) -> EngineTraits:
        """What the manifest says."""
        return installed().engine(self.engine)

    @classmethod
    def unstarted(cls, weights: str | None = None, **more: Any) -> Any:
        """A local model on this engine, as a user would write it."""
        engine = getattr(modelplug.deploy, cls.engine)
        model = modelplug.TrainableModule(weights or cls.weights, type=cls.type)
        return model.deploy_method(engine, **cls.options, **more)

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls) -> Iterator[Any]:
        """One started model for the tests that leave it running."""
        with block_network():
            model = cls.unstarted().start()
            model.wait()
            yield model
            model.stop()

    @pytest.fixture
    def own(self) -> Iterator[Any]:
        """A model that the test starts and stops, on a process that no other shares."""
        model = self.unstarted(idle_timeout=3600)
        yield model
        model.stop()

    def ask(self, model: Any) -> Any:
        """One call that a model of this type answers alike each time."""
        given, options = CALLS[self.type]
        return model(given, **options)

    async def ask_async(self, model: Any) -> Any:
        """The same call, awaited."""
        given, options = CALLS[self.type]
        return await model.acall(given, **options)

    def corrupt(self, folder: Path) -> Path:
        """A copy of the weights, spoiled, in *folder*."""
        found = (
            installed()
            .runtime()
            .find(self.weights, formats=self.traits.formats, type=ModelType.parse(self.type))
        )
        copy = folder / found.path.name
        if found.format == "gguf":
            shutil.copy(found.path, copy)
            spoiled = [copy]
        else:
            # A voice in ONNX is a file that needs those beside it.
            whole = found.path if found.path.is_dir() else found.path.parent
            copy = folder / whole.name
            shutil.copytree(whole, copy)
            files = [path for path in copy.rglob("*") if path.is_file()]
            largest = max(files, key=lambda path: path.stat().st_size)
            spoiled = list(copy.rglob("*.safetensors")) or [largest]
        for path in spoiled:
            # The head, which tells the format, stays: a download that broke off looks so.
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
        return copy

    # Before anything runs.

    def test_importing_the_plugin_loads_nothing_heavy(self) -> None:
        module = installed().find("deploy_local", self.engine).module

        assert [] == loaded_by_importing(module)

    def test_the_manifest_says_what_the_engine_serves(self) -> None:
        traits = self.traits

        assert traits.title
        assert traits.formats
        assert traits.types == [ModelType.parse(name) for name in traits.types]
        assert self.type in traits.types

    def test_construction_starts_nothing(self) -> None:
        before = descendants(os.getpid())

        with outside_world() as seen:
            self.unstarted()

        assert [] == seen
        assert before == descendants(os.getpid())

    # While it runs.

    def test_a_started_engine_is_ready_on_loopback_and_has_a_log(self, running: Any) -> None:
        assert "ready" == running.status
        assert "127.0.0.1" == urlsplit(running.url).hostname
        assert Path(running.log_path).stat().st_size > 0

    def test_it_answers(self, running: Any) -> None:
        answer = self.ask(running)

        match self.type:
            case "llm":
                assert isinstance(answer, str)
                assert answer.strip()
            case "embed" | "cross_modal_embed":
                assert {float} == {type(number) for number in answer}
                assert len(answer) > 1
            case "rerank":
                assert [1, 0] == [index for index, _ in answer]
                assert answer[0][1] > answer[1][1]
            case "stt":
                assert isinstance(answer, str)
            case "tts":
                assert answer.mime.startswith("audio/")
                assert len(answer.data) > 1000
            case "text2image":
                assert answer.mime.startswith("image/")
                assert len(answer.data) > 100

    def test_sync_equals_async_in_two_event_loops_in_a_row(self, running: Any) -> None:
        first = asyncio.run(self.ask_async(running))
        second = asyncio.run(self.ask_async(running))

        assert self.ask(running) == first
        assert first == second

    def test_calls_at_once_each_get_their_answer(self, running: Any) -> None:
        async def run() -> list[Any]:
            return list(await asyncio.gather(*(self.ask_async(running) for _ in range(4))))

        alone = self.ask(running)
        for answer in asyncio.run(run()):
            self.check_alike(alone, answer)

    def check_alike(self, alone: Any, together: Any) -> None:
        """Engines batch calls that come at once, which changes the last digits of floats."""
        match self.type:
            case "llm":
                assert together.strip()
            case "embed" | "cross_modal_embed":
                assert together == pytest.approx(alone, abs=0.01)
            case "rerank":
                assert [index for index, _ in alone] == [index for index, _ in together]
                assert [s for _, s in together] == pytest.approx([s for _, s in alone], abs=0.05)
            case _:
                assert alone == together

    def test_the_stream_adds_up_to_the_whole_or_is_unsupported(self, running: Any) -> None:
        given, options = CALLS[self.type]
        if self.type != "llm":
            with pytest.raises(Unsupported):
                list(running.stream(given, **options))
            return

        assert self.ask(running) == "".join(running.stream(given, **options))

    def test_the_last_event_and_no_other_is_the_finish(self, running: Any) -> None:
        given, options = CALLS[self.type]
        if self.type != "llm":
            with pytest.raises(Unsupported):
                list(running.events(given, **options))
            return
        kinds = [event.kind for event in running.events(given, **options)]

        assert 1 == kinds.count("finish")
        assert "finish" == kinds[-1]

    @pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer "])
    def test_a_request_without_the_token_is_refused(
        self, authorization: str | None, running: Any
    ) -> None:
        address = urlsplit(running.url)
        headers = {"content-type": "application/json"}
        if authorization is not None:
            headers["authorization"] = authorization
        body = {
            "model": running.model,
            "messages": [{"role": "user", "content": "hi"}],
            "input": "hi",
            "query": "hi",
            "documents": ["hi"],
        }
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        try:
            route = address.path + ROUTES[self.type]
            connection.request("POST", route, json.dumps(body), headers)
            assert 401 == connection.getresponse().status
        finally:
            connection.close()

    def test_the_token_is_in_no_command_line_no_log_and_no_repr(self, running: Any) -> None:
        token = running.api_key.reveal()
        shown = {
            "command line": repr(descendants(os.getpid())),
            "log": Path(running.log_path).read_text(encoding="utf-8", errors="replace"),
            "repr": f"{running!r} {running!s} {running.api_key!r} {running.share()!r}",
        }

        assert token
        assert [] == [place for place, text in shown.items() if token in text]

    def test_a_shared_view_uses_the_same_engine(self, running: Any) -> None:
        before = descendants(os.getpid())
        view = running.share(prompt="Be brief.") if self.type == "llm" else running.share()

        self.ask(view)

        assert running.url == view.url
        assert before == descendants(os.getpid())

    # Its end.

    def test_stopping_leaves_no_process_and_no_port(self, own: Any) -> None:
        before = descendants(os.getpid())
        own.start()
        own.wait()
        started = descendants(os.getpid()).keys() - before.keys()
        port = urlsplit(own.url).port

        own.stop()

        assert started, "starting the engine started no process"
        assert [] == alive(started)
        with socket.socket() as probe:
            assert 0 != probe.connect_ex(("127.0.0.1", port))
        assert "stopped" == own.status

    def test_stopping_twice_is_stopping_once(self, own: Any) -> None:
        own.start()
        own.wait()

        own.stop()
        own.stop()

        assert "stopped" == own.status

    def test_a_stopped_model_can_be_started_again(self, own: Any) -> None:
        own.start()
        own.wait()
        first = self.ask(own)
        own.stop()

        own.start()
        own.wait()

        assert first == self.ask(own)

    def test_calling_an_unstarted_model_starts_it(self, own: Any) -> None:
        assert self.ask(own) is not None
        assert "ready" == own.status

    def test_spoiled_weights_fail_with_the_cause_and_leave_nothing(self, tmp_path: Path) -> None:
        before = descendants(os.getpid())
        model = self.unstarted(str(self.corrupt(tmp_path)))

        with pytest.raises(EngineFailed) as caught:
            model.start().wait()

        assert caught.value.log_path is not None
        log = Path(caught.value.log_path).read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in log.splitlines() if len(line.strip()) > 10]
        assert [line for line in lines if line in str(caught.value)]
        assert self.corrupt_says in str(caught.value)
        assert "failed" == model.status
        assert before == descendants(os.getpid())
