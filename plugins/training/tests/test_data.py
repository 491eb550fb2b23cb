"""Training data in each of its formats, and each of its faults."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from modelplug.errors import BadData
from modelplug.types import ModelType
from modelplug_training.data.lengths import counter, estimate
from modelplug_training.data.prepare import Data, check_apart, prepare, rows_of

FORMS = ("messages", "triples", "pairs")
USER = {"role": "user", "content": "Hi"}
ANSWER = {"role": "assistant", "content": "Hello"}
CHAT = {"messages": [USER, ANSWER]}
TRIPLE = {"query": "cat", "pos": ["kitten"], "neg": ["car"]}
CALL = {"name": "add", "arguments": {"a": 1}}


def prepared(path: Path, type: ModelType = ModelType.LLM, **more: Any) -> Data:
    given = {"forms": FORMS, **more}
    return prepare(path, type, path.parent / "normal.out", **given)


def normal(tmp_path: Path, value: Any, type: ModelType = ModelType.LLM) -> Any:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(value) + "\n")
    [row] = rows_of(prepared(path, type).path)
    return row


def fault(tmp_path: Path, value: Any, type: ModelType = ModelType.LLM, **more: Any) -> str:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(value) + "\n")
    with pytest.raises(BadData) as caught:
        prepared(path, type, **more)
    assert not (tmp_path / "normal.out").exists()
    return str(caught.value).splitlines()[-1].strip()


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        (CHAT, [USER, ANSWER]),
        (
            {
                "conversations": [
                    {"from": "human", "value": "Hi"},
                    {"from": "gpt", "value": "Hello"},
                ]
            },
            [USER, ANSWER],
        ),
        ({"conversations": [USER, ANSWER]}, [USER, ANSWER]),
        ({"instruction": "Hi", "input": "", "output": "Hello"}, [USER, ANSWER]),
        (
            {"instruction": "Add", "input": "1 2", "output": "3", "history": [["Hi", "Hello"]]},
            [
                USER,
                ANSWER,
                {"role": "user", "content": "Add\n1 2"},
                {"role": "assistant", "content": "3"},
            ],
        ),
        ({"prompt": "Hi", "completion": "Hello"}, [USER, ANSWER]),
        ({"prompt": "Hi", "response": "Hello"}, [USER, ANSWER]),
        ({"prompt": [USER], "completion": [ANSWER]}, [USER, ANSWER]),
        (
            {**CHAT, "system": "Be kind."},
            [{"role": "system", "content": "Be kind."}, USER, ANSWER],
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, ANSWER]},
            [USER, ANSWER],
        ),
    ],
)
def test_each_format_of_conversations_becomes_the_same_messages(
    tmp_path: Path, value: Any, messages: Any
) -> None:
    assert {"messages": messages} == normal(tmp_path, value)


def test_a_call_in_sharegpt_becomes_a_tool_call(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "1+1"},
        {"from": "function_call", "value": json.dumps(CALL)},
        {"from": "observation", "value": "2"},
        {"from": "gpt", "value": "It is 2."},
    ]

    row = normal(tmp_path, {"conversations": turns, "tools": '[{"name": "add"}]'})

    function = {"name": "add", "arguments": '{"a": 1}'}
    assert ["user", "assistant", "tool", "assistant"] == [m["role"] for m in row["messages"]]
    assert [{"type": "function", "function": function}] == row["messages"][1]["tool_calls"]
    assert [{"name": "add"}] == row["tools"]


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (TRIPLE, TRIPLE),
        ({"query": "cat", "pos": "kitten"}, {"query": "cat", "pos": ["kitten"], "neg": []}),
        ({"anchor": "cat", "positive": "kitten", "negative": "car"}, TRIPLE),
        ({**TRIPLE, "pos_scores": [1], "neg_scores": [0]}, None),
        (
            {"sentence1": "cat", "sentence2": "kitten", "score": "0.5"},
            {"query": "cat", "document": "kitten", "score": 0.5},
        ),
        (
            {"query": "cat", "passage": "kitten", "label": 1},
            {"query": "cat", "document": "kitten", "score": 1.0},
        ),
    ],
)
def test_each_format_of_retrieval_becomes_triples_or_pairs(
    tmp_path: Path, value: Any, row: Any
) -> None:
    wanted = row or {**TRIPLE, "pos_scores": [1.0], "neg_scores": [0.0]}
    assert wanted == normal(tmp_path, value, ModelType.EMBED)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            {"messages": [{"role": "gpt", "content": "x"}, ANSWER]},
            "data.jsonl:1: messages[0].role: 'gpt' is none of system, user, assistant, tool",
        ),
        (
            {"conversations": [{"from": "bing", "value": "Hi"}]},
            "data.jsonl:1: conversations[0].from: 'bing' is none of human, user, gpt, assistant, "
            "system, observation, tool, function_call",
        ),
        (
            {"messages": [USER, {"role": "assistant", "content": " "}]},
            "data.jsonl:1: turn 2: the answer is empty",
        ),
        (
            {"messages": [{"role": "user", "content": ""}, ANSWER]},
            "data.jsonl:1: turn 1: the question is empty",
        ),
        ({"messages": []}, "data.jsonl:1: messages: there is no turn"),
        ({"messages": "Hi"}, "data.jsonl:1: messages: a list of turns is needed"),
        ({"messages": ["Hi"]}, "data.jsonl:1: messages[0]: an object is needed, not str"),
        ({"messages": [{"role": "user"}]}, "data.jsonl:1: messages[0].content: it is missing"),
        (
            {"messages": [USER, {"role": "assistant", "content": 4}]},
            "data.jsonl:1: messages[1].content: text is needed, not int",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}, ANSWER]},
            "data.jsonl:1: messages[0].content: only text can be trained on",
        ),
        (
            {"messages": [USER]},
            "data.jsonl:1: turn 1: the last is the user's, so there is no answer",
        ),
        ({"messages": [ANSWER, USER, ANSWER]}, "data.jsonl:1: turn 1: the user does not begin"),
        (
            {"messages": [USER, {"role": "system", "content": "x"}, ANSWER]},
            "data.jsonl:1: turn 2: a system text stands only at first",
        ),
        (
            {
                "conversations": [
                    {"from": "human", "value": "x"},
                    {"from": "function_call", "value": "x"},
                ]
            },
            "data.jsonl:1: conversations[1].value: a call is "
            '{"name": ..., "arguments": ...} as JSON',
        ),
        ({**CHAT, "tools": "x"}, "data.jsonl:1: tools: not JSON: "),
        ({**CHAT, "tools": {}}, ""),
        ({**CHAT, "tools": {"a": 1}}, "data.jsonl:1: tools: a list is needed, not dict"),
        (
            {"instruction": "Hi", "output": "x", "history": ["a"]},
            "data.jsonl:1: history[0]: a question and its answer are needed",
        ),
        (["Hi"], "data.jsonl:1: an object is needed, not list"),
        (
            {"text": "Hi"},
            "data.jsonl:1: no known format has the fields text (known: messages; ",
        ),
        (
            TRIPLE,
            "data.jsonl:1: it is triples; a chat model learns from conversations",
        ),
    ],
)
def test_a_fault_of_a_conversation_is_told_with_its_place(
    tmp_path: Path, value: Any, told: str
) -> None:
    if not told:  # nothing is meant by an empty table
        assert {"messages"} == set(normal(tmp_path, value))
        return
    assert fault(tmp_path, value).startswith(told)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"query": "", "pos": ["x"]}, "data.jsonl:1: query: it is empty"),
        ({"query": "x", "pos": []}, "data.jsonl:1: pos: there is no positive"),
        ({"query": "x", "pos": ["a", 1]}, "data.jsonl:1: pos[1]: text is needed, not int"),
        (
            {"query": "x", "pos": 1},
            "data.jsonl:1: pos: a text or a list of texts is needed, not int",
        ),
        (
            {"query": "x", "pos": ["a"]},
            "data.jsonl:1: neg: a reranker learns nothing without negatives",
        ),
        (
            {"query": "x", "pos": ["a"], "neg": ["a"]},
            "data.jsonl:1: neg: 'a' is positive and negative at once",
        ),
        (
            {**TRIPLE, "pos_scores": [1, 2]},
            "data.jsonl:1: pos_scores: 1 scores are needed, one for each text",
        ),
        (
            {"query": "x", "document": "y", "score": 7},
            "data.jsonl:1: score: a score from 0 to 1 is needed, not 7; divide by the best",
        ),
        (
            {"query": "x", "document": "y", "score": "high"},
            "data.jsonl:1: score: a number is needed, not 'high'",
        ),
        (
            {"query": "x", "document": "y", "score": True},
            "data.jsonl:1: score: a number is needed, not True",
        ),
        (
            CHAT,
            "data.jsonl:1: it is openai messages; an embedder or reranker learns from query, pos "
            "and neg, or from scored pairs",
        ),
    ],
)
def test_a_fault_of_retrieval_is_told_with_its_place(tmp_path: Path, value: Any, told: str) -> None:
    assert told == fault(tmp_path, value, ModelType.RERANK)


def test_a_form_that_the_trainer_does_not_read_is_refused(tmp_path: Path) -> None:
    told = fault(
        tmp_path,
        {"query": "x", "document": "y", "score": 1},
        ModelType.EMBED,
        forms=["triples"],
    )

    assert "data.jsonl:1: this trainer reads triples, and not pairs" == told


def test_json_lines_named_json_are_read_as_lines(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(CHAT) + "\n" + json.dumps(CHAT) + "\n")

    assert 2 == prepared(path).rows


def test_a_list_and_a_single_object_are_json(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps([CHAT, CHAT, CHAT], indent=2))
    (tmp_path / "one.json").write_text(json.dumps(CHAT, indent=2))

    assert 3 == prepared(tmp_path / "list.json").rows
    assert 1 == prepared(tmp_path / "one.json").rows


def test_csv_has_lists_as_json_in_its_cells(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query", "pos", "neg"])
        writer.writerow(["cat", "kitten", '["car", "[red] bus"]'])

    [row] = rows_of(prepared(path, ModelType.EMBED).path)

    assert {"query": "cat", "pos": ["kitten"], "neg": ["car", "[red] bus"]} == row


def test_a_csv_line_of_another_width_is_told(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("prompt,completion\nHi,Hello\nHi\n")

    with pytest.raises(BadData) as caught:
        prepared(path)

    assert "data.csv:3: it has not the 2 fields that the first line names" == str(caught.value)


def test_parquet_is_read(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pylist([CHAT, {**CHAT, "tools": None}])
    parquet.write_table(table, tmp_path / "data.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but no more")

    assert 2 == prepared(tmp_path / "data.parquet").rows
    with pytest.raises(BadData, match="broken.parquet: not parquet"):
        prepared(tmp_path / "broken.parquet")


def test_a_folder_is_all_the_data_files_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.jsonl").write_text(json.dumps(CHAT) + "\n")
    (folder / "b.json").write_text(json.dumps([{"instruction": "Ho", "output": "Hello"}]))
    (folder / "README.md").write_text("not data")

    data = prepared(folder)

    assert 2 == data.rows
    assert [str(folder / "a.jsonl"), str(folder / "b.json")] == data.sources


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("data.txt", "x", "is none of .json, .jsonl, .csv, .parquet; give it the suffix"),
        ("data.jsonl", "", "holds no row at all"),
        ("data.jsonl", '{"a"\n', "data.jsonl:1: not JSON: "),
        ("data.json", "[1,\n2", "data.json:2: not JSON: "),
        ("data.json", "7", "data.json: a list of objects is needed, not int"),
        ("data.jsonl", "\ud800", "it is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, name: str, text: str, told: str
) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogatepass"))

    with pytest.raises(BadData) as caught:
        prepared(tmp_path / name)

    assert told in str(caught.value)


def test_a_path_without_data_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(BadData, match="there is no training data at .*none.*; check the path"):
        prepared(tmp_path / "none")
    with pytest.raises(BadData, match="holds no .json, .jsonl, .csv, .parquet file"):
        prepared(tmp_path / "empty")


def test_every_fault_is_counted_and_the_first_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(CHAT) + "\n" + (json.dumps({"messages": []}) + "\n") * 12)

    with pytest.raises(BadData) as caught:
        prepared(path)

    first, *lines = str(caught.value).splitlines()
    assert first.endswith("12 of 13 rows cannot be used; mend them or take them out")
    assert "data.jsonl:2: messages: there is no turn" == lines[0].strip()
    assert "and 2 more" == lines[-1].strip()
    assert 11 == len(lines)


def test_two_forms_in_one_set_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    pair = {"query": "x", "document": "y", "score": 1}
    path.write_text(json.dumps(TRIPLE) + "\n" + json.dumps(pair) + "\n")

    with pytest.raises(BadData, match="2: it is scored pairs, and the rows before are triples"):
        prepared(path, ModelType.EMBED)


def test_what_is_odd_but_not_wrong_is_remarked(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    rows = [{"query": "cat", "pos": ["kitten"], "id": 7}, {"query": "cat", "pos": ["word " * 40]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    data = prepared(path, ModelType.EMBED, max_len=16, length=estimate)

    assert [
        "fields that are not used: id",
        "1 of 2 rows ask what an earlier one asks",
        "2 of 2 rows have no negatives: the other rows' positives serve for them",
        "1 of 2 rows are longer than max_len=16 tokens and will be cut",
    ] == data.remarks


def test_questions_in_both_sets_are_remarked_and_all_of_them_refused(tmp_path: Path) -> None:
    def data(name: str, *asked: str) -> Data:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({**TRIPLE, "query": q}) + "\n" for q in asked))
        return prepare(path, ModelType.EMBED, tmp_path / f"{name}.out", forms=FORMS)

    train = data("train", "a", "b", "c")

    assert [] == check_apart(train, data("apart", "d"))
    assert ["1 of 2 questions of the evalset are in the trainset too"] == check_apart(
        train, data("some", "a", "d")
    )
    with pytest.raises(BadData, match="learnt by heart"):
        check_apart(train, data("all", "a", "b"))


def test_tokens_are_counted_by_the_tokenizer_that_is_there(weights_folder: Path) -> None:
    assert 2 == counter(weights_folder / "tiny-embed")("a cat")
    assert estimate is counter(Path("nowhere"))
    assert (2, 4) == (estimate("a cat"), estimate("你好世界"))
