"""
Measure the embedder or the reranker on its held-out list, through both engines.

`python check_pairs.py embed|rerank FOLDER FILE.gguf`: sentence-transformers reads the folder,
llama.cpp's server out of `xllamacpp` the GGUF; what they say of the same texts is compared.
"""

from __future__ import annotations

import argparse
import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from xllamacpp import CommonParams, Server, llama_pooling_type

Json = dict[str, Any]
TESTS = Path(__file__).parents[1] / "tests"


def read_rows(name: str) -> list[Json]:
    rows: list[Json] = json.loads((TESTS / name).read_text(encoding="utf-8"))
    return rows


def serve(file: Path, pooling: llama_pooling_type | None = None) -> Server:
    params = CommonParams()
    params.model.path = str(file)
    params.port = 0
    params.n_ctx = 512
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.embedding = True
    if pooling is not None:
        params.pooling_type = pooling
    return Server(params)


def post(server: Server, path: str, body: Json) -> Json:
    request = urllib.request.Request(
        f"{server.listening_address}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        reply: Json = json.load(response)
    return reply


def check_embed(folder: Path, file: Path) -> None:
    rows = read_rows("related.json")
    texts = [row[key] for row in rows for key in ("anchor", "related", "unrelated")]
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    server = serve(file)
    reply = post(server, "/v1/embeddings", {"input": texts, "model": "tiny-embed"})
    vectors = {
        "sentence-transformers": np.asarray(model.encode(texts)),
        "llama.cpp": np.array([item["embedding"] for item in reply["data"]]),
    }
    for engine, found in vectors.items():
        anchor, related, unrelated = found.reshape(len(rows), 3, -1).transpose(1, 0, 2)
        margins = (anchor * related).sum(axis=1) - (anchor * unrelated).sum(axis=1)
        right = f"{(margins > 0).sum()} of {len(rows)} right"
        print(f"{engine}: {right}, mean margin {margins.mean():.3f}")
        for row, margin in zip(rows, margins, strict=True):
            if margin <= 0:
                print(f"  {margin:.3f} {row}")
    cosines = np.multiply(*vectors.values()).sum(axis=1)
    print(f"cosine between the two: least {cosines.min():.5f}, mean {cosines.mean():.5f}")


def check_rerank(folder: Path, file: Path) -> None:
    rows = read_rows("rerank.json")
    model = CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    server = serve(file, llama_pooling_type.LLAMA_POOLING_TYPE_RANK)
    right = {"sentence-transformers": 0, "llama.cpp": 0}
    same_order = 0
    gaps = []
    for row in rows:
        texts = [(row["query"], document) for document in row["documents"]]
        ours = model.predict(texts, activation_fn=torch.nn.Identity())
        body = {"query": row["query"], "documents": row["documents"], "model": "tiny-rerank"}
        theirs = np.zeros(len(texts))
        for result in post(server, "/v1/rerank", body)["results"]:
            theirs[result["index"]] = result["relevance_score"]
        right["sentence-transformers"] += int(ours.argmax() == row["relevant"])
        right["llama.cpp"] += int(theirs.argmax() == row["relevant"])
        same_order += int((ours.argsort() == theirs.argsort()).all())
        gaps.append(np.abs(ours - theirs).max())
        if theirs.argmax() != row["relevant"]:
            print(f"  {np.round(theirs, 2)} {row}")
    for engine, count in right.items():
        print(f"{engine}: the relevant one first in {count} of {len(rows)}")
    print(f"same order in {same_order} of {len(rows)}, scores differ by {max(gaps):.4f} at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["embed", "rerank"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    check = check_embed if given.kind == "embed" else check_rerank
    check(given.folder, given.file)


if __name__ == "__main__":
    main()
