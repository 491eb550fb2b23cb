"""`modelplug chat`."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from cli_replies import refused, streamed
from cli_terminal import Open, Run

from modelplug.testing import FaultServer, Reply, Request

MOON = ("chat", "moon-1", "--source", "openai")
ASKS = "> "


def messages(server: FaultServer, place: int = -1) -> list[tuple[str, str]]:
    return [(m["role"], m["content"]) for m in server.requests[place].json["messages"]]


@pytest.fixture(autouse=True)
def plain(env: dict[str, str]) -> None:
    """So that a prompt is what ends with `> `, and no style stands between."""
    env["NO_COLOR"] = "1"


def test_each_question_goes_with_the_turns_before_it(terminal: Open, server: FaultServer) -> None:
    server.answer(streamed("A rock."), streamed("Far."))

    screen = terminal(*MOON)
    screen.until(ASKS)
    screen.type("What is it?\r")
    screen.until("A rock.")
    screen.until(ASKS)
    screen.type("How far?\r")
    screen.until("Far.")
    screen.until(ASKS)
    screen.type("\x04")
    assert 0 == screen.end()
    assert [
        ("user", "What is it?"),
        ("assistant", "A rock."),
        ("user", "How far?"),
    ] == messages(server)


def test_ctrl_c_stops_a_stalled_answer_and_the_conversation_goes_on(
    terminal: Open, server: FaultServer
) -> None:
    never = threading.Event()
    server.answer(streamed("It is a ", never, "rock."), streamed("It was a rock."))

    screen = terminal(*MOON)
    screen.until(ASKS)
    screen.type("What is it?\r")
    screen.until("It is a ")
    screen.interrupt()
    screen.until("(stopped)")
    screen.until(ASKS)
    screen.type("Go on\r")
    screen.until("It was a rock.")
    screen.until(ASKS)
    screen.type("/quit\r")
    assert 0 == screen.end()
    assert [
        ("user", "What is it?"),
        ("assistant", "It is a  [interrupted]"),
        ("user", "Go on"),
    ] == messages(server)
    assert 2 == server.connections


def test_ctrl_c_before_the_first_piece_keeps_nothing(terminal: Open, server: FaultServer) -> None:
    asked = threading.Event()
    replies = [streamed("late").but(gate=threading.Event()), streamed("Yes.")]

    def script(_: Request) -> Reply:
        asked.set()
        return replies.pop(0)

    server.answer_with(script)
    screen = terminal(*MOON)
    screen.until(ASKS)
    screen.type("one\r")
    assert asked.wait(30)
    screen.interrupt()
    screen.until("(stopped)")
    screen.until(ASKS)
    screen.type("two\r")
    screen.until("Yes.")
    assert [("user", "two")] == messages(server)


def test_ctrl_c_at_the_prompt_drops_the_line_and_a_second_one_leaves(
    terminal: Open, server: FaultServer
) -> None:
    screen = terminal(*MOON)
    screen.until(ASKS)
    screen.type("half a quest")
    screen.until("half a quest")
    screen.interrupt()
    screen.until("(Ctrl-C again or Ctrl-D leaves)")
    screen.until(ASKS)
    screen.interrupt()
    assert 0 == screen.end()
    assert [] == server.requests


def test_commands_change_the_conversation(terminal: Open, server: FaultServer) -> None:
    server.answer(streamed("Arr."), streamed("Hello."))

    screen = terminal(*MOON, "--system", "You are a poet.")
    for typed, shown in (
        ("/system You are a {pirate}.", "(set)"),
        ("one", "Arr."),
        ("/reset", "(forgotten)"),
        ("/system", "(taken away)"),
        ("/rest", "there is no command /rest; did you mean '/reset'?"),
        ("/help", "/system TEXT"),
        ("two", "Hello."),
    ):
        screen.until(ASKS)
        screen.type(f"{typed}\r")
        screen.until(typed)
        screen.until(shown)
    screen.until(ASKS)
    screen.type("/quit\r")
    assert 0 == screen.end()
    assert [("system", "You are a {pirate}."), ("user", "one")] == messages(server, 0)
    assert [("user", "two")] == messages(server, 1)


def test_an_error_is_told_and_the_conversation_goes_on(terminal: Open, server: FaultServer) -> None:
    server.answer(refused(400, "too rude"), streamed("Yes."))

    screen = terminal(*MOON)
    screen.until(ASKS)
    screen.type("one\r")
    assert "too rude" in screen.until(ASKS)
    screen.type("two\r")
    screen.until("Yes.")
    assert [("user", "two")] == messages(server)


def test_a_stream_that_breaks_keeps_what_came(terminal: Open, server: FaultServer) -> None:
    first = len(streamed("It is a ").whole) - len(streamed().whole)
    start = streamed("It is a ", "rock.")
    beginning = start.body[0]
    assert isinstance(beginning, bytes)
    server.answer(start.but(close_after=len(beginning) + first), streamed("Yes."))

    screen = terminal(*MOON)
    screen.until(ASKS)
    screen.type("one\r")
    screen.until("It is a ")
    screen.until("error: ")
    screen.until(ASKS)
    screen.type("two\r")
    screen.until("Yes.")
    assert ("assistant", "It is a  [interrupted]") == messages(server)[1]


def test_usage_follows_each_answer(terminal: Open, server: FaultServer) -> None:
    server.answer(streamed("abcd"))

    screen = terminal(*MOON, "--usage")
    screen.until(ASKS)
    screen.type("hi\r")
    screen.until("abcd\r\ntokens: ~5 in, ~1 out; ")


def test_with_stdout_in_a_file_the_prompt_is_not_in_it(
    terminal: Open, server: FaultServer, tmp_path: Path
) -> None:
    server.answer(streamed("A rock."), streamed("Far."))
    out = tmp_path / "answers"

    screen = terminal(*MOON, out=out)
    for question in ("one", "two"):
        screen.until(ASKS)
        screen.type(f"{question}\r")
        screen.until(question)
    screen.until(ASKS)
    screen.type("\x04")
    assert 0 == screen.end()
    assert "A rock.\nFar.\n" == out.read_text()


def test_each_line_of_a_pipe_is_a_question(run: Run, server: FaultServer) -> None:
    server.answer(streamed("A rock."), streamed("A path."))

    done = run(*MOON, given="What?\n\n/etc is what?\n")
    assert (0, "A rock.\nA path.\n", "") == (done.returncode, done.stdout, done.stderr)
    assert ("user", "/etc is what?") == messages(server)[-1]
    assert 3 == len(messages(server))


def test_an_error_ends_a_piped_conversation(run: Run, server: FaultServer) -> None:
    server.answer(streamed("A rock."), refused(400, "too rude"))

    done = run(*MOON, given="one\ntwo\nthree\n")
    assert (1, "A rock.\n") == (done.returncode, done.stdout)
    assert done.stderr.startswith("error: ")
    assert 2 == len(server.requests)


def test_a_model_that_does_not_chat_is_refused_before_the_first_question(run: Run) -> None:
    done = run("chat", "text-embedding-3-small", "--source", "openai", given="hi\n")

    assert 1 == done.returncode
    assert "is a model of type embed and does not chat" in done.stderr
