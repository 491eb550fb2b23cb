"""What a model does: told by manifests, weights, the catalogue or a plugin, never by a number."""

from __future__ import annotations

from modelplug.errors import ModelplugError, PluginBroken
from modelplug.plugins import Plugins
from modelplug.types import ModelType


def resolve_type(
    plugins: Plugins, model: str, source: str | None = None
) -> tuple[ModelType, str] | None:
    """
    (the type of *model*, what told it); None if nothing does.

    Asked in this order: the patterns of provider *source*, then its resolver; all other
    providers' patterns; the weights' own files where they are on disk; the catalogue of local
    models; all other resolvers.
    """
    resolvers = plugins.names("resolve_type")
    if source is not None:
        pattern = plugins.provider(source).pattern_of(model)
        if pattern is not None and pattern[1] is not None:
            return pattern[1], f"{source}'s pattern {pattern[0]!r}"
        if source in resolvers and (found := plugins.resolve_type(source, model)):
            return found, f"{source}'s resolver"
    if claim := plugins.claims.first(model):
        return claim[2], f"{claim[0]}'s pattern {claim[1]!r}"
    if told := _by_weights(plugins, model):
        return told
    for name in resolvers:
        if name != source and (found := _asked(plugins, name, model)):
            return found, f"the resolver {name}"
    return None


def _by_weights(plugins: Plugins, model: str) -> tuple[ModelType, str] | None:
    if "local" not in plugins.names("runtime"):
        return None
    try:
        return plugins.runtime().kind_of(model)
    except ModelplugError:  # weights that cannot be read: told by whoever is asked to serve them
        return None


def _asked(plugins: Plugins, resolver: str, model: str) -> ModelType | None:
    """What somebody else's resolver says; one that is broken is an error for its own name only."""
    try:
        return plugins.resolve_type(resolver, model)
    except PluginBroken:
        return None
