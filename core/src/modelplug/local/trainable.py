"""`TrainableModule`: a local model, from its weights to a served endpoint."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from attrs import evolve, frozen

from modelplug.errors import (
    ConfigError,
    EngineDied,
    EngineError,
    Overloaded,
    TimedOut,
    TransportFailed,
)
from modelplug.local.model import LocalModel
from modelplug.local.tuning import Recipe, Tunable
from modelplug.models import Model, checked_stream
from modelplug.plugins import installed
from modelplug.tasks import AnyCodec, Stream, View
from modelplug.types import ModelType, Secret
from modelplug.wire import Blocking, Flow

Y = TypeVar("Y")
T = TypeVar("T")

_SETTLED = 1.0
"""Seconds in which an engine whose connection broke is found to have ended, if it has."""


@frozen
class Reference:
    """A plugin by name, as `deploy.vllm` and `finetune.flagembedding` give it."""

    group: str
    name: str


class References:
    """`deploy` or `finetune`: each installed plugin of one group as an attribute."""

    def __init__(self, group: str) -> None:
        self._group = group

    def __getattr__(self, name: str) -> Reference:
        if name.startswith("__"):
            raise AttributeError(name)
        installed().find(self._group, name)
        return Reference(self._group, name)

    def __dir__(self) -> list[str]:
        return installed().names(self._group)


class Formatters:
    """`formatter`: each installed formatter class as an attribute, `JsonFormatter` for `json`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        plugins = installed()
        short = name.removesuffix("Formatter").lower()
        known = plugins.names("format")
        return plugins.load("format", name if name in known else short or name)

    def __dir__(self) -> list[str]:
        return [f"{name.title()}Formatter" for name in installed().names("format")]


deploy = References("deploy_local")
finetune = References("finetune")
formatter = Formatters()


class TrainableModule(Tunable, Model):
    """
    A local model.

    `base_model` is an absolute path, the name of weights that a plugin ships, or a name
    found under MODELPLUG_MODEL_PATH, in the cache or on the hub. `trust_remote_code=False`
    downloads nothing; code shipped inside weights runs only if it is True. `type` is told by
    the weights where it is left out. The engine starts at `start()` or at the first call and
    ends with the last object that shares it.
    """

    def __init__(
        self,
        base_model: str = "",
        target_path: str = "",
        *,
        stream: Stream = False,
        return_trace: bool = False,
        trust_remote_code: bool | None = None,
        type: str | None = None,
        source: str | None = None,
    ) -> None:
        self._local = LocalModel(str(base_model), ModelType.parse(type) if type else None, source)
        self._local.trust_remote_code = trust_remote_code
        self._recipe = Recipe(self._local.base_model, str(target_path))
        self._view = View(stream=checked_stream(stream), traced=return_trace)
        self._local.hold(self)

    # Life.

    def deploy_method(
        self,
        engine: Reference | str,
        *,
        url: str | None = None,
        api_key: str | Secret | None = None,
        **options: Any,
    ) -> Self:
        """
        Serve with *engine*, such as `deploy.vllm`, and its *options*.

        Each engine has `python`, the interpreter it runs in; `start_timeout` and
        `idle_timeout` in seconds: after so many without a call its process ends, until the
        next; and `memory_check=False`, to start it whatever memory is free. With `url`, attach
        to one that runs already, with `api_key` if it asks for one.
        """
        if not isinstance(engine, str | Reference):
            msg = f"deploy_method takes deploy.<engine>, not {engine!r}"
            raise ConfigError(msg)
        name = engine if isinstance(engine, str) else engine.name
        installed().find("deploy_local", name)
        local = self._local
        if local.engine is not None:
            msg = f"{local.base_model!r} is already served; stop() it first"
            raise ConfigError(msg)
        if url is None and api_key is not None:
            msg = "api_key= is for attaching with url=; an engine started here makes its own"
            raise ConfigError(msg)
        local.serve_with(name, options)
        local.attached = url
        local.attached_key = Secret(api_key) if isinstance(api_key, str) else api_key
        return self

    def start(self) -> Self:
        """Start the engine and wait until it answers; EngineFailed tells why it could not."""
        self._local.start()
        return self

    def stop(self) -> None:
        """End the engine for all objects that share it; the next call starts it again."""
        self._local.stop()

    def wait(self, timeout: float | None = None) -> Self:
        """Until the engine answers, at most *timeout* seconds."""
        if self._local.engine is not None:
            self._local.engine.wait(timeout)
        return self

    @property
    def status(self) -> str:
        """stopped, starting, ready, restarting, unloaded, failed, or attached."""
        if self._local.attached is not None:
            return "attached"
        return self._local.engine.status if self._local.engine else "stopped"

    @property
    def log_path(self) -> Path | None:
        """The file that the engine's output goes to; None before it was started."""
        return self._local.engine.log_path if self._local.engine else None

    def close(self) -> None:
        """Stop the engine."""
        self.stop()

    # What every model has.

    @property
    def type(self) -> ModelType:
        """What the model does."""
        return self._local.type

    @property
    def model(self) -> str:
        """The model's name as it was asked for."""
        return self._local.base_model

    @property
    def url(self) -> str:
        """Base URL of the engine; starts it if it was not."""
        return self._codec().endpoint.url

    @property
    def api_key(self) -> Secret | None:
        """The engine's token: usable, never shown."""
        return self._codec().endpoint.api_key

    def _codec(self) -> AnyCodec:
        if not self._local.answers:
            from modelplug.transport import shared  # as in models.py: not before it is needed

            return shared().run(self._connect())
        return self._checked(self._local.codec)

    def _connect(self) -> Flow[AnyCodec]:
        return self._checked((yield from self._local.connect()))

    def _checked(self, codec: AnyCodec | None) -> AnyCodec:
        if codec is None:
            msg = f"the engine of {self.model!r} was stopped while it was being called"
            raise EngineError(msg)
        return codec

    def _watched(self, flow: Generator[Y, Any, T]) -> Generator[Y, Any, T]:
        engine = self._local.engine
        if engine is None:  # attached: another's business
            return (yield from flow)
        with engine.use() as use:
            # It may have been unloaded, or have crashed, since the codec was there.
            if not self._local.answers:
                yield Blocking(self._local.start)  # type: ignore[misc]  # a step of any flow
            try:
                return (yield from flow)
            except TimedOut:
                raise
            except (TransportFailed, Overloaded) as error:  # cut off; or loading, once it is back
                # The connection is gone before its supervisor has seen the process end.
                ended = yield Blocking(partial(use.ended, _SETTLED))  # type: ignore[misc]
                if not ended:
                    raise
                state = f"ended during the call and is {engine.status}"
                msg = f"the engine of {self.model!r} {state}; {error}"
                raise EngineDied(msg, log_path=str(engine.log_path)) from error

    def _another(self, view: View) -> Self:
        other = object.__new__(type(self))
        other._local, other._view, other._recipe = self._local, view, evolve(self._recipe)
        other._local.hold(other)
        return other

    def __repr__(self) -> str:
        return f"<TrainableModule {self.model!r} {self.status}>"
