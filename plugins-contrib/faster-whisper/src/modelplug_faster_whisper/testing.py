"""
Weights for tests and for trying things out, made here in a second: a Whisper that knows tones.

They are in the format of real ones and run through all of faster-whisper, but are written by
hand: one layer that hears whether the lower or the upper half of the spectrum is louder, and
a decoder that says " low tone" or " high tone", from 0 to 0.5 s of each window of 30 s.
"""

from __future__ import annotations

import math
import struct
import wave
from io import BytesIO
from pathlib import Path
from typing import Any

WIDTH = 64
RATE = 16_000

SPECIAL = (
    *("<|endoftext|>", "<|startoftranscript|>", "<|translate|>", "<|transcribe|>"),
    *("<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
)

# What the state of the decoder says of the last token, and what it has heard: coordinates.
BEGIN, OPEN, PITCH, TONE, CLOSED, OTHER, LOW, HIGH = 0, 1, 2, 3, 4, 5, 8, 9

KINDS = {
    "<|startoftranscript|>": BEGIN,
    "<|0.00|>": OPEN,
    "<|notimestamps|>": OPEN,
    "Ġlow": PITCH,
    "Ġhigh": PITCH,
    "Ġtone": TONE,
    "<|0.50|>": CLOSED,
}

# How much a coordinate speaks for a token to come next.
NEXT = {
    "<|0.00|>": {BEGIN: 24},
    "Ġlow": {OPEN: 16, LOW: 8},
    "Ġhigh": {OPEN: 16, HIGH: 8},
    "Ġtone": {PITCH: 24},
    "<|0.50|>": {TONE: 24},
    "<|endoftext|>": {CLOSED: 24, TONE: 16, OTHER: 16},
}


def make_weights(folder: str | Path) -> Path:
    """Write them into *folder*, 1.7 MB, and answer its path; needs faster-whisper."""
    from ctranslate2.specs.whisper_spec import WhisperSpec

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    words = _write_tokenizer(folder)
    vocabulary = [*words, *SPECIAL, *(f"<|{step * 0.02:.2f}|>" for step in range(1501))]
    spec = WhisperSpec(1, 1, 1, 1)
    _write_encoder(spec.encoder)
    _write_decoder(spec.decoder, {token: number for number, token in enumerate(vocabulary)})
    spec.register_vocabulary(vocabulary)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.config.lang_ids = []
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    return folder.resolve()


def tone(frequency: float, seconds: float = 1.0, rate: int = RATE) -> bytes:
    """A WAV file with one tone; below 2000 Hz is low."""
    count = int(seconds * rate)
    samples = (int(16_000 * math.sin(2 * math.pi * frequency * i / rate)) for i in range(count))
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, rate, count, "NONE", "not compressed"))
        sound.writeframes(struct.pack(f"<{count}h", *samples))
    return file.getvalue()


def _write_tokenizer(folder: Path) -> list[str]:
    """tokenizer.json; its words in order, without SPECIAL."""
    import tokenizers as tk

    words = [*sorted(tk.pre_tokenizers.ByteLevel.alphabet()), "Ġlow", "Ġhigh", "Ġtone"]
    tokenizer = tk.Tokenizer(tk.models.BPE({word: i for i, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = tk.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tk.decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    return words


def _write_encoder(encoder: Any) -> None:
    """Coordinate 0 where the lower half of the 80 bands is louder, 1 where the upper is."""
    louder, passed = _zeros(WIDTH, 80, 3), _zeros(WIDTH, WIDTH, 3)
    louder[0, :40, 1], louder[0, 40:, 1] = 1 / 8, -1 / 8
    louder[1] = -louder[0]
    passed[0, 0, 1] = passed[1, 1, 1] = 10
    encoder.conv1.weight, encoder.conv1.bias = louder, _zeros(WIDTH)
    encoder.conv2.weight, encoder.conv2.bias = passed, _zeros(WIDTH)
    encoder.position_encodings.encodings = _zeros(1500, WIDTH)
    _write_norm(encoder.layer_norm)
    _write_idle(encoder.layer[0])


def _write_decoder(decoder: Any, ids: dict[str, int]) -> None:
    decoder.embeddings.weight = _zeros(len(ids), WIDTH)
    decoder.embeddings.weight[:, OTHER] = 1
    for token, kind in KINDS.items():
        decoder.embeddings.weight[ids[token]] = 0
        decoder.embeddings.weight[ids[token], kind] = 1
    decoder.position_encodings.encodings = _zeros(448, WIDTH)
    _write_norm(decoder.layer_norm)
    _write_idle(decoder.layer[0])
    # It looks where there is sound at all, and takes over what the encoder heard there. A
    # coordinate that stands alone is about 8 after a layer's normalisation.
    attention = decoder.layer[0].attention
    _write_norm(attention.layer_norm)
    query, heard = _zeros(WIDTH), _zeros(2 * WIDTH, WIDTH)
    query[0] = 80
    heard[0, 0] = heard[0, 1] = 1 / 8
    heard[WIDTH + LOW, 0] = heard[WIDTH + HIGH, 1] = 1 / 8
    _write_linear(attention.linear[0], _zeros(WIDTH, WIDTH), query)
    _write_linear(attention.linear[1], heard)
    same = _zeros(WIDTH, WIDTH)
    for i in range(WIDTH):
        same[i, i] = 1
    _write_linear(attention.linear[2], same)
    said = _zeros(len(ids), WIDTH)
    for token, reasons in NEXT.items():
        for kind, weight in reasons.items():
            said[ids[token], kind] = weight
    _write_linear(decoder.projection, said)


def _write_idle(layer: Any) -> None:
    """Self-attention and feed-forward that add nothing."""
    _write_norm(layer.self_attention.layer_norm)
    _write_linear(layer.self_attention.linear[0], _zeros(3 * WIDTH, WIDTH))
    _write_linear(layer.self_attention.linear[1], _zeros(WIDTH, WIDTH))
    _write_norm(layer.ffn.layer_norm)
    _write_linear(layer.ffn.linear_0, _zeros(WIDTH, WIDTH))
    _write_linear(layer.ffn.linear_1, _zeros(WIDTH, WIDTH))


def _write_linear(linear: Any, weight: Any, bias: Any = None) -> None:
    linear.weight = weight
    linear.bias = _zeros(len(weight)) if bias is None else bias


def _write_norm(norm: Any) -> None:
    norm.gamma, norm.beta = _zeros(WIDTH) + 1, _zeros(WIDTH)


def _zeros(*shape: int) -> Any:
    import numpy as np

    return np.zeros(shape, np.float32)
