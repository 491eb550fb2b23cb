"""
The texts that `tiny-embed` and `tiny-rerank` are distilled on.

English comes from WordNet 3.0 (its glosses and example sentences; Debian package
`wordnet-base`) and from the templates below. Chinese comes from the templates only, each
sentence with its English twin: the teacher reads the English one, the student the Chinese.
"""

from __future__ import annotations

import random
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One WordNet synset: its words, what they mean, and sentences that use them."""

    words: list[str]
    gloss: str
    examples: list[str]


@dataclass(frozen=True)
class Twin:
    """One sentence in two languages."""

    chinese: str
    english: str


def load_twins() -> dict[str, list[Twin]]:
    """The tables of `parallel.toml`, in their order."""
    path = Path(__file__).with_name("parallel.toml")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        name: [Twin(chinese, english) for chinese, english in table.items()]
        for name, table in tables.items()
    }


TWINS = load_twins()
HOLES = {"p": "people", "a": "actions", "q": "qualities", "l": "places", "t": "times"}
# Words of everyday English that WordNet's glosses are short of; the templates pair them up.
NOUNS = (
    "cat kitten dog puppy horse cow sheep pig chicken bird fish mouse rabbit lion tiger "
    "elephant bear monkey snake bee butterfly apple banana orange lemon grape cherry tomato "
    "potato carrot onion salad soup bread cheese butter egg milk coffee tea juice beer wine "
    "water sugar salt rice pasta pizza cake cookie chocolate breakfast lunch dinner kitchen "
    "oven fridge knife fork spoon plate cup table chair sofa bed lamp window door wall roof "
    "house apartment garden flower rose tree forest river lake sea beach island mountain "
    "valley desert sky cloud rain snow storm wind sun moon star planet summer winter spring "
    "autumn car truck bus train plane airport ship boat bicycle road bridge ticket passport "
    "hotel holiday city village street shop market supermarket restaurant bank money price "
    "salary tax job office meeting boss company factory engineer doctor nurse hospital "
    "medicine disease fever headache heart brain teacher student school university exam "
    "homework book novel poem newspaper letter email phone computer laptop keyboard screen "
    "software program code bug database server network internet website password account file "
    "data algorithm model robot camera photo movie actor song music piano guitar violin "
    "concert museum painting football basketball tennis game match team player coach running "
    "swimming shirt dress shoes hat coat king queen president government election law court "
    "judge police thief prison war army soldier peace church wedding birthday gift family "
    "mother father child baby friend neighbour history mathematics physics chemistry biology "
    "language word energy electricity battery engine oil gas metal gold silver wood glass "
    "paper plastic order refund invoice delivery customer insurance weather temperature sleep "
    "exercise diet health vaccine vitamin "
).split()
VERBS = (
    "buy,sell,find,clean,repair,paint,draw,carry,open,close,build,break,cook,eat,drink,grow,feed,"
    "love,hate,need,want,see,hear,like,use,lose,keep,make,move,design,teach,study,describe,pay for,"
    "look after,talk about,think about,write about,wait for"
).split(",")


FRAMES = [
    "{a}",
    "the {a} and the {b}",
    "How do I {v} a {a}?",
    "What is a {a}?",
    "I want to {v} the {a}.",
    "Where can I {v} a {a}?",
    "She likes the {a}.",
    "We {v} the {a} in the {b}.",
    "the best {a}",
    "My {a} is near the {b}.",
    "Tell me about the {a}.",
    "He has a new {a}.",
    "a {a} for the {b}",
    "The {a} is broken.",
    "They {v} a {a} every day.",
    "Why is the {a} important for the {b}?",
    "There is a {a} on the {b}.",
    "Can you {v} the {a}?",
    "The {a} was expensive.",
    "{a} {b}",
]


def read_wordnet(folder: Path) -> list[Entry]:
    """Every synset of the `data.*` files in *folder*."""
    entries = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):  # the licence, at the head of each file
                continue
            fields, _, text = line.partition("|")
            cells = fields.split()
            count = int(cells[3], 16)
            words = [cell.split("(")[0].replace("_", " ") for cell in cells[4 : 4 + 2 * count : 2]]
            examples = [found.strip() for found in re.findall(r'"([^"]+)"', text)]
            gloss = re.sub(r'\s*"[^"]+"', "", text).strip(" ;")
            entries.append(Entry(words, gloss, examples))
    return entries


def everyday_english(rng: random.Random, count: int) -> list[str]:
    """Short sentences and questions of two nouns and a verb."""
    sentences = set()
    while len(sentences) < count:
        a, b = rng.sample(NOUNS, 2)
        verb = rng.choice(VERBS)
        sentences.add(rng.choice(FRAMES).format(a=a, b=b, v=verb))
    return sorted(sentences)


def parallel(rng: random.Random, count: int) -> list[Twin]:
    """All single words and whole sentences, and as many made by template as make *count*."""
    made = {twin for name, table in TWINS.items() if name != "templates" for twin in table}
    made |= {Twin(f"{one.chinese}。", f"{one.english}.") for one in TWINS["sentences"]}
    while len(made) < count:
        x, y = rng.sample(TWINS["things"], 2)
        drawn = {"x": x, "y": y, **{hole: rng.choice(TWINS[name]) for hole, name in HOLES.items()}}
        template = rng.choice(TWINS["templates"])
        made.add(
            Twin(
                template.chinese.format(**{hole: twin.chinese for hole, twin in drawn.items()}),
                template.english.format(**{hole: twin.english for hole, twin in drawn.items()}),
            )
        )
    return sorted(made, key=lambda twin: (twin.chinese, twin.english))


def chinese_characters() -> list[str]:
    """Every Chinese character and mark the templates can write."""
    twins = parallel(random.Random(0), 12000)
    return sorted(
        {character for twin in twins for character in twin.chinese if ord(character) > 127}
    )
