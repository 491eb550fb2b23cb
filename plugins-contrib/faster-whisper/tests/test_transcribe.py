"""faster-whisper, really run: sound in, text out."""

from __future__ import annotations

import asyncio
import io
import runpy
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from openai import OpenAI

import modelplug as mp
from modelplug.errors import ConfigError, InvalidRequest
from modelplug_faster_whisper import RUNNER
from modelplug_faster_whisper.testing import tone
from modelplug_local.runners import SERVER_FOLDER

LOW, HIGH = 300, 4000


@pytest.fixture(scope="module")
def whisper(weights: Path) -> Iterator[Any]:
    """One started engine for the module; recordings of at most a minute."""
    module = mp.TrainableModule(str(weights), type="stt")
    with module.deploy_method(mp.deploy.faster_whisper, max_duration=60, queue=1) as model:
        yield model.start()


def as_format(name: str, codec: str, sound: bytes) -> bytes:
    """*sound*, a WAV file, in another container and codec."""
    made = io.BytesIO()
    with av.open(io.BytesIO(sound)) as source, av.open(made, "w", format=name) as target:
        stream = target.add_stream(codec, rate=48_000)
        resampler = av.AudioResampler(stream.format, stream.layout, stream.rate)
        frames = (*source.decode(audio=0), None)
        for part in (part for frame in frames for part in resampler.resample(frame)):
            target.mux(stream.encode(part))
        target.mux(stream.encode(None))
    return made.getvalue()


@pytest.mark.parametrize(("frequency", "text"), [(LOW, "low tone"), (HIGH, "high tone")])
def test_what_is_heard_is_written_down(whisper: Any, frequency: int, text: str) -> None:
    assert text == whisper(tone(frequency))


def test_a_recording_is_a_path_or_bytes_sync_or_async(whisper: Any, tmp_path: Path) -> None:
    path = tmp_path / "ton 音.wav"
    path.write_bytes(tone(HIGH))

    assert "high tone" == whisper(path)
    assert "high tone" == whisper(files=[str(path)])
    assert "high tone" == asyncio.run(whisper.acall(path.read_bytes()))


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp3", "libmp3lame"),
        ("flac", "flac"),
        ("ogg", "libopus"),
        ("webm", "libopus"),
        ("mp4", "aac"),
        ("wav", "pcm_s24le"),
    ],
)
def test_recordings_of_many_formats_are_read(whisper: Any, container: str, codec: str) -> None:
    if container == "mp4":  # as recorders write it that cannot go back in a file
        container = "adts"

    assert "high tone" == whisper(as_format(container, codec, tone(HIGH)))


def test_the_rich_result_has_segments_of_the_whole_recording(whisper: Any) -> None:
    said = whisper.respond(tone(LOW, seconds=35), response_format="verbose_json")

    assert "low tone low tone" == said.text
    assert [(0.0, 0.5), (30.0, 30.5)] == [(part.start, part.end) for part in said.segments]
    assert 35.0 == said.duration
    assert "en" == said.language


@pytest.mark.parametrize(
    ("format_", "text"),
    [
        ("text", "low tone\n"),
        ("srt", "1\n00:00:00,000 --> 00:00:00,500\nlow tone\n"),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\nlow tone\n"),
    ],
)
def test_subtitles_come_as_they_are(whisper: Any, format_: str, text: str) -> None:
    assert text == whisper(tone(LOW), response_format=format_)


def test_options_of_a_call_reach_the_library(whisper: Any) -> None:
    options = {"language": "en", "prompt": "low tone", "temperature": 0.2, "beam_size": 1}

    assert "low tone" == whisper(tone(LOW), **options)
    # Silero's detector, which hears that a tone is no voice.
    assert "" == whisper(tone(LOW), vad_filter=True)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hosts\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("sound", "told"),
    [
        (b"", "is missing or empty"),
        (b"no sound at all", "no recording that can be read"),
        (tone(LOW)[:44], "holds no sound"),
        (PLAYLIST, "no recording that can be read"),
        (b"ffconcat version 1.0\nfile /etc/hosts\n", "no recording that can be read"),
    ],
)
def test_what_is_no_recording_is_refused(whisper: Any, sound: bytes, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        whisper(sound)


def test_a_picture_alone_is_no_recording(whisper: Any) -> None:
    made = io.BytesIO()
    with av.open(made, "w", format="matroska") as target:
        stream = target.add_stream("mpeg4", rate=1)
        stream.width = stream.height = 16
        target.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        target.mux(stream.encode(None))

    with pytest.raises(InvalidRequest, match="holds no sound"):
        whisper(made.getvalue())


def test_a_small_file_of_long_silence_is_refused_while_it_is_read(whisper: Any) -> None:
    long = as_format("flac", "flac", tone(0, seconds=90))
    assert len(long) < 50_000

    with pytest.raises(InvalidRequest, match="longer than 60 s"):
        whisper(long)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"language": "de"}, "language must be one of en"),
        ({"temperature": 3}, "temperature must be a number from 0"),
        ({"beam_size": 1000}, "beam_size must be a number from 1 to 16"),
        ({"response_format": "diarized_json"}, "response_format must be one of json"),
        ({"timestamp_granularities": ["phone"]}, "must be of segment, word"),
        ({"task": "sing"}, "task must be one of transcribe, translate"),
        ({"include": ["logprobs"]}, "unknown field 'include"),
    ],
)
def test_options_that_cannot_be_are_refused(
    whisper: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        whisper(tone(LOW), **options)


def test_openais_own_client_is_served(whisper: Any) -> None:
    client = OpenAI(base_url=whisper.url, api_key=whisper.api_key.reveal(), max_retries=0)

    said = client.audio.transcriptions.create(
        model="any",
        file=("a.wav", tone(HIGH)),
        response_format="verbose_json",
        timestamp_granularities=["segment"],
    )

    assert "high tone" == said.text
    assert [" high tone"] == [part.text for part in said.segments or ()]


def test_more_than_the_queue_holds_is_told_to_come_again(whisper: Any) -> None:
    start, seen = threading.Barrier(8), []
    body = tone(LOW, seconds=59)

    def send() -> None:
        start.wait()
        headers = {"authorization": f"Bearer {whisper.api_key.reveal()}"}
        url = f"{whisper.url}/audio/transcriptions"
        answer = httpx.post(url, headers=headers, files={"file": ("a", body)}, timeout=60)
        seen.append(answer.status_code)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {200, 429} == set(seen)


def test_weights_without_their_tokenizer_are_refused_before_anything_starts(
    weights: Path, tmp_path: Path
) -> None:
    for path in weights.iterdir():
        if path.name != "tokenizer.json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    model = mp.TrainableModule(str(tmp_path), type="stt").deploy_method(mp.deploy.faster_whisper)

    with pytest.raises(ConfigError, match=r"have no tokenizer\.json; copy it from the model"):
        model.start()


@pytest.mark.parametrize(
    ("asked", "library", "device"),
    [
        ("auto", "libc.so.6", "auto"),
        ("auto", "libnowhere.so.12", "cpu"),
        ("cuda", "libnowhere.so.12", "cuda"),
    ],
)
def test_a_gpu_is_used_where_its_library_is_installed(
    asked: str, library: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SERVER_FOLDER))

    assert device == runpy.run_path(str(RUNNER))["device_of"](asked, library)
