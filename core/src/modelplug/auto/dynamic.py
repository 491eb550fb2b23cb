"""
`source="dynamic"`: a model whose provider and key each call decides, for programs that serve
many users with their own.

    llm = mp.AutoModel(source="dynamic")

    with mp.using("qwen", model="qwen3-max", api_key=user.key):
        llm("Hello")
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

from attrs import evolve, field, frozen

from modelplug.auto.asked import Asked, KeyGiven
from modelplug.errors import ConfigError
from modelplug.models import Model
from modelplug.plugins import installed
from modelplug.tasks import View
from modelplug.types import ModelType, Secret
from modelplug.wire import EventFlow, Flow

_AT_MOST = 128
"""Models that one dynamic model keeps, the last used: one for each user and setting."""


@frozen
class Used:
    """What `using` says; None of what it leaves open."""

    source: str | None = None
    model: str | None = None
    type: ModelType | None = None
    url: str | list[str] | None = None
    api_key: KeyGiven = field(default=None, repr=False)
    config_id: str | None = None
    options: Mapping[str, Any] = field(factory=dict)

    @property
    def told(self) -> str:
        """In words, for people; never the key."""
        names = ("source", "model", "type", "url", "config_id")
        parts = [f"{n}={value!r}" for n in names if (value := getattr(self, n)) is not None]
        return ", ".join([*parts, *(["api_key=***"] if self.api_key is not None else [])])

    def over(self, outer: Used) -> Used:
        """This inside *outer*: what it leaves open is the outer one's."""
        if self.source not in (None, outer.source) or self.config_id is not None:
            # Another provider: it must not get the outer one's key, nor be asked at its address.
            return evolve(self, options={**outer.options, **self.options})
        return Used(
            source=self.source or outer.source,
            model=self.model or outer.model,
            type=self.type or outer.type,
            # A key belongs to an address: another address without a key has none.
            url=outer.url if self.url is None else self.url,
            api_key=self.api_key if self.api_key is not None or self.url else outer.api_key,
            config_id=outer.config_id,
            options={**outer.options, **self.options},
        )


_used: ContextVar[Used | None] = ContextVar("modelplug.using", default=None)


def in_use() -> Used | None:
    """What the `using` that is active here says."""
    return _used.get()


@contextmanager
def using(
    source: str | None = None,
    *,
    model: str | None = None,
    type: str | None = None,
    url: str | list[str] | None = None,
    api_key: KeyGiven = None,
    config_id: str | None = None,
    **options: Any,
) -> Iterator[None]:
    """
    Decide what models with `source="dynamic"` are, for the calls in this block.

    It counts for this thread or task, and for tasks that are made in the block; a new thread
    begins without one. Inside another `using` it changes what it names; with another source
    it begins anew. `api_key` is taken as it is: `env:` and the like are not followed, since a
    stranger may have typed it; where it is left out, the provider's variable counts.
    `options` go with every call.
    """
    wanted = ModelType.parse(type) if type else None
    given = Used(source, model, wanted, url, _as_they_are(api_key), config_id, options)
    if source == "dynamic":
        msg = "using(...) decides what dynamic is; name a provider or local"
        raise ConfigError(msg)
    outer = _used.get()
    token = _used.set(given if outer is None else given.over(outer))
    try:
        yield
    finally:
        _used.reset(token)


def _as_they_are(keys: KeyGiven) -> KeyGiven:
    # Not as elsewhere: a key that a user of the program typed must not run `cmd:...` there.
    if keys is None or isinstance(keys, Secret):
        return keys
    if isinstance(keys, str):
        return Secret(keys.strip())
    return [key if isinstance(key, Secret) else Secret(key.strip()) for key in keys]


class _Kept:
    """The models made so far, the last used at the end. Threads may share it."""

    def __init__(self) -> None:
        self._models: OrderedDict[object, Model] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object, make: Any) -> Model:
        """The model of *key*, made where there is none."""
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
                return self._models[key]
        made: Model = make()  # outside the lock: one slow user must not stop the others
        with self._lock:
            model = self._models.setdefault(key, made)
            self._models.move_to_end(key)
            while len(self._models) > _AT_MOST:
                self._models.popitem(last=False)
            return model

    def __len__(self) -> int:
        return len(self._models)


class DynamicModule(Model):
    """
    What `AutoModel(source="dynamic")` makes. Each call is decided where it is made, by the
    active `using`; connections are shared by all calls to one server, as always.

    ConfigError at a call where no `using` is active.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._kept = _Kept()
        self._view = View()

    def _now(self) -> Model:
        """The model that a call here and now would go to, seen through this object's view."""
        from modelplug.auto.choose import decide

        used = in_use()
        if used is None:
            msg = (
                "a model with source='dynamic' was used where no modelplug.using(...) is active; "
                "wrap the call in `with modelplug.using(source, api_key=...)`, in its own thread"
            )
            raise ConfigError(msg)
        asked = evolve(
            self._asked,
            source=used.source,
            model=used.model or self._asked.model,
            type=used.type or self._asked.type,
            config_id=used.config_id or self._asked.config_id,
            url=used.url,
            api_key=used.api_key,
        )
        decision = decide(installed(), asked, os.environ)
        model = self._kept.get(decision.key, decision.make)
        view = self._view
        options = {**model._view.options, **view.options, **used.options}
        return model._another(evolve(view, options=options))

    @property
    def type(self) -> ModelType:
        """What it was made for, else what the model of here and now does."""
        return self._asked.type or self._now().type

    @property
    def model(self) -> str:
        """The name of the model of here and now."""
        return self._now().model

    @property
    def url(self) -> str:
        """The server of the model of here and now."""
        return self._now().url

    @property
    def api_key(self) -> Secret | None:
        """The key in use here and now: usable, never shown."""
        return self._now().api_key

    # Decided as the call is made, not as its generator begins: that may be elsewhere.

    def _flow(self, given: Any, options: Mapping[str, Any]) -> Flow[Any]:
        return self._now()._flow(given, options)

    def _events(self, given: Any, options: Mapping[str, Any]) -> EventFlow:
        return self._now()._events(given, options)

    def close(self) -> None:
        """Forget the models made so far, and end the engines among them."""
        self._kept = _Kept()

    def _another(self, view: View) -> Self:
        other = object.__new__(type(self))
        other._asked, other._kept, other._view = self._asked, self._kept, view
        return other

    def __repr__(self) -> str:
        used = in_use()
        return f"<DynamicModule {self._asked.model!r}: {used.told if used else 'nothing in use'}>"
