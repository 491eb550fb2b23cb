"""
Which files weights of each format are, in a folder or in a hub's listing: one rule for both.

A recogniser is given the names of all files, with `/` between folders, and answers those that
the format needs: one quantization of a GGUF repository, safetensors without the same weights
as .bin beside them. What the files tell about the model is read in describe.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from attrs import frozen

QUANTIZATION = re.compile(
    r"(?:^|[._-])(?P<name>(?:ud-)?(?:i?q\d\w*|mxfp4\w*|nvfp4)|(?:b?f|fp)16|(?:f|fp)32)$",
    re.IGNORECASE,
)
SPLIT = re.compile(r"-(?P<part>\d{5})-of-(?P<of>\d{5})$")

PREFERRED = ("q4_k_m", "q5_k_m", "q6_k", "q8_0", "q4_0")
"""Quantizations where a folder has several: the usual middle between size and quality first."""

PROJECTOR = "mmproj"

_LEGAL = re.compile(r"(?i)(?:licen[cs]e|notice|use_policy|copying)[^/]*")
_CONFIGURATION = (".json", ".txt", ".model", ".jinja", ".py", ".tiktoken", ".spm", ".bpe", ".vocab")
# What a training run leaves behind, and indexes, which are taken with the shards they name.
_SUPERFLUOUS = re.compile(
    r"(?i)(?:training_args|trainer_state|optimizer|scheduler\.pt|all_results|eval_results"
    r"|requirements|readme)|\.index(?:\.\w+)?\.json$"
)
_SHARD = re.compile(
    r"(?P<base>.+?)(?:\.(?P<variant>fp16|fp32|bf16|fp8\w*|int8|int4|non_ema|ema))?"
    r"(?:-(?P<part>\d{5})-of-(?P<of>\d{5}))?\.(?P<kind>safetensors|bin)$"
)
# Mistral and Meta put the same weights beside the usual ones, in a layout of their own.
_DUPLICATES = re.compile(r"(?:consolidated|original|optimizer|adapter|rng_state|training_args)")
_MODULE = re.compile(r"\d+_\w+")
_ONNX_DEFAULT = "model"


@frozen
class Parts:
    """
    The `files` that a format needs; `main` is the one to open, empty where it is the folder.

    `missing` are files that the others show to exist and that are not there.
    """

    main: str
    files: Sequence[str]
    missing: Sequence[str] = ()


def gguf(names: Collection[str], variant: str = "") -> Parts | None:
    """One quantization, *variant* or the preferred one, all its parts, and one projector."""
    models, projectors = _ggufs(names)
    if variant:
        models = {key: paths for key, paths in models.items() if variant in _variants_of(key[0])}
    if not models:
        return None
    paths = min(models.values(), key=lambda paths: (bool(_lacking(paths)), _rank(paths[0])))
    folder = str(PurePosixPath(paths[0]).parent)
    # One beside the model goes before one elsewhere in the repository.
    sight = sorted(projectors, key=lambda p: (str(PurePosixPath(p).parent) != folder, _sight(p)))
    return Parts(paths[0], (*paths, *sight[:1], *_legal(names)), _lacking(paths))


def quantizations(names: Collection[str]) -> list[str]:
    """The quantizations that GGUF files among *names* have."""
    found = (QUANTIZATION.search(stem) for stem, _ in _ggufs(names)[0])
    return sorted({match["name"].lower() for match in found if match})


def safetensors(names: Collection[str], variant: str = "") -> Parts | None:
    """
    A transformers or sentence-transformers folder.

    Where there are no safetensors at all its `pytorch_model.bin` is taken: much used
    embedding models were never converted (BAAI/bge-large-zh-v1.5, 2026-11). Its loaders read
    that without running code in it (torch >= 2.6, weights_only).
    """
    if variant or not {"config.json", "modules.json"} & set(names):
        return None
    modules = [""]
    if "modules.json" in names:
        modules += sorted({n.split("/")[0] for n in names if "/" in n and _MODULE.match(n)})
    chosen = {module: _weights(names, module) for module in modules}
    first = next((parts for parts in chosen.values() if parts and parts.files), None)
    if first is None:
        return None
    files = [name for parts in chosen.values() if parts for name in parts.files]
    files += [name for module in modules for name in _configuration(names, module)]
    missing = [name for parts in chosen.values() if parts for name in parts.missing]
    return Parts("", _unique([*files, *_legal(names)]), missing)


def ctranslate2(names: Collection[str], variant: str = "") -> Parts | None:
    """What ct2-transformers-converter writes: model.bin beside a vocabulary."""
    vocabulary = [n for n in names if re.fullmatch(r"(?:\w+_)?vocabulary\.(?:json|txt)", n)]
    if variant or not {"model.bin", "config.json"} <= set(names) or not vocabulary:
        return None
    return Parts("", _unique(["model.bin", *_configuration(names, ""), *_legal(names)]))


def onnx(names: Collection[str], variant: str = "") -> Parts | None:
    """`onnx/model.onnx` or `model.onnx`, or the only .onnx there is; *variant* as in model_int8."""
    if "tokens.txt" in names and not variant:
        return _sherpa(names)
    stem = f"{_ONNX_DEFAULT}_{variant}" if variant else _ONNX_DEFAULT
    found = [n for n in names if n.endswith(".onnx") and n.count("/") <= 1]
    main = next((n for n in (f"onnx/{stem}.onnx", f"{stem}.onnx") if n in found), None)
    if main is None:
        if variant or len(found) != 1:
            return None
        main = found[0]
    # Weights above 2 GB are in files beside, named after it; a voice's settings too (Piper).
    beside = [
        n for n in names if n != main and n.startswith((f"{main}_data", f"{main}.", f"{main}-"))
    ]
    return Parts(main, _unique([main, *sorted(beside), *_configuration(names, ""), *_legal(names)]))


def _sherpa(names: Collection[str]) -> Parts | None:
    """A model for sherpa-onnx: one or several .onnx beside tokens.txt, and rules of speech."""
    own = (".onnx", ".onnx.json", ".txt", ".bin", ".fst", ".far")
    files = [name for name in _inside(names, "") if name.endswith(own)]
    files += [name for name in names if name.startswith(("espeak-ng-data/", "dict/"))]
    if not any(name.endswith(".onnx") for name in files):
        return None
    return Parts("", _unique([*files, *_legal(names)]))


def diffusers(names: Collection[str], variant: str = "") -> Parts | None:
    """A pipeline: model_index.json and a folder for each component."""
    if "model_index.json" not in names:
        return None
    files, weighty = ["model_index.json"], False
    missing: list[str] = []
    for folder in sorted({name.split("/")[0] for name in names if name.count("/") == 1}):
        parts = _weights(names, folder, variant)
        files += _configuration(names, folder)
        if parts:
            weighty = True
            files += parts.files
            missing += parts.missing
    return Parts("", _unique([*files, *_legal(names)]), missing) if weighty else None


FORMATS: Mapping[str, Callable[[Collection[str], str], Parts | None]] = {
    "gguf": gguf,
    "safetensors": safetensors,
    "ctranslate2": ctranslate2,
    "onnx": onnx,
    "diffusers": diffusers,
}
"""Each format's recogniser: (names of all files, variant) to its parts, None if it is not there."""


