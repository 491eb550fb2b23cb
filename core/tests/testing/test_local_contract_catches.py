"""The contract fails an engine that is broken in one way by the tests for that way alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from installing import run_pytest, write_dist_info

VARIANTS = Path(__file__).parent / "variants" / "kit_engines"

TABLE = """
[deploy_local.{name}]
title = "{name}"
formats = ["gguf"]
types = ["llm"]
does = ["stream"]
"""

HEAD = """
from pathlib import Path

from modelplug.testing import LocalContract
"""

CLASS = """
class Test_{name}(LocalContract):
    engine = "{name}"
    weights = str(Path(__file__).parent / "kit.gguf")
"""

CAUGHT_BY: dict[str, set[str]] = {
    "good": set(),
    "asks_for_no_token": {"test_a_request_without_the_token_is_refused"},
    "dies_in_silence": {"test_spoiled_weights_fail_with_the_cause_and_leave_nothing"},
    "leaves_a_child": {"test_stopping_leaves_no_process_and_no_port"},
    "logs_the_token": {"test_the_token_is_in_no_command_line_no_log_and_no_repr"},
    "says_another_thing_async": {"test_sync_equals_async_in_two_event_loops_in_a_row"},
    "token_on_the_command_line": {"test_the_token_is_in_no_command_line_no_log_and_no_repr"},
}
"""Each variant, and the tests that must fail on it."""


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The names of the failed tests of each variant, from one run of them all."""
    site = tmp_path_factory.mktemp("site")
    package = site / "kit_engines"
    shutil.copytree(VARIANTS, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "modelplug.toml").write_text("".join(TABLE.format(name=n) for n in CAUGHT_BY))
    points = [f"{name} = kit_engines.engines:{name}" for name in CAUGHT_BY]
    lines = ["[modelplug.deploy_local]", *points]
    lines += ["[modelplug.runtime]", "local = kit_engines.runtime:runtime", ""]
    # Under the name of the real runtime, which may be installed too: the first on the path wins.
    write_dist_info(site, "modelplug-local", "\n".join(lines))
    suite = tmp_path_factory.mktemp("suite")
    (suite / "kit.gguf").write_text("whole weights\n" * 3)
    tests = suite / "test_engines.py"
    tests.write_text(HEAD + "".join(CLASS.format(name=name) for name in CAUGHT_BY))
    _, failed, output = run_pytest(tests, [site])
    assert failed, output
    return failed


@pytest.mark.parametrize("variant", CAUGHT_BY)
def test_a_flaw_fails_its_own_tests_and_no_other(variant: str, failed: dict[str, set[str]]) -> None:
    assert CAUGHT_BY[variant] == failed[f"Test_{variant}"]
