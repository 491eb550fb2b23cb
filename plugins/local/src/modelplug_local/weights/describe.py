"""What the files of weights tell: what the model does and how much it reads at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from modelplug.errors import NoModel
from modelplug.types import ModelType
from modelplug_local.weights.gguf import read_head
from modelplug_local.weights.onnx import read_metadata

# The last word of an architecture's name in config.json, as transformers builds them.
_ARCHITECTURES = {
    "ForCausalLM": ModelType.LLM,
    "LMHeadModel": ModelType.LLM,
    "ForSpeechSeq2Seq": ModelType.STT,
    "ForCTC": ModelType.STT,
    "ForTextToSpeech": ModelType.TTS,
    "ForTextToWaveform": ModelType.TTS,
    "ForMaskedLM": ModelType.EMBED,
}

# By `model_type`, where the architecture's name says too little.
_FAMILIES = {
    ModelType.STT: "whisper speech_to_text moonshine granite_speech qwen3_asr",
    ModelType.TTS: "vits bark speecht5 parler_tts csm dia fastspeech2_conformer",
    ModelType.CROSS_MODAL_EMBED: (
        "clip chinese_clip siglip siglip2 altclip align jina_clip metaclip_2 mobileclip"
    ),
    ModelType.LLM: (
        "t5 mt5 umt5 bart mbart pegasus marian m2m_100 longt5 led bigbird_pegasus blenderbot"
        " t5gemma"
    ),
}
_BY_FAMILY = {name: type_ for type_, names in _FAMILIES.items() for name in names.split()}

# Networks that see, hear or fold proteins and make no vectors of texts.
_NO_TEXT = frozenset(
    "vit dinov2 dinov3_vit swin resnet convnext beit deit sam esm wav2vec2 hubert clap".split()
)

# transformers counts positions from after the padding token in these (padding_idx + 1).
_OFFSET = frozenset(("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "xmod"))

# `model_type` in the metadata of what sherpa-onnx speaks with.
_VOICES = frozenset(("vits", "melo-vits", "matcha-tts", "kokoro", "kitten-tts"))

_EDITS = ("img2img", "inpaint", "edit", "pix2pix", "kontext")


@frozen
class Described:
    """`type` None where the files do not tell; `said` is what they do say, for an error."""

    type: ModelType | None
    context: int | None
    said: str = ""


def describe(format: str, path: Path) -> Described:
    """What the weights at *path*, a file or a folder, are; NoModel where they are damaged."""
    if format == "gguf":
        head = read_head(path)
        return Described(head.type, head.context)
    folder = path if path.is_dir() else path.parent
    if format == "diffusers":
        pipeline = str(_read(folder / "model_index.json").get("_class_name", ""))
        return Described(_type_of_pipeline(pipeline), None, pipeline)
    if format == "ctranslate2":
        # faster-whisper's converter writes these; other models have none.
        config = _read(folder / "config.json")
        whisper = "alignment_heads" in config or "lang_ids" in config
        return Described(ModelType.STT if whisper else None, None, "a CTranslate2 model")
    if format == "onnx" and (folder / "tokens.txt").is_file():
        return _sherpa(folder)
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        folder = folder.parent  # onnx/model.onnx has its configuration one level up
    return _transformers(folder)


def _sherpa(folder: Path) -> Described:
    """A model for sherpa-onnx: its exporters write into the file what it is."""
    heads = [read_metadata(file) for file in sorted(folder.glob("*.onnx"))]
    kinds = [head["model_type"] for head in heads if "model_type" in head]
    speaks = any(kind in _VOICES for kind in kinds)
    return Described(ModelType.TTS if speaks else None, None, ", ".join(kinds))


def _transformers(folder: Path) -> Described:
    modules = _read(folder / "modules.json", default=[])
    config = _read(folder / "config.json", default={} if modules else None)
    own = _read(folder / "config_sentence_transformers.json", default={})
    told = _by_modules(modules, own)
    if modules and not config:
        return Described(told, None)
    architecture = str((config.get("architectures") or [""])[0])
    type_ = told or _by_config(architecture, config)
    return Described(type_, _context(folder, config, bool(modules)), repr(architecture))


def _by_modules(modules: Any, own: Mapping[str, Any]) -> ModelType | None:
    """What sentence-transformers says: its list of modules, and its kind of model since 5.0."""
    if own.get("model_type") == "CrossEncoder":
        return ModelType.RERANK
    kinds = [str(module.get("type", "")) for module in modules if isinstance(module, dict)]
    if any("CLIP" in kind for kind in kinds):
        return ModelType.CROSS_MODAL_EMBED
    return ModelType.EMBED if kinds else None


def _by_config(architecture: str, config: Mapping[str, Any]) -> ModelType | None:
    family = str(config.get("model_type", ""))
    if family in _BY_FAMILY:
        return _BY_FAMILY[family]
    if family in _NO_TEXT:
        return None
    if architecture.endswith("ForSequenceClassification"):
        # One score is a ranking; several are classes, of sentiment or of whatever.
        labels = config.get("num_labels", len(config.get("id2label") or (0,)))
        return ModelType.RERANK if labels == 1 else None
    if architecture.endswith("ForConditionalGeneration"):
        hears = "audio_config" in config and "vision_config" not in config
        return ModelType.LLM if hears else ModelType.VLM
    for end, type_ in _ARCHITECTURES.items():
        if architecture.endswith(end):
            sees = type_ == ModelType.LLM and ("vision_config" in config or "visual" in config)
            return ModelType.VLM if sees else type_
    return ModelType.EMBED if architecture.endswith("Model") else None


def _context(folder: Path, config: Mapping[str, Any], sentences: bool) -> int | None:
    if sentences:
        # What it was trained for; the encoder underneath may take more.
        limit = _read(folder / "sentence_bert_config.json", default={}).get("max_seq_length")
        if isinstance(limit, int):
            return limit
    text = config.get("text_config") or config
    positions = text.get("max_position_embeddings")
    if not isinstance(positions, int):
        return None
    if config.get("model_type") in _OFFSET:
        padding = config.get("pad_token_id", 1)
        return positions - padding - 1 if isinstance(padding, int) else positions
    return positions


def _type_of_pipeline(name: str) -> ModelType | None:
    lower = name.lower()
    if "video" in lower or "audio" in lower:
        return None
    if any(word in lower for word in _EDITS):
        return ModelType.IMAGE_EDITING
    return ModelType.TEXT2IMAGE if lower.endswith("pipeline") else None


def _read(path: Path, default: Any = None) -> Any:
    """The JSON in *path*; *default*, where there is one, for a file that does not exist."""
    if default is not None and not path.is_file():
        return default
    kind: type = dict if default is None else type(default)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as exc:
        msg = f"{str(path)!r} cannot be read: {exc}; fetch the model again"
        raise NoModel(msg) from exc
    if not isinstance(value, kind):
        msg = f"{str(path)!r} cannot be read: it holds no {kind.__name__}; fetch the model again"
        raise NoModel(msg)
    return value
