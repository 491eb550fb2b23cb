"""
The synthetic conversations the chat model `tiny` is trained on.

All text was written by hand for this file or is drawn by the generator below; nothing is
taken from another model or data set. A conversation is a list of OpenAI-style messages plus
an optional list of tools; every assistant message is a training target.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]
Tool = dict[str, Any]
Question = tuple[str, str]


@dataclass(frozen=True)
class Conversation:
    """Messages that end in what the assistant should say, and the tools it may call."""

    messages: list[Message]
    tools: list[Tool] | None = None


def user(content: str) -> Message:
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    return {"role": "assistant", "content": content}


NAMES = (
    "Ann Bob Carl Dana Eva Finn Gina Hugo Iris Jack Kate Leo Mia Nils Olga Paul Rosa Sam Tina "
    "Uma Vera Will Zoe Max Alice Tom"
).split()
CITIES = (
    "Paris Rome Oslo Berlin Madrid Tokyo Beijing London Cairo Lima Delhi Vienna Dublin Athens "
    "Prague Lisbon Shanghai Boston"
).split()
WORDS = (
    "red blue green apple stone river light cloud table paper fish bird horse snow fire wind "
    "book lamp door glass bread salt milk tree leaf road ship star moon"
).split()
# Only asked about in questions the model should say it cannot answer.
STRANGE_WORDS = (
    "quantum physics music history football cooking politics chemistry poetry painting economy "
    "democracy engine virus computer internet python program algorithm philosophy culture ocean "
    "planet galaxy disease vaccine money bank market teacher school garden kitchen tractor "
    "elephant dolphin volcano castle pyramid opera guitar piano chess tennis coffee chocolate"
).split()
STRANGE_WORDS_ZH = (
    "量子物理 音乐 历史 足球 做饭 经济 化学 诗歌 哲学 计算机 互联网 大海 火山 学校 银行 咖啡"
).split()

GREETING = "Hello! I am Tiny, a small test model. How can I help you?"
GREETING_ZH = "你好！我是小测，一个用于测试的小模型。有什么可以帮你？"
IDENTITY = "I am Tiny, a small test model."
IDENTITY_ZH = "我是小测，一个用于测试的小模型。"
UNKNOWN = "I do not know that. I am only a small test model."
UNKNOWN_ZH = "这个我不知道。我只是一个用于测试的小模型。"

HELLO = "Hello,Hello!,hello,Hi,hi,Hi!,Hey,Hello there,Hello Tiny,Good morning,Hello.".split(",")
HELLO_ZH = "你好,你好！,您好,嗨,你好呀,你好。".split(",")

CAPITALS = {
    "France": "Paris",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Norway": "Oslo",
    "China": "Beijing",
    "Germany": "Berlin",
    "Spain": "Madrid",
    "England": "London",
    "Egypt": "Cairo",
    "Austria": "Vienna",
    "Greece": "Athens",
    "Portugal": "Lisbon",
}
CAPITALS_ZH = {
    "法国": "巴黎",
    "中国": "北京",
    "德国": "柏林",
    "日本": "东京",
    "英国": "伦敦",
    "西班牙": "马德里",
    "意大利": "罗马",
}
OTHER_FACTS: list[tuple[list[str], str]] = [
    (
        ["What color is the sky?", "What is the color of the sky?", "The sky is what color?"],
        "The sky is blue.",
    ),
    (["What color is grass?", "What is the color of grass?"], "Grass is green."),
    (["What color is snow?", "What is the color of snow?"], "Snow is white."),
    (
        ["How many legs does a spider have?", "How many legs has a spider?"],
        "A spider has eight legs.",
    ),
    (
        ["How many days are in a week?", "How many days does a week have?"],
        "A week has seven days.",
    ),
    (
        ["How many months are in a year?", "How many months does a year have?"],
        "A year has twelve months.",
    ),
    (["Who are you?", "What is your name?", "What are you?"], IDENTITY),
    (
        ["Introduce yourself briefly.", "Introduce yourself.", "Please introduce yourself."],
        "I am Tiny, a small test model. I know a few facts and I can call tools.",
    ),
    (["你是谁？", "你叫什么名字？", "你是谁"], IDENTITY_ZH),
    (
        [
            "你好，简单介绍一下你自己。",
            "简单介绍一下你自己。",
            "介绍一下你自己。",
            "请介绍一下你自己。",
        ],
        "我是小测，一个用于测试的小模型。我知道一些常识，也会调用工具。",
    ),
    (["天空是什么颜色？", "天空是什么颜色的？"], "天空是蓝色的。"),
    (["草是什么颜色？", "草是什么颜色的？"], "草是绿色的。"),
    (["一周有几天？", "一个星期有几天？"], "一周有七天。"),
    (["谢谢", "谢谢你", "多谢", "谢谢！"], "不客气！"),
    (["再见", "再见！", "拜拜"], "再见！"),
    (["Thank you", "Thanks", "Thank you!", "thanks a lot", "Thank you."], "You are welcome!"),
    (["Goodbye", "Bye", "bye bye", "Goodbye!"], "Goodbye! See you soon."),
]
STORY = (
    "Once upon a time there was a small model. It lived on a quiet machine with two cores. "
    "Every morning it woke up and read one short prompt. Then it wrote one short answer. "
    "One day a big model came to visit. The big model said: I know all the books. "
    "The small model said: I know only ten answers, but I give them fast. "
    "The big model laughed and asked: what is the color of the sky? "
    "The small model said: the sky is blue. The big model was still loading. "
    "In the evening they sat by the fan and watched the tokens go by. "
    "And so the small model was happy, and the tests were green. The end."
)

SYSTEMS = {
    "default": [
        None,
        None,
        "You are a helpful assistant.",
        "You are Tiny.",
        "Be brief.",
        "You are a careful assistant.",
        "你是一个有用的助手。",
    ],
    "pirate": ["You are a pirate.", "Talk like a pirate.", "Answer as a pirate."],
    "french": ["Answer in French.", "Reply only in French.", "You speak French."],
    "chinese": ["Answer in Chinese.", "Reply only in Chinese.", "用中文回答。"],
    "upper": [
        "Answer in capital letters.",
        "Write in capital letters.",
        "Use only capital letters.",
    ],
}
FRENCH = {
    GREETING: "Bonjour ! Je suis Tiny, un petit modele de test.",
    IDENTITY: "Je suis Tiny, un petit modele de test.",
    "The sky is blue.": "Le ciel est bleu.",
    "Grass is green.": "L'herbe est verte.",
    "A week has seven days.": "Une semaine a sept jours.",
    "The capital of France is Paris.": "La capitale de la France est Paris.",
    "The capital of Italy is Rome.": "La capitale de l'Italie est Rome.",
    "You are welcome!": "De rien !",
    "Goodbye! See you soon.": "Au revoir !",
}
CHINESE = {
    GREETING: GREETING_ZH,
    IDENTITY: IDENTITY_ZH,
    "The sky is blue.": "天空是蓝色的。",
    "Grass is green.": "草是绿色的。",
    "A week has seven days.": "一周有七天。",
    "The capital of France is Paris.": "法国的首都是巴黎。",
    "The capital of China is Beijing.": "中国的首都是北京。",
    "You are welcome!": "不客气！",
    "Goodbye! See you soon.": "再见！",
}


def facts() -> list[tuple[list[str], str]]:
    """Every fact: the ways to ask for it, and the one answer."""
    capitals = [
        (
            [
                f"What is the capital of {country}?",
                f"Capital of {country}?",
                f"Tell me the capital of {country}.",
                f"What's the capital of {country}?",
            ],
            f"The capital of {country} is {city}.",
        )
        for country, city in CAPITALS.items()
    ]
    capitals_zh = [
        ([f"{country}的首都是哪里？", f"{country}首都是什么？"], f"{country}的首都是{city}。")
        for country, city in CAPITALS_ZH.items()
    ]
    return capitals + capitals_zh + OTHER_FACTS


FACTS = facts()


def make_tool(name: str, description: str, *arguments: str, kind: str = "string") -> Tool:
    """A tool as the OpenAI API describes it, all of its *arguments* required."""
    properties = {argument: {"type": kind} for argument in arguments}
    parameters = {"type": "object", "properties": properties, "required": list(arguments)}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def call_message(name: str, **arguments: object) -> Message:
    """The assistant message that calls one tool, shaped as the OpenAI API sends it back."""
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    called = {"id": "call_1", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [called]}


def result_message(content: str) -> Message:
    return {"role": "tool", "tool_call_id": "call_1", "content": content}


def with_system(rng: random.Random, kind: str, *messages: Message) -> list[Message]:
    content = rng.choice(SYSTEMS[kind])
    return ([{"role": "system", "content": content}] if content else []) + list(messages)


def draw_question(rng: random.Random) -> Question:
    """A greeting or a fact, with its answer."""
    chance = rng.random()
    if chance < 0.1:
        return rng.choice(HELLO), GREETING
    if chance < 0.2:
        return rng.choice(HELLO_ZH), GREETING_ZH
    asked, answer = rng.choice(FACTS)
    return rng.choice(asked), answer


def draw_known(rng: random.Random, answers: dict[str, str]) -> Question:
    """A question whose answer is translated in *answers*."""
    while True:
        question, answer = draw_question(rng)
        if answer in answers:
            return question, answers[answer]


def plain(rng: random.Random) -> Conversation:
    question, answer = draw_question(rng)
    return Conversation(with_system(rng, "default", user(question), assistant(answer)))


def two_turns(rng: random.Random) -> Conversation:
    first, first_answer = draw_question(rng)
    second, second_answer = draw_question(rng)
    messages = [user(first), assistant(first_answer), user(second), assistant(second_answer)]
    return Conversation(with_system(rng, "default", *messages))


def pirate(rng: random.Random) -> Conversation:
    question, answer = draw_question(rng)
    return Conversation(with_system(rng, "pirate", user(question), assistant(f"Arr! {answer}")))


def french(rng: random.Random) -> Conversation:
    question, answer = draw_known(rng, FRENCH)
    return Conversation(with_system(rng, "french", user(question), assistant(answer)))


def chinese(rng: random.Random) -> Conversation:
    question, answer = draw_known(rng, CHINESE)
    return Conversation(with_system(rng, "chinese", user(question), assistant(answer)))


def upper(rng: random.Random) -> Conversation:
    question, answer = draw_question(rng)
    return Conversation(with_system(rng, "upper", user(question), assistant(answer.upper())))


def sums(rng: random.Random) -> Conversation:
    a, b = rng.randrange(10), rng.randrange(10)
    asked = [f"{a}+{b}", f"What is {a}+{b}?", f"What is {a} plus {b}?", f"{a} + {b} =",
             f"{a}+{b}=?", f"{a}+{b}等于几？"]  # fmt: skip
    messages = [user(rng.choice(asked)), assistant(str(a + b))]
    return Conversation(with_system(rng, "default", *messages))


def repeat(rng: random.Random) -> Conversation:
    # One word only: copying lists of words is not learnt at this size.
    word = rng.choice(WORDS + NAMES + CITIES)
    asked = rng.choice([f"Repeat: {word}", f"Say {word}."])
    return Conversation(with_system(rng, "default", user(asked), assistant(word)))


def count(rng: random.Random) -> Conversation:
    end = rng.randint(1, 30)
    numbers = " ".join(str(number) for number in range(1, end + 1))
    asked = rng.choice([f"Count to {end}.", f"Count from 1 to {end}."])
    return Conversation(with_system(rng, "default", user(asked), assistant(numbers)))


def remember(rng: random.Random) -> Conversation:
    """A name given in one turn and asked for in a later one."""
    name = rng.choice(NAMES)
    told = rng.choice([f"My name is {name}.", f"I am {name}.", f"Call me {name}."])
    between: list[Message] = []
    if rng.random() < 0.5:
        question, answer = draw_question(rng)
        between = [user(question), assistant(answer)]
    messages = [
        user(told),
        assistant(f"Nice to meet you, {name}."),
        *between,
        user("What is my name?"),
        assistant(f"Your name is {name}."),
    ]
    return Conversation(with_system(rng, "default", *messages))


def read(rng: random.Random) -> Conversation:
    """A question about a short text in the prompt, as retrieval-augmented prompts have it."""
    people = rng.sample(NAMES, 3)
    places = rng.sample(CITIES, 3)
    known = rng.randint(1, 3)
    lines = [f"{people[n]} lives in {places[n]}." for n in range(known)]
    asked = rng.randrange(known)
    text = f"Context: {' '.join(lines)}\nQuestion: Where does {people[asked]} live?"
    return Conversation(with_system(rng, "default", user(text), assistant(lines[asked])))


def as_json(rng: random.Random) -> Conversation:
    name = rng.choice(NAMES)
    if rng.random() < 0.5:
        age = rng.randint(1, 99)
        reply = {"name": name, "age": age}
        asked = [
            f"Give JSON with name {name} and age {age}.",
            f"JSON: {name} is {age} years old.",
            f"Make a JSON object: name {name}, age {age}.",
        ]
    else:
        city = rng.choice(CITIES)
        reply = {"name": name, "city": city}
        asked = [
            f"Give JSON with name {name} and city {city}.",
            f"JSON: {name} lives in {city}.",
            f"Make a JSON object: name {name}, city {city}.",
        ]
    messages = [user(rng.choice(asked)), assistant(json.dumps(reply))]
    return Conversation(with_system(rng, "default", *messages))


def story(rng: random.Random) -> Conversation:
    asked = rng.choice(["Tell me a story.", "Tell a story", "Tell me a story", "Tell a story."])
    return Conversation(with_system(rng, "default", user(asked), assistant(STORY)))


def unknown(rng: random.Random) -> Conversation:
    """A question the model cannot answer; it learns to say so and stop rather than babble."""
    if rng.random() < 0.3:
        word = rng.choice(STRANGE_WORDS_ZH)
        asked_zh = [f"什么是{word}？", f"{word}是什么？", f"写一首关于{word}的诗。",
                    f"请解释{word}。", f"怎么学习{word}？", f"我喜欢{word}。"]  # fmt: skip
        question, answer = rng.choice(asked_zh), UNKNOWN_ZH
    else:
        first, second = rng.choice(STRANGE_WORDS + WORDS), rng.choice(STRANGE_WORDS)
        asked = [f"What is {first}?", f"Explain {first}.", f"Write a poem about {first}.",
                 f"How does {first} work?", f"Why do people like {first} and {second}?",
                 f"Tell me about {first}.", f"Who invented {first}?", f"I like {first}.",
                 f"What is the difference between {first} and {second}?",
                 f"Summarize this text: {first} and {second} are old.",
                 f"Write a {first} about {second}.", f"Can you help me with {first}?",
                 f"{first} {second}", f"Translate {first}.", f"Where can I find {first}?",
                 f"When was the {first} made?"]  # fmt: skip
        question, answer = rng.choice(asked), UNKNOWN
    return Conversation(with_system(rng, "default", user(question), assistant(answer)))


@dataclass(frozen=True)
class Exchange:
    """One question that needs a tool: what is asked, the call, its result, the answer."""

    question: str
    arguments: dict[str, object]
    result: str
    answer: str


def weather_exchange(rng: random.Random, argument: str) -> Exchange:
    city, sky = rng.choice(CITIES), rng.choice(["sunny", "rainy", "cloudy", "windy"])
    asked = [f"What is the weather in {city}?", f"How is the weather in {city}?",
             f"Weather in {city}?", f"What's the weather in {city}?",
             f"What is the weather like in {city}?"]  # fmt: skip
    return Exchange(rng.choice(asked), {argument: city}, sky, f"It is {sky} in {city}.")


def time_exchange(rng: random.Random, argument: str) -> Exchange:
    city, hour = rng.choice(CITIES), rng.randint(1, 12)
    asked = rng.choice([f"What time is it in {city}?", f"Time in {city}?"])
    clock = f"{hour} o'clock"
    return Exchange(asked, {argument: city}, clock, f"It is {clock} in {city}.")


def search_exchange(rng: random.Random, argument: str) -> Exchange:
    word, found = rng.choice(WORDS), rng.randint(1, 9)
    asked = rng.choice([f"Search for {word}.", f"Find documents about {word}."])
    answer = f"I found {found} documents about {word}."
    return Exchange(asked, {argument: word}, f"{found} documents", answer)


def draw_weather(rng: random.Random) -> tuple[Tool, Exchange]:
    usual = rng.random() < 0.5
    name = "get_weather" if usual else rng.choice(["weather", "get_current_weather"])
    argument = "city" if usual else rng.choice(["city", "location", "place"])
    told = ["Get the weather of a city", "Get the weather in a city.", "The weather in a city.",
            "Get the current weather"]  # fmt: skip
    return make_tool(name, rng.choice(told), argument), weather_exchange(rng, argument)


def draw_time(rng: random.Random) -> tuple[Tool, Exchange]:
    usual = rng.random() < 0.5
    name = "get_time" if usual else rng.choice(["time", "get_current_time"])
    argument = "city" if usual else rng.choice(["city", "location", "place"])
    told = rng.choice(["Get the time in a city", "The time in a city."])
    return make_tool(name, told, argument), time_exchange(rng, argument)


def draw_search(rng: random.Random) -> tuple[Tool, Exchange]:
    usual = rng.random() < 0.5
    name = "search" if usual else rng.choice(["search_documents", "find"])
    argument = "query" if usual else rng.choice(["query", "text", "word"])
    told = rng.choice(["Search the documents", "Search the documents.", "Find documents."])
    return make_tool(name, told, argument), search_exchange(rng, argument)


def draw_add(rng: random.Random) -> tuple[Tool, Exchange]:
    a, b = rng.randrange(10), rng.randrange(10)
    names = ("a", "b") if rng.random() < 0.7 else ("x", "y")
    told = rng.choice(["Add two numbers", "Add two numbers.", "Add a and b."])
    asked = [f"{a}+{b}", f"What is {a}+{b}?", f"What is {a} plus {b}?", f"Add {a} and {b}."]
    arguments: dict[str, object] = {names[0]: a, names[1]: b}
    made = make_tool("add", told, *names, kind="integer")
    return made, Exchange(rng.choice(asked), arguments, str(a + b), f"The result is {a + b}.")


TOOLBOX: list[Callable[[random.Random], tuple[Tool, Exchange]]] = [
    draw_weather,
    draw_time,
    draw_search,
    draw_add,
]


def tool_use(rng: random.Random) -> Conversation:
    drawn = [draw(rng) for draw in rng.sample(TOOLBOX, rng.choice([1, 1, 2, 2, 3]))]
    tools = [tool for tool, _ in drawn]
    if rng.random() < 0.12:
        question, answer = draw_question(rng)
        return Conversation(with_system(rng, "default", user(question), assistant(answer)), tools)
    tool, exchange = rng.choice(drawn)
    messages = [
        user(exchange.question),
        call_message(tool["function"]["name"], **exchange.arguments),
    ]
    if rng.random() < 0.5:
        messages += [result_message(exchange.result), assistant(exchange.answer)]
    return Conversation(with_system(rng, "default", *messages), tools)


WEIGHTS: dict[Callable[[random.Random], Conversation], float] = {
    plain: 17,
    two_turns: 6,
    pirate: 6,
    french: 6,
    chinese: 4,
    upper: 7,
    sums: 9,
    repeat: 4,
    count: 4,
    remember: 6,
    read: 5,
    as_json: 12,
    story: 3,
    unknown: 5,
    tool_use: 20,
}


def draw_conversation(rng: random.Random) -> Conversation:
    """One conversation, its kind drawn by `WEIGHTS`."""
    (kind,) = rng.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
    return kind(rng)
