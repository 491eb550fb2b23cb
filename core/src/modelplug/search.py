"""What the installed plugins' manifests offer, to be searched; nothing is imported."""

from __future__ import annotations

from attrs import frozen

from modelplug.errors import ModelplugError
from modelplug.plugins import Plugins


@frozen
class Offer:
    """
    One type of models at one provider, or one model whose weights ship in a plugin.

    `model` is the default, or the weights' name; `patterns` are those that tell the type.
    """

    source: str
    title: str
    type: str
    model: str
    patterns: tuple[str, ...] = ()
    does: tuple[str, ...] = ()

    def matches(self, words: list[str]) -> bool:
        """Whether every word is somewhere in the offer."""
        texts = (self.source, self.title, self.type, self.model, *self.patterns, *self.does)
        text = " ".join(texts).lower()
        return all(word.lower() in text for word in words)


def offers(plugins: Plugins, query: str = "") -> list[Offer]:
    """
    The offers in which every word of *query* is found, by source and type.

    A manifest that cannot be read offers nothing: it is an error for its own name only.
    """
    found: list[Offer] = []
    for source in plugins.names("create_online"):
        try:
            provider = plugins.provider(source)
        except ModelplugError:
            continue
        for type_, model in provider.types.items():
            does = provider.for_model(model)[0] if type_ in ("llm", "vlm") else frozenset()
            patterns = tuple(p for p, told in provider.models.items() if told == type_)
            offer = Offer(source, provider.title, type_, model, patterns, tuple(sorted(does)))
            found.append(offer)
    for name in plugins.names("weights"):
        try:
            weights = plugins.weights(name)
        except ModelplugError:
            continue
        found.append(Offer("local", weights.title, weights.type, name))
    return [offer for offer in found if offer.matches(query.split())]
