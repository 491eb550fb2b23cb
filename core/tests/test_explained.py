"""
Each file of `explained/` is a situation and what `explain` says in it, to be read by people.

The first line is what it shows. Then sections, each after `--- name`: files to write, the
`environment`, `plugins` to add, the `call` and what it `says`. An error is told as its class
and text. Where nothing can be placed, `AutoModel` raises NoModel with the same text.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from core_helpers import Site, engine, provider

import modelplug
from modelplug.errors import MissingKey, ModelplugError, NoModel

FOLDER = Path(__file__).parent / "explained"
CASES = sorted(FOLDER.glob("*.txt"))
RESOLVER = """
from modelplug import hookimpl
from modelplug.types import ModelType
class Resolver:
    @hookimpl
    def resolve_type(self, model):
        return ModelType.RERANK if model.startswith("odd") else None
plugin = Resolver()
"""


def sections(path: Path) -> dict[str, str]:
    """Name to text, of one file."""
    _, *parts = path.read_text(encoding="utf-8").split("\n--- ")
    return {name: text.rstrip("\n") + "\n" for name, _, text in (p.partition("\n") for p in parts)}


def prepare(parts: dict[str, str], site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files, variables and plugins of one situation."""
    for name, text in parts.items():
        if "." in name:
            Path(name).write_text(text, encoding="utf-8")
    for line in parts.get("environment", "").splitlines():
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, value)
    for plugin in parts.get("plugins", "").split():
        PLUGINS[plugin](site)


def mini(site: Site) -> None:
    """Weights that a plugin ships."""
    site.module("site_mini", "", '[weights.here-mini]\ntype = "llm"\n')
    site.metadata("modelplug-mini", "[modelplug.weights]\nhere-mini = site_mini\n")


def gamma(site: Site) -> None:
    """A provider that knows names which it does not offer, and a region."""
    manifest = provider("gamma").replace('"gamma-*" =', '"gamma-film*" = "none"\n"gamma-*" =')
    regions = 'regions = { far = "https://far.gamma.test/v1" }\noptions = ["depth"]\ndoes ='
    site.plugin("gamma", manifest=manifest.replace("does =", regions))


PLUGINS = {
    "quick": engine,
    "mini": mini,
    "gamma": gamma,
    "openai": lambda site: site.plugin("openai", manifest=provider("openai")),
    "bad": lambda site: site.plugin("bad", manifest="nonsense"),
    "odd": lambda site: site.plugin("odd", group="resolve_type", source=RESOLVER, manifest=""),
}


def arguments(call: str) -> dict[str, Any]:
    """The arguments of a call as it is written: names and plain values."""
    parsed = ast.parse(call.strip(), mode="eval").body
    assert isinstance(parsed, ast.Call)
    named = {str(each.arg): ast.literal_eval(each.value) for each in parsed.keywords}
    return named | ({"model": ast.literal_eval(parsed.args[0])} if parsed.args else {})


def says(given: dict[str, Any]) -> str:
    """What `explain` says, or how it fails."""
    try:
        return str(modelplug.explain(**given))
    except ModelplugError as error:
        return f"{type(error).__name__}: {error}"


def test_there_are_forty_of_them() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_explain_says_what_the_file_says(
    path: Path, world: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = sections(path)
    prepare(parts, world, monkeypatch)
    given = arguments(parts["call"])

    said = says(given)

    assert parts["says"] == said + "\n"


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_what_is_explained_is_what_is_made(
    path: Path, world: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = sections(path)
    prepare(parts, world, monkeypatch)
    given = arguments(parts["call"])
    try:
        choice = modelplug.explain(**given)
    except ModelplugError as error:
        with pytest.raises(type(error)) as caught:
            modelplug.AutoModel(**given)
        assert str(error) == str(caught.value)
        return

    try:
        made = modelplug.AutoModel(**given)
    except NoModel as none:
        assert ("none", str(choice)) == (choice.kind, str(none))
    except MissingKey:
        assert "not set" in [value for name, value, _ in choice.settings if name == "api_key"]
    else:
        kinds = {"online": "OnlineModule", "local": "TrainableModule", "dynamic": "DynamicModule"}
        assert kinds[choice.kind] == type(made).__name__
    assert choice.to_dict() == json.loads(json.dumps(choice.to_dict()))
