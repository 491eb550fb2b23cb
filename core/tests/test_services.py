"""Models of one provider at several addresses, keys of two variables, and keys that sign."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import evolve
from core_helpers import CALL, ENDPOINT, chat_body, finish

from modelplug.catalog import Provider
from modelplug.errors import ConfigError
from modelplug.openai_wire import OpenAIChat
from modelplug.settings import find_keys
from modelplug.structure import structure_config
from modelplug.types import Secret
from modelplug.wire import Request, Response

PROVIDER: Provider = structure_config(
    {
        "title": "Acme",
        "base-url": "https://acme.test/v1",
        "key-env": ["ACME_API_KEY"],
        "regions": {"eu": "https://eu.acme.test/v1"},
        "services": {
            "speech": {
                "base-url": "https://speech.test",
                "types": ["stt", "tts"],
                "key-pairs": [["ACME_APP", "ACME_TOKEN"]],
            },
            "old": {"base-url": "https://old.test", "match": ["acme-0*"]},
        },
    },
    Provider,
    "acme",
)


@pytest.mark.parametrize(
    ("model", "type", "account", "url"),
    [
        ("acme-1", "llm", "acme", "https://acme.test/v1"),
        ("ACME-0-large", "llm", "acme", "https://old.test"),
        ("voice-1", "tts", "acme_speech", "https://speech.test"),
        ("voice-1", "", "acme", "https://acme.test/v1"),
    ],
)
def test_a_service_is_found_by_pattern_or_by_type(
    model: str, type: str, account: str, url: str
) -> None:
    told, reached = PROVIDER.serving("acme", model, type)

    assert (account, url) == (told, reached.base_url)


def test_a_service_without_keys_of_its_own_has_the_providers() -> None:
    _, old = PROVIDER.serving("acme", "acme-0")
    _, speech = PROVIDER.serving("acme", "voice-1", "stt")

    assert (["ACME_API_KEY"], []) == (old.key_env, old.key_pairs)
    assert ([], [["ACME_APP", "ACME_TOKEN"]]) == (speech.key_env, speech.key_pairs)
    assert {} == old.regions


@pytest.mark.parametrize(
    ("env", "key", "origin"),
    [
        ({"ID": "a", "SECRET": "b"}, "a:b", "ID and SECRET"),
        ({"ID": " a ", "SECRET": "b\n"}, "a:b", "ID and SECRET"),
        ({"ID": "a", "SECRET": "b", "ACME_API_KEY": "k"}, "k", "ACME_API_KEY"),
        ({"ID": "a", "SECRET": "b", "LAZYLLM_ACME_API_KEY": "k"}, "a:b", "ID and SECRET"),
        ({"ID": "a", "LAZYLLM_ACME_API_KEY": "k"}, "k", "LAZYLLM_ACME_API_KEY"),
    ],
)
def test_a_pair_of_variables_is_one_key_after_the_vendors_own(
    env: Mapping[str, str], key: str, origin: str
) -> None:
    found = find_keys("acme", ["ACME_API_KEY"], env, pairs=[["ID", "SECRET"]])

    assert ((Secret(key),), origin) == found


def test_half_a_pair_is_no_key() -> None:
    assert ((), "") == find_keys("acme", [], {"ID": "a", "SECRET": " "}, pairs=[["ID", "SECRET"]])


class Signing(OpenAIChat):
    """A codec whose key signs a token, counted so that each shows."""

    signed = 0

    def sign(self, request: Request) -> Request:
        assert request.auth is not None
        self.signed += 1
        return evolve(request, auth=Secret(f"{request.auth.reveal()}#{self.signed}"))


def test_each_try_is_signed_anew_with_the_key_in_use() -> None:
    codec = Signing(evolve(ENDPOINT, api_key=[Secret("a"), Secret("b")]))
    limit, busy, ok = Response(429), Response(503), Response(200, body=chat_body())

    _, requests = finish(codec.flow(CALL), limit, busy, ok)

    assert ["a#1", "b#2", "b#3"] == [request.auth.reveal() for request in requests if request.auth]


def test_an_unknown_key_of_a_service_is_named() -> None:
    table = {"title": "Acme", "services": {"old": {"base-url": "u", "matches": ["x"]}}}

    with pytest.raises(ConfigError, match="unknown key 'matches'; did you mean 'match'"):
        structure_config(table, Provider, "acme")
