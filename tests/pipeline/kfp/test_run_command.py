"""`captioner run --kubeflow`, against a server that keeps what it is sent."""

import json
import pathlib
from typing import Any

import pytest
import yaml

from pipeline import cli, kubeflow_local
from tests.pipeline.kfp.fake import DEFAULTS, PIPELINE, Answer, FakeKfp, write_pipeline


def arguments(fake: FakeKfp) -> dict[str, Any]:
    """What the run is started with in place of the pipeline's defaults."""
    return fake.posted("runs")["runtime_config"].get("parameters", {})


def test_a_run_is_started_and_its_page_told(fake: FakeKfp, pipeline: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["run", "--kubeflow", "--endpoint", fake.url, "--pipeline", pipeline]) == 0
    (run,) = fake.of("runs")
    assert f"{fake.url}/#/runs/details/{run}" in capsys.readouterr().out
    assert fake.posted("experiments")["display_name"] == "captioner"
    assert fake.posted("runs")["display_name"].startswith("captioner 20")
    assert arguments(fake) == {}, "all is as compiled"


def test_only_what_differs_from_the_compiled_is_sent(fake: FakeKfp, pipeline: str):
    command = ["run", "--kubeflow", "--endpoint", fake.url, "--pipeline", pipeline, "--name", "Tuesday"]
    changes = ["--data", "gs://bucket/data", "--serving", "/mnt/other", "--set", "train.batch_size=7"]
    assert cli.main([*command, *changes, "--set", "decode.beam_width=7"]) == 0
    sent = arguments(fake)
    assert set(sent) == {"data_dir", "serving_dir", "train", "decode"}
    assert sent["data_dir"] == "gs://bucket/data"
    assert sent["serving_dir"] == "/mnt/other"
    train = json.loads(sent["train"])
    assert (train["batch_size"], train["epochs"]) == (7, DEFAULTS.train.epochs), "not what another config has"
    assert fake.posted("runs")["display_name"] == "Tuesday"


def test_another_config_is_sent_whole(fake: FakeKfp, pipeline: str):
    command = ["run", "--kubeflow", "--endpoint", fake.url, "--pipeline", pipeline, "--config", "flickr8k"]
    assert cli.main([*command, "--set", "gate.min_bleu_4=0.2"]) == 0
    sent = arguments(fake)
    assert set(sent) == {"spans", "encoder", "corpus", "model", "train", "decode", "gate"}
    (rule,) = [rule for rule in json.loads(sent["gate"])["rules"] if rule["metric"] == "bleu_4"]
    assert rule["bound"] == 0.2


