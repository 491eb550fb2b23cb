"""`OnlineModule`: a model behind somebody's API."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

from attrs import frozen

from modelplug.catalog import Provider
from modelplug.errors import ConfigError, MissingKey, Unsupported, did_you_mean
from modelplug.models import Model, checked_stream, read_timeouts
from modelplug.online_tuning import OnlineRecipe, OnlineTunable
from modelplug.plugins import Plugins, installed
from modelplug.resolving import resolve_type
from modelplug.retry import Retry
from modelplug.settings import Keys, find_keys, key_variables, resolve, variable_of
from modelplug.tasks import AnyCodec, Stream, View, check_options
from modelplug.types import Endpoint, ModelType, Quirks, Secret, Timeouts
from modelplug.wire import Flow


@frozen
class Address:
    """Where a provider is reached and what decided it; made without touching the network."""

    provider: Provider
    type: ModelType
    type_origin: str
    model: str
    urls: tuple[str, ...]
    url_origin: str
    keys: tuple[Secret, ...]
    key_origin: str
    account: str


def locate(
    plugins: Plugins,
    source: str,
    *,
    model: str | None = None,
    type: ModelType | None = None,
    url: str | Sequence[str] | None = None,
    region: str | None = None,
    api_key: Keys | None = None,
    env: Mapping[str, str],
) -> Address:
    """Where *model* of *source* is reached. A key that is missing is () here."""
    provider = plugins.provider(source)
    decided, type_origin = type, "argument type"
    if decided is None:
        decided, type_origin = _type_of(plugins, provider, source, model)
    if decided not in provider.types:
        offered = ", ".join(provider.types) or "nothing"
        msg = f"{source} has no models of type {decided} (it has: {offered})"
        raise Unsupported(msg)
    name = model or provider.types[decided]
    account, provider = provider.serving(source, name, decided)
    urls, url_origin = _urls(source, account, provider, url, region, env)
    keys, key_origin = find_keys(account, provider.key_env, env, api_key, provider.key_pairs)
    return Address(
        provider, decided, type_origin, name, urls, url_origin, keys, key_origin, account
    )


def _urls(
    source: str,
    account: str,
    provider: Provider,
    url: str | Sequence[str] | None,
    region: str | None,
    env: Mapping[str, str],
) -> tuple[tuple[str, ...], str]:
    """(base URLs, what decided them)."""
    if url is not None:
        urls = [url] if isinstance(url, str) else url
        return tuple(_plain(each, provider) for each in urls), "argument url"
    if region is not None:
        if region not in provider.regions:
            known = ", ".join(provider.regions) or "none"
            msg = f"{source} has no region {region!r} (it has: {known})"
            raise ConfigError(msg + did_you_mean(region, provider.regions))
        return (provider.regions[region].rstrip("/"),), "argument region"
    base = resolve(
        "url",
        variable=variable_of(account, "base_url"),
        vendor=provider.base_url_env,
        env=env,
        default=provider.base_url or None,
    )
    if base is None:
        msg = f"{source} has no address of its own; pass url="
        raise ConfigError(msg)
    return (_plain(base.value, provider),), base.origin


def _plain(url: str, provider: Provider) -> str:
    """*url* without a slash at its end. One with a password in it would be shown and logged."""
    if "@" in urlsplit(url).netloc:
        msg = "the address holds a user name or a password; take it out and pass api_key="
        raise ConfigError(msg)
    url = url.rstrip("/")
    if provider.path_optional and not urlsplit(url).path:
        url += urlsplit(provider.base_url).path
    return url


def _type_of(
    plugins: Plugins, provider: Provider, source: str, model: str | None
) -> tuple[ModelType, str]:
    """(what *model* does, what told it): the provider's first type where nothing does."""
    pattern = provider.pattern_of(model or "")
    if model and pattern and pattern[1] is None:
        msg = f"{source} does not offer {model!r} here (its pattern {pattern[0]!r} says so)"
        raise Unsupported(msg)
    if model and (told := resolve_type(plugins, model, source)):
        return told
    first = ModelType.LLM if "llm" in provider.types else ModelType(next(iter(provider.types)))
    return first, "default"


