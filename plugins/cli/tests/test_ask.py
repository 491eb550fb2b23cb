"""`modelplug ask`."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from cli_replies import refused, streamed, whole
from cli_terminal import MODELPLUG, Open, Run

from modelplug.testing import CANARY, FaultServer, Reply, Request

MOON = ("moon-1", "--source", "openai")
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
PNG = b"\x89PNG\r\n\x1a\n"


def last_question(server: FaultServer) -> object:
    return server.requests[-1].json["messages"][-1]["content"]


def test_in_a_pipe_stdout_is_the_answer_and_nothing_else(run: Run, server: FaultServer) -> None:
    server.answer(whole("It is a rock."))

    done = run("ask", *MOON, "What", "is", "it?")
    assert (0, "It is a rock.\n", "") == (done.returncode, done.stdout, done.stderr)
    assert "What is it?" == last_question(server)
    assert f"Bearer {CANARY}" == server.requests[0].headers["authorization"]


@pytest.mark.parametrize(
    ("words", "question"),
    [
        ([], "a\nb"),
        (["-"], "a\nb"),
        (["Review", "this:", "-"], "Review this:\n\na\nb"),
        (["-", "Why?"], "a\nb\n\nWhy?"),
    ],
)
def test_a_dash_or_no_text_reads_stdin(
    words: list[str], question: str, run: Run, server: FaultServer
) -> None:
    server.answer(whole("Yes."))

    run("ask", *MOON, *words, given="a\nb\n")
    assert question == last_question(server)


@pytest.mark.parametrize("arguments", [[], [""], ["-", "-"]])
def test_an_empty_question_is_wrong_usage(
    arguments: list[str], run: Run, server: FaultServer
) -> None:
    done = run("ask", *MOON, *arguments)

    assert 2 == done.returncode
    assert [] == server.requests


def test_json_gives_the_whole_result(run: Run, server: FaultServer) -> None:
    server.answer(whole("A rock: 月", USAGE))

    done = run("ask", *MOON, "hi", "--json")
    result = json.loads(done.stdout)
    assert "A rock: 月" == result["text"]
    assert ("stop", "moon-1", "c1") == (result["finish_reason"], result["model"], result["id"])
    assert (12, 3, []) == tuple(
        result["usage"][key] for key in ("input_tokens", "output_tokens", "estimated")
    )


def test_usage_is_told_on_stderr_and_an_estimate_is_marked(run: Run, server: FaultServer) -> None:
    server.answer(whole("abcd", USAGE), whole("abcd"))

    assert run("ask", *MOON, "hi", "--usage").stderr.startswith("tokens: 12 in, 3 out; ")
    assert run("ask", *MOON, "hi", "--usage").stderr.startswith("tokens: ~5 in, ~1 out; ")


def test_a_schema_gives_json_that_fits_it(run: Run, server: FaultServer, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(schema))
    server.answer(whole('{"n": 7}'))

    done = run("ask", *MOON, "hi", "--schema", str(path))
    assert {"n": 7} == json.loads(done.stdout)
    assert "json_schema" == server.requests[0].json["response_format"]["type"]


@pytest.mark.parametrize(
    ("text", "said"), [("{", "is not JSON"), ("[1]", "holds no JSON Schema"), (None, "not exist")]
)
def test_a_schema_that_cannot_be_read_is_wrong_usage(
    text: str | None, said: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "schema.json"
    if text is not None:
        path.write_text(text)

    done = run("ask", *MOON, "hi", "--schema", str(path))
    assert 2 == done.returncode
    assert said in done.stderr


def test_files_go_with_the_question(run: Run, server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    server.answer(whole("A dot."))

    run("ask", *MOON, "--type", "vlm", "What?", "--file", str(tmp_path / "a.png"))
    kinds = [part["type"] for part in server.requests[0].json["messages"][0]["content"]]
    assert ["text", "image_url"] == kinds


def test_a_file_that_is_not_there_is_named_in_one_line(run: Run) -> None:
    done = run("ask", *MOON, "--type", "vlm", "What?", "--file", "none.png")

    assert 1 == done.returncode
    assert done.stderr.startswith("error: the file 'none.png' cannot be read")


def test_the_system_text_stands_first(run: Run, server: FaultServer) -> None:
    server.answer(whole("Arr."))

    run("ask", *MOON, "hi", "--system", "You are a pirate.")
    first = {"role": "system", "content": "You are a pirate."}
    assert first == server.requests[0].json["messages"][0]


def test_a_refusal_is_one_line_without_the_key(run: Run, server: FaultServer) -> None:
    server.answer(refused(401, f"wrong key {CANARY}"))

    done = run("ask", *MOON, "hi")
    assert (1, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert done.stderr.startswith("error: ")


def test_a_missing_key_tells_which_variable_to_set(run: Run, env: dict[str, str]) -> None:
    del env["OPENAI_API_KEY"], env["MODELPLUG_OPENAI_BASE_URL"]

    done = run("ask", *MOON, "hi")
    assert 1 == done.returncode
    assert "OPENAI_API_KEY" in done.stderr


def test_a_model_that_does_not_chat_is_refused(run: Run) -> None:
    done = run("ask", "text-embedding-3-small", "hi", "--source", "openai")

    assert 1 == done.returncode
    assert "is a model of type embed and does not chat" in done.stderr


def test_stdin_that_is_no_text_is_one_line(env: dict[str, str]) -> None:
    done = subprocess.run(
        [*MODELPLUG, "ask", *MOON], input=b"\xff\xfe\x00", env=env, capture_output=True, check=False
    )

    assert (1, b"error: stdin is not text in utf-8; give a file with --file\n") == (
        done.returncode,
        done.stderr,
    )


def test_on_a_terminal_pieces_are_shown_as_they_come(terminal: Open, server: FaultServer) -> None:
    gate = threading.Event()
    server.answer(streamed("One ", gate, "two.\n\n"))

    screen = terminal("ask", *MOON, "count")
    screen.until("One ")
    gate.set()
    screen.until("two.\r\n")
    assert 0 == screen.end()
    assert screen.seen.endswith("two.\r\n")


def test_reasoning_is_dimmed_before_the_answer(terminal: Open, server: FaultServer) -> None:
    server.answer(streamed("Yes.", thoughts="Let me think."))

    screen = terminal("ask", *MOON, "well?")
    screen.until("\033[2mLet me think.\033[0m\r\n\r\nYes.")
    assert 0 == screen.end()


def test_no_color_leaves_no_style_on_a_terminal(
    terminal: Open, server: FaultServer, env: dict[str, str]
) -> None:
    env["NO_COLOR"] = "1"
    server.answer(streamed("Yes.", thoughts="Let me think."))

    screen = terminal("ask", *MOON, "well?", "--usage")
    assert 0 == screen.end()
    assert "Let me think.\r\n\r\nYes.\r\ntokens: " in screen.seen
    assert "\033[2m" not in screen.seen
    assert "\033[3" not in screen.seen


def test_escape_sequences_of_a_model_do_not_reach_the_terminal(
    terminal: Open, run: Run, server: FaultServer
) -> None:
    text = "a\033]52;c;aGk=\007b\tc"
    server.answer(streamed(text), whole(text))

    screen = terminal("ask", *MOON, "hi")
    assert 0 == screen.end()
    assert "a]52;c;aGk=b" in screen.seen
    assert f"{text}\n" == run("ask", *MOON, "hi").stdout


def test_ctrl_c_ends_with_130_and_no_traceback(env: dict[str, str], server: FaultServer) -> None:
    asked = threading.Event()
    stalled = whole("never").but(gate=threading.Event())

    def stall(_: Request) -> Reply:
        asked.set()
        return stalled

    server.answer_with(stall)
    process = subprocess.Popen(
        [*MODELPLUG, "ask", *MOON, "hi"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert asked.wait(30)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (130, b"", b"\n") == (process.returncode, out, err)


def test_a_reader_that_goes_away_is_no_problem(env: dict[str, str], server: FaultServer) -> None:
    gate = threading.Event()
    server.answer(whole("word " * 100_000).but(gate=gate))
    process = subprocess.Popen(
        [*MODELPLUG, "ask", *MOON, "hi"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    gate.set()
    assert b"" == process.stderr.read()
    process.stderr.close()
    assert 0 == process.wait(30)
