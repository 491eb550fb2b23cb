"""`AutoModel`: which world a model is in, and `explain`: why."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from modelplug.auto.asked import Asked, with_config
from modelplug.auto.choice import Candidate, Choice
from modelplug.auto.local import choose_local, not_local
from modelplug.errors import (
    ConfigError,
    MissingKey,
    ModelplugError,
    NoModel,
    UnknownOption,
    did_you_mean,
)
from modelplug.local.trainable import TrainableModule
from modelplug.online import Address, OnlineModule, locate, missing_key
from modelplug.plugins import Plugins, installed
from modelplug.settings import find_keys
from modelplug.types import ModelType

if TYPE_CHECKING:
    from modelplug.auto.dynamic import DynamicModule
    from modelplug.models import Model


_SYNONYMS = ("base_model", "embed_model_name", "model_name")


def AutoModel(
    model: str | None = None,
    *,
    config_id: str | None = None,
    source: str | None = None,
    type: str | None = None,
    config: str | bool = True,
    **synonyms: str,
) -> OnlineModule | TrainableModule | DynamicModule:
    """
    An `OnlineModule` or a `TrainableModule`, whichever arguments, config map and keys say.

    What the caller wrote counts first; then the entry of the config map for the model, or the
    one that `config_id` names. `source` decides if there is one: a provider; "local"; or
    "dynamic", decided at each call by `using`. Else weights that an installed plugin ships
    under that name; else the one provider that claims the model and has a key; else local.
    `config` is the path of a config map, or False for none. `base_model`,
    `embed_model_name` and `model_name` are other names of `model`.

    Raises NoModel with every candidate, BadConfig, and what the module raises.
    """
    asked = _asked(model, config_id, source, type, config, synonyms)
    made: OnlineModule | TrainableModule | DynamicModule
    made = decide(installed(), asked, os.environ).make()
    return made


def explain(
    model: str | None = None,
    *,
    config_id: str | None = None,
    source: str | None = None,
    type: str | None = None,
    config: str | bool = True,
    **synonyms: str,
) -> Choice:
    """What `AutoModel` would do with the same arguments, and why; nothing is touched."""
    asked = _asked(model, config_id, source, type, config, synonyms)
    return decide(installed(), asked, os.environ).choice


def _asked(
    model: str | None,
    config_id: str | None,
    source: str | None,
    type: str | None,
    config: str | bool,
    synonyms: Mapping[str, str],
) -> Asked:
    wanted = ModelType.parse(type) if type else None
    return Asked(_model_name(model, synonyms), source or None, wanted, config_id, config)


def _model_name(model: str | None, synonyms: Mapping[str, str]) -> str:
    names = [model] if model is not None else []
    for key, value in synonyms.items():
        if key not in _SYNONYMS:
            msg = (
                f"AutoModel takes no {key!r}{did_you_mean(key, _AUTO_OPTIONS) or ';'} "
                f"options of a provider go to OnlineModule or into each call"
            )
            raise UnknownOption(msg)
        names.append(value)
    if len(set(names)) > 1:
        msg = f"the model was named {len(names)} times: {', '.join(map(repr, names))}"
        raise ConfigError(msg)
    return names[0] if names else ""


_AUTO_OPTIONS = ("model", "config_id", "source", "type", "config", *_SYNONYMS)


@frozen(eq=False)
class Decision:
    """A choice and what makes it true. Decisions with equal `key` make equal models."""

    choice: Choice
    maker: Callable[[], Model]
    key: object = None

    def make(self) -> Any:
        """The model; NoModel with every candidate where there is none."""
        if self.choice.kind == "none":
            raise NoModel(str(self.choice))
        return self.maker()


def decide(plugins: Plugins, asked: Asked, env: Mapping[str, str]) -> Decision:
    """Which world *asked* is in."""
    if asked.source != "dynamic":
        asked = with_config(asked, env)
    if asked.source == "dynamic":
        return _dynamic(asked)
    model = asked.model
    if asked.source == "local":
        return _local(plugins, asked, _why_source(asked))
    if asked.source is not None:
        return _online(plugins, asked, _why_source(asked), env)
    if asked.url is not None:
        why = Candidate("openai", "chosen", f"{asked.origin('url')}: a server on OpenAI's wire")
        return _online(plugins, evolve(asked, source="openai"), why, env, own_key=False)
    if not model:
        msg = "AutoModel needs a model or a source"
        raise ConfigError(msg)
    if model in plugins.names("weights"):
        origin = plugins.find("weights", model).origin
        return _local(plugins, asked, Candidate("local", "chosen", f"its weights ship in {origin}"))
    if os.path.isabs(model):
        return _local(plugins, asked, Candidate("local", "chosen", "the model is a path"))
    if model in plugins.names("create_online"):
        why = Candidate(model, "chosen", "the model's name is a source's")
        return _online(plugins, evolve(asked, source=model, model=""), why, env)
    return _by_keys(plugins, asked, env)


def _why_source(asked: Asked) -> Candidate:
    source = str(asked.source)
    origin = asked.origin("source")
    if asked.found is not None and asked.found.entry.is_local and not origin.startswith("arg"):
        return Candidate(source, "chosen", origin)
    if asked.found is not None and asked.found.entry.is_local:
        field = "framework" if asked.found.entry.framework else "deploy_config"
        return Candidate(source, "chosen", asked.found.origin(field))
    return Candidate(source, "chosen", f"source={source!r}" if origin.startswith("arg") else origin)


def _dynamic(asked: Asked) -> Decision:
    from modelplug.auto.dynamic import DynamicModule, in_use

    module = partial(DynamicModule, evolve(asked, source=None, found=None, notes=()))
    used = in_use()
    if used is None:
        why = "no modelplug.using(...) is active here; each call asks again"
    else:
        why = f"each call asks modelplug.using(...): here {used.told}"
    told = (*asked.notes, Candidate("dynamic", "chosen", why))
    choice = Choice("dynamic", asked.model, asked.type or "", "using(...)", told)
    return Decision(choice, module)


# Providers.


def _by_keys(plugins: Plugins, asked: Asked, env: Mapping[str, str]) -> Decision:
    model = asked.model
    candidates, ready, claiming = _with_keys(plugins, model, env)
    picked = claiming if claiming else ready
    ordered = [name for name in asked.order if name in picked] if len(picked) > 1 else picked
    if ordered:
        first = f"; first in {asked.order_from}" if len(picked) > 1 else ""
        chosen = [
            evolve(c, verdict="chosen", why=c.why + first) if c.name == ordered[0] else c
            for c in candidates
        ]
        return _online(plugins, evolve(asked, source=ordered[0]), chosen, env)
    if picked:
        why = (
            f"{' and '.join(picked)} could each serve it; name one with source=, "
            f"or order them with sources: in the config map"
        )
        blocked = Candidate("online", "no", why)
        told = (*asked.notes, *candidates, blocked)
        return Decision(Choice("none", model, asked.type or "", "", told), TrainableModule)
    return _local(plugins, asked, Candidate("local", "chosen", "no provider has a key"), candidates)


def _with_keys(
    plugins: Plugins, model: str, env: Mapping[str, str]
) -> tuple[list[Candidate], list[str], list[str]]:
    """(each provider, those with a key, those that also claim the model by a pattern)."""
    candidates: list[Candidate] = []
    ready: list[str] = []
    claiming: list[str] = []
    without = plugins.claims.without_key(model, env)
    for name in plugins.names("create_online"):
        if name in without:
            candidates.append(Candidate(name, "no", "no key"))
            continue
        try:
            told, keyed, claims = _with_key(plugins, name, model, env)
        except ModelplugError as error:  # broken: an error for its own name only
            told, keyed, claims = Candidate(name, "no", str(error)), False, False
        candidates.append(told)
        ready += [name] if keyed else []
        claiming += [name] if keyed and claims else []
    return candidates, ready, claiming


def _with_key(
    plugins: Plugins, name: str, model: str, env: Mapping[str, str]
) -> tuple[Candidate, bool, bool]:
    """(what is told of provider *name*, whether it has a key, whether it claims *model*)."""
    provider = plugins.provider(name)
    found = provider.pattern_of(model)
    if found is not None and found[1] is None:
        return Candidate(name, "no", f"does not offer it (pattern {found[0]!r})"), False, False
    claims = found is not None
    account, reached = provider.serving(name, model, (found[1] if found else None) or "")
    keys, key_origin = find_keys(account, reached.key_env, env, pairs=reached.key_pairs)
    if not keys:
        why = "claims the model and has no key" if claims else "no key"
        return Candidate(name, "no", why), False, claims
    why = f"{key_origin} is set" + (" and a pattern claims the model" if claims else "")
    return Candidate(name, "possible", why), True, claims


def choose_source(plugins: Plugins, model: str | None, env: Mapping[str, str]) -> str:
    """The provider for an `OnlineModule` without a source; NoModel unless exactly one fits."""
    candidates, ready, claiming = _with_keys(plugins, model or "", env)
    picked = claiming or ready
    if len(picked) == 1:
        return picked[0]
    told = "; ".join(f"{c.name}: {c.why}" for c in candidates) or "no provider is installed"
    problem = "several providers have" if picked else "no provider has"
    msg = f"{problem} a key for {model or 'a default model'!r} ({told}); name one with source="
    raise NoModel(msg)


def _online(
    plugins: Plugins,
    asked: Asked,
    why: Candidate | list[Candidate],
    env: Mapping[str, str],
    *,
    own_key: bool = True,
) -> Decision:
    """At provider `asked.source`. Without *own_key* the provider's own key is left alone."""
    source = str(asked.source)
    entry = asked.found.entry if asked.found else None
    # References are followed when the model is made, not to explain it.
    given: list[str] | None = None if asked.api_key is None and own_key else []
    address = locate(
        plugins, source, model=asked.model or None, type=asked.type, url=asked.url,
        region=entry.region if entry else None, api_key=given, env=env,
    )  # fmt: skip
    key = _key_row(asked, source, address, env, own_key=own_key)
    settings = (
        ("plugin", plugins.find("create_online", source).origin, "installed"),
        ("model", address.model, asked.origin("model") if asked.model else "default"),
        ("type", address.type.value, asked.origin("type") if asked.type else address.type_origin),
        ("url", ", ".join(address.urls), _url_origin(asked, address)),
        *_option_rows(asked),
        key,
    )
    told = (*asked.notes, *(why if isinstance(why, list) else [why]))
    steps = (("calls", " or ".join(address.urls)),)
    choice = Choice("online", address.model, address.type, source, told, settings, steps)
    api_key = asked.api_key if own_key or asked.api_key is not None else []
    identity = (
        source, address.model, address.type, address.urls, address.keys,
        frozen_value(api_key), frozen_value(asked.entry_options),
    )  # fmt: skip
    return Decision(choice, partial(_make_online, asked, source, api_key), identity)


