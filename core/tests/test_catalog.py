"""What a manifest may say, and how it is read."""

from __future__ import annotations

import pytest

from modelplug import errors
from modelplug.catalog import Provider, Rule
from modelplug.structure import structure_config
from modelplug.types import ErrorRule


def test_the_codes_of_a_provider_are_sorted_by_class() -> None:
    provider = Provider("Acme", errors={"RateLimited": ["1302", "1303"], "Filtered": ["1301"]})

    assert {
        "1302": errors.RateLimited,
        "1303": errors.RateLimited,
        "1301": errors.Filtered,
    } == provider.codes


@pytest.mark.parametrize(
    ("name", "mend"),
    [("RateLimit", "; did you mean 'RateLimited'?"), ("ConfigError", ""), ("difflib", "")],
)
def test_a_class_that_is_no_error_of_a_provider_is_named(name: str, mend: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        Provider("Acme", errors={name: ["1"]})

    assert f"{name!r} is no error of a provider{mend}" == str(caught.value)


def read(**keys: object) -> Provider:
    """A provider's table as TOML gives it."""
    return structure_config({"title": "Acme", **keys}, Provider, "[create_online.acme]")


def test_a_rule_about_errors_is_read_as_it_stands() -> None:
    rule = {"status": 400, "codes": ["bad*"], "match": "too (?P<code>long)", "means": "Filtered"}

    assert [ErrorRule(400, ("bad*",), "too (?P<code>long)", "Filtered")] == read(
        **{"error-rules": [rule]}
    ).error_rules


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"match": "("}, "match: '(' is no regular expression: "),
        ({"means": "Filtred"}, "'Filtred' is no error of a provider; did you mean 'Filtered'?"),
        ({"mends": "x"}, "unknown key 'mends'; did you mean 'mend'"),
        ({"status": "400"}, "int expected, not str"),
    ],
)
def test_a_rule_about_errors_that_is_wrong_is_refused_when_it_is_read(
    rule: dict[str, object], why: str
) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        read(**{"error-rules": [rule]})

    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("quirks", "why"),
    [
        ({"tool-choice": "never"}, "never not in literal"),
        ({"stream-option": True}, "unknown key 'stream-option'; did you mean 'stream-options'"),
        ({"inline-files": "yes"}, "bool expected, not str"),
    ],
)
def test_quirks_are_checked_when_they_are_read_those_of_a_rule_as_well(
    quirks: dict[str, object], why: str
) -> None:
    for keys in ({"quirks": quirks}, {"rules": [{"match": "*", "quirks": quirks}]}):
        with pytest.raises(errors.ConfigError) as caught:
            read(**keys)

        assert why in str(caught.value)


def test_a_rule_changes_what_it_names_and_no_more() -> None:
    provider = read(
        quirks={"think-tags": True}, rules=[{"match": "a-*", "quirks": {"echo-reasoning": True}}]
    )

    _, _, quirks = provider.for_model("a-1")
    assert (True, True) == (quirks.think_tags, quirks.echo_reasoning)
    assert [Rule("a-*", quirks={"echo-reasoning": True})] == provider.rules
