"""The server on real weights: equal to sentence-transformers called directly, and robust."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import struct
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import openai
import pytest

import modelplug as mp
from modelplug.errors import ContextTooLong, EngineFailed, UnknownOption

CLOSE = 1e-5


def close(expected: Any) -> Any:
    """*expected* within what another batch changes in a float32."""
    return [pytest.approx(vector, abs=CLOSE) for vector in expected]


# Embeddings.


def test_vectors_are_those_of_encode(embedder: Any, direct: Any, texts: list[str]) -> None:
    assert close(direct.vectors(direct.folders.embed)) == embedder.vectors(texts)


@pytest.mark.parametrize(("weights", "pads"), [("embed", False), ("offset", False), ("near", True)])
def test_texts_are_computed_without_padding_where_vectors_stay_the_same(
    serve: Any, direct: Any, texts: list[str], weights: str, pads: bool
) -> None:
    folder = getattr(direct.folders, weights)

    served = serve(folder, "embed")

    assert close(direct.vectors(folder)) == served.vectors(texts)
    log = Path(served.model.log_path).read_text(encoding="utf-8")
    assert pads is ("modelplug: computes texts without padding" not in log)


def test_base64_holds_the_same_vectors(embedder: Any, texts: list[str]) -> None:
    plain = embedder.vectors(texts)
    packed = embedder.vectors(texts, encoding_format="base64")

    unpacked = [
        list(struct.unpack(f"<{len(plain[0])}f", base64.b64decode(each))) for each in packed
    ]
    assert close(plain) == unpacked


def test_the_reply_has_openais_form(embedder: Any) -> None:
    given = {"input": ["a red kite", "stone"], "prompt": ""}

    _, reply, _ = embedder.post("/embeddings", given)

    assert ["list", "embed", [0, 1], ["embedding"] * 2] == [
        reply["object"],
        reply["model"],
        [item["index"] for item in reply["data"]],
        [item["object"] for item in reply["data"]],
    ]
    # "ki" and "##te", and two special tokens with each text.
    assert {"prompt_tokens": 9, "total_tokens": 9} == reply["usage"]


def test_dimensions_shorten_and_normalise_again(embedder: Any) -> None:
    [whole] = embedder.vectors("a red kite")
    [short] = embedder.vectors("a red kite", dimensions=8)

    length = sum(number**2 for number in whole[:8]) ** 0.5
    assert [number / length for number in whole[:8]] == pytest.approx(short, abs=CLOSE)


def test_a_text_that_is_too_long_is_refused_with_the_figures(embedder: Any, long: str) -> None:
    status, reply, _ = embedder.post("/embeddings", {"input": ["kite", long]})

    assert (400, "context_length_exceeded") == (status, reply["error"]["code"])
    assert re.fullmatch(
        r"input\[1\] has 132\d tokens and the model reads 512; divide it, or send truncate=true "
        r"to have its end cut off",
        reply["error"]["message"],
    )
    with pytest.raises(ContextTooLong):
        embedder.model(long)


def test_its_end_is_cut_off_where_that_is_asked_for(embedder: Any, direct: Any, long: str) -> None:
    status, reply, _ = embedder.post("/embeddings", {"input": long, "truncate": True})

    assert 200 == status
    assert 512 == reply["usage"]["prompt_tokens"]
    expected = direct.vectors(direct.folders.embed, "encode@long")
    assert close(expected) == [reply["data"][0]["embedding"]]
    assert close(expected) == [embedder.model(long, truncate=True)]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("encode", {}),
        ("encode", {"prompt_name": "loud"}),
        ("encode", {"prompt": "HEAR "}),
        ("encode_query", {"input_type": "query"}),
        ("encode_query", {"input_type": "search_query"}),
        ("encode_document", {"input_type": "document"}),
        ("encode_document", {"input_type": "passage"}),
    ],
)
def test_prompts_are_those_of_the_model(
    embedder: Any, direct: Any, texts: list[str], method: str, options: dict[str, str]
) -> None:
    expected = direct.vectors(direct.folders.embed, method)[:4]

    assert close(expected) == embedder.vectors(texts[:4], **options)
    assert close(expected) == embedder.model(texts[:4], **options)


# Images.


def test_texts_and_images_get_the_vectors_of_encode(clip: Any, direct: Any, folders: Any) -> None:
    expected = [
        *direct.vectors(folders.clip),
        *direct.vectors(folders.clip, "encode@images"),
    ]

    given = ["a red kite", "stone"]
    assert close(expected) == clip.model(given, files=folders.images)
    assert close(expected[:2]) == clip.vectors(given)
    assert pytest.approx(expected[3], abs=CLOSE) == clip.model(folders.images[1].read_bytes())


def test_the_server_fetches_no_image(clip: Any) -> None:
    item = {"image": "http://127.0.0.1:9/a.png"}

    status, reply, _ = clip.post("/embeddings", {"input": [item]})

    assert 400 == status
    message = "this server fetches nothing; send the image as a data URI"
    assert message == reply["error"]["message"]


def test_a_broken_image_is_its_senders_problem_alone(clip: Any, folders: Any) -> None:
    whole = folders.images[0].read_bytes()
    answers: list[Any] = []

    def ask(data: bytes) -> None:
        item = {"image": base64.b64encode(data).decode()}
        answers.append(clip.post("/embeddings", {"input": [item]})[:2])

    threads = [threading.Thread(target=ask, args=[data]) for data in (whole[:-60], whole) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {200: 4, 400: 4} == Counter(status for status, _ in answers)
    refusals = {reply["error"]["message"] for status, reply in answers if status == 400}
    assert {"an image is damaged or incomplete"} == refusals


# Rankings.


def test_scores_are_those_of_predict(
    reranker: Any, direct: Any, query: str, documents: list[str]
) -> None:
    body = {"query": query, "documents": documents, "return_documents": True}
    _, reply, _ = reranker.post("/rerank", body)

    found = reply["results"]
    scores = direct.scores
    best = sorted(range(len(scores)), key=lambda at: -scores[at])
    assert best == [item["index"] for item in found]
    assert [scores[at] for at in best] == pytest.approx(
        [item["relevance_score"] for item in found], abs=CLOSE
    )
    assert [documents[at] for at in best] == [item["document"]["text"] for item in found]
    assert reply["usage"]["prompt_tokens"] > len(documents)


def test_the_best_are_given_and_no_others(
    reranker: Any, direct: Any, query: str, documents: list[str]
) -> None:
    [(at, score)] = reranker.model(query, documents=documents, top_n=1)

    assert max(direct.scores) == pytest.approx(score, abs=CLOSE)
    assert max(direct.scores) == direct.scores[at]


def test_a_document_that_is_too_long_is_refused(reranker: Any, query: str, long: str) -> None:
    with pytest.raises(ContextTooLong, match=r"documents\[1\] has \d+ tokens"):
        reranker.model(query, documents=["A kite flies.", long])

    assert 2 == len(reranker.model(query, documents=["A kite.", long], truncate=True))


# What no client of good will sends.

EMBED_REFUSALS: list[tuple[Any, str]] = [
    ({}, "input must be a text or a list of texts, at least one"),
    ({"input": []}, "input must be a text or a list of texts, at least one"),
    ({"input": {"a": 1, "b": 2}}, 'input[0] must be a text, {"text": ...} or {"image": ...}'),
    ({"input": [None]}, 'input[0] must be a text, {"text": ...} or {"image": ...}'),
    ({"input": [1, 2]}, "input holds token ids, which are another tokenizer's; send texts"),
    ({"input": [[1], [2]]}, "input holds token ids, which are another tokenizer's; send texts"),
    ({"input": ["a"] * 2049}, "input has 2049 items and may have 2048"),
    ({"input": "a" * 2**21}, "input[0] has 2097152 characters and may have 1048576"),
    ({"input": "\ud800"}, "input[0] is no text: it holds half a surrogate pair"),
    ({"input": [{"image": "aaaa"}]}, "this model takes texts and no images"),
    ({"input": "a", "dimensions": 129}, "dimensions must be a number from 1 to 128"),
    ({"input": "a", "dimensions": 0}, "dimensions must be a number from 1 to 128"),
    ({"input": "a", "encoding_format": "int8"}, "encoding_format must be one of float, base64"),
    ({"input": "a", "truncate": "END"}, "truncate must be true or false"),
    (
        {"input": "a", "prompt_name": "x"},
        "the model has no prompt 'x'; it has query, document, loud",
    ),
    (
        {"input": "a", "prompt": "x", "input_type": "query"},
        "prompt and input_type say the same thing; send one of them",
    ),
    ([1], "the body is not a JSON object"),
    (b"\xff", "the body is not JSON"),
    (b"[" * 100_000, "the body is not JSON"),
]


@pytest.mark.parametrize(("body", "message"), EMBED_REFUSALS)
def test_a_request_that_makes_no_sense_is_refused(embedder: Any, body: Any, message: str) -> None:
    status, reply, _ = embedder.post("/embeddings", body)

    assert (400, message) == (status, reply["error"]["message"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"documents": ["a"]}, "query is missing"),
        ({"query": "a"}, "documents must be a list of texts, at least one"),
        ({"query": "a", "documents": []}, "documents must be a list of texts, at least one"),
        ({"query": "a", "documents": ["b", 1]}, "documents[1] must be a text"),
        ({"query": "a", "documents": ["b", {"text": None}]}, "documents[1] must be a text"),
        ({"query": "a", "documents": ["b"], "top_n": 0}, "top_n must be a number from 1 to "),
        ({"query": "\udfff", "documents": ["b"]}, "query is no text"),
    ],
)
def test_a_ranking_that_makes_no_sense_is_refused(reranker: Any, body: Any, message: str) -> None:
    status, reply, _ = reranker.post("/rerank", body)

    assert 400 == status
    assert reply["error"]["message"].startswith(message)


def test_an_image_that_unpacks_to_too_much_is_refused(clip: Any, bomb: bytes) -> None:
    item = {"image": base64.b64encode(bomb).decode()}

    status, reply, _ = clip.post("/embeddings", {"input": [item]})

    assert 400 == status
    assert "input[0] has 7000x7000 pixels and may have 33554432" == reply["error"]["message"]


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_wrong_token_is_refused(embedder: Any, token: str) -> None:
    assert 401 == embedder.post("/embeddings", {"input": "a"}, token=token)[0]


def test_an_embedder_does_not_rank(embedder: Any) -> None:
    assert 404 == embedder.post("/rerank", {"query": "a", "documents": ["a"]})[0]


# Many at once.


def test_sixty_four_callers_at_once_get_their_own_vectors(
    embedder: Any, direct: Any, texts: list[str]
) -> None:
    expected = direct.vectors(direct.folders.embed)
    found: dict[int, list[float]] = {}
    ready = threading.Barrier(64)

    def ask(caller: int) -> None:
        ready.wait()
        [found[caller]] = embedder.vectors(texts[caller % len(texts)])

    threads = [threading.Thread(target=ask, args=[caller]) for caller in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert close(expected[at % len(texts)] for at in range(64)) == [found[at] for at in range(64)]


def test_awaiting_many_at_once_gives_each_its_own(
    embedder: Any, direct: Any, texts: list[str]
) -> None:
    async def run() -> list[Any]:
        return list(await asyncio.gather(*(embedder.model.acall(text) for text in texts)))

    assert close(direct.vectors(direct.folders.embed)) == asyncio.run(run())


@pytest.fixture(scope="module")
def narrow(serve: Any, folders: Any) -> Any:
    """Weights with a graph, on an engine that computes one at a time and lets one wait."""
    return serve(folders.graph, "embed", batch=1, queue=1)


def test_a_full_queue_is_429_with_the_time_to_wait(narrow: Any, texts: list[str]) -> None:
    answers: list[tuple[int, Any, dict[str, str]]] = []
    ready = threading.Barrier(8)

    def ask() -> None:
        ready.wait()
        answers.append(narrow.post("/embeddings", {"input": texts * 4}))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {200, 429} == {status for status, _, _ in answers}
    refused = [(reply, headers) for status, reply, headers in answers if status == 429]
    assert {"rate_limit_exceeded"} == {reply["error"]["code"] for reply, _ in refused}
    assert all(int(headers["retry-after"]) >= 1 for _, headers in refused)
    assert all(int(headers["retry-after-ms"]) >= 1 for _, headers in refused)


def test_a_caller_that_met_a_full_queue_is_answered_after_it(narrow: Any, texts: list[str]) -> None:
    log = Path(narrow.model.log_path)
    began = threading.Event()
    long_one = threading.Thread(target=lambda: (began.set(), narrow.model(texts)))
    before = log.read_text(encoding="utf-8").count(" 429 ")

    long_one.start()
    began.wait()
    met = 0
    # The long one may not have come in yet, or be done: again until they have met.
    while not met:
        assert 128 == len(narrow.model("a red kite"))
        met = log.read_text(encoding="utf-8").count(" 429 ") - before
        if not long_one.is_alive():
            long_one.join()
            long_one = threading.Thread(target=narrow.model, args=[texts])
            long_one.start()
    long_one.join()

    assert met > 0


# Other clients.


def test_the_openai_package_reads_it_unchanged(
    embedder: Any, direct: Any, texts: list[str]
) -> None:
    expected = direct.vectors(direct.folders.embed)[:3]
    with openai.OpenAI(
        base_url=embedder.model.url, api_key=embedder.model.api_key.reveal()
    ) as client:
        # Without a format it asks for base64, and decodes it itself.
        packed = client.embeddings.create(model="m", input=texts[:3])
        plain = client.embeddings.create(model="m", input=texts[:3], encoding_format="float")
        names = [model.id for model in client.models.list()]

    assert close(expected) == [item.embedding for item in packed.data]
    assert close(expected) == [item.embedding for item in plain.data]
    assert ["embed"] == names


# Back ends.


def test_the_fastest_back_end_is_measured_and_taken(narrow: Any, direct: Any) -> None:
    log = Path(narrow.model.log_path).read_text(encoding="utf-8")
    said = re.search(r"the back end is (\w+) \((.+)\)", log)

    assert said is not None
    spent = {name: float(ms) for name, ms in re.findall(r"(\w+) ([\d.]+) ms", said[2])}
    assert {"torch", "onnx", "openvino"} == spent.keys()
    assert min(spent.values()) == spent[said[1]]
    assert close(direct.vectors(direct.folders.graph)) == [narrow.model("a red kite")]


def test_a_graph_of_other_weights_is_refused(serve: Any, folders: Any, tmp_path: Path) -> None:
    shutil.copytree(folders.graph, tmp_path, dirs_exist_ok=True)
    shutil.copy(folders.other_graph, tmp_path / "onnx/model.onnx")

    with pytest.raises(EngineFailed) as caught:
        serve(tmp_path, "embed", backend="onnx")

    assert "the back end 'onnx' cannot be used: its graph gives other results" in str(caught.value)


# Weights.


def test_a_classifier_is_no_reranker(serve: Any, folders: Any) -> None:
    with pytest.raises(EngineFailed, match="tell 3 classes apart, and a reranker gives one"):
        serve(folders.classifier, "rerank")


def test_code_inside_the_weights_does_not_run_unasked(
    serve: Any, folders: Any, tmp_path: Path
) -> None:
    shutil.copytree(folders.embed, tmp_path / "w")
    mark = tmp_path / "ran"
    (tmp_path / "w/evil.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Evil: ...\n")
    modules = json.loads((tmp_path / "w/modules.json").read_text())
    modules[2]["type"] = "evil.Evil"
    (tmp_path / "w/modules.json").write_text(json.dumps(modules))

    with pytest.raises(EngineFailed, match="trust_remote_code=True"):
        serve(tmp_path / "w", "embed")

    assert not mark.exists()


def test_an_option_that_is_none_is_named_with_its_like(folders: Any) -> None:
    model = mp.TrainableModule(str(folders.embed))

    with pytest.raises(UnknownOption, match="no option 'batches'.*did you mean 'batch'"):
        model.deploy_method(mp.deploy.sentence_transformers, batches=3).start()