def present(names: Collection[str]) -> list[str]:
    """The formats that are among *names*."""
    return [format_ for format_, recognise in FORMATS.items() if recognise(names, "")]


def plain(stem: str) -> str:
    """`qwen2-1.5b` of `qwen2-1.5b-q4_k_m-00001-of-00002`."""
    whole = SPLIT.sub("", stem)
    return QUANTIZATION.sub("", whole) or whole


def _ggufs(names: Iterable[str]) -> tuple[dict[tuple[str, str], list[str]], list[str]]:
    """((path without extension and part, number of parts) to the parts in order, projectors)."""
    models: dict[tuple[str, str], list[str]] = {}
    projectors = []
    for name in sorted(names):
        path = PurePosixPath(name)
        if path.suffix.lower() != ".gguf":
            continue
        if PROJECTOR in path.name.lower():
            projectors.append(name)
            continue
        part = SPLIT.search(path.stem)
        stem = SPLIT.sub("", name[: -len(path.suffix)])
        models.setdefault((stem, part["of"] if part else ""), []).append(name)
    return models, projectors


def _lacking(paths: Sequence[str]) -> list[str]:
    part = SPLIT.search(PurePosixPath(paths[0]).stem)
    if part is None:
        return []
    there = {SPLIT.search(PurePosixPath(path).stem)["part"] for path in paths}  # type: ignore[index]
    stem, suffix = SPLIT.sub("", paths[0][:-5]), paths[0][-5:]
    every = [f"{number:05}" for number in range(1, int(part["of"]) + 1)]
    return [f"{stem}-{number}-of-{part['of']}{suffix}" for number in every if number not in there]


