"""What a call to each type of model becomes: pure, so that sync and async share every line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from modelplug.chat import History, Prompt, build_messages
from modelplug.errors import CallError, ConfigError, UnknownOption, Unsupported, did_you_mean
from modelplug.media import Media, as_file
from modelplug.schema import read_reply, schema_of
from modelplug.types import (
    ChatCall,
    Completion,
    EmbedCall,
    Embeddings,
    Endpoint,
    Event,
    ImageCall,
    ModelType,
    Produced,
    Ranking,
    RerankCall,
    SpeakCall,
    Text,
    TranscribeCall,
    Transcript,
    Usage,
)
from modelplug.wire import Codec, EventFlow, Flow, Together, changed

AnyCodec = Codec[Any, Any]

Stream = bool | Mapping[str, str]
"""False, True, or {"color": "blue"}: whether a call echoes the answer as it comes."""


@frozen
class View:
    """How one model object is called; objects that share a model differ in this alone."""

    prompt: Prompt = Prompt()
    history: History = ()
    formatter: Callable[[Any], Any] | None = None
    stream: Stream = False
    traced: bool = False
    options: Mapping[str, Any] = field(factory=dict)


def check_options(codec: AnyCodec, options: Mapping[str, Any]) -> dict[str, Any]:
    """*options* for the wire, with `extra_body` let in unchecked; UnknownOption for others."""
    known = codec.options | codec.endpoint.options
    checked = dict(options)
    extra = checked.pop("extra_body", {})
    if not isinstance(extra, Mapping):
        msg = f"extra_body= takes a mapping, not {extra!r}"
        raise ConfigError(msg)
    for name in checked:
        if name not in known:
            near = did_you_mean(name, known | _OWN_OPTIONS)
            msg = (
                f"{codec.endpoint.provider} has no option {name!r}{near or ';'} "
                f"what it alone knows goes into extra_body={{{name!r}: ...}}"
            )
            raise UnknownOption(msg)
    given = {name: value for name, value in checked.items() if value is not None}
    _check_quirks(codec.endpoint, given)
    return given | dict(extra)


def _check_quirks(endpoint: Endpoint, options: dict[str, Any]) -> None:
    """Unsupported for what the server is known to refuse, before it does."""
    quirks, who = endpoint.quirks, f"{endpoint.provider}'s {endpoint.model}"
    for name in options:
        if name in quirks.refuses:
            msg = f"{who} refuses the option {name!r}; leave it out"
            raise Unsupported(msg)
        if name in quirks.fixed and options[name] != quirks.fixed[name]:
            msg = f"{who} takes {name}={quirks.fixed[name]!r} alone; leave it out"
            raise Unsupported(msg)


_OWN_OPTIONS = frozenset(
    "documents files llm_chat_history mask modality resume schema stream timeout tools "
    "top_n".split()
)


def chat_call(
    codec: AnyCodec,
    view: View,
    given: object,
    *,
    streamed: bool = False,
    files: Iterable[Any] = (),
    tools: Sequence[Mapping[str, Any]] = (),
    schema: object = None,
    llm_chat_history: History | None = None,
    **options: Any,
) -> ChatCall:
    """One chat request of *given*."""
    for capability, wanted in (("tools", tools), ("image-input", files), ("stream", streamed)):
        if wanted and capability not in codec.endpoint.does:
            msg = (
                f"{codec.endpoint.provider} does not do {capability} with {codec.endpoint.model!r}"
            )
            raise Unsupported(msg)
    return ChatCall(
        model=codec.endpoint.model,
        messages=build_messages(
            given,
            prompt=view.prompt,
            history=view.history if llm_chat_history is None else llm_chat_history,
            files=files,
        ),
        options=check_options(codec, {**view.options, **options}),
        tools=tools,
        schema=None if schema is None else schema_of(schema),
        stream=streamed,
    )


def chat_flow(
    codec: AnyCodec, view: View, given: object, options: Mapping[str, Any]
) -> Flow[Completion]:
    """One chat call, answered in one piece."""
    call = chat_call(codec, view, given, **options)
    completion: Completion = yield from codec.flow(call)
    return finished(completion, call, options.get("schema"))


def chat_events(
    codec: AnyCodec, view: View, given: object, options: Mapping[str, Any]
) -> EventFlow:
    """One chat call, streamed. An error that cuts it short carries the text so far."""
    call = chat_call(codec, view, given, streamed=True, **options)
    said: list[str] = []

    def counted(events: list[Event]) -> list[Event]:
        for at, event in enumerate(events):
            if type(event) is Text:
                said.append(event.text)
            elif type(event) is Usage:
                events[at] = estimated(event, call.messages, said)
        return events

    try:
        yield from changed(codec.stream(call), counted)
    except CallError as error:
        error.partial = "".join(said)
        raise


def finished(completion: Completion, call: ChatCall, schema: object) -> Completion:
    """*completion* with its usage estimated where none came, and read by *schema*."""
    usage = estimated(completion.usage, call.messages, [completion.text])
    return read_by(evolve(completion, usage=usage), schema)


def read_by(completion: Completion, schema: object) -> Completion:
    """*completion* with what its text says by *schema*, if there is one."""
    if schema is None:
        return completion
    return evolve(completion, parsed=read_reply(completion.text, schema))


def estimated(usage: Usage, messages: Sequence[Mapping[str, Any]], said: Sequence[str]) -> Usage:
    """*usage*, or a guess that is marked as one where the server told nothing."""
    if usage.input_tokens is not None or usage.output_tokens is not None:
        return usage
    asked = sum(guess_tokens(str(message.get("content") or "")) + 4 for message in messages)
    answered = guess_tokens("".join(said))
    guess = Usage(asked, answered, estimated=frozenset({"input_tokens", "output_tokens"}))
    if usage.total_tokens is not None:  # some servers tell the sum alone
        return evolve(guess, total_tokens=usage.total_tokens)
    return evolve(
        guess, total_tokens=asked + answered, estimated=guess.estimated | {"total_tokens"}
    )


def guess_tokens(text: str) -> int:
    """Four characters a token for Latin text, one for each other character: a rule of thumb."""
    latin = sum(map(str.isascii, text))
    return -(-latin // 4) + len(text) - latin


def embed_flow(
    codec: AnyCodec, view: View, given: object, options: Mapping[str, Any]
) -> Flow[Embeddings]:
    """One text or many; more than the endpoint takes at once go in several requests."""
    single = isinstance(given, str)
    texts = [given] if single else given
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        msg = f"an embedding model takes a text or a list of texts, not {type(given).__name__}"
        raise ConfigError(msg)
    checked = check_options(codec, {**view.options, **options})
    result = yield from _embed(codec, texts, checked)
    return evolve(result, single=single)


def _embed(codec: AnyCodec, inputs: Sequence[Any], options: Mapping[str, Any]) -> Flow[Embeddings]:
    """All of *inputs*, in as many requests as the endpoint's limit needs, side by side."""
    if not inputs:
        return Embeddings([], codec.endpoint.model)
    size = codec.endpoint.limits.embed_batch or len(inputs)
    calls = [
        EmbedCall(codec.endpoint.model, inputs[at : at + size], options)
        for at in range(0, len(inputs), size)
    ]
    if len(calls) == 1:
        part: Embeddings = yield from codec.flow(calls[0])
        return part
    parts: list[Embeddings] = yield Together([codec.flow(call) for call in calls])
    vectors = [vector for part in parts for vector in part.vectors]
    return Embeddings(vectors, parts[0].model, _sum(part.usage for part in parts))


