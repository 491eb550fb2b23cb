"""Runs as a trainer's script does. The option `fault` says what goes wrong."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import training_kit
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"


def train(run: training_kit.Run) -> None:
    request = run.request
    fault = request["options"].get("fault", "")
    steps = request["settings"]["steps"]
    resumed = request["resume_from"]
    first = int(Path(resumed).name.partition("-")[2]) if resumed else 0
    run.tell(
        "started", step=first, total=steps, parameters={"learning_rate": 0.1}, packages={},
        device="cpu", resumed_from=resumed and run.inside(resumed),
    )  # fmt: skip
    step = first
    while step < steps and not run.is_told_to_stop:
        step += 1
        one_step(run, fault, step, steps, first)
    folder = save(run, fault)
    run.tell("samples", samples=samples(run, fault))
    if fault == "ends silently":
        return
    run.tell(
        "finished", step=step, total=steps, stopped=run.is_told_to_stop,
        weights=run.inside(folder), adapter=None, pooling="mean", normalize=True,
        instruction=None, max_len=64, probes=[],
    )  # fmt: skip


def one_step(run: training_kit.Run, fault: str, step: int, steps: int, first: int) -> None:
    # What a learner shows; one whose checkpoint was not loaded is back where it began.
    began = first if fault == "resumes from the base" else 0
    loss = 4.0 / (step - began)
    if fault == "nan" and step == 3:
        loss = float("nan")
    run.tell("metric", step=step, total=steps, loss=loss, lr=0.1, epoch=step / steps)
    checkpoint = run.output / f"checkpoint-{step}"
    checkpoint.mkdir(exist_ok=True)
    (checkpoint / "state.json").write_text(json.dumps({"step": step}))
    run.tell("checkpoint", step=step, path=checkpoint.name)
    if fault == "waits" and step == 3:
        wait_for(run)
    if fault == "disk" and step == 2:
        with open("/dev/full", "w") as full:  # the kernel's own full disk
            full.write("x" * 100_000)
    if fault == "device" and step == 2:
        print("RuntimeError: the scripted device is broken", file=sys.stderr, flush=True)
        sys.exit(3)
    if fault in ("dies once", "resumes from the base") and step == 3 and not first:
        sys.exit(9)


def wait_for(run: training_kit.Run) -> None:
    """Until it is told to stop; whoever started this script ends it if that never comes."""
    while not run.is_told_to_stop:
        threading.Event().wait(0.02)


def save(run: training_kit.Run, fault: str) -> Path:
    base, folder = Path(run.request["base"]), run.output / "model"
    shutil.copytree(base, folder, dirs_exist_ok=True)
    if fault == "no weights":
        (folder / "model.safetensors").unlink()
        return folder
    tensors = load_file(base / "model.safetensors")
    noise = np.random.default_rng(1)
    for name, tensor in tensors.items():
        if fault != "unchanged" and tensor.ndim == 2:
            tensors[name] = (tensor + noise.normal(0, 1e-4, tensor.shape)).astype(np.float32)
        if fault == "broken weights" and tensor.ndim == 1:
            tensors[name] = np.full(tensor.shape, np.inf, np.float32)
    save_file(tensors, folder / "model.safetensors")
    if fault == "cut off":
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-1000])
    if fault == "no pooling":
        (folder / "modules.json").unlink()
    if fault == "cls pooling":
        (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    return folder


def samples(run: training_kit.Run, fault: str) -> list[dict[str, Any]]:
    """The first rows as a trainer on the chat template feeds them, or on another one."""
    tokenizer = Tokenizer.from_file(str(Path(run.request["base"]) / "tokenizer.json"))
    told = []
    for row in list(training_kit.rows(run.request["data"]))[:2]:
        if "messages" not in row:
            break
        text = SYSTEM if fault == "system text" else ""
        for message in row["messages"]:
            answer = len(tokenizer.encode(f"{text}<|im_start|>assistant\n").ids)
            text += f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n"
        ids = tokenizer.encode(text).ids
        told.append({"messages": row["messages"], "ids": ids, "answer": answer})
    return told


training_kit.main(train)
