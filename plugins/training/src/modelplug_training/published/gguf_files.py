"""
Writes what was trained as GGUF, for llama.cpp: whole, or an adapter.

It is the base's GGUF with the tensors replaced: tokenizer, shapes and everything that
llama.cpp's own converter has to know of an architecture are taken from there. What becomes of
a tensor on the way (rows in another order, one added to a norm) is not known by name but
tried: it must turn the base's safetensors into what the base's GGUF holds. A base whose two
files are not the same model is found out by that as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from attrs import frozen

from modelplug.errors import TuningError
from modelplug_training.proof.tensors import Array, Tensors

Change = Callable[[Array], Array]
"""What a tensor goes through from safetensors to GGUF."""

# The relative error of 2 bits a weight is below 0.3; of another tensor it is above 1.
_SAME = 0.35
_BODIES = ("", "bert.", "roberta.", "model.", "language_model.")
# gguf knows no names for the heads of rerankers: llama.cpp computes cls_out(tanh(cls(x))).
_HEADS = {
    "pooler.dense": "cls",
    "classifier": "cls.output",
    "classifier.dense": "cls",
    "classifier.out_proj": "cls.output",
    "score": "cls.output",
}
_KEPT = {
    gguf.GGMLQuantizationType.F32,
    gguf.GGMLQuantizationType.F16,
    gguf.GGMLQuantizationType.BF16,
    gguf.GGMLQuantizationType.Q8_0,
}
"""Types that a tensor keeps; others, which need a calibration or C to be written, become F16."""


@frozen
class _Replacement:
    """A tensor of the base's GGUF, its name in safetensors, and the way from there."""

    tensor: Any
    source: str
    change: Change


class Base:
    """A base model in both formats; TuningError where they are not the same model."""

    def __init__(self, file: Path, folder: Path) -> None:
        self.file = file
        self._reader = gguf.GGUFReader(file)
        self._tensors = Tensors.of(folder)
        self.architecture = str(self._value("general.architecture"))
        self._names = self._gguf_names(list(self._tensors))

    def _value(self, key: str) -> Any:
        field = self._reader.fields.get(key)
        return None if field is None else field.contents()

    def _gguf_names(self, names: list[str]) -> dict[str, str]:
        """Name in GGUF to name in safetensors."""
        kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
        if self.architecture not in kinds:
            msg = f"this version of gguf does not know {self.architecture!r}; upgrade it"
            raise TuningError(msg)
        blocks = int(self._value(f"{self.architecture}.block_count"))
        known = gguf.get_tensor_name_map(kinds[self.architecture], blocks)
        found = {}
        for name in names:
            if told := _gguf_name(known, name):
                found[told] = name
        return found

    def _replacements(self) -> Iterator[_Replacement | Any]:
        """Each tensor of the GGUF, with what replaces it where something does."""
        for tensor in self._reader.tensors:
            source = self._names.get(tensor.name)
            if source is None and tensor.name == "output.weight":  # tied, and written twice
                source = self._names.get("token_embd.weight")
            if source is None:
                yield tensor  # computed by the converter, as rope_freqs
            else:
                yield _Replacement(tensor, source, self._change(tensor, source))

    def _change(self, tensor: Any, source: str) -> Change:
        wanted = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        wanted = wanted.reshape([int(each) for each in reversed(tensor.shape)])
        given = self._tensors[source]
        fitting: list[tuple[float, Change]] = []
        for change in self._changes(wanted.shape, given.shape):
            made = change(given)
            if made.shape == wanted.shape and (error := _error(made, wanted)) < _SAME:
                fitting.append((error, change))
                if wanted.ndim > 1:  # of matrices no two are near, and each try takes its time
                    break
        if fitting:
            # Of a norm some are: where weights are large, one more changes little.
            return min(fitting, key=itemgetter(0))[1]
        msg = (
            f"{self.file.name!r} is not the model that was trained: its {tensor.name} cannot be "
            f"made of {source}; give the GGUF of the same base"
        )
        raise TuningError(msg)

    def _changes(self, wanted: tuple[int, ...], given: tuple[int, ...]) -> Iterator[Change]:
        yield _nothing
        for key in ("head_count", "head_count_kv"):
            heads = self._value(f"{self.architecture}.attention.{key}")
            if isinstance(heads, int) and given[0] % (2 * heads) == 0:
                yield _interleaved(heads)
        yield _one_more
        if wanted[1:] == given[1:] and wanted[0] < given[0]:
            yield _without_first(given[0] - wanted[0])

    def write(self, tuned: Path, out: Path, name: str, pooling: str | None = None) -> None:
        """The model in folder *tuned*, an embedder of that *pooling*, as the file *out*."""
        new = Tensors.of(tuned)
        parts = [self._part(each, new) for each in self._replacements()]
        writer = gguf.GGUFWriter(out, self.architecture)
        for field in self._reader.fields.values():
            renewed = {*_RENEWED, *([f"{self.architecture}.pooling_type"] if pooling else [])}
            if not field.name.startswith("GGUF.") and field.name not in renewed:
                kind = field.types[0]
                inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
                writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
        writer.add_name(name)
        if pooling:
            writer.add_pooling_type(gguf.PoolingType[pooling.upper()])
        if (template := chat_template(tuned) or self._value(_TEMPLATE)) is not None:
            writer.add_chat_template(template)
        for tensor_name, kind, shape, _ in parts:
            dtype, bytes_shape = _layout(kind, shape)
            size = math.prod(bytes_shape) * np.dtype(dtype).itemsize
            writer.add_tensor_info(tensor_name, bytes_shape, np.dtype(dtype), size, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for _, kind, _, make in parts:
            writer.write_tensor_data(gguf.quants.quantize(np.ascontiguousarray(make()), kind))
        writer.close()

    def _part(
        self, each: _Replacement | Any, new: Tensors
    ) -> tuple[str, Any, tuple[int, ...], Callable[[], Array]]:
        """(name, type, shape, what makes the data) of one tensor of the new file."""
        tensor = each.tensor if isinstance(each, _Replacement) else each
        shape = tuple(int(size) for size in reversed(tensor.shape))
        kind = tensor.tensor_type if tensor.tensor_type in _KEPT else gguf.GGMLQuantizationType.F16
        if not isinstance(each, _Replacement):
            old = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(shape)
            return tensor.name, kind, shape, lambda: old
        source = _present(each.source, new)
        if source is None or each.change(new[source]).shape != shape:
            msg = (
                f"the trained weights have no {each.source} of the base's shape, so they cannot "
                f"be written as GGUF"
            )
            raise TuningError(msg)
        return tensor.name, kind, shape, lambda: each.change(new[source])

    def write_adapter(self, adapter: Path, out: Path) -> None:
        """The LoRA adapter in folder *adapter*, as peft saves it, as the file *out*."""
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        if config.get("modules_to_save") or config.get("use_dora"):
            msg = "an adapter with whole modules in it, or with DoRA, cannot be written as GGUF"
            raise TuningError(msg)
        rank, alpha = config["r"], float(config["lora_alpha"])
        tensors = Tensors.of(adapter)
        by_source = {source: name for name, source in self._names.items()}
        by_name = {tensor.name: tensor for tensor in self._reader.tensors}
        writer = gguf.GGUFWriter(out, self.architecture)
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        # llama.cpp scales by alpha / rank, and rslora by alpha / sqrt(rank).
        scale = math.sqrt(rank) if config.get("use_rslora") else 1.0
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha * scale)
        for name in tensors:
            bare, _, side = name.removesuffix(".weight").rpartition(".")
            source = f"{bare.removeprefix('base_model.model.')}.weight"
            if side not in ("lora_A", "lora_B") or source not in by_source:
                msg = f"{name} of the adapter has no counterpart in {self.file.name!r}"
                raise TuningError(msg)
            target = by_source[source]
            made = tensors[name].astype(np.float32)
            if side == "lora_B":  # its rows are those of the tensor that it is added to
                made = self._change(by_name[target], source)(made)
            writer.add_tensor(f"{target}.{side.lower()}", np.ascontiguousarray(made))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