def missing_key(source: str, address: Address) -> MissingKey:
    """The error for an address whose key is None, with the mend."""
    provider = address.provider
    names = key_variables(address.account, provider.key_env)
    where = f" (get one at {provider.key_url})" if provider.key_url else ""
    msg = (
        f"{source} needs a key and {' and '.join(names)} are not set; "
        f"set one of them or pass api_key=...{where}"
    )
    return MissingKey(msg)


class OnlineModule(OnlineTunable, Model):
    """
    A model behind an online provider's API, or behind any server that speaks its wire.

    `source` names the provider; `type` what the model does, else told by the model's name;
    `url` another base URL than the provider's, or several that stand in for each other;
    `api_key` a key, `env:NAME`, `file:path`, `cmd:program`, or several. `options` go with
    every call, besides `timeout` (seconds, or `Timeouts`), `max_retries`, `region` and
    `return_trace` (`trace` then holds what the calls gave).
    Nothing is sent until a call.

    Raises PluginNotFound, MissingKey, Unsupported, UnknownOption.
    """

    def __init__(
        self,
        model: str | None = None,
        source: str | None = None,
        *,
        type: str | None = None,
        url: str | Sequence[str] | None = None,
        api_key: Keys | None = None,
        stream: Stream = False,
        **options: Any,
    ) -> None:
        plugins = installed()
        wanted = type or options.pop("function", None)
        if source is None:
            from modelplug.auto.choose import choose_source

            source = choose_source(plugins, model, os.environ)
        address = locate(
            plugins,
            source,
            model=model,
            type=ModelType.parse(wanted) if wanted else None,
            url=url,
            region=options.pop("region", None),
            api_key=api_key,
            env=os.environ,
        )
        if not address.keys and address.url_origin in ("default", "argument region"):
            raise missing_key(source, address)
        self.source = source
        self._type = address.type
        self._online = _codec_at(plugins, source, address, options)
        traced = bool(options.pop("return_trace", False))
        check_options(self._online, options)
        self._view = View(stream=checked_stream(stream), traced=traced, options=options)
        self._tuning = OnlineRecipe()

    @property
    def type(self) -> ModelType:
        """What the model does."""
        return self._type

    @property
    def model(self) -> str:
        """The model's name as the provider knows it."""
        return self._online.endpoint.model

    @property
    def url(self) -> str:
        """Base URL of the provider."""
        return self._online.endpoint.url

    @property
    def api_key(self) -> Secret | None:
        """The key: usable, never shown."""
        return self._online.endpoint.api_key

    def _connect(self) -> Flow[AnyCodec]:
        return self._online
        yield  # a generator, though nothing has to be waited for

    def _another(self, view: View) -> Self:
        other = object.__new__(type(self))
        other.source, other._type, other._online = self.source, self._type, self._online
        other._view, other._tuning = view, OnlineRecipe()
        return other

    def __repr__(self) -> str:
        return f"<OnlineModule {self.source}:{self.model} ({self.type}) at {self.url}>"


def _codec_at(plugins: Plugins, source: str, address: Address, options: dict[str, Any]) -> AnyCodec:
    provider = address.provider
    does, limits, quirks = provider.for_model(address.model)
    own_host = urlsplit(address.urls[0]).hostname == urlsplit(provider.base_url).hostname
    if provider.generic_elsewhere and not own_host:
        does, quirks = does - {"embed-base64"}, Quirks()
    endpoint = Endpoint(
        provider=source,
        model=address.model,
        url=address.urls,
        api_key=address.keys,
        does=does,
        options=frozenset(provider.options),
        limits=limits,
        quirks=quirks,
        codes=provider.codes,
        error_rules=provider.error_rules,
        retry=_retry(options),
        timeouts=_timeouts(options),
    )
    codec = plugins.create_online(source, endpoint, address.type)
    if codec is None:
        msg = f"{source} has no models of type {address.type}"
        raise Unsupported(msg)
    return codec


def _retry(options: dict[str, Any]) -> Retry:
    retries = options.pop("max_retries", None)
    if retries is None:
        return Retry()
    if type(retries) is not int or retries < 0:
        msg = f"max_retries= takes a whole number from 0, not {retries!r}"
        raise ConfigError(msg)
    return Retry(attempts=retries + 1)


def _timeouts(options: dict[str, Any]) -> Timeouts:
    return read_timeouts(options.pop("timeout", None)) or Timeouts()