def _variants_of(stem: str) -> tuple[str, ...]:
    """`q8_0`, and the whole file's name for one that has no such ending."""
    name = PurePosixPath(stem).name.lower()
    found = QUANTIZATION.search(name)
    return (found["name"], name) if found else (name,)


def _rank(path: str) -> tuple[int, str]:
    stem = SPLIT.sub("", PurePosixPath(path).stem).lower()
    ranks = [index for index, name in enumerate(PREFERRED) if stem.endswith(name)]
    return (ranks[0] if ranks else len(PREFERRED), path)


def _sight(path: str) -> tuple[int, str]:
    stem = PurePosixPath(path).stem.lower()
    order = ("bf16", "f16", "q8_0", "f32")  # a projector loses more by quantization than it saves
    ranks = [index for index, name in enumerate(order) if name in stem]
    return (0 if "f16" in stem and "bf16" not in stem else ranks[0] + 1 if ranks else 9, path)


def _weights(names: Collection[str], folder: str, variant: str = "") -> Parts | None:
    """The weights in *folder* alone, once: safetensors before .bin, whole before sharded."""
    for kind in ("safetensors", "bin"):
        groups: dict[tuple[str, str, str], list[str]] = {}
        for name in sorted(_inside(names, folder)):
            found = _SHARD.fullmatch(PurePosixPath(name).name)
            if found is None or found["kind"] != kind or _DUPLICATES.match(found["base"]):
                continue
            if kind == "bin" and found["base"] not in ("pytorch_model", "diffusion_pytorch_model"):
                continue
            key = (found["base"], found["variant"] or "", found["of"] or "")
            groups.setdefault(key, []).append(name)
        if groups:
            return _pick(names, folder, groups, variant)
    return None


def _pick(
    names: Collection[str],
    folder: str,
    groups: Mapping[tuple[str, str, str], list[str]],
    variant: str,
) -> Parts:
    usual = [
        key for key in groups if key[0] in ("model", "diffusion_pytorch_model", "pytorch_model")
    ]
    wanted = [key for key in usual if key[1] == variant] or [k for k in usual if not k[1]] or usual
    # Files of no usual name belong together, as nothing tells them apart.
    keys = sorted(wanted, key=lambda key: (bool(key[2]), key))[:1] or sorted(groups)
    files, missing = [], []
    for base, kind_of, of in keys:
        files += groups[base, kind_of, of]
        if of:
            some = PurePosixPath(groups[base, kind_of, of][0])
            every = [f"-{part:05}-of-{of}" for part in range(1, int(of) + 1)]
            all_of_them = [re.sub(r"-\d{5}-of-\d{5}", part, str(some)) for part in every]
            missing += [name for name in all_of_them if name not in names]
            stem = f"{base}.{some.suffix[1:]}.index"
            files += [
                name
                for name in _inside(names, folder)
                if PurePosixPath(name).name in (f"{stem}.json", f"{stem}.{kind_of}.json")
            ]
    return Parts("", files, missing)


def _configuration(names: Collection[str], folder: str) -> list[str]:
    """Configuration, tokenizer, template and code in *folder*: small, and needed to load it."""
    found = []
    for name in _inside(names, folder):
        last = PurePosixPath(name).name
        fits = last.endswith(_CONFIGURATION) or last.startswith("tokenizer")
        if fits and not _SUPERFLUOUS.search(last) and not last.startswith("."):
            found.append(name)
    if not folder:
        found += _inside(names, "additional_chat_templates")
    return sorted(found)


def _inside(names: Iterable[str], folder: str) -> list[str]:
    return [name for name in names if name.rpartition("/")[0] == folder]


def _legal(names: Iterable[str]) -> list[str]:
    """Licences travel with the weights."""
    return sorted(name for name in names if _LEGAL.fullmatch(name))


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
