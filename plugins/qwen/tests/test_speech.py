"""Short sound by chat, and spoken text over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import modelplug
from modelplug.errors import BadReply, ConfigError, Unsupported
from modelplug.media import Media, Remote
from modelplug.types import SpeakCall, TranscribeCall

WAV = Media(b"RIFF0000WAVE", "audio/x-wav", "my talk.wav")
WAV_URI = "data:audio/wav;base64,UklGRjAwMDBXQVZF"
URL = Remote("https://x.invalid/a.wav")


def transcribe(model: str, file: Media | Remote = URL, **options: Any) -> TranscribeCall:
    return TranscribeCall(model, file, options)


# Short sound.


def test_a_model_that_chats_about_sound_is_asked_to_write_it_down(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    answer = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}

    flow = codec("stt", "qwen-audio-turbo").flow(transcribe("qwen-audio-turbo", WAV))
    played = play(flow, answer)

    assert ["POST /compatible-mode/v1/chat/completions"] == played.addresses
    (message,) = played.bodies[0]["messages"]
    sound, asked = message["content"]
    assert {"type": "input_audio", "input_audio": {"data": WAV_URI}} == sound
    assert "word for word" in asked["text"]
    assert "hello" == played.result.value


def test_a_prompt_replaces_what_it_is_asked(codec: Callable[..., Any], play: Any) -> None:
    call = transcribe("qwen-audio-turbo", URL, prompt="translate it")

    played = play(codec("stt", "qwen-audio-turbo").flow(call), (400, {}))

    parts = played.bodies[0]["messages"][0]["content"]
    assert {"type": "text", "text": "translate it"} == parts[1]


def test_an_asr_model_is_sent_the_sound_alone_and_tells_the_language(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    message = {"content": "hello", "annotations": [{"type": "audio_info", "language": "en"}]}
    answer = {"choices": [{"message": message}], "usage": {"seconds": 1}}

    played = play(codec("stt").flow(transcribe("qwen3-asr-flash", URL, enable_itn=False)), answer)

    sound = {"type": "input_audio", "input_audio": {"data": URL.url}}
    assert [
        {
            "model": "qwen3-asr-flash",
            "messages": [{"role": "user", "content": [sound]}],
            "asr_options": {"enable_itn": False},
        }
    ] == played.bodies
    assert ("en", 1.0) == (played.result.language, played.result.duration)


def test_background_for_an_asr_model_is_the_systems_turn(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    call = transcribe("qwen3-asr-flash", URL, prompt="names: Zürich")

    played = play(codec("stt").flow(call), (400, {}))

    assert {"role": "system", "content": "names: Zürich"} == played.bodies[0]["messages"][0]


def test_a_file_beyond_the_limit_of_a_request_is_refused_before_it_is_sent() -> None:
    stt = modelplug.OnlineModule("qwen3-asr-flash", source="qwen", api_key="k")

    with pytest.raises(ConfigError, match="10000000"):
        stt(Media(bytes(10_000_001), "audio/wav"))


def test_a_model_for_long_recordings_has_no_such_limit(codec: Callable[..., Any]) -> None:
    assert codec("stt", "qwen3-asr-flash-filetrans").endpoint.limits.file_bytes is None


@pytest.mark.parametrize("model", ["qwen3-asr-flash-realtime", "gummy-chat-v1"])
def test_a_model_that_listens_in_conversations_is_refused_with_another_to_use(
    model: str, codec: Callable[..., Any]
) -> None:
    with pytest.raises(Unsupported, match="for conversations; use qwen3-asr-flash"):
        next(codec("stt", model).flow(transcribe(model)))


# Speaking.


def spoken(url: str) -> dict[str, Any]:
    audio = {"data": "", "url": url, "id": "a1", "expires_at": 1}
    return {"output": {"finish_reason": "stop", "audio": audio}, "usage": {"characters": 2}}


def test_the_sound_is_fetched_over_https_without_the_key(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    flow = codec("tts").flow(SpeakCall("qwen3-tts-flash", "hi"))

    wav = Media(b"RIFF0000WAVE", "application/octet-stream")
    played = play(flow, spoken("http://oss.invalid/x.wav"), wav)

    path = "POST /api/v1/services/aigc/multimodal-generation/generation"
    assert [path, "GET https://oss.invalid/x.wav"] == played.addresses
    sent = {"model": "qwen3-tts-flash", "input": {"text": "hi", "voice": "Cherry"}}
    assert sent == played.bodies[0]
    assert played.sent[1].auth is None
    assert (b"RIFF0000WAVE", "audio/wav") == (played.result.value.data, played.result.value.mime)


def test_tokens_of_the_older_model_are_counted(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    answer = {**spoken("https://o.invalid/x"), "usage": {"input_tokens": 3, "output_tokens": 9}}

    played = play(codec("tts", "qwen-tts").flow(SpeakCall("qwen-tts", "hi")), answer, b"RIFF")

    assert (3, 9) == (played.result.usage.input_tokens, played.result.usage.output_tokens)


@pytest.mark.parametrize("model", ["cosyvoice-v3", "qwen-audio-3.0-tts"])
def test_the_other_route_takes_a_format_and_a_voice_of_its_own(
    model: str, codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    options = {"voice": "v", "format": "mp3", "sample_rate": 24000}

    flow = codec("tts", model).flow(SpeakCall(model, "hi", options))
    played = play(flow, spoken("https://o.invalid/x"), Media(b"ID3", "audio/mpeg"))

    assert "POST /api/v1/services/audio/tts/SpeechSynthesizer" == played.addresses[0]
    assert {"model": model, "input": {"text": "hi", **options}} == played.bodies[0]
    assert "audio/mpeg" == played.result.value.mime


def test_a_voice_that_cannot_be_guessed_is_asked_for(codec: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="voice="):
        next(codec("tts", "cosyvoice-v3").flow(SpeakCall("cosyvoice-v3", "hi")))


def test_a_model_that_speaks_in_conversations_is_refused_with_another_to_use(
    codec: Callable[..., Any],
) -> None:
    model = "qwen3-tts-flash-realtime"

    with pytest.raises(Unsupported, match="for conversations; use qwen3-tts-flash"):
        next(codec("tts", model).flow(SpeakCall(model, "hi")))


def test_speech_has_no_task_to_pick_up() -> None:
    model = modelplug.OnlineModule("qwen3-tts-flash", "qwen", api_key="K")

    with pytest.raises(Unsupported, match="resume"):
        model(None, resume="t")


def test_a_reply_without_sound_is_a_bad_reply(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    played = play(codec("tts").flow(SpeakCall("qwen3-tts-flash", "hi")), {"output": {}})

    assert isinstance(played.error, BadReply)
    assert 200 == played.error.status
