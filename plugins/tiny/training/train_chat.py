"""
Train the chat model `tiny` on one CPU thread: `python train_chat.py OUT`.

A Qwen2-shaped model of about a million parameters and a byte-level BPE of its own, both
made from `corpus.py`. OUT becomes a Hugging Face folder in float16.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from corpus import draw_conversation
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

CONTEXT = 1024
HIDDEN = 128
LAYERS = 4
HEADS = 4
KEY_VALUE_HEADS = 2
INTERMEDIATE = 384
VOCABULARY = 1216
WARM_UP = 40
ASSISTANT = "<|im_start|>assistant\n"
END = "<|im_end|>"
CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", END]
# Ordinary tokens, not special ones: engines leave special tokens out of the text they return.
TOOL_TOKENS = ["<tool_call>", "</tool_call>"]
# Exactly the split that llama.cpp names "qwen2"; with another one the ids would differ there.
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

Example = tuple[list[int], list[int]]


def train_tokenizer(rng: random.Random) -> PreTrainedTokenizerFast:
    """A BPE over the rendered conversations, with the chat marks as tokens of their own."""
    template = Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")
    split = pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(CONTROL_TOKENS) - len(TOOL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        # llama-cpp-python 0.3.36 silently drops tokens of more than 32 bytes.
        max_token_length=30,
        show_progress=False,
    )
    bpe.train_from_iterator(training_texts(rng), trainer)
    bpe.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in CONTROL_TOKENS])
    bpe.add_tokens([AddedToken(t, special=False, normalized=False) for t in TOOL_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token="<|endoftext|>",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=template,
    )


def training_texts(rng: random.Random, count: int = 6000) -> Iterator[str]:
    for _ in range(count):
        conversation = draw_conversation(rng)
        for message in conversation.messages:
            yield message["content"] or ""
            for call in message.get("tool_calls", []):
                yield f'{{"name": "{call["function"]["name"]}", "arguments": '
                yield call["function"]["arguments"]
        for tool in conversation.tools or []:
            function = tool["function"]
            arguments = ", ".join(function["parameters"]["properties"])
            yield f"# Tools\n{function['name']}: {function['description']} ({arguments})\nCall as"


def encode(tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> Example:
    """Ids of one conversation, and labels that are -100 wherever the assistant is not speaking."""
    conversation = draw_conversation(rng)
    text = tokenizer.apply_chat_template(
        conversation.messages, tools=conversation.tools, tokenize=False
    )
    ids: list[int] = []
    labels: list[int] = []

    def add(part: str, *, learn: bool) -> None:
        encoded = tokenizer.encode(part, add_special_tokens=False)
        ids.extend(encoded)
        labels.extend(encoded if learn else [-100] * len(encoded))

    asked, *turns = text.split(ASSISTANT)
    add(asked, learn=False)
    for turn in turns:
        said, following = turn.split(END, 1)
        add(ASSISTANT, learn=False)
        add(said + END, learn=True)
        add(following, learn=False)
    return ids, labels


def batches(
    tokenizer: PreTrainedTokenizerFast, rng: random.Random, size: int
) -> Iterator[list[Example]]:
    """Endless batches of about *size* padded tokens, each of conversations of like length."""
    while True:
        pool = sorted((encode(tokenizer, rng) for _ in range(3000)), key=lambda item: len(item[0]))
        ready: list[list[Example]] = [[]]
        for example in pool:
            if ready[-1] and len(example[0]) * (len(ready[-1]) + 1) > size:
                ready.append([])
            ready[-1].append(example)
        rng.shuffle(ready)
        yield from ready


def collate(batch: list[Example], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(len(ids) for ids, _ in batch)
    ids = torch.full((len(batch), length), pad)
    labels = torch.full((len(batch), length), -100)
    for row, (some_ids, some_labels) in enumerate(batch):
        ids[row, : len(some_ids)] = torch.tensor(some_ids)
        labels[row, : len(some_labels)] = torch.tensor(some_labels)
    return ids, labels


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen2ForCausalLM:
    config = Qwen2Config(
        vocab_size=math.ceil(len(tokenizer) / 64) * 64,
        hidden_size=HIDDEN,
        intermediate_size=INTERMEDIATE,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_VALUE_HEADS,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=tokenizer.pad_token_id,
        use_sliding_window=False,
        attention_dropout=0.0,
    )
    return Qwen2ForCausalLM(config)


def make_optimizer(
    model: Qwen2ForCausalLM, rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))

    def schedule(step: int) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * min(1, step / steps)))
        return min(1, (step + 1) / WARM_UP) * (0.02 + 0.98 * cosine)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)


def loss_of(model: Qwen2ForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    # Padded on the right and causal, so no attention mask is needed; logits only where learnt.
    hidden = model.model(input_ids=ids).last_hidden_state
    learnt = labels[:, 1:] != -100
    logits = model.lm_head(hidden[:, :-1][learnt]).float()
    return torch.nn.functional.cross_entropy(logits, labels[:, 1:][learnt])


def save(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    model.eval().to(torch.float16)
    model.generation_config.do_sample = False
    model.generation_config.eos_token_id = model.config.eos_token_id
    model.generation_config.pad_token_id = model.config.pad_token_id
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    # transformers 5 writes a class name here that 4 does not know; both know this one.
    path = out / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=3800)
    parser.add_argument("--tokens", type=int, default=1600, help="padded tokens in a batch")
    parser.add_argument("--rate", type=float, default=2.5e-3)
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    # Two OpenMP threads on a busy machine were slower than one (24 against 44 GFLOPS, 2026-11).
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    rng = random.Random(given.seed)
    tokenizer = train_tokenizer(rng)
    model = make_model(tokenizer)
    print(f"{len(tokenizer)} tokens, {model.num_parameters()} parameters")
    optimizer, schedule = make_optimizer(model, given.rate, given.steps)
    model.train()
    started = time.time()
    for step, batch in enumerate(batches(tokenizer, rng, given.tokens)):
        if step == given.steps:
            break
        loss = loss_of(model, *collate(batch, tokenizer.pad_token_id))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            spent = f"{time.time() - started:.0f} s, {time.process_time():.0f} cpu-s"
            print(f"step {step}: loss {loss.item():.4f}, {spent}", flush=True)
    save(model, tokenizer, given.out)
    print(f"{time.time() - started:.0f} s, {time.process_time():.0f} cpu-s in all")


if __name__ == "__main__":
    main()
