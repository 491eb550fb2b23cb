"""
What sentence-transformers gives when it is called directly: `direct.py JSON`, JSON on stdout.

A program of its own: torch stays out of the process that runs the tests.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from sentence_transformers import CrossEncoder, SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

WORDS = "<start> <end> <unk> a red kite stone green blue house the on flies".split()


def make_clip(folder: Path) -> None:
    """A CLIP model with random weights, 24 numbers wide, that reads 16 tokens."""
    words = models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="<unk>")
    tokenizer = Tokenizer(words)
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 0), ("<end>", 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<start>",
        eos_token="<end>",
        pad_token="<end>",
        unk_token="<unk>",
        model_max_length=16,
    )
    half: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "projection_dim": 24}
    half |= {"num_hidden_layers": 2, "num_attention_heads": 2}
    text = half | {"vocab_size": len(WORDS), "max_position_embeddings": 16}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    vision = half | {"image_size": 32, "patch_size": 8}
    torch.manual_seed(7)
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    CLIPModel(config).save_pretrained(folder)
    sight = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(sight, fast).save_pretrained(folder)


def make_classifier(folder: Path, tokenizer: Path) -> None:
    """A model with random weights that tells three classes apart."""
    config = BertConfig(
        vocab_size=4096, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_labels=3
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


def make_encoders(near: Path, offset: Path, tokenizer: Path) -> None:
    """Models with random weights: of near tokens alone; of places from the padding's number on."""
    words = AutoTokenizer.from_pretrained(tokenizer)
    shape: dict[str, Any] = {"vocab_size": 4096, "hidden_size": 32, "intermediate_size": 64}
    shape |= {"num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": words.pad_token_id}
    torch.manual_seed(7)
    window = ModernBertConfig(**shape, local_attention=8, global_attn_every_n_layers=2)
    ModernBertModel(window).save_pretrained(near)
    RobertaModel(RobertaConfig(**shape, max_position_embeddings=520)).save_pretrained(offset)
    for folder in (near, offset):
        words.save_pretrained(folder)


class Plain(torch.nn.Module):
    """A transformer with arguments in order, as the exporter passes them."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Any, mask: Any, segments: Any) -> Any:
        """The tokens' vectors."""
        return self.model(input_ids=ids, attention_mask=mask, token_type_ids=segments)[0]


def make_graph(path: str, target: Path, scale: float) -> None:
    """The transformer of *path*, its word vectors times *scale*, as a graph in ONNX."""
    model = AutoModel.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")
    model.eval()
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(scale)
    target.parent.mkdir(parents=True, exist_ok=True)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.ones((2, 9), dtype=torch.long)
    torch.onnx.export(
        Plain(model),
        (ids, ids, torch.zeros_like(ids)),
        str(target),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes={name: {0: "batch", 1: "length"} for name in [*names, "last_hidden_state"]},
        dynamo=False,
    )


def embeddings(path: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The vectors of each set of texts and of images, by how they are asked for."""
    model = SentenceTransformer(path, device="cpu", model_kwargs={"dtype": "float32"})
    found = {}
    for name, texts in asked.items():
        encode = getattr(model, name.partition("@")[0])
        items = [Image.open(it["image"]) if isinstance(it, dict) else it for it in texts]
        found[name] = encode(items, batch_size=1).tolist()
    return found


def main() -> None:
    """Make and answer what is asked for."""
    torch.set_num_threads(1)
    asked = json.loads(sys.argv[1])
    make_clip(Path(asked["clip"]))
    make_classifier(Path(asked["classifier"]), Path(asked["graphs"][0][0]))
    make_encoders(Path(asked["near"]), Path(asked["offset"]), Path(asked["graphs"][0][0]))
    for path, target, scale in asked["graphs"]:
        make_graph(path, Path(target), scale)
    found: dict[str, Any] = {
        path: embeddings(path, texts) for path, texts in asked["embed"].items()
    }
    for path, pairs in asked["rerank"].items():
        ranker = CrossEncoder(path, device="cpu", model_kwargs={"dtype": "float32"})
        found[path] = ranker.predict([tuple(pair) for pair in pairs], batch_size=1).tolist()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
