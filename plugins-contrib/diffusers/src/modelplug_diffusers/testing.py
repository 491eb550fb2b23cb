"""
Weights for tests and for trying things out, made here in seconds: a Stable Diffusion that
draws noise.

They are in the format of real ones and run through all of diffusers, but are random: the
same prompt and seed draw the same picture, others draw another, and none shows anything.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

VAE_SCALE = 2
"""Pixels of an image for one of the space that it is drawn in."""


def make_weights(folder: str | Path) -> Path:
    """Write them into *folder*, 0.2 MB, and answer its path; needs the engine and torch."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    folder = Path(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = _tokenizer()
        end = len(tokenizer) - 1
        unet = UNet2DConditionModel(
            block_out_channels=(4, 8),
            layers_per_block=1,
            sample_size=16,
            norm_num_groups=2,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=8,
            attention_head_dim=2,
        )
        vae = AutoencoderKL(
            block_out_channels=(4, 8),
            down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
            up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
            norm_num_groups=2,
        )
        encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=8,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                bos_token_id=end - 1,
                eos_token_id=end,
                pad_token_id=end,
            )
        )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(str(folder))
    return folder.resolve()


def _tokenizer() -> Any:
    """CLIP's, with a vocabulary of single bytes."""
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    with TemporaryDirectory() as made:
        vocabulary, merges = Path(made) / "vocab.json", Path(made) / "merges.txt"
        vocabulary.write_text(json.dumps({word: i for i, word in enumerate(words)}))
        merges.write_text("#version: 0.2\n")
        return CLIPTokenizer(str(vocabulary), str(merges), model_max_length=77)
