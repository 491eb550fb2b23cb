"""Several models that stand in for each other, as one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from attrs import evolve

from modelplug.errors import (
    BadReply,
    ConfigError,
    EngineDied,
    ProviderFailed,
    QuotaExhausted,
    RateLimited,
    TransportFailed,
)
from modelplug.models import Model
from modelplug.tasks import View
from modelplug.types import Attempt, Embeddings, Event, Fingerprint, ModelType, Reset, Secret
from modelplug.wire import EventFlow, Flow, changed

Errors = tuple[type[Exception], ...]

WORTH_ANOTHER: Errors = (RateLimited, QuotaExhausted, ProviderFailed, TransportFailed, EngineDied)
"""Errors that another model may be spared: the request was not what was wrong."""


def fallback(*models: Model, on: Errors = WORTH_ANOTHER, restart: bool = False) -> Fallback:
    """
    One model out of several of the same type: the first, and the next one when it fails.

    `on` are the errors that lead on; every other is raised. A stream moves on freely until
    its first event. After it, the error is raised with the text so far in `partial`, or,
    with *restart*, a `Reset` event comes and the next model answers from the beginning.
    `attempts` in the result tells who was tried.

    ConfigError where the models do not fit: other types, or embedders of different models,
    whose vectors must never meet in one index.
    """
    if not models:
        msg = "a fallback needs at least one model"
        raise ConfigError(msg)
    # A text model may stand in for one that also sees: the call tells what it needs.
    types = {"chat" if model.type.chats else model.type.value for model in models}
    if len(types) > 1:
        msg = f"the models of a fallback are of different types: {', '.join(sorted(types))}"
        raise ConfigError(msg)
    if models[0].type in (ModelType.EMBED, ModelType.CROSS_MODAL_EMBED):
        _check_embedders(models)
    return Fallback(models, on, restart)


def _check_embedders(models: tuple[Model, ...]) -> None:
    # Providers differ in the owner before a model's name and in its case, nothing else.
    names = {model.model.rpartition("/")[2].lower() for model in models}
    if len(names) > 1:
        msg = (
            f"vectors of {' and '.join(sorted(names))} cannot stand in for each other; "
            f"use one embedding model from several sources"
        )
        raise ConfigError(msg)


class Fallback(Model):
    """What `fallback` makes. `type`, `model`, `url` and `api_key` are the first model's."""

    def __init__(self, models: tuple[Model, ...], on: Errors, restart: bool) -> None:
        self._models = models
        self._on = on
        self._restart = restart
        self._fingerprint: Fingerprint | None = None
        self._view = View()

    @property
    def type(self) -> ModelType:
        """What the models do."""
        return self._models[0].type

    @property
    def model(self) -> str:
        """The first model's name."""
        return self._models[0].model

    @property
    def url(self) -> str:
        """The first model's server."""
        return self._models[0].url

    @property
    def api_key(self) -> Secret | None:
        """The first model's key."""
        return self._models[0].api_key

    def close(self) -> None:
        """Close every model."""
        for model in self._models:
            model.close()

    def _another(self, view: View) -> Self:
        other = type(self)(self._models, self._on, self._restart)
        other._view = view
        return other

    def _seen(self, model: Model) -> Model:
        """*model* through this object's prompt and history, where it has any."""
        view = self._view
        if view == evolve(View(), formatter=view.formatter, stream=view.stream):
            return model
        return model._another(evolve(model._view, prompt=view.prompt, history=view.history))

    def _flow(self, given: Any, options: Mapping[str, Any]) -> Flow[Any]:
        attempts: list[Attempt] = []
        for place, model in enumerate(self._models):
            try:
                result = yield from self._seen(model)._flow(given, options)
            except self._on as error:
                attempts.append(Attempt(repr(model), f"{type(error).__name__}: {error}"))
                if place == len(self._models) - 1:
                    _tell(error, attempts)
                    raise
            else:
                if isinstance(result, Embeddings):
                    self._check(result)
                return evolve(result, attempts=(*attempts, Attempt(repr(model))))
        return None

    def _check(self, result: Embeddings) -> None:
        found = evolve(result.fingerprint, model="")
        self._fingerprint = self._fingerprint or found
        if found != self._fingerprint:
            msg = (
                f"the vectors of {result.model!r} are {found.dimension} numbers, normalised: "
                f"{found.normalised}; those before were {self._fingerprint.dimension}, "
                f"normalised: {self._fingerprint.normalised}"
            )
            raise BadReply(msg)

    def _events(self, given: Any, options: Mapping[str, Any]) -> EventFlow:
        attempts: list[Attempt] = []
        reset: list[Event] = []
        for place, model in enumerate(self._models):
            answer = _Answer(reset)
            try:
                flow = self._seen(model)._events(given, options)
                yield from changed(flow, answer.give)
            except self._on as error:
                attempts.append(Attempt(repr(model), f"{type(error).__name__}: {error}"))
                begun = answer.begun
                if place == len(self._models) - 1 or (begun and not self._restart):
                    _tell(error, attempts)
                    raise
                reset = [Reset(f"{type(error).__name__}: {error}")] if begun else reset
            else:
                return

    def __repr__(self) -> str:
        return f"<fallback of {', '.join(map(repr, self._models))}>"


class _Answer:
    """One model's events, after those that come `first`; whether any was given out."""

    def __init__(self, first: Sequence[Event]) -> None:
        self._first = first
        self.begun = False

    def give(self, events: list[Event]) -> list[Event]:
        """*events* as they go out."""
        if not events:
            return events
        first, self._first, self.begun = self._first, (), True
        return [*first, *events]


def _tell(error: Exception, attempts: list[Attempt]) -> None:
    if len(attempts) > 1:
        error.add_note("\n".join(f"tried {a.model}: {a.error}" for a in attempts))
