"""`captioner schedule` on Kubeflow Pipelines, and how it finds its way to the scheduler of this machine."""

import json
from typing import Any

import pytest

from pipeline import cli
from pipeline.continuous import daemon
from tests.pipeline.kfp.fake import FakeKfp


def create(fake: FakeKfp, pipeline: str, *options: str) -> int:
    return cli.main(
        ["schedule", "--cron", "0 3 * * 1", "--endpoint", fake.url, "--pipeline", pipeline, *options]
    )


def states(fake: FakeKfp) -> dict[str, str]:
    """The state of each schedule, by name."""
    return {each["display_name"]: each["status"] for each in fake.of("recurringruns").values()}


class TestOnKubeflow:
    def test_a_recurring_run_with_the_times_in_the_servers_form(
        self, fake: FakeKfp, pipeline: str, capsys: pytest.CaptureFixture[str]
    ):
        assert create(fake, pipeline, "--set", "train.epochs=9", "--service-account", "trainer") == 0
        sent = fake.posted("recurringruns")
        assert sent["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
        assert (sent["max_concurrency"], sent["no_catchup"], sent["mode"]) == (1, True, "ENABLE")
        assert sent["display_name"] == "captioner"
        assert sent["service_account"] == "trainer"
        (given,) = sent["runtime_config"]["parameters"].items()
        assert given[0] == "train"
        assert json.loads(given[1])["epochs"] == 9
        (made,) = fake.of("recurringruns")
        assert f"The schedule captioner ({made}) runs {pipeline} at 0 3 * * 1" in capsys.readouterr().out

    def test_a_second_one_of_the_name_would_train_twice(
        self, fake: FakeKfp, pipeline: str, capsys: pytest.CaptureFixture[str]
    ):
        assert create(fake, pipeline) == 0
        assert create(fake, pipeline) == 1
        said = capsys.readouterr().err
        assert "there is a schedule captioner already (recurringruns-1, 0 3 * * 1)" in said
        assert "captioner schedule delete captioner" in said
        assert create(fake, pipeline, "--name", "nightly") == 0
        assert set(states(fake)) == {"captioner", "nightly"}

    def test_the_list_reads_as_it_was_written(
        self, fake: FakeKfp, pipeline: str, capsys: pytest.CaptureFixture[str]
    ):
        create(fake, pipeline)
        fake.of("recurringruns")["recurringruns-1"]["error"] = {"code": 3, "message": "[no] such claim"}
        capsys.readouterr()
        assert cli.main(["schedule", "list", "--endpoint", fake.url]) == 0
        said = capsys.readouterr().out
        cells = ("captioner", "on", "0 3 * * 1", "2026-01-01 03:00", "recurringruns-1", "[no] such claim")
        assert all(f" {cell} " in said for cell in cells), said

    def test_the_list_as_json(self, fake: FakeKfp, pipeline: str, capsys: pytest.CaptureFixture[str]):
        create(fake, pipeline)
        create(fake, pipeline, "--name", "nightly")
        capsys.readouterr()
        assert cli.main(["schedule", "list", "--endpoint", fake.url, "--json"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [row["name"] for row in rows] == ["captioner", "nightly"]
        assert rows[0]["cron"] == "0 0 3 * * 1"
        assert rows[0]["enabled"] is True

    def test_an_empty_list_says_how_to_begin(self, fake: FakeKfp, capsys: pytest.CaptureFixture[str]):
        assert cli.main(["schedule", "list", "--endpoint", fake.url]) == 0
        assert "No schedule in the experiment captioner" in capsys.readouterr().out

    def test_pause_resume_delete_by_name(self, fake: FakeKfp, pipeline: str):
        create(fake, pipeline)
        create(fake, pipeline, "--name", "nightly")
        assert cli.main(["schedule", "pause", "nightly", "--endpoint", fake.url]) == 0
        assert states(fake) == {"captioner": "ENABLED", "nightly": "DISABLED"}
        assert cli.main(["schedule", "resume", "nightly", "--endpoint", fake.url]) == 0
        assert states(fake) == {"captioner": "ENABLED", "nightly": "ENABLED"}
        assert cli.main(["schedule", "delete", "nightly", "--endpoint", fake.url]) == 0
        assert states(fake) == {"captioner": "ENABLED"}

    def test_options_may_stand_before_and_after_the_action(self, fake: FakeKfp, pipeline: str):
        create(fake, pipeline, "--experiment", "weekly")
        before = ["schedule", "--endpoint", fake.url, "pause", "--experiment", "weekly", "captioner"]
        assert cli.main(before) == 0
        assert states(fake) == {"captioner": "DISABLED"}

    def test_of_two_with_one_name_the_id_says_which(
        self, fake: FakeKfp, pipeline: str, capsys: pytest.CaptureFixture[str]
    ):
        create(fake, pipeline)
        twin = fake.of("recurringruns")["recurringruns-1"] | {"recurring_run_id": "twin"}
        fake.of("recurringruns")["twin"] = twin
        assert cli.main(["schedule", "delete", "captioner", "--endpoint", fake.url]) == 1
        assert "give the ID of one: captioner (recurringruns-1), captioner (twin)" in capsys.readouterr().err
        assert cli.main(["schedule", "delete", "twin", "--endpoint", fake.url]) == 0
        assert list(fake.of("recurringruns")) == ["recurringruns-1"]

    @pytest.mark.parametrize(
        ("command", "complaint"),
        [
            (["pause", "nobody"], "no schedule nobody in the experiment captioner; there are: captioner ("),
            (["pause"], "say which schedule to pause in the experiment captioner; there are: captioner ("),
            (["pause", "captioner", "--experiment", "other"], "in the experiment other; there are: none"),
        ],
    )
    def test_one_that_is_not_there_is_not_guessed(
        self,
        fake: FakeKfp,
        pipeline: str,
        capsys: pytest.CaptureFixture[str],
        command: list[str],
        complaint: str,
    ):
        create(fake, pipeline)
        assert cli.main(["schedule", *command, "--endpoint", fake.url]) == 1
        assert complaint in capsys.readouterr().err
        assert states(fake) == {"captioner": "ENABLED"}

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (["--cron", "0 3 * *"], "--cron takes five fields"),
            (["--cron", ""], "needs --cron"),
            (["--pipeline", ""], "needs --pipeline"),
            (["--set", "push.canary=true"], "give it to 'captioner compile'"),
            (["--on-new-span", "--retries", "1"], "--on-new-span, --retries: not for a schedule on Kubeflow"),
        ],
    )
    def test_what_cannot_be_is_said_before_the_server_is_asked(
        self,
        fake: FakeKfp,
        pipeline: str,
        capsys: pytest.CaptureFixture[str],
        options: list[str],
        complaint: str,
    ):
        assert create(fake, pipeline, *options) == 1
        assert complaint in capsys.readouterr().err
        assert fake.sent == []


class TestOnThisMachine:
    @pytest.fixture(autouse=True)
    def called(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
        """What the scheduler is asked for."""
        called: list[tuple[Any, ...]] = []

        def answer(name: str, result: Any) -> Any:
            return lambda *arguments: called.append((name, *arguments)) or result

        for name, result in {
            "run": 0,
            "systemd_unit": "[Unit]\n",
            "describe": {"due": False},
            "list_lines": ["one", "two"],
            "pause": "It is paused.",
            "resume": "It goes on.",
            "delete": "It is gone.",
        }.items():
            monkeypatch.setattr(daemon, name, answer(name, result))
        return called

    def test_the_scheduler_gets_what_was_asked_for(self, called: list[tuple[Any, ...]]):
        where = ["--config", "demo", "--data", "d", "--root", "r", "--set", "train.epochs=1"]
        when = ["--cron", "0 3 * * 1", "--timezone", "UTC", "--on-new-span"]
        assert cli.main(["schedule", "--local", *where, *when]) == 0
        ((name, options),) = called
        assert name == "run"
        assert (options.config, options.data, options.root) == ("demo", "d", "r")
        assert options.assignments == ("train.epochs=1",)
        assert (options.triggers.cron, options.triggers.timezone) == ("0 3 * * 1", "UTC")
        assert options.triggers.on_new_span

    def test_a_unit_file_is_printed(self, capsys: pytest.CaptureFixture[str]):
        command = ["schedule", "--local", "--on-new-span", "--config", "demo", "--data", "d", "--root", "r"]
        assert cli.main([*command, "--systemd"]) == 0
        assert capsys.readouterr().out == "[Unit]\n"

    @pytest.mark.parametrize(
        ("command", "asked", "printed"),
        [
            (["list", "--local", "--root", "r"], "list_lines", "one\ntwo\n"),
            (["--local", "--root", "r", "list"], "list_lines", "one\ntwo\n"),
            (["list", "--json", "--local", "--root", "r"], "describe", '{"due": false}\n'),
            (["pause", "--local", "--root", "r"], "pause", "It is paused.\n"),
            (["resume", "--local", "--root", "r"], "resume", "It goes on.\n"),
            (["delete", "--local", "--root", "r"], "delete", "It is gone.\n"),
        ],
    )
    def test_actions_are_for_the_schedule_in_the_root(
        self,
        called: list[tuple[Any, ...]],
        capsys: pytest.CaptureFixture[str],
        command: list[str],
        asked: str,
        printed: str,
    ):
        assert cli.main(["schedule", *command]) == 0
        assert called == [(asked, "r")]
        assert capsys.readouterr().out == printed

    @pytest.mark.parametrize(
        ("command", "complaint"),
        [
            ([], "needs --config, --data, --root"),
            (["list"], "needs --root"),
            (["pause", "monday", "--root", "r"], "got 'monday' as well"),
            (
                ["--endpoint", "http://x", "--pipeline", "x.yaml"],
                "--pipeline, --endpoint: not for a",
            ),
        ],
    )
    def test_what_cannot_be_is_said(
        self,
        called: list[tuple[Any, ...]],
        capsys: pytest.CaptureFixture[str],
        command: list[str],
        complaint: str,
    ):
        assert cli.main(["schedule", "--local", *command]) == 1
        assert complaint in capsys.readouterr().err
        assert called == []
