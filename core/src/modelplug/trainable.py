"""`TrainableModule`: a local model, from its weights to a served endpoint."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator
from pathlib import Path
from typing import Any, Self, TypeVar

from attrs import frozen

from modelplug.errors import (
    ConfigError,
    EngineDied,
    EngineError,
    NoModel,
    PluginBroken,
    TransportFailed,
    UnknownOption,
    Unsupported,
    did_you_mean,
)
from modelplug.models import Model, checked_stream
from modelplug.openai_wire import OpenAICompatible
from modelplug.plugins import Plugins, installed
from modelplug.runtime import Engine
from modelplug.tasks import AnyCodec, Stream, View
from modelplug.types import Deployment, Endpoint, ModelType, Plan, Secret, Weights
from modelplug.wire import Blocking, Flow

Y = TypeVar("Y")
T = TypeVar("T")

WIRE = OpenAICompatible()
"""Every engine speaks the OpenAI wire, so local and online share one call path."""


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


class _Local:
    """One local model and its engine, common to all objects that share it."""

    def __init__(self, base_model: str, type: ModelType | None, source: str | None) -> None:
        self.base_model = base_model
        self.wanted_type = type
        self.source = source
        self.download = True
        self.engine_name: str | None = None
        self.engine_options: dict[str, Any] = {}
        self.attached: str | None = None
        self.attached_key: Secret | None = None
        self.weights: Weights | None = None
        self.engine: Engine | None = None
        self.codec: AnyCodec | None = None
        self.lock = threading.RLock()
        self._holders = 0

    def hold(self, holder: object) -> None:
        """Count *holder* in; the engine ends after the last holder is gone."""
        with self.lock:
            self._holders += 1
        weakref.finalize(holder, self.let_go)

    def let_go(self) -> None:
        with self.lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            self.stop()

    @property
    def answers(self) -> bool:
        """Whether it can be called now; one that is restarting after a crash is waited for."""
        ready = self.attached is not None or (self.engine and self.engine.status == "ready")
        return self.codec is not None and bool(ready)

    @property
    def type(self) -> ModelType:
        if self.wanted_type is not None:
            return self.wanted_type
        return ModelType.LLM if self.attached else self.find(installed()).type

    def find(self, plugins: Plugins) -> Weights:
        """The weights, looked for once."""
        with self.lock:
            if self.weights is None:
                formats = list(dict.fromkeys(self._formats(plugins)))
                self.weights = plugins.runtime().find(
                    self.base_model,
                    formats=formats,
                    type=self.wanted_type,
                    source=self.source,
                    download=self.download,
                )
            return self.weights

    def _formats(self, plugins: Plugins) -> list[str]:
        names = [self.engine_name] if self.engine_name else plugins.names("deploy_local")
        if not names:
            msg = (
                f"{self.base_model!r} needs an engine and none is installed; "
                f"pip install modelplug-llama-cpp"
            )
            raise NoModel(msg)
        return [format for name in names for format in plugins.engine(name).formats]

    def start(self) -> None:
        """Start the engine, if it is not there, and wait until it answers."""
        with self.lock:
            if self.engine is not None and self.engine.status in ("failed", "stopped"):
                self.stop()
            if self.attached is None and self.engine is None:
                self.engine = self._launch(installed())
            engine = self.engine
        if engine is not None:
            engine.wait()
        with self.lock:
            if self.codec is None and self.engine is engine:  # it may have been stopped meanwhile
                self.codec = self._connect()

    def _launch(self, plugins: Plugins) -> Engine:
        weights = self.find(plugins)
        name = self.engine_name or self._choose(plugins, weights)
        options = self.engine_options
        known = plugins.engine(name).options
        for option in options:
            if option not in known:
                near = did_you_mean(option, known)
                msg = f"{name} has no option {option!r} (it has: {', '.join(known)}){near}"
                raise UnknownOption(msg)

        def plan(host: str, port: int, token: Secret) -> Plan:
            made = plugins.deploy_local(name, Deployment(weights, options, host, port, token))
            if made is None:
                msg = f"{name} cannot serve {weights.name!r} ({weights.format}, {weights.type})"
                raise Unsupported(msg)
            return made

        self.engine_name = name
        return plugins.runtime().launch(self.base_model, plan)

    def _choose(self, plugins: Plugins, weights: Weights) -> str:
        told = []
        for name in plugins.names("deploy_local"):
            traits = plugins.engine(name)
            if weights.format not in traits.formats:
                told.append(f"{name}: takes {', '.join(traits.formats)}, not {weights.format}")
            elif weights.type not in traits.types:
                told.append(f"{name}: serves {', '.join(traits.types)}, not {weights.type}")
            else:
                return name
        msg = f"no installed engine can serve {weights.name!r}: {'; '.join(told)}"
        raise NoModel(msg)

    def _connect(self) -> AnyCodec:
        name = self.engine_name or "openai"
        traits = installed().engine(self.engine_name) if self.engine_name else None
        engine = self.engine
        endpoint = Endpoint(
            provider=name,
            model=engine.model if engine else self.base_model or "default",
            url=(engine.url if engine else self.attached or "").rstrip("/"),
            api_key=engine.token if engine else self.attached_key,
            does=frozenset(traits.does if traits else ("stream", "tools")),
            options=frozenset(traits.call_options if traits else ()),
        )
        codec = WIRE.create_online(endpoint, self.type)
        if codec is None:
            msg = f"{name} serves no models of type {self.type}"
            raise PluginBroken(msg)
        return codec

    def stop(self) -> None:
        """End the engine, if there is one. Idempotent."""
        with self.lock:
            engine, self.engine, self.codec = self.engine, None, None
        if engine is not None:
            engine.stop()


class TrainableModule(Model):
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
        self._local = _Local(str(base_model), ModelType.parse(type) if type else None, source)
        self._local.download = trust_remote_code is not False
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

        With `url`, attach to one that runs already, with `api_key` if it asks for one.
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
        local.engine_name, local.engine_options, local.attached = name, options, url
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
        """stopped, starting, ready, restarting, failed, or attached."""
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
            self._local.start()
        codec = self._local.codec
        if codec is None:
            msg = f"the engine of {self.model!r} was stopped while it was being called"
            raise EngineError(msg)
        return codec

    def _connect(self) -> Flow[AnyCodec]:
        if not self._local.answers:
            yield Blocking(self._local.start)
        return self._codec()

    def _watched(self, flow: Generator[Y, Any, T]) -> Generator[Y, Any, T]:
        try:
            return (yield from flow)
        except TransportFailed as error:
            engine = self._local.engine
            if self._local.attached is not None or (engine and engine.status == "ready"):
                raise
            status = engine.status if engine else "stopped"
            msg = f"the engine of {self.model!r} ended during the call and is {status}; {error}"
            log = str(engine.log_path) if engine else None
            raise EngineDied(msg, log_path=log) from error

    def _another(self, view: View) -> Self:
        other = object.__new__(type(self))
        other._local, other._view = self._local, view
        other._local.hold(other)
        return other

    def __repr__(self) -> str:
        return f"<TrainableModule {self.model!r} {self.status}>"
