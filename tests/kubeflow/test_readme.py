"""The commands of kubeflow/README.md are commands that there are."""

import re
import shlex

import pytest

from pipeline import cli
from tests.kubeflow.rendering import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def lines():
    """Lines of the code blocks, those that go on joined."""
    blocks = re.findall(r"^```\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines()]


# By themselves, or in a container.
CAPTIONER = [
    found[1] for line in lines() if (found := re.search(r"(?:^|(?:--|:dev) )captioner (\w.*)", line))
]


@pytest.mark.parametrize("command", CAPTIONER)
def test_captioner_takes_what_it_says(command):
    given = cli._parser().parse_args(shlex.split(command, comments=True))
    assert given.command == command.split()[0]


def test_from_the_image_to_the_schedule():
    assert [command.split()[0] for command in CAPTIONER if command.split()[0] != "doctor"] == [
        *("import", "compile", "run", "caption", "schedule", "schedule"),
        *("import", "compile"),
    ]


def test_the_picture_that_it_draws_can_be_drawn(tmp_path, monkeypatch):
    (code,) = re.findall(r'^python -c "(.*?)"$', README, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert (tmp_path / "photo.png").stat().st_size > 1000


def test_files_and_folders_that_it_names_are_there():
    places = set(re.findall(r"(?<=[ `])((?:kubeflow|tests/kubeflow)/[\w./-]+)", README))
    assert len(places) > 8
    assert all((ROOT.parent / place).exists() for place in places)