def _sum(usages: Iterable[Usage]) -> Usage:
    known = [u.input_tokens for u in usages if u.input_tokens is not None]
    return Usage(input_tokens=sum(known), total_tokens=sum(known)) if known else Usage()


def rerank_flow(
    codec: AnyCodec, view: View, given: object, options: Mapping[str, Any]
) -> Flow[Ranking]:
    """A query and its documents."""
    options = {**view.options, **options}
    documents, top_n = options.pop("documents", None), options.pop("top_n", None)
    if not isinstance(given, str):
        msg = f"a rerank model takes a query, a text, not {type(given).__name__}"
        raise ConfigError(msg)
    if documents is None or isinstance(documents, str):
        msg = "a rerank model needs documents=[...], a list of texts"
        raise ConfigError(msg)
    if top_n is not None and (type(top_n) is not int or top_n < 1):
        msg = f"top_n counts from 1 and is {top_n!r}; leave it out for all documents"
        raise ConfigError(msg)
    if not documents:
        return Ranking([], codec.endpoint.model)
    limit = codec.endpoint.limits.rerank_documents
    if limit is not None and len(documents) > limit:
        msg = f"{codec.endpoint.provider} ranks up to {limit} documents and got {len(documents)}"
        raise ConfigError(msg)
    call = RerankCall(
        codec.endpoint.model, given, list(documents), top_n, check_options(codec, options)
    )
    ranking: Ranking = yield from codec.flow(call)
    return ranking


def cross_modal_flow(
    codec: AnyCodec, view: View, given: object, options: Mapping[str, Any]
) -> Flow[Embeddings]:
    """Texts and images: strings are texts unless `modality="image"`; `files` are images."""
    options = {**view.options, **options}
    modality, files = options.pop("modality", "text"), options.pop("files", ())
    if modality not in ("text", "image"):
        msg = f"modality= is 'text' or 'image', not {modality!r}"
        raise ConfigError(msg)
    single = not isinstance(given, list | tuple) and not files
    items: list[Any] = list(given) if isinstance(given, list | tuple) else [given]
    items = [] if given is None else items
    as_text = modality == "text"
    inputs: list[Any] = [
        item if as_text and isinstance(item, str) else as_file(item) for item in items
    ]
    inputs += [as_file(file) for file in files]
    result = yield from _embed(codec, inputs, check_options(codec, options))
    return evolve(result, single=single or (given is None and len(inputs) == 1))


