"""The contract fails a provider that is broken in one way by the tests for that way alone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from installing import run_pytest, write_dist_info

from modelplug.testing import OPENAI

VARIANTS = Path(__file__).parent / "variants" / "kit_variants"

TABLE = """
[create_online.{name}]
title = "{name}"
base-url = "https://{name}.example/v1"
key-env = ["KIT_VARIANTS_API_KEY"]
does = ["stream", "tools"]
types = {{ llm = "chat-1", embed = "embed-1", rerank = "rerank-1" }}
limits = {{ embed-batch = 3 }}
"""

HEAD = """
from pathlib import Path

from modelplug.testing import OnlineContract
"""

CLASS = """
class Test_{name}(OnlineContract):
    plugin = "{name}"
    patience = {patience}
    replies = Path(__file__).parent / "replies"
    wire = "own"
"""

ANSWERS = "test_a_recorded_answer_comes_out_as_expected"
BROKEN = "test_a_broken_stream_fails_after_what_was_delivered"
BROKEN_ASYNC = "test_a_broken_async_stream_fails_after_what_was_delivered"
CUT = "test_a_stream_is_the_same_however_it_is_cut"
DRESSED = "test_a_stream_is_the_same_however_it_is_dressed"
ERROR = "test_an_error_has_its_class_and_its_fields"
KEY_IN = "test_the_key_is_in_no_"
NO_ANSWER = "test_a_reply_that_holds_no_answer_is_a_bad_reply"
TRIED_AGAIN = "test_only_a_retryable_error_is_tried_again"
VALUE = "test_a_plain_call_answers_the_value"

CAUGHT_BY: dict[str, set[str]] = {
    "good": set(),
    "connects_at_construction": {"test_construction_does_no_io"},
    "deaf_to_errors_in_streams": {ANSWERS},
    "decodes_each_piece": {CUT, DRESSED},
    "drops_usage": {ANSWERS},
    "errors_must_be_json": {
        ERROR,
        TRIED_AGAIN,
        # It shows the body, and the test's server quotes the key there.
        f"{KEY_IN}part_of_a_refused_key_error",
    },
    "heavy": {"test_importing_the_plugin_loads_nothing_heavy"},
    "keeps_the_key": {f"{KEY_IN}part_of_a_bad_reply_error"},
    "key_in_the_address": {
        f"{KEY_IN}address_and_no_body",
        f"{KEY_IN}part_of_a_bad_reply_error",
        f"{KEY_IN}part_of_a_broken_stream_error",
        f"{KEY_IN}part_of_a_connection_error",
        f"{KEY_IN}part_of_a_refused_key_error",
    },
    "logs_the_key": {f"{KEY_IN}log"},
    "one_wait_for_all": {
        "test_a_rate_limit_tells_how_many_seconds_to_wait",
        "test_a_rate_limit_tells_the_seconds_until_a_date",
    },
    "order_of_arrival": {ANSWERS, VALUE},
    "promises_too_much": {
        ANSWERS,
        NO_ANSWER,
        VALUE,
        "test_a_ranking_is_best_first_and_no_longer_than_top_n",
        "test_a_dropped_connection_is_a_transport_failure_with_each_type",
        "test_a_rate_limit_is_waited_for_with_each_type",
        "test_an_error_has_its_class_with_each_type",
        "test_a_type_is_declared_and_constructs_or_is_unsupported",
        "test_construction_does_no_io",
        "test_the_default_model_of_a_type_is_the_manifests",
    },
    "quota_is_a_rate_limit": {
        ERROR,
        TRIED_AGAIN,
        "test_an_exhausted_quota_is_not_tried_again",
    },
    "quotes_the_key": {
        f"{KEY_IN}part_of_a_refused_key_error",
        "test_an_error_has_its_class_with_each_type",
    },
    "remembers_the_prompt": {"test_a_shared_view_is_independent"},
    "retries_after_output": {ANSWERS, BROKEN, BROKEN_ASYNC},
    "sends_no_key": {"test_the_key_is_sent"},
    "takes_anything": {NO_ANSWER},
    "truncated_is_whole": {
        BROKEN,
        "test_a_stream_without_an_answer_is_an_error",
    },
    "two_finishes": {"test_the_last_event_and_no_other_is_the_finish"},
    "unsorted_ranking": {
        ANSWERS,
        VALUE,
        "test_a_ranking_is_best_first_and_no_longer_than_top_n",
    },
    "waits_for_the_end": {
        ANSWERS,
        BROKEN,
        BROKEN_ASYNC,
        "test_leaving_a_stream_early_lets_the_next_call_through",
        "test_text_is_given_out_as_it_arrives",
    },
    "whole_lines_only": {CUT, DRESSED},
}
"""Each variant, and the tests that must fail on it."""

SHOWN = (
    *("chat.json", "chat.sse", "tools.json", "tools.sse", "error-in-stream.sse", "embed.json"),
    *("rerank.json", "error-401.json", "error-401-html.html", "error-404.json"),
    *("error-429.json", "error-429-quota.json", "error-500-html.html"),
)
"""The replies that the variants are tried on: the deviations would fail none of them more."""


def choose_replies(folder: Path) -> None:
    """Copy the replies in `SHOWN`, with their tables, to *folder*."""
    folder.mkdir()
    for file in SHOWN:
        shutil.copy(OPENAI / file, folder)
    tables = (OPENAI / "expected.toml").read_text(encoding="utf-8").split("\n\n[")
    names = {Path(file).stem for file in SHOWN}
    chosen = [table for table in tables if re.split(r"[].]", table)[0].strip("[") in names]
    (folder / "expected.toml").write_text("\n\n".join(f"[{table}" for table in chosen))


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The names of the failed tests of each variant, from one run of them all."""
    site = tmp_path_factory.mktemp("site")
    package = site / "kit_variants"
    shutil.copytree(VARIANTS, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "modelplug.toml").write_text("".join(TABLE.format(name=n) for n in CAUGHT_BY))
    points = [f"{name} = kit_variants.{name}:plugin" for name in CAUGHT_BY]
    write_dist_info(site, "kit-variants", "\n".join(["[modelplug.create_online]", *points, ""]))
    tests = tmp_path_factory.mktemp("suite") / "test_variants.py"
    choose_replies(tests.parent / "replies")
    # A variant that holds everything back makes the tests of it wait until patience ends.
    classes = [
        CLASS.format(name=name, patience=0.5 if name == "waits_for_the_end" else 30)
        for name in CAUGHT_BY
    ]
    tests.write_text(HEAD + "".join(classes))
    _, failed, output = run_pytest(tests, [site])
    assert failed, output
    return failed


def test_every_variant_is_run() -> None:
    files = {path.stem for path in VARIANTS.glob("*.py")} - {"__init__"}

    assert files == CAUGHT_BY.keys()


@pytest.mark.parametrize("variant", CAUGHT_BY)
def test_a_flaw_fails_its_own_tests_and_no_other(variant: str, failed: dict[str, set[str]]) -> None:
    assert CAUGHT_BY[variant] == failed[f"Test_{variant}"]
