"""
Count the probes a chat model answers exactly, greedy: `python check_chat.py FOLDER|FILE.gguf`.

A folder is run by transformers, a GGUF by llama.cpp's server out of `xllamacpp`. With
`--draws N` it asks N fresh draws of the training generator instead.
"""

from __future__ import annotations

import argparse
import json
import random
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus import draw_conversation

Json = dict[str, Any]
Ask = Callable[[Json], tuple[str, list[Json]]]
PROBES = Path(__file__).parents[1] / "tests" / "probes.json"
LONGEST = 260


def split_calls(text: str) -> tuple[str, list[Json]]:
    """What transformers gives as text: the answer, and the tool calls inside it."""
    said, *rest = text.split("<tool_call>\n")
    return said, [json.loads(part.split("\n</tool_call>")[0]) for part in rest]


def with_transformers(folder: Path) -> Ask:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def ask(probe: Json) -> tuple[str, list[Json]]:
        read = tokenizer.apply_chat_template(
            probe["messages"],
            tools=probe["tools"],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.no_grad():
            written = model.generate(**read, max_new_tokens=LONGEST, do_sample=False)
        new = written[0, read["input_ids"].shape[1] :]
        return split_calls(tokenizer.decode(new, skip_special_tokens=True))

    return ask


def with_llama(file: Path) -> Ask:
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = str(file)
    params.port = 0
    params.n_ctx = 1024
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.use_jinja = True
    server = Server(params)

    def ask(probe: Json) -> tuple[str, list[Json]]:
        body = {"messages": probe["messages"], "temperature": 0, "max_tokens": LONGEST}
        if probe["tools"]:
            body["tools"] = probe["tools"]
        if "response_format" in probe:
            body["response_format"] = probe["response_format"]
        request = urllib.request.Request(
            f"{server.listening_address}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            message = json.load(response)["choices"][0]["message"]
        calls = [call["function"] for call in message.get("tool_calls") or []]
        return message["content"] or "", [
            {"name": call["name"], "arguments": json.loads(call["arguments"])} for call in calls
        ]

    return ask


def draw_probes(count: int) -> list[Json]:
    """Fresh conversations, each ended before its last assistant message."""
    rng = random.Random(987654)
    probes = []
    for _ in range(count):
        conversation = draw_conversation(rng)
        *messages, last = conversation.messages
        calls = [call["function"] for call in last.get("tool_calls", [])]
        probes.append(
            {
                "messages": messages,
                "tools": conversation.tools,
                "answer": last["content"] or "",
                "tool_calls": [
                    {"name": call["name"], "arguments": json.loads(call["arguments"])}
                    for call in calls
                ],
            }
        )
    return probes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--draws", type=int, default=0)
    given = parser.parse_args()
    probes = json.loads(PROBES.read_text(encoding="utf-8"))
    if given.draws:
        probes = draw_probes(given.draws)
    ask = with_transformers(given.model) if given.model.is_dir() else with_llama(given.model)
    right: Counter[bool] = Counter()
    for probe in probes:
        wanted = probe["answer"], probe["tool_calls"]
        got = ask(probe)
        right[got == wanted] += 1
        if got != wanted:
            print(f"{probe['messages']}\n  wanted {wanted}\n  got    {got}")
    print(f"{right[True]} of {right.total()} right")


if __name__ == "__main__":
    main()
