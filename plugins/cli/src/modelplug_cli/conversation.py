"""A conversation, at a terminal or from a pipe."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from attrs import define, field

from modelplug_cli.answer import Answer, show_usage
from modelplug_cli.output import BOLD_CYAN, note, show_error, styled

if TYPE_CHECKING:
    from modelplug.models import Model

INTERRUPTED = "[interrupted]"
"""What stands in the history after an answer that was cut short, so that the model knows."""

PROMPT = "> "
HELP = """\
/system TEXT   tell the model what it is; without TEXT, take that away
/reset         forget the conversation
/quit          leave; so does Ctrl-D
/help          this list
Ctrl-C stops an answer, or drops the line; a second one leaves."""


@define
class Conversation:
    """The turns so far, and the model that they are held with."""

    model: Model
    usage: bool = False
    history: list[tuple[str, str]] = field(factory=list)

    def ask(self, question: str) -> None:
        """Show the answer and keep the turn; cut short, as much of it as came."""
        answer = Answer()
        try:
            answer.receive(self.model, question, llm_chat_history=self.history)
        except BaseException:
            if answer.text:
                self.history.append((question, f"{answer.text} {INTERRUPTED}"))
            raise
        self.history.append((question, answer.text))
        if self.usage:
            show_usage(answer.usage, answer.seconds)

    def command(self, line: str) -> bool:
        """Do what a line that begins with "/" says; False for /quit."""
        name, _, rest = line.partition(" ")
        if name == "/quit":
            return False
        if name == "/reset":
            self.history.clear()
            note("(forgotten)")
        elif name == "/system":
            self.model.prompt(rest.strip() or None)
            note("(set)" if rest.strip() else "(taken away)")
        else:
            note(HELP if name == "/help" else _unknown(name))
        return True


def _unknown(name: str) -> str:
    from modelplug.errors import did_you_mean

    near = did_you_mean(name, ("/system", "/reset", "/quit", "/help"))
    return f"there is no command {name}{near or '; /help lists them'}"


def from_pipe(talk: Conversation) -> None:
    """Each line of stdin is a question; the first error is raised."""
    from modelplug.errors import ConfigError

    try:
        for line in sys.stdin:
            if question := line.strip():
                talk.ask(question)
    except UnicodeDecodeError as exc:
        msg = f"stdin is not text in {exc.encoding}"
        raise ConfigError(msg) from exc


def at_terminal(talk: Conversation) -> None:
    """Questions and commands as they are typed, until the user leaves; errors are shown."""
    note(f"{talk.model.model}: Ctrl-C stops an answer, Ctrl-D leaves, /help lists the commands")
    for line in _lines():
        if line.startswith("/"):
            if not talk.command(line.strip()):
                break
        elif line.strip():
            _ask(talk, line)


def _ask(talk: Conversation, question: str) -> None:
    from modelplug.errors import ModelplugError

    try:
        talk.ask(question)
    except KeyboardInterrupt:
        note("(stopped)")
    except ModelplugError as error:
        show_error(error)
    sys.stderr.write("\n")


def _lines() -> Iterator[str]:
    """What is typed, until Ctrl-D or two Ctrl-C in a row."""
    read = _reader()
    warned = False
    while True:
        try:
            line = read()
        except KeyboardInterrupt:
            sys.stderr.write("\n")
            if warned:
                return
            note("(Ctrl-C again or Ctrl-D leaves)")
            warned = True
            continue
        except EOFError:
            sys.stderr.write("\n")
            return
        except UnicodeDecodeError as exc:
            note(f"(what was typed is not text in {exc.encoding})")
            continue
        warned = False
        yield line


def _reader() -> Callable[[], str]:
    """Reads one line from the terminal, with editing and history where readline is there."""
    if not sys.stdout.isatty():
        return _plain_line
    prompt = styled(PROMPT, BOLD_CYAN, sys.stdout)
    try:
        import readline  # noqa: F401 - its import is what gives input() editing and history
    except ImportError:
        return partial(input, prompt)  # Windows edits lines itself
    # readline must know what in the prompt takes no room, or a long line wraps wrongly.
    return partial(input, _ESCAPE.sub("\001\\g<0>\002", prompt))


def _plain_line() -> str:
    # input() would write the prompt to stdout, which is a file or a pipe here.
    sys.stderr.write(styled(PROMPT, BOLD_CYAN, sys.stderr))
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


_ESCAPE = re.compile(r"\033\[[0-9;]*m")
