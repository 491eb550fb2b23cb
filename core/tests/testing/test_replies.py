"""Recorded replies are read with their tables, and what does not fit is told by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelplug import errors
from modelplug.testing import OPENAI, Replies


def write(folder: Path, **files: str) -> Path:
    """Files by name, `_` for the dot before their ending."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(text)
    return folder


def test_every_file_of_the_kit_has_a_table() -> None:
    files = {path for path in OPENAI.iterdir() if path.is_file()} - {OPENAI / "expected.toml"}
    replies = Replies(OPENAI)

    assert files == {
        path for recorded in [*replies.answers(), *replies.errors()] for path in recorded.paths
    }


def test_a_reply_names_the_server_where_the_next_one_is() -> None:
    listed, made = Replies(OPENAI)["text2image-url.json"].replies_from("http://127.0.0.1:7")

    assert b'"url":"http://127.0.0.1:7/made/x.png"' in listed.whole
    assert "image/png" == made.headers["content-type"]


def test_every_error_of_the_kit_is_a_class_of_modelplug() -> None:
    replies = Replies(OPENAI)
    named = {r.expected.error for r in [*replies.answers(), *replies.errors()]} - {None}

    assert [] == [name for name in named if not hasattr(errors, str(name))]


def test_a_whole_and_a_stream_share_a_table() -> None:
    replies = Replies(OPENAI)

    assert replies["chat.json"].expected is replies["chat.sse"].expected
    assert [False, True] == [replies[file].streams for file in ("chat.json", "chat.sse")]


def test_the_status_is_in_the_name_of_an_error_and_headers_in_its_table(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        **{"error-418-tea_json": "{}"},
        expected_toml='[error-418-tea]\nerror = "Refused"\nheaders = { x-a = "b" }',
    )

    reply = Replies(folder)["error-418-tea.json"].reply

    assert 418 == reply.status
    assert "b" == reply.headers["x-a"]
    assert "application/json" == reply.headers["content-type"]


def test_a_call_in_several_requests_has_numbered_files(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        **{"chat-1_json": "1", "chat-2_json": "2", "chat-10_json": "10"},
        expected_toml='[chat]\ntext = "x"',
    )

    recorded = Replies(folder)["chat.json"]

    assert [b"1", b"2", b"10"] == [reply.whole for reply in recorded.replies]


def test_a_name_is_taken_whole_from_the_first_folder_that_has_it(tmp_path: Path) -> None:
    own = write(tmp_path / "own", chat_json="own", expected_toml='[chat]\ntext = "own"')
    replies = Replies(own, OPENAI)

    assert b"own" == replies["chat.json"].reply.whole
    assert "own" == replies["chat.json"].expected.text
    assert "chat.sse" not in replies
    assert "tools.sse" in replies


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"expected_toml": "[chat]"}, "a table [chat] and no file is named so"),
        ({"expected_toml": "[chat]\ntexts = ''", "chat_json": ""}, "'texts'"),
        ({"expected_toml": "", "chat_json": ""}, "chat.json has no table"),
    ],
)
def test_what_does_not_fit_is_told_by_name(
    files: dict[str, str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(LookupError) as caught:
        Replies(write(tmp_path, **files))

    assert told in str(caught.value)


def test_a_missing_reply_is_told_with_the_folder(tmp_path: Path) -> None:
    replies = Replies(write(tmp_path, expected_toml=""))

    with pytest.raises(LookupError) as caught:
        replies["chat.json"]

    assert f"no recorded reply 'chat.json' in {tmp_path}; record one" in str(caught.value)