def transcribe_flow(
    codec: AnyCodec, view: View, given: object, options: Mapping[str, Any]
) -> Flow[Transcript]:
    """One file of sound, as the argument or in `files`."""
    options = {**view.options, **options}
    files: list[Any] = [*([] if given is None else [given]), *options.pop("files", ())]
    resume = _job(codec, options)
    if len(files) != 1 and not resume:
        msg = f"a speech-to-text model takes one file, and got {len(files)}"
        raise ConfigError(msg)
    file = as_file(files[0]) if files else Media(b"")
    limit = codec.endpoint.limits.file_bytes
    if limit is not None and isinstance(file, Media) and len(file.data) > limit:
        msg = (
            f"{codec.endpoint.provider} takes files up to {limit} bytes, this has {len(file.data)}"
        )
        raise ConfigError(msg)
    call = TranscribeCall(codec.endpoint.model, file, check_options(codec, options), resume)
    transcript: Transcript = yield from codec.flow(call)
    return transcript


def speak_flow(
    codec: AnyCodec, view: View, given: object, options: Mapping[str, Any]
) -> Flow[Produced]:
    """One text to be spoken."""
    options = {**view.options, **options}
    resume = _job(codec, options)
    text = _text_of(given, "a text-to-speech model", resume)
    limit = codec.endpoint.limits.text_chars
    if limit is not None and len(text) > limit:
        who = codec.endpoint.provider
        msg = f"{who} speaks up to {limit} characters and this has {len(text)}; divide the text"
        raise ConfigError(msg)
    call = SpeakCall(codec.endpoint.model, text, check_options(codec, options), resume)
    sound: Produced = yield from codec.flow(call)
    return sound


def image_flow(
    codec: AnyCodec, view: View, given: object, options: Mapping[str, Any]
) -> Flow[Produced]:
    """A prompt to be drawn; some models take `files` to go by."""
    images: Produced = yield from codec.flow(_image_call(codec, view, given, options))
    return images


def edit_flow(
    codec: AnyCodec, view: View, given: object, options: Mapping[str, Any]
) -> Flow[Produced]:
    """Images, in `files`, to be changed by a prompt; `mask` marks where."""
    call = _image_call(codec, view, given, options)
    count, most = len(call.images), codec.endpoint.limits.edit_images
    if not call.resume and (count < 1 or count > (most or count)):
        wanted = f"1 to {most} images, and got {count}" if most else "at least one image"
        msg = f"image editing needs files=[...], {wanted}"
        raise ConfigError(msg)
    images: Produced = yield from codec.flow(call)
    return images


def _image_call(
    codec: AnyCodec, view: View, given: object, options: Mapping[str, Any]
) -> ImageCall:
    options = {**view.options, **options}
    files, mask = options.pop("files", ()), options.pop("mask", None)
    resume = _job(codec, options)
    if mask is not None and not codec.endpoint.quirks.mask:
        msg = f"{codec.endpoint.provider} takes no mask; say in the prompt what to change"
        raise Unsupported(msg)
    return ImageCall(
        codec.endpoint.model,
        _text_of(given, "an image model", resume),
        [as_file(file) for file in files],
        None if mask is None else as_file(mask),
        check_options(codec, options),
        resume,
    )


def _job(codec: AnyCodec, options: dict[str, Any]) -> str:
    """The id of the job to be picked up again, which is taken out of *options*."""
    resume: str = options.pop("resume", "")
    if resume and not codec.resumes:
        who = f"{codec.endpoint.provider}'s {codec.endpoint.model}"
        msg = f"{who} has no jobs to resume; leave resume= out"
        raise Unsupported(msg)
    return resume


def _text_of(given: object, who: str, resume: str) -> str:
    if isinstance(given, str) and given:
        return given
    if resume and given is None:
        return ""
    msg = f"{who} takes a text, not {'nothing' if not given else type(given).__name__}"
    raise ConfigError(msg)


FLOWS: Mapping[ModelType, Callable[[AnyCodec, View, object, Mapping[str, Any]], Flow[Any]]] = {
    ModelType.LLM: chat_flow,
    ModelType.VLM: chat_flow,
    ModelType.EMBED: embed_flow,
    ModelType.CROSS_MODAL_EMBED: cross_modal_flow,
    ModelType.RERANK: rerank_flow,
    ModelType.STT: transcribe_flow,
    ModelType.TTS: speak_flow,
    ModelType.TEXT2IMAGE: image_flow,
    ModelType.IMAGE_EDITING: edit_flow,
}
"""How a model of each type is called. A new type is a line here and its function."""