def _make_online(asked: Asked, source: str, api_key: Any) -> OnlineModule:
    options = dict(asked.entry_options)
    entry = asked.found.entry if asked.found else None
    if entry and entry.region:
        options["region"] = entry.region
    try:
        return OnlineModule(
            asked.model or None, source, type=asked.type, url=asked.url, api_key=api_key, **options
        )
    except (MissingKey, UnknownOption) as error:
        if asked.found is None:
            raise
        # The same error, and where the entry is that led to it.
        msg = f"{asked.found.place}: {error}"
        raise type(error)(msg) from error


def frozen_value(value: object) -> object:
    """*value*, hashable."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(key), frozen_value(inner)) for key, inner in value.items()))
    return tuple(map(frozen_value, value)) if isinstance(value, list | tuple) else value


def _url_origin(asked: Asked, address: Address) -> str:
    entry = asked.found.entry if asked.found else None
    if asked.url is not None:
        return asked.origin("url")
    if entry and entry.region and asked.found:
        return asked.found.origin("region")
    return address.url_origin


def _key_row(
    asked: Asked, source: str, address: Address, env: Mapping[str, str], *, own_key: bool
) -> tuple[str, str, str]:
    if asked.api_key is None:
        if not own_key:
            return "api_key", "none", "a server that is no provider's own gets the entry's alone"
        origin = address.key_origin if address.keys else str(missing_key(source, address))
        return "api_key", "***" if address.keys else "not set", origin
    origin = asked.origin("api_key")
    given = asked.api_key if isinstance(asked.api_key, list) else [asked.api_key]
    references = [key for key in given if isinstance(key, str) and key.startswith("env:")]
    for reference in references:
        name = reference.removeprefix("env:")
        if not env.get(name, "").strip():
            return "api_key", "not set", f"{origin}: {name} is not set; set it"
    return "api_key", "***", ", ".join([origin, *references])


def _option_rows(asked: Asked) -> list[tuple[str, str, str]]:
    found = asked.found
    if found is None:
        return []
    named = found.entry.options or {}
    return [
        (name, repr(value), found.origin_of_option(name) if name in named else found.origin(name))
        for name, value in asked.entry_options.items()
    ]


# This machine.


def _local(
    plugins: Plugins, asked: Asked, why: Candidate, others: list[Candidate] | None = None
) -> Decision:
    """A local choice; where no engine or no weights are to be had it is `none`, and says so."""
    before = (*asked.notes, *(others or ()))
    try:
        local = choose_local(plugins, asked)
    except ModelplugError as error:
        return Decision(not_local(asked, before, error), TrainableModule)
    choice = Choice(
        "local", asked.model, local.type, "local", (*before, why), local.settings, local.steps
    )
    found = asked.found
    entry = (found.document, found.keys) if found else None
    key = ("local", asked.model, asked.type, frozen_value(asked.url), entry)
    return Decision(choice, local.make, key)