_TEMPLATE = "tokenizer.chat_template"
_RENEWED = ("general.architecture", "general.name", "general.file_type", _TEMPLATE)


def chat_template(folder: Path) -> str | None:
    """The chat template of a folder as transformers saves it."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    config = folder / "tokenizer_config.json"
    if not config.is_file():
        return None
    told = json.loads(config.read_text(encoding="utf-8")).get("chat_template")
    return told if isinstance(told, str) else None


def _gguf_name(known: Any, name: str) -> str | None:
    for body in _BODIES:
        bare = name.removeprefix(body) if body else name
        for suffix in (".weight", ".bias"):
            if head := _HEADS.get(bare.removesuffix(suffix)) if bare.endswith(suffix) else None:
                return head + suffix
        if told := known.get_name(bare, try_suffixes=(".weight", ".bias")):
            return str(told)
    return None


def _present(source: str, new: Tensors) -> str | None:
    """*source*, or its name with or without that of the model's body."""
    names = [source, *(body + source for body in _BODIES)]
    names += [source.removeprefix(body) for body in _BODIES]
    return next((name for name in names if name in new), None)


def _layout(kind: Any, shape: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    if kind == gguf.GGMLQuantizationType.F32:
        return np.float32, shape
    if kind == gguf.GGMLQuantizationType.F16:
        return np.float16, shape
    return np.uint8, gguf.quant_shape_to_byte_shape(shape, kind)


def _error(made: Array, wanted: Array) -> float:
    scale = float(np.linalg.norm(wanted))
    distance = float(np.linalg.norm(made.astype(np.float32) - wanted))
    return distance / scale if scale else distance


def _nothing(tensor: Array) -> Array:
    return tensor


def _one_more(tensor: Array) -> Array:
    return tensor + 1  # Gemma's norms


def _interleaved(heads: int) -> Change:
    """Llama's q and k: the two halves of each head's rotation, side by side."""

    def change(tensor: Array) -> Array:
        rows = tensor.shape[0]
        halves = tensor.reshape(heads, 2, rows // heads // 2, *tensor.shape[1:])
        return halves.swapaxes(1, 2).reshape(tensor.shape)

    return change


def _without_first(count: int) -> Change:
    return lambda tensor: tensor[count:]  # RoBERTa's positions begin after the padding's
