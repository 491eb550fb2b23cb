"""Server-sent events: the same whichever way the bytes are cut, and as the standard has them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplug import sse
from modelplug.errors import BadReply
from modelplug.sse import ServerSentEvent, SSEDecoder

EOLS = ("\n", "\r\n", "\r")
line_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12
)
names = st.sampled_from(["", "ping", "message", "délta", "error"]) | line_text.map(str.strip)
fields = st.one_of(
    line_text.map(lambda text: f"data:{text}"),
    line_text.map(lambda text: f"data: {text}"),
    st.just("data"),
    names.map(lambda name: f"event: {name}"),
    names.map(lambda name: f"event:{name}"),
    line_text.map(lambda text: f": {text}"),
    st.sampled_from(["", "", ":", "id: 7", "retry: 10", "event", "unknown: x", "data_: no"]),
)
lines = st.lists(st.tuples(fields, st.sampled_from(EOLS)), max_size=20)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Any stream of lines, with or without a byte order mark and a last end of line."""
    mark = draw(st.sampled_from(["", "\ufeff"]))
    text = mark + "".join(line + eol for line, eol in draw(lines))
    return (text + draw(st.sampled_from(["", "data: last", "event: x"]))).encode()


def cuts(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """*data* in arbitrary pieces, empty ones included."""

    def cut(places: list[int]) -> list[bytes]:
        edges = [0, *sorted(places), len(data)]
        return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]

    return st.lists(st.integers(0, len(data)), max_size=12).map(cut)


def naive(data: bytes) -> list[ServerSentEvent]:
    """The standard's algorithm on the whole text, line by line, with its end as a blank line."""
    text = data.decode().removeprefix("\ufeff")
    events: list[ServerSentEvent] = []
    held: list[str] = []
    name = ""
    for line in [*re.split("\r\n|\r|\n", text), ""]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if held:
                events.append(("\n".join(held).encode(), name))
            held, name = [], ""
        elif field == "data":
            held.append(value)
        elif field == "event":
            name = value.strip()
    return events


def decode(pieces: Sequence[bytes]) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.finish()


@given(st.data())
def test_a_stream_cut_anywhere_is_what_the_standard_reads_in_the_whole(data: st.DataObject) -> None:
    whole = data.draw(streams())

    events = decode(data.draw(cuts(whole)))

    assert naive(whole) == events


@given(streams())
def test_a_stream_cut_after_each_byte_is_the_uncut_stream(whole: bytes) -> None:
    assert decode([whole]) == decode([whole[at : at + 1] for at in range(len(whole))])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("eol", EOLS)
def test_every_end_of_line_gives_the_same_events(size: int, eol: str) -> None:
    text = ": hi\n\nevent: one\ndata: 你好\ndata:two\n\ndata: {}\n\n".replace("\n", eol).encode()

    events = decode([text[at : at + size] for at in range(0, len(text), size)])

    assert [("你好\ntwo".encode(), "one"), (b"{}", "")] == events


def test_an_event_is_given_out_with_the_chunk_that_completes_it() -> None:
    decoder = SSEDecoder()

    assert [] == decoder.feed(b"data: a\n")
    assert [(b"a", "")] == decoder.feed(b"\n")
    assert [] == decoder.finish()


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r", b"\r\n"])
def test_the_last_event_needs_no_blank_line(ending: bytes) -> None:
    assert [(b"a", ""), (b"b", "x")] == decode([b"data: a\n\nevent: x\ndata: b" + ending])


def test_a_byte_order_mark_is_skipped_at_the_start_alone() -> None:
    mark = b"\xef\xbb\xbf"

    assert [(b"a", "")] == decode([mark[:1], mark[1:2], mark[2:] + b"data: a\n\n"])
    assert [(b"a", "")] == decode([b"data: a\n\n", mark + b"data: b\n\n"])


def test_half_a_byte_order_mark_is_no_event() -> None:
    assert [] == decode([b"\xef\xbb"])
    assert [] == decode([])


def test_only_one_space_after_the_colon_is_dropped() -> None:
    assert [(b" a ", "")] == decode([b"data:  a \n\n"])


def test_a_name_without_data_is_no_event_and_is_forgotten() -> None:
    assert [(b"a", "")] == decode([b"event: ping\n\ndata: a\n\n"])


def test_an_event_of_empty_data_is_an_event() -> None:
    assert [(b"", ""), (b"\n", "")] == decode([b"data:\n\ndata\ndata\n\n"])


def test_a_line_named_error_is_an_event_of_that_name() -> None:
    assert [(b'{"code":400}', "error")] == decode([b'error: {"code":400}\n\n'])


def test_a_name_that_is_no_utf_8_does_not_break_the_stream() -> None:
    assert [(b"a", "\ufffd")] == decode([b"event: \xff\ndata: a\n\n"])


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 50, b"x" * 100],
        [b"data: xxxxxxxxxxxxxxxxxxxx\n"] * 10,
        [b"data:\n"] * 200,
        [b"data\n"] * 200,
        [b"error: xxxxxxxxxxxxxxxxxxxxx\n"] * 10,
        [b": " + b"x" * 200],
    ],
    ids=["one line", "many lines", "empty lines", "bare lines", "error lines", "a comment"],
)
def test_an_event_beyond_the_limit_is_refused(
    pieces: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "LARGEST_EVENT", 100)

    with pytest.raises(BadReply) as caught:
        decode(pieces)

    assert "a stream event is larger than 100 bytes" == str(caught.value)


def test_the_limit_is_that_of_one_event_and_not_of_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "LARGEST_EVENT", 100)

    assert 50 == len(decode([b"data: 12345678\n\n"] * 50))


def test_lines_of_megabytes_come_whole() -> None:
    long = b"x" * (4 * 1024 * 1024)
    whole = b"data: " + long + b"\n\n"

    events = decode([whole[at : at + 65536] for at in range(0, len(whole), 65536)])

    assert [(long, "")] == events
