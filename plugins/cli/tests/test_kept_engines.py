"""`modelplug start`, `ps`, `stop`, `logs` and `engines`, with a real engine on tiny weights."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from cli_terminal import Open, Run

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def _all_end(run: Run) -> Iterator[None]:
    yield
    run("stop", "--all")
    assert "[]" == run("ps", "--json").stdout.strip()


def listed(run: Run) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("ps", "--json", "--show-token").stdout)
    return found


def test_an_engine_is_started_listed_used_and_ended(run: Run) -> None:
    started = run("start", "tiny", "-o", "context=512", "--option", "slots=1")

    assert 0 == started.returncode
    assert "tiny is served by llama_cpp; modelplug stop tiny ends it" in started.stderr
    (kept,) = listed(run)
    assert started.stdout.strip() == kept["url"]
    assert ("tiny", "llama_cpp", "ready") == (kept["model"], kept["engine"], kept["status"])
    request = urllib.request.Request(kept["url"] + "/models")
    request.add_header("Authorization", f"Bearer {kept['token']}")
    with urllib.request.urlopen(request) as response:
        assert "tiny" == json.load(response)["data"][0]["id"]
    assert "llama.cpp serves at" in run("logs", "tiny").stdout
    assert "" == run("logs", "tiny", "-n", "0").stdout

    ended = run("stop", "tiny")

    assert (0, "tiny has ended\n") == (ended.returncode, ended.stderr)
    assert [] == listed(run)


def test_other_commands_use_what_is_kept(run: Run) -> None:
    run("start", "tiny")
    (kept,) = listed(run)

    answered = run("ask", "tiny", "What is the capital of France?")

    assert "The capital of France is Paris.\n" == answered.stdout
    assert [kept] == listed(run)


def test_starting_twice_is_starting_once(run: Run) -> None:
    urls = {run("start", "tiny").stdout for _ in range(2)}

    assert 1 == len(urls) == len(listed(run))


def test_the_token_is_shown_only_where_it_is_asked_for(run: Run) -> None:
    started = run("start", "tiny", "--json")
    (kept,) = listed(run)

    shown = started.stdout + started.stderr + run("ps").stdout + run("ps", "--json").stdout
    assert kept["token"] not in shown
    assert kept["token"] in run("ps", "--show-token").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("start", "tiny", "-o", "contxt=1"), 1, "error: llama_cpp has no option 'contxt' ("),
        (("start", "tiny", "-o", "context"), 2, "--option takes NAME=VALUE, not 'context'"),
        (
            ("start", "tiny", "--engine", "nope"),
            1,
            "error: no installed plugin provides the engine",
        ),
        (("start", "no-such-model"), 1, "error: no weights of 'no-such-model' were found"),
        (("stop", "tiny"), 1, "error: no engine is kept running for 'tiny' (there are: none)"),
        (("stop",), 2, "give MODEL, or --all"),
        (("logs", "tiny"), 1, "error: no engine is kept running for 'tiny' (there are: none)"),
    ],
    ids="option form engine model stop nothing logs".split(),
)
def test_what_is_wrong_is_told(run: Run, arguments: tuple[str, ...], code: int, told: str) -> None:
    done = run(*arguments)

    assert code == done.returncode
    assert told in done.stderr
    assert "" == done.stdout


def test_ctrl_c_while_it_starts_leaves_nothing(run: Run, terminal: Open) -> None:
    starting = terminal("start", "tiny")
    starting.interrupt()
    starting.end()

    run("stop", "--all")
    assert [] == listed(run)


def test_engines_tells_what_could_run_here_and_why_not(run: Run) -> None:
    done = run("engines", "--type", "llm", "--format", "gguf")

    lines = [line.split("\t") for line in done.stdout.splitlines()]
    rows = {name: (fits, why) for name, fits, why in lines}
    assert ("yes", "takes gguf, serves llm, runs on cpu") == rows["llama_cpp"]
    assert done.stderr.startswith("cpu: ")
    assert 0 == done.returncode


def test_engines_ends_with_1_where_nothing_could_run(run: Run) -> None:
    done = run("engines", "--type", "image_editing", "--json")

    told = json.loads(done.stdout)
    assert 1 == done.returncode
    assert "cpu" == told["devices"][0]["kind"]
    assert not any(each["fits"] for each in told["engines"])
