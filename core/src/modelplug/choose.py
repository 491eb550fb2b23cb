"""`AutoModel`: which world a model is in, and `explain`: why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from modelplug.errors import (
    ConfigError,
    ModelplugError,
    NoModel,
    UnknownOption,
    Unsupported,
    did_you_mean,
)
from modelplug.online import Address, OnlineModule, locate, missing_key
from modelplug.plugins import Plugins, installed
from modelplug.settings import find_keys
from modelplug.trainable import TrainableModule
from modelplug.types import ModelType

_SYNONYMS = ("base_model", "embed_model_name", "model_name")


@frozen
class Candidate:
    """One place that was considered: `verdict` is chosen, possible or no."""

    name: str
    verdict: str
    why: str


@frozen
class Choice:
    """
    What `AutoModel` would make, and why. `kind` is online, local or none.

    `settings` are (name, value, what decided it); a key's value is `***`.
    """

    kind: str
    model: str
    type: str
    source: str
    candidates: tuple[Candidate, ...]
    settings: tuple[tuple[str, str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for programs."""
        return {
            "kind": self.kind,
            "model": self.model,
            "type": self.type,
            "source": self.source,
            "candidates": [
                {"name": c.name, "verdict": c.verdict, "why": c.why} for c in self.candidates
            ],
            "settings": [
                {"name": name, "value": value, "from": origin}
                for name, value, origin in self.settings
            ],
        }

    def __str__(self) -> str:
        what = f"{self.model or '(default model)'}"
        if self.kind == "none":
            lines = [f"{what} cannot be placed"]
        else:
            lines = [f"{what} → {self.kind}, {self.source} ({self.type})"]
        lines += [f"  {_MARKS[c.verdict]} {c.name}: {c.why}" for c in self.candidates]
        if self.settings:
            width = max(len(name) for name, _, _ in self.settings)
            lines += [
                f"  {n.ljust(width)} = {value}  ({origin})" for n, value, origin in self.settings
            ]
        return "\n".join(lines)


_MARKS = {"chosen": "✓", "possible": "·", "no": "✗"}


def AutoModel(
    model: str | None = None,
    *,
    config_id: str | None = None,
    source: str | None = None,
    type: str | None = None,
    config: str | bool = True,
    **synonyms: str,
) -> OnlineModule | TrainableModule:
    """
    An `OnlineModule` or a `TrainableModule`, whichever the arguments and the environment say.

    `source` decides if it is given: a provider, or "local". Else weights that an installed
    plugin ships under that name; else the one provider that claims the model and has a key;
    else local. `base_model`, `embed_model_name` and `model_name` are other names of `model`.

    Raises NoModel with every candidate, and what the module raises.
    """
    name = _model_name(model, synonyms)
    _no_config(config_id, config)
    choice = _choose(installed(), name, source, type, os.environ)
    if choice.kind == "none":
        raise NoModel(str(choice))
    if choice.kind == "local":
        return TrainableModule(name, type=type)
    online = None if choice.source == name else name
    return OnlineModule(online or None, choice.source, type=type)


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
    name = _model_name(model, synonyms)
    _no_config(config_id, config)
    return _choose(installed(), name, source, type, os.environ)


def _no_config(config_id: str | None, config: str | bool) -> None:
    if config_id is not None or isinstance(config, str):
        msg = "config maps are not in this version; pass source= and type= in the call"
        raise Unsupported(msg)


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


def _choose(
    plugins: Plugins,
    model: str,
    source: str | None,
    type: str | None,
    env: Mapping[str, str],
) -> Choice:
    wanted = ModelType.parse(type) if type else None
    if source == "local":
        return _local(plugins, model, wanted, Candidate("local", "chosen", "source='local'"))
    if source is not None:
        why = Candidate(source, "chosen", f"source={source!r}")
        return _online(plugins, source, model, wanted, env, [why])
    if not model:
        msg = "AutoModel needs a model or a source"
        raise ConfigError(msg)
    if model in plugins.names("weights"):
        origin = plugins.find("weights", model).origin
        return _local(
            plugins, model, wanted, Candidate("local", "chosen", f"its weights ship in {origin}")
        )
    if model in plugins.names("create_online"):
        why = Candidate(model, "chosen", "the model's name is a source's")
        return _online(plugins, model, "", wanted, env, [why])
    return _by_keys(plugins, model, wanted, env)


