"""How many tokens a text is, for the report on data; exact where tokenizers is installed."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

# A letter of a script without spaces is about a token; of other text about four are one.
_WIDE = re.compile(r"[\u0e00-\u0eff\u1100-\u11ff\u2e80-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]")


def counter(folder: Path) -> Callable[[str], int]:
    """What counts the tokens of a text as the tokenizer in *folder* has it, or estimates them."""
    file = folder / "tokenizer.json"
    if not file.is_file() or find_spec("tokenizers") is None:
        return estimate
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def estimate(text: str) -> int:
    """About how many tokens *text* is."""
    wide = len(_WIDE.findall(text))
    return wide + (len(text) - wide + 3) // 4
