"""
A conversation as token ids, with labels on what the assistant says and nowhere else.

Imports no library: a *tokenizer* is one of transformers.
"""

from __future__ import annotations

from typing import Any

from training_kit import Failed, Run, rows

NONE = -100
"""The label of a token that is not learnt."""

Example = tuple[list[int], list[int]]


Tokens = dict[str, list[Any]]
"""`input_ids` and `labels` of each example, and the `row` of the data that it comes from."""


def tokens(run: Run, tokenizer: Any, path: str, longest: int) -> Tokens:
    """The examples of the file *path*; a warning tells what was left out as too long."""
    made: Tokens = {"input_ids": [], "labels": [], "row": []}
    left_out = 0
    for place, row in enumerate(rows(path)):
        try:
            found = examples(tokenizer, row, longest)
        except TooLong:
            left_out += 1
            continue
        except ValueError as exc:
            msg = f"line {place + 1} of the data: {exc}"
            raise Failed(msg, "mend the data, or give another template=", kind="data") from exc
        made["input_ids"] += [ids for ids, _ in found]
        made["labels"] += [labels for _, labels in found]
        made["row"] += [place] * len(found)
    if left_out:
        # Cut off, they would teach answers that end in the middle.
        run.tell("warning", text=f"{left_out} conversations of more than {longest} tokens left out")
    if not made["row"]:
        msg = f"every conversation has more than {longest} tokens"
        raise Failed(msg, "raise max_len", kind="data")
    return made


def tell_samples(run: Run, trained: Tokens) -> None:
    """The first examples, as the event `samples` has them."""
    conversations = [row["messages"] for row in rows(run.request["data"])]
    samples = []
    for ids, labels, row in zip(
        *(trained[name][:2] for name in ("input_ids", "labels", "row")), strict=True
    ):
        learnt = [place for place, label in enumerate(labels) if label != NONE]
        begins = max(place for place in learnt if not place or labels[place - 1] == NONE)
        samples.append({"messages": conversations[row], "ids": ids, "answer": begins})
    run.tell("samples", samples=samples)


class TooLong(ValueError):
    """A conversation of more tokens than are trained on."""


def examples(tokenizer: Any, row: dict[str, Any], longest: int) -> list[Example]:
    """
    (ids, labels), rendered as a server renders it: with the tokenizer's own chat template.

    One example for the whole conversation, where each of its beginnings is rendered as the
    beginning of it; else, as with templates that leave out earlier thoughts, one for each
    answer. ValueError if the template does not begin an answer with its generation prompt.
    """
    messages, tools = row["messages"], row.get("tools")
    answers = [place for place, each in enumerate(messages) if each["role"] == "assistant"]

    def render(count: int, prompt: bool) -> str:
        text: str = tokenizer.apply_chat_template(
            messages[:count], tools=tools, tokenize=False, add_generation_prompt=prompt
        )
        return text

    spans = [(render(place, True), render(place + 1, False)) for place in answers]
    whole = spans[-1][1]
    for before, after in spans:
        if not after.startswith(before):
            msg = "the chat template renders an answer otherwise than it asks for one"
            raise ValueError(msg)
    if all(whole.startswith(after) for _, after in spans):
        made = [_example(tokenizer, spans)]
    else:
        made = [_example(tokenizer, [span]) for span in spans]
    if any(len(ids) > longest for ids, _ in made):
        raise TooLong
    return made


def _example(tokenizer: Any, spans: list[tuple[str, str]]) -> Example:
    """Answers are cut off from what is before them, as they are when they are generated."""
    ids: list[int] = []
    labels: list[int] = []
    done = ""
    for before, after in spans:
        asked = tokenizer.encode(before[len(done) :], add_special_tokens=False)
        said = tokenizer.encode(after[len(before) :], add_special_tokens=False)
        ids += asked + said
        labels += [NONE] * len(asked) + _until_end(said, tokenizer.eos_token_id)
        done = after
    return ids, labels


def _until_end(said: list[int], end: int | None) -> list[int]:
    """What a template writes after the end of a turn is never generated, so never learnt."""
    if end not in said:
        return said
    last = len(said) - said[::-1].index(end)
    return said[:last] + [NONE] * (len(said) - last)
