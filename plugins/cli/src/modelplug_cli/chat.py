"""`modelplug chat`: a conversation."""

from __future__ import annotations

import sys

import click

from modelplug_cli.options import Wanted, model_options


@click.command(short_help="Talk with a model, turn by turn.")
@model_options
@click.option("--system", metavar="TEXT", help="What the model is told before it all.")
@click.option("--usage", is_flag=True, help="Tokens and seconds of each answer, on stderr.")
def chat(wanted: Wanted, system: str | None, usage: bool) -> None:
    """
    Talk with MODEL. Ctrl-C stops an answer; the part that came stays in the conversation.
    Ctrl-D leaves. /help lists the commands.

    Where stdin is no terminal, each line of it is a question; the first error ends it.
    """
    from modelplug_cli.answer import open_chat
    from modelplug_cli.conversation import Conversation, at_terminal, from_pipe

    with open_chat(wanted) as opened:
        talk = Conversation(opened.prompt(system), usage)
        if sys.stdin.isatty():
            at_terminal(talk)
        else:
            from_pipe(talk)
