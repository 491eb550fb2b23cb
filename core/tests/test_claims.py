"""Which provider claims a model, told from the text of its manifest where that is certain."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping

import pytest
from core_helpers import Site, engine, provider
from hypothesis import given
from hypothesis import strategies as st

from modelplug import plugins
from modelplug.claims import patterns_in, words_in
from modelplug.errors import Unsupported
from modelplug.online import OnlineModule
from modelplug.resolving import resolve_type
from modelplug.types import ModelType

RESOLVER = """
from modelplug import hookimpl
from modelplug.types import ModelType
class Resolver:
    @hookimpl
    def resolve_type(self, model):
        return ModelType.RERANK if "odd" in model else None
plugin = Resolver()
"""
LINES = [
    "",
    "# a comment",
    "[create_online.acme.models]",
    "[create_online.acme.types]",
    "[create_online.acme]",
    " [create_online.acme.models]",
    '"a-*" = "llm"',
    "'b-*' = 'embed' # so",
    'c = "llm"',
    '"d\\u0041" = "llm"',
    '"e" = "none"',
    'text = """',
    "text = '''",
    '"""',
    "'''",
    '  "f" = "vlm"',
    "x = [",
    "]",
]


def parsed(text: str) -> Mapping[str, str] | None:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    acme = tables.get("create_online", {}).get("acme", {})
    models = acme.get("models", {}) if isinstance(acme, dict) else {}
    return models if isinstance(models, dict) else None


@given(st.lists(st.sampled_from(LINES), max_size=12).map("\n".join))
def test_patterns_that_are_told_unparsed_are_those_of_the_parser(text: str) -> None:
    quick, real = patterns_in(text, "acme"), parsed(text)

    assert real is None or quick is None or quick == real


@given(
    st.dictionaries(
        st.text("abc*-?[]é", min_size=1, max_size=6), st.sampled_from(["llm", "embed", "none"])
    ),
    st.text("abc -*\n", max_size=10),
)
def test_patterns_of_a_usual_manifest_need_no_parser(models: dict[str, str], title: str) -> None:
    lines = "".join(f"{json.dumps(k, ensure_ascii=False)} = {v!r}\n" for k, v in models.items())
    head = f"[create_online.acme]\ntitle = {json.dumps(title)}\n"

    assert models == patterns_in(f"{head}\n[create_online.acme.models]\n{lines}", "acme")


@pytest.mark.parametrize("text", ['title = "A"', "x = '''", "[create_online.acme.models]\n"])
def test_what_is_not_certain_is_left_to_the_parser(text: str) -> None:
    assert patterns_in(text, "acme") is None


def test_names_in_quotes_are_found_and_escapes_are_not_guessed_at() -> None:
    assert {"A_KEY", "b"} == words_in('key-env = ["A_KEY", \'b\']\nc = "not one"')
    assert words_in('key-env = ["\\u0041_KEY"]') is None


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("ACME_API_KEY", ["beta", "pairs"]),
        ("MODELPLUG_ACME_API_KEY", ["beta", "pairs"]),
        ("LAZYLLM_BETA_API_KEY", ["acme", "pairs"]),
        ("PAIR_SECRET", ["acme", "beta"]),
        ("OTHER_API_KEY", ["acme", "beta", "pairs"]),
    ],
)
def test_who_has_no_key_is_told_from_the_text(world: Site, name: str, without: list[str]) -> None:
    manifest = provider("pairs").replace(
        '"PAIRS_API_KEY"]', ']\nkey-pairs = [["P", "PAIR_SECRET"]]'
    )
    world.plugin("pairs", manifest=manifest)
    claims = plugins.installed().claims

    assert without == sorted(claims.without_key("x-1", {name: "k"}))
    assert "acme" not in claims.without_key("acme-1", {})


def test_the_manifests_of_others_are_not_parsed(
    world: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_API_KEY", "k")
    here = plugins.installed()

    OnlineModule("nobody-knows-it", source="acme")

    assert {"site_acme"} == set(here._manifests)


# What a model does.


def told(model: str, source: str | None = None) -> tuple[str, str] | None:
    found = resolve_type(plugins.installed(), model, source)
    return (found[0].value, found[1]) if found else None


def test_each_teller_comes_before_the_next(world: Site) -> None:
    engine(world)
    world.plugin("odd", group="resolve_type", source=RESOLVER, manifest="")

    assert ("embed", "acme's pattern 'acme-embed*'") == told("acme-embed-odd", "acme")
    assert ("llm", "beta's pattern 'beta-*'") == told("beta-odd", "acme")
    assert ("embed", "the catalogue") == told("far-embed", "acme")
    assert ("rerank", "the resolver odd") == told("some-odd-one", "acme")
    assert told("nobody-7b", "acme") is None


def test_a_provider_that_resolves_is_asked_before_other_providers_patterns(world: Site) -> None:
    world.module("site_own", RESOLVER, provider("own"))
    points = "[modelplug.create_online]\nown = site_own:plugin\n"
    world.metadata("modelplug-own", points + "[modelplug.resolve_type]\nown = site_own:plugin\n")

    assert ("rerank", "own's resolver") == told("beta-odd", "own")
    assert ("llm", "beta's pattern 'beta-*'") == told("beta-odd", "acme")


def test_a_number_in_the_name_tells_nothing(world: Site) -> None:
    assert told("something-7b-2024") is None


def test_a_name_that_is_not_offered_is_refused_by_its_provider_alone(world: Site) -> None:
    film = '"gamma-film*" = "none"\n"gamma-*" ='
    world.plugin("gamma", manifest=provider("gamma").replace('"gamma-*" =', film))

    with pytest.raises(Unsupported) as caught:
        OnlineModule("gamma-film-1", source="gamma", api_key="k")

    text = "gamma does not offer 'gamma-film-1' here (its pattern 'gamma-film*' says so)"
    assert text == str(caught.value)
    assert told("gamma-film-1") is None
    assert ModelType.LLM == OnlineModule("gamma-film-1", source="acme", api_key="k").type
