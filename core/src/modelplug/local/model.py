"""One local model: its engine asked for, started, called, and let go."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from attrs import evolve, frozen

from modelplug.errors import (
    ConfigError,
    PluginBroken,
    UnknownOption,
    Unsupported,
    did_you_mean,
)
from modelplug.local.attach import attached_codec
from modelplug.local.engines import Fit, expected_type, refuse, survey
from modelplug.openai_wire import CrossModalEmbed, OpenAICompatible
from modelplug.plugins import Plugins, installed
from modelplug.runtime import Engine, Kept
from modelplug.tasks import AnyCodec
from modelplug.types import Deployment, Endpoint, ModelType, Plan, Secret, Weights
from modelplug.wire import Blocking, Flow

WIRE = OpenAICompatible(cross_modal_embed=CrossModalEmbed)
"""Every engine speaks the OpenAI wire, so local and online share one call path."""

COMMON_OPTIONS = ("python", "start_timeout", "idle_timeout", "memory_check")
"""Options of `deploy_method` that every engine has; no plugin sees them."""


class LocalModel:
    """One local model and its engine, common to all objects that share it."""

    def __init__(
        self, base_model: str, type: ModelType | None = None, source: str | None = None
    ) -> None:
        self.base_model = base_model
        self.wanted_type = type
        self.source = source
        self.trust_remote_code: bool | None = None
        self.engine_name: str | None = None
        self.engine_options: Mapping[str, Any] = {}
        self.attached: str | None = None
        self.attached_key: Secret | None = None
        self.weights: Weights | None = None
        self.engine: Engine | None = None
        self.codec: AnyCodec | None = None
        self._lacks: frozenset[str] = frozenset()
        self.lock = threading.RLock()
        self._holders = 0

    def hold(self, holder: object) -> None:
        """Count *holder* in; the engine is let go after the last holder is gone."""
        with self.lock:
            self._holders += 1
        weakref.finalize(holder, self.let_go)

    def let_go(self) -> None:
        """Count a holder out."""
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
        """The type asked for, else what the weights tell."""
        if self.wanted_type is not None:
            return self.wanted_type
        return ModelType.LLM if self.attached is not None else self.find(installed()).type

    def serve_with(self, engine: str | None, options: Mapping[str, Any]) -> None:
        """
        Choose *engine*, or None for whichever fits, and its *options*.

        PluginNotFound and UnknownOption; what only an engine can know is told at the start.
        """
        if engine is not None:
            _check_options(engine, installed().engine(engine).options, options)
        self.engine_name, self.engine_options = engine, options

    def find(self, plugins: Plugins) -> Weights:
        """The weights, looked for once; fetched where that is allowed."""
        with self.lock:
            if self.weights is None:
                # Only engines that serve the type say which format is taken of several.
                type = expected_type(plugins, self.base_model, self.wanted_type)
                fits = self._survey(plugins, type=type)
                fitting = [fit.engine for fit in fits if fit.fits]
                # An engine that was asked for by name says itself what it lacks, at the start.
                names = [self.engine_name] if self.engine_name else fitting
                if not names:
                    raise refuse(plugins, self.base_model, fits, None, type)
                formats = [format for name in names for format in plugins.engine(name).formats]
                self.weights = plugins.runtime().find(
                    self.base_model,
                    formats=list(dict.fromkeys(formats)),
                    type=self.wanted_type,
                    source=self.source,
                    download=self.trust_remote_code is not False,
                )
            return self.weights

    def choose(self, plugins: Plugins, weights: Weights) -> str:
        """The engine asked for, else the first that fits; NoModel tells why none does."""
        if self.engine_name is not None:
            return self.engine_name
        fits = self._survey(plugins, weights.format, weights.type)
        for fit in fits:
            if fit.fits:
                return fit.engine
        raise refuse(plugins, weights.name, fits, weights.format, weights.type)

    def _survey(
        self, plugins: Plugins, format: str | None = None, type: ModelType | None = None
    ) -> list[Fit]:
        python = self.engine_options.get("python")
        type = type or self.wanted_type
        return survey(plugins, format=format, type=type, python=python, only=self.engine_name)

    def start(self) -> None:
        """Start the engine, if it is not there, and wait until it answers."""
        with self.lock:
            if self.engine is not None and self.engine.status in ("failed", "stopped"):
                self.stop()
            if self.attached is None and self.engine is None:
                request = self._request(installed())
                self.engine, self._lacks = request.launch(), request.lacks()
            engine = self.engine
        if engine is not None:
            engine.wait()
        with self.lock:
            if self.codec is None and engine is not None and self.engine is engine:
                self.codec = self._codec_of(engine)

    def keep(self) -> Kept:
        """Start an engine that goes on after this program; the same one if it is kept already."""
        return self._request(installed()).keep()

    def connect(self) -> Flow[AnyCodec | None]:
        """The codec, once whatever must run does run; None if it was stopped meanwhile."""
        if not self.answers:
            if self.attached is None:
                yield Blocking(self.start)
            else:
                self.codec = yield from attached_codec(self._attached_endpoint(), self.type, WIRE)
        return self.codec

    def _request(self, plugins: Plugins) -> _Request:
        weights = self.find(plugins)
        name = self.choose(plugins, weights)
        traits = plugins.engine(name)
        _check_options(name, traits.options, self.engine_options)
        given = _with_adapter(name, traits.options, weights, self.engine_options)
        common = {option: given.pop(option, None) for option in COMMON_OPTIONS}
        python = plugins.runtime().interpreter(name, traits, common["python"])
        trusted = self.trust_remote_code is True
        self.engine_name = name
        return _Request(
            plugins, self.base_model, name, weights, given, python, trusted,
            common["start_timeout"], common["idle_timeout"], common["memory_check"] is not False,
        )  # fmt: skip

    def _codec_of(self, engine: Engine) -> AnyCodec:
        assert self.engine_name is not None  # it has been started
        endpoint = self._endpoint(self.engine_name, engine.model, engine.url, engine.token)
        codec = WIRE.create_online(endpoint, self.type)
        if codec is None:
            msg = f"{self.engine_name} serves no models of type {self.type}"
            raise PluginBroken(msg)
        return codec

    def _attached_endpoint(self) -> Endpoint:
        assert self.attached is not None
        name = self.engine_name or "openai"
        return self._endpoint(name, self.base_model, self.attached, self.attached_key)

    def _endpoint(self, engine: str, model: str, url: str, key: Secret | None) -> Endpoint:
        traits = installed().engine(engine)
        return Endpoint(
            provider=engine,
            model=model,
            url=url.rstrip("/"),
            api_key=key,
            does=frozenset(traits.does) - self._lacks,
            options=frozenset(traits.call_options),
            limits=traits.limits,
            quirks=traits.quirks,
            error_rules=traits.error_rules,
        )

    def stop(self) -> None:
        """Let go of the engine, if there is one. Idempotent."""
        with self.lock:
            engine, self.engine, self.codec = self.engine, None, None
        if engine is not None:
            engine.stop()

    def become(self, other: LocalModel) -> None:
        """
        Serve what *other* serves, from the next call on; the engine that served until now ends.

        The ready engine changes hands, so there is no moment without one; *other* is left
        without.
        """
        with self.lock, other.lock:
            old = self.engine
            for name in _SERVED:
                setattr(self, name, getattr(other, name))
            other.engine = other.codec = None
        if old is not None:
            old.stop()


_SERVED = (
    "base_model weights engine_name engine_options attached attached_key engine codec _lacks"
).split()


@frozen
class _Request:
    """An engine as it is asked for: what decides whether a running one is the same."""

    plugins: Plugins
    model: str
    engine: str
    weights: Weights
    options: Mapping[str, Any]
    python: str
    trusted: bool
    start_timeout: float | None
    idle_timeout: float | None
    memory_check: bool

    @property
    def name(self) -> str:
        return self.model or self.weights.name

    @property
    def key(self) -> str:
        # When the weights were written: a file that was replaced is another model.
        written = self.weights.path.stat().st_mtime_ns if self.weights.path.exists() else 0
        asked = (self.engine, self.weights.name, self.weights.path, self.weights.type, written)
        told = orjson.dumps(
            (asked, self.options, self.python, self.trusted), default=_plain, option=_KEY_OPTIONS
        )
        return hashlib.sha256(told).hexdigest()[:32]

    def plan(self, host: str, port: int, token: Secret) -> Plan:
        weights = self.weights
        deployment = Deployment(weights, self.options, host, port, token, self.python, self.trusted)
        made = self.plugins.deploy_local(self.engine, deployment)
        if made is None:
            msg = f"{self.engine} cannot serve {weights.name!r} ({weights.format}, {weights.type})"
            raise Unsupported(msg)
        return evolve(
            made,
            start_timeout=self.start_timeout or made.start_timeout,
            memory=made.memory if self.memory_check else None,
        )

    def lacks(self) -> frozenset[str]:
        # The plan is pure: the same whoever started the engine.
        return self.plan("127.0.0.1", 0, Secret("")).lacks

    def launch(self) -> Engine:
        return self.plugins.runtime().launch(
            self.name,
            self.plan,
            key=self.key,
            failures=self.plugins.engine(self.engine).failures,
            idle_timeout=self.idle_timeout,
        )

    def keep(self) -> Kept:
        return self.plugins.runtime().keep(
            self.name,
            self.plan,
            key=self.key,
            engine=self.engine,
            failures=self.plugins.engine(self.engine).failures,
            idle_timeout=self.idle_timeout,
        )


_KEY_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def _plain(value: object) -> object:
    """What stands for an option in a key, which is hashed."""
    if isinstance(value, Secret):
        return value.reveal()
    return str(value) if isinstance(value, Path) else repr(value)


_LISTED = 30
"""Options that are listed in an error; of more, the near matches are named alone."""


def _with_adapter(
    engine: str, known: Sequence[str], weights: Weights, options: Mapping[str, Any]
) -> dict[str, Any]:
    """*options*, and the adapter of *weights*: without it the base would have their name."""
    if weights.adapter is None:
        return dict(options)
    if "lora" not in known:
        msg = (
            f"{weights.name!r} is an adapter on {str(weights.path)!r}, and {engine} serves none; "
            f"take an engine with an option 'lora', or name the path of the merged weights"
        )
        raise ConfigError(msg)
    if options.get("lora"):
        msg = f"{weights.name!r} brings an adapter of its own; leave lora= out"
        raise ConfigError(msg)
    return {**options, "lora": str(weights.adapter)}


def _check_options(engine: str, known: Sequence[str], options: Mapping[str, Any]) -> None:
    every = [*known, *COMMON_OPTIONS]
    for option in options:
        if option not in every:
            # Some engines have hundreds.
            listed = f" (it has: {', '.join(every)})" if len(every) <= _LISTED else ""
            msg = f"{engine} has no option {option!r}{listed}{did_you_mean(option, every)}"
            raise UnknownOption(msg)
    for option in ("start_timeout", "idle_timeout"):
        value = options.get(option)
        good = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if value is not None and not good:
            msg = f"{option} is a number of seconds above 0, not {value!r}"
            raise ConfigError(msg)