def _by_keys(
    plugins: Plugins, model: str, wanted: ModelType | None, env: Mapping[str, str]
) -> Choice:
    candidates, ready, claiming = _with_keys(plugins, model, env)
    picked = claiming if claiming else ready
    if len(picked) == 1:
        chosen = [
            Candidate(c.name, "chosen", c.why) if c.name == picked[0] else c for c in candidates
        ]
        return _online(plugins, picked[0], model, wanted, env, chosen)
    if len(picked) > 1:
        why = f"{' and '.join(picked)} could each serve it; name one with source="
        blocked = Candidate("online", "no", why)
        return Choice("none", model, wanted or "", "", (*candidates, blocked))
    local = Candidate("local", "chosen", "no provider has a key")
    return _local(plugins, model, wanted, local, candidates)


def _with_keys(
    plugins: Plugins, model: str, env: Mapping[str, str]
) -> tuple[list[Candidate], list[str], list[str]]:
    """(each provider, those with a key, those that also claim the model by a pattern)."""
    candidates, ready, claiming = [], [], []
    for name in plugins.names("create_online"):
        try:
            provider = plugins.provider(name)
        except ModelplugError as error:  # broken: an error for its own name only
            candidates.append(Candidate(name, "no", str(error)))
            continue
        claimed = provider.type_of(model)
        claims = claimed is not None
        account, reached = provider.serving(name, model, claimed or "")
        keys, key_origin = find_keys(account, reached.key_env, env, pairs=reached.key_pairs)
        if not keys:
            why = "claims the model and has no key" if claims else "no key"
            candidates.append(Candidate(name, "no", why))
            continue
        ready.append(name)
        if claims:
            claiming.append(name)
        why = f"{key_origin} is set" + (" and a pattern claims the model" if claims else "")
        candidates.append(Candidate(name, "possible", why))
    return candidates, ready, claiming


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
    source: str,
    model: str,
    wanted: ModelType | None,
    env: Mapping[str, str],
    candidates: list[Candidate],
) -> Choice:
    address = locate(plugins, source, model=model or None, type=wanted, env=env)
    origin = plugins.find("create_online", source).origin
    settings = (
        ("plugin", origin, "installed"),
        ("model", address.model, "argument model" if model else "default"),
        ("url", ", ".join(address.urls), address.url_origin),
        ("api_key", "***" if address.keys else "not set", _key_note(source, address)),
    )
    return Choice("online", address.model, address.type, source, tuple(candidates), settings)


def _key_note(source: str, address: Address) -> str:
    return address.key_origin if address.keys else str(missing_key(source, address))


def _local(
    plugins: Plugins,
    model: str,
    wanted: ModelType | None,
    why: Candidate,
    others: list[Candidate] | None = None,
) -> Choice:
    """A local choice; where no engine or no weights are to be had it is `none`, and says so."""
    module = TrainableModule(model, type=wanted, trust_remote_code=False)
    local = module._local
    try:
        weights = local.find(plugins)
        engine = local._choose(plugins, weights)
        plugin = plugins.find("deploy_local", engine).origin
    except ModelplugError as error:
        failed = Candidate("local", "no", str(error))
        return Choice("none", model, wanted or "", "local", (*(others or ()), failed))
    settings = (
        ("weights", str(weights.path), weights.format),
        ("engine", engine, f"{plugin}: takes {weights.format} and serves {weights.type}"),
        ("starts", f"a process of {engine} on a free loopback port", "at start() or first call"),
    )
    return Choice("local", model, weights.type, "local", (*(others or ()), why), settings)
