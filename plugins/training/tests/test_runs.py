"""What is known of a training, from its events alone, and how it looks."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from modelplug.errors import ConfigError
from modelplug_training.runs import folders
from modelplug_training.runs.curve import draw, text_curve
from modelplug_training.runs.events import Follower, History, Point, mend
from modelplug_training.runs.screen import Screen, picture


def event(name: str, at: float = 0.0, **fields: Any) -> dict[str, Any]:
    return {"event": name, "time": at, **fields}


def started(step: int = 0, total: int = 10, at: float = 0.0) -> dict[str, Any]:
    return event("started", at, step=step, total=total)


def metric(step: int, loss: float | None, at: float = 0.0) -> dict[str, Any]:
    return event("metric", at, step=step, total=10, loss=loss, lr=0.1, epoch=step / 10)


def history(*events: dict[str, Any]) -> History:
    made = History()
    for each in events:
        made.add(each)
    return made


def test_a_history_knows_step_loss_and_time_left() -> None:
    made = history(started(at=100), metric(2, 3.0, at=110), metric(4, 2.0, at=120))

    assert (4, 10, 0.4) == (made.step, made.total, made.epoch)
    assert [Point(2, 3.0, 0.1), Point(4, 2.0, 0.1)] == made.losses
    assert 30.0 == made.seconds_left


def test_steps_that_are_done_again_are_told_once() -> None:
    first = [started(), *(metric(step, 4 / step) for step in (1, 2, 3, 4))]
    evals = [event("eval", step=step, metrics={"loss": 1.0}) for step in (2, 4)]

    made = history(*first, *evals, started(step=2), metric(3, 1.4))

    assert [1, 2, 3] == [point.step for point in made.losses]
    assert [2] == [step for step, _ in made.evals]
    assert "" == made.fault


def test_a_loss_that_is_no_number_is_a_fault() -> None:
    assert "the loss is None at step 2" == history(started(), metric(2, None)).fault
    assert "the loss is inf at step 2" == history(started(), metric(2, float("inf"))).fault


def test_a_loss_back_at_the_beginning_after_resuming_is_a_fault() -> None:
    before = [started(), *(metric(step, 4 / step) for step in range(1, 7))]

    made = history(*before, started(step=6), metric(7, 3.9))

    assert (
        "the loss was 0.8 where it was interrupted and is 3.9 after resuming (4 at the "
        "beginning): the checkpoint was not loaded"
    ) == made.fault


@pytest.mark.parametrize("loss", [0.5, 0.9, 1.2])
def test_a_loss_that_goes_on_after_resuming_is_none(loss: float) -> None:
    before = [started(), *(metric(step, 4 / step) for step in range(1, 7))]

    assert "" == history(*before, started(step=6), metric(7, loss)).fault


def test_a_loss_that_has_not_fallen_yet_tells_nothing_after_resuming() -> None:
    before = [started(), *(metric(step, 4.0) for step in range(1, 7))]

    assert "" == history(*before, started(step=6), metric(7, 4.1)).fault


def test_what_a_later_version_tells_is_passed_over() -> None:
    assert 5.0 == history(started(), event("weather", 5.0, text="rain")).at


def test_a_new_try_forgets_how_the_last_one_ended() -> None:
    made = history(
        started(),
        event("warning", text="slow"),
        event("failed", kind="disk", text="full"),
        started(step=2),
        event("samples", samples=[{"ids": [1]}]),
        event("finished", step=10, total=10, stopped=False),
    )

    assert made.failed is None
    assert made.finished is not None
    assert (["slow"], [{"ids": [1]}]) == (made.warnings, made.samples)


def test_the_newest_checkpoint_that_is_still_there_is_gone_on_from(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    made = history(event("checkpoint", step=1, path="a"), event("checkpoint", step=2, path="b"))

    assert tmp_path / "a" == made.last_checkpoint(tmp_path)
    assert None is History().last_checkpoint(tmp_path)


def test_events_are_read_as_they_are_written_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    follower = Follower(path)
    assert [] == list(follower)

    path.write_text('{"a": 1}\n{"b"')
    assert [{"a": 1}] == list(follower)
    assert [] == list(follower)
    path.write_text('{"a": 1}\n{"b": 2}\n')
    assert [{"b": 2}] == list(follower)


def test_the_half_line_of_a_killed_trainer_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"a": 1}\n{"b"')

    mend(path)
    mend(tmp_path / "none")

    assert '{"a": 1}\n' == path.read_text()


def test_the_curve_in_the_terminal_falls_with_the_loss() -> None:
    points = [Point(step, 8.0 - step) for step in range(8)]

    lines = text_curve(points, 40, 2)

    assert ["      8 █▆▄▂    ", "      1 ████▇▅▃▁"] == [line.rstrip("\n") for line in lines]
    assert [] == text_curve(points[:1], 40, 2)
    assert [] == text_curve(points, 8, 2)


def test_a_long_training_fits_into_the_width() -> None:
    points = [Point(step, 1.0) for step in range(1000)]

    assert {60} == {len(line) for line in text_curve(points, 60, 4)}


def test_the_picture_has_a_line_of_each_colour(tmp_path: Path) -> None:
    made = history(
        started(),
        *(metric(step, 4 / step) for step in range(1, 6)),
        *(event("eval", step=step, metrics={"loss": 5.0 / step}) for step in (1, 3, 5)),
    )

    assert draw(made, "tiny", tmp_path / "loss.png")
    with Image.open(tmp_path / "loss.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 16) or []}

    assert {(0x1F, 0x77, 0xB4), (0xD6, 0x27, 0x28)} <= colours
    assert not draw(history(started()), "tiny", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_the_screen_shows_bar_figures_and_curve() -> None:
    made = history(
        started(at=0),
        event("eval", step=0, metrics={"loss": 4.5}),
        metric(2, 4.0, at=10),
        metric(4, 2.0, at=20),
    )
    console = Console(file=StringIO(), width=80, force_terminal=False)

    console.print(picture(made, 80))

    said = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO of above
    assert "step 4/10" in said
    assert "loss 2 · eval 4.5 · 0:30 left" in said
    assert "█" in said


def test_nothing_is_shown_where_there_is_no_terminal() -> None:
    out = StringIO()

    with Screen(Console(file=out, force_terminal=False)) as screen:
        screen.note("hello")
        screen.show(event("warning", text="slow"), history(started(), metric(1, 1.0)))

    assert "" == out.getvalue()


def test_a_warning_stays_on_the_terminal() -> None:
    out = StringIO()

    with Screen(Console(file=out, force_terminal=True, width=80)) as screen:
        screen.show(event("warning", text="rows were cut"), history(started(), metric(1, 1.0)))

    assert "rows were cut" in out.getvalue()


def test_a_folder_is_found_again_by_what_is_trained(home: Path) -> None:
    job = {"base": "tiny", "steps": 3}
    first = folders.settle(folders.fresh(), "a b", job, {})
    (first.path / "events.jsonl").write_text(json.dumps(started(step=0)) + "\n")

    again = folders.settle(folders.fresh(), "a b", job, {})
    other = folders.settle(folders.fresh(), "a b", {**job, "steps": 4}, {})

    assert first == again
    assert first.path != other.path
    assert first.id.startswith("a-b-")
    assert {first.id, other.id} == {folder.id for folder in folders.every()}
    assert {first.id, other.id} == {path.name for path in (home / "tuning").iterdir()}
    assert first == folders.named(first.id)
    assert ("interrupted", 0) == (first.status, first.history.step)
    with pytest.raises(ConfigError, match="several trainings begin with 'a-b-'"):
        folders.named("a-b-")
    with pytest.raises(ConfigError, match="there is no training 'x'"):
        folders.named("x")


def test_a_held_folder_is_running() -> None:
    folder = folders.settle(folders.fresh(), "x", {}, {})

    with folder.held():
        assert "running" == folder.status
    assert "interrupted" == folder.status


def test_a_home_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MODELPLUG_HOME", str(tmp_path / "file"))

    with pytest.raises(ConfigError, match="cannot be made: Not a directory; set MODELPLUG_HOME"):
        folders.fresh()
