"""What a person writes after `captioner schedule --local`, and what systemd is told to write there."""

import argparse
import pathlib

import pytest

from pipeline.commands import schedule
from pipeline.continuous import arguments, systemd
from pipeline.continuous.config import NotifyConfig, RetryConfig, TriggerConfig
from pipeline.continuous.options import Options
from pipeline.errors import UserError

ALL = Options(
    "demo",
    "/data of mine",
    "/root",
    ("model.dilations=1 2 4", "train.epochs=5"),
    TriggerConfig("0 3 * * 1", "Europe/Berlin", "skip", True, 2, 500, True, 30.0),
    RetryConfig(most=2),
    NotifyConfig("tell 'the team'", "env:HOOK", ("pushed", "failed")),
)
FEW = Options("demo", "/data", "/root", triggers=TriggerConfig(on_new_span=True))


def parse(*words: str) -> Options:
    parser = argparse.ArgumentParser()
    schedule.add_arguments(parser)
    return arguments.options_from(parser.parse_args(["--local", *words]))


@pytest.mark.parametrize("options", [ALL, FEW])
def test_the_command_of_the_unit_file_makes_the_same_schedule(options: Options):
    words = systemd.command(options)
    assert words[3:5] == ["schedule", "--local"]
    assert parse(*words[5:]) == options


def test_what_is_so_by_default_is_not_in_the_unit_file():
    assert systemd.command(FEW)[5:] == [
        *("--config", "demo", "--data", "/data", "--root", "/root", "--on-new-span")
    ]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--notify-on", "pushed,lost"], "got 'lost'"),
        (["--min-new-images", "0"], "min_new_images must be at least 1"),
        (["--notify-webhook", "http://chat.example/x"], "a webhook is a URL that begins with https://"),
        (["--retries", "-1"], "retries must be 0"),
    ],
)
def test_values_that_cannot_be_are_the_persons_to_put_right(words: list[str], complaint: str):
    with pytest.raises(UserError, match=complaint):
        parse("--config", "demo", "--data", "/data", "--root", "/root", *words)


def test_paths_are_those_of_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    monkeypatch.chdir(tmp_path)
    words = systemd.command(Options("demo", "data", "root"))
    assert {str(tmp_path / "data"), str(tmp_path / "root")} <= set(words)
