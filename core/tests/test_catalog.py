"""What a manifest may say, and how it is read."""

from __future__ import annotations

import pytest

from modelplug import errors
from modelplug.catalog import Provider


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
