"""Reasoning that a model writes into its answer, between `<think>` and `</think>`."""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


class ThinkSplitter:
    """
    Pieces of an answer to (reasoning, answer) pieces; tags may be cut anywhere.

    Reasoning stands only at the beginning, so `<think>` later is text. A template may have
    written the opening tag itself: with *opened* the answer begins inside it.
    """

    def __init__(self, *, opened: bool = False) -> None:
        self._state = "opening" if opened else "before"
        self._held = ""

    def feed(self, piece: str) -> tuple[str, str]:
        """(reasoning, answer) that *piece* completes; at most part of a tag and line ends wait."""
        text, self._held = self._held + piece, ""
        thought = ""
        if self._state == "before":
            bare = text.lstrip()
            if OPEN.startswith(bare):  # also while nothing but space has come
                self._held = text
                return "", ""
            if not bare.startswith(OPEN):
                self._state = "after"
                return "", text
            self._state, text = "opening", bare.removeprefix(OPEN)
        if self._state == "opening":  # blank lines at either end of the reasoning are none of it
            text = text.lstrip("\n")
            if not text:
                return "", ""
            self._state = "inside"
        if self._state == "inside":
            thought, found, rest = text.partition(CLOSE)
            if not found:
                sure = text[: len(text) - _partial(text, CLOSE)].rstrip("\n")
                self._held = text[len(sure) :]
                return sure, ""
            self._state, text = "gap", rest
        if self._state == "gap":  # blank lines after the tag belong to neither
            text = text.lstrip("\n")
            if text:
                self._state = "after"
        return thought.rstrip("\n") if thought else "", text

    def finish(self) -> tuple[str, str]:
        """What was held back, now that nothing follows."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "inside" else ("", held)


def _partial(text: str, tag: str) -> int:
    """How many characters at the end of *text* begin *tag*."""
    return next((n for n in range(len(tag) - 1, 0, -1) if text.endswith(tag[:n])), 0)


def split(text: str) -> tuple[str, str]:
    """(reasoning, answer) of a whole text."""
    splitter = ThinkSplitter()
    thought, answer = splitter.feed(text)
    more, rest = splitter.finish()
    return thought + more, answer + rest