def test_the_endpoint_may_be_in_the_environment(
    fake: FakeKfp, pipeline: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", fake.url)
    assert cli.main(["run", "--kubeflow", "--pipeline", pipeline]) == 0
    assert len(fake.of("runs")) == 1


def test_waiting_tells_each_task_and_ends_well(
    fake: FakeKfp, pipeline: str, capsys: pytest.CaptureFixture[str]
):
    done = {"task_id": "1", "display_name": "Trainer", "state": "SUCCEEDED"}
    fake.run_states = [{"state": "SUCCEEDED", "run_details": {"task_details": [done]}}]
    assert cli.main(["run", "--kubeflow", "--endpoint", fake.url, "--pipeline", pipeline, "--wait"]) == 0
    said = capsys.readouterr()
    assert "SUCCEEDED  Trainer" in said.err
    assert "The run has succeeded" in said.out


def test_waiting_fails_when_the_run_does(fake: FakeKfp, pipeline: str, capsys: pytest.CaptureFixture[str]):
    fake.run_states = [{"state": "FAILED"}]
    assert cli.main(["run", "--kubeflow", "--endpoint", fake.url, "--pipeline", pipeline, "--wait"]) == 1
    assert "captioner: error: the run ended as FAILED" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--set", "train.nothing=1"], "TrainConfig has no option 'nothing'"),
        (["--set", "push.canary=true"], "give it to 'captioner compile'"),
        (["--set", "gate.min_bleu_4=0.2"], "--set gate.min_bleu_4=0.2 needs --config as well"),
        (["--pipeline", "/no/such.yaml"], "/no/such.yaml cannot be read"),
        (["--namespace", "team"], "leave out --namespace team"),
        (["--cookies", "@/no/such/file"], "cannot read the cookies in /no/such/file"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_started(
    fake: FakeKfp, pipeline: str, capsys: pytest.CaptureFixture[str], options: list[str], complaint: str
):
    command = ["run", "--kubeflow", "--endpoint", fake.url, "--pipeline", pipeline, *options]
    assert cli.main(command) == 1
    assert complaint in capsys.readouterr().err
    assert not fake.of("runs")


def test_a_pipeline_of_another_version_is_refused(
    fake: FakeKfp, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
    older = PIPELINE.replace("features_dir", "store_dir")
    command = ["run", "--kubeflow", "--endpoint", fake.url, "--pipeline", write_pipeline(tmp_path, older)]
    assert cli.main([*command, "--root", "/mnt/other"]) == 1
    assert "takes no features_dir; compile it again" in capsys.readouterr().err


def test_a_parameter_without_a_default_is_named(
    fake: FakeKfp, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
    spec, platform = yaml.safe_load_all(PIPELINE)
    del spec["root"]["inputDefinitions"]["parameters"]["data_dir"]["defaultValue"]
    path = write_pipeline(tmp_path, yaml.safe_dump_all([spec, platform]))
    command = ["run", "--kubeflow", "--endpoint", fake.url, "--pipeline", path]
    assert cli.main(command) == 1
    assert "has no default for data_dir" in capsys.readouterr().err
    assert cli.main([*command, "--data", "/mnt/data"]) == 0


def test_a_server_that_is_no_kubeflow_is_named(
    fake: FakeKfp, pipeline: str, capsys: pytest.CaptureFixture[str]
):
    fake.answers = [Answer("healthz", 200, "<html>", "text/html")] * 2
    assert cli.main(["run", "--kubeflow", "--endpoint", fake.url, "--pipeline", pipeline]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"captioner: error: {fake.url} answered with a web page")


def test_no_server_is_said_with_the_remedy(pipeline: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["run", "--kubeflow", "--pipeline", pipeline]) == 1
    assert "--endpoint URL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ([], "required: --config, --data, --root"),
        (["--config", "demo"], "required: --data, --root"),
        (["--kubeflow"], "required: --pipeline"),
        (["--kubeflow-local", "x.yaml"], "required: --data, --root"),
        (
            ["--config", "demo", "--endpoint", "http://x", "--wait"],
            "--endpoint, --wait: only with --kubeflow",
        ),
        (["--config", "demo", "--serving", "x"], "--serving: only with --kubeflow or --kubeflow-local"),
        (["--kubeflow", "--pipeline", "x.yaml", "--force-bless", "why"], "--force-bless: only for a run of"),
        (["--kubeflow", "--kubeflow-local", "x.yaml"], "not allowed with argument --kubeflow"),
    ],
)
def test_where_it_runs_decides_what_is_needed(
    capsys: pytest.CaptureFixture[str], command: list[str], complaint: str
):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", *command])
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_on_this_machine_the_compiled_pipeline_gets_folders_of_this_machine(
    pipeline: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    ran: list[tuple[Any, ...]] = []
    monkeypatch.setattr(kubeflow_local, "run", lambda *arguments: ran.append(arguments))
    monkeypatch.chdir(tmp_path)
    command = ["run", "--kubeflow-local", pipeline, "--data", "data", "--root", "root"]
    assert cli.main([*command, "--set", "train.epochs=1"]) == 0
    ((path, given, work_dir),) = ran
    assert path == pipeline
    assert work_dir == str(tmp_path / "root")
    assert given["data_dir"] == str(tmp_path / "data")
    assert given["serving_dir"] == str(tmp_path / "root" / "serving" / "captioner")
    assert json.loads(given["train"])["epochs"] == 1
