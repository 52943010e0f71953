"""A compiled pipeline run on this machine: small tasks that show what their container is told."""

import json
import pathlib
import textwrap
from typing import Any

import pytest
import yaml

from pipeline import kubeflow_entrypoint, kubeflow_local
from pipeline.errors import UserError

SCHEMA = {"instanceSchema": "title: tfx.Model\ntype: object\n"}

# Writes its arguments, and the inputs that it is told of, into its output's folder, and its answer.
WRITE = textwrap.dedent(
    """
    import json, os, pathlib, sys
    told = json.loads(sys.argv[1])
    (output,) = (a for name, a in told["outputs"]["artifacts"].items() if name == "made")
    (made,) = output["artifacts"]
    os.makedirs(made["uri"])
    pathlib.Path(made["uri"], "told.json").write_text(json.dumps([told, sys.argv[2:]]))
    answer = {"artifacts": {"made": {"artifacts": [{"uri": made["uri"], "metadata": METADATA}]}}}
    pathlib.Path(told["outputs"]["outputFile"]).write_text(json.dumps(answer))
    print("written", flush=True)
    """
)
FAIL = "import sys; print('no such bucket'); sys.exit(3)"


def container(code: str, *arguments: str) -> dict[str, Any]:
    return {"container": {"image": "a/b:1", "command": ["python"], "args": ["-c", code, "{{$}}", *arguments]}}


def component(name: str, *, reads: bool) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "parameters": {"steps": {"parameterType": "NUMBER_INTEGER"}, "folder": {"parameterType": "STRING"}}
    }
    if reads:
        inputs["artifacts"] = {"model": {"artifactType": SCHEMA}}
    return {
        "executorLabel": name,
        "inputDefinitions": inputs,
        "outputDefinitions": {"artifacts": {"made": {"artifactType": SCHEMA}}},
    }


def pipeline(second: dict[str, Any], metadata: str = "{'blessed': 1, 'why': 'good', 'whole': True}") -> Any:
    """Two tasks: the second, whose name comes first, reads what the first has made."""
    parameters = {
        "steps": {"componentInputParameter": "steps"},
        "folder": {"runtimeValue": {"constant": "/mnt"}},
    }
    made = {"model": {"taskOutputArtifact": {"producerTask": "Zeroth", "outputArtifactKey": "made"}}}
    arguments = [
        "{{$.inputs.parameters['steps']}}",
        "{{$.inputs.parameters['folder']}}/x",
        "{{$.outputs.artifacts['made'].uri}}",
    ]
    return {
        "pipelineInfo": {"name": "small"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "tfx",
        "components": {"Zeroth": component("Zeroth", reads=False), "First": component("First", reads=True)},
        "deploymentSpec": {
            "executors": {
                "Zeroth": container(WRITE.replace("METADATA", metadata), *arguments),
                "First": second,
            }
        },
        "root": {
            "inputDefinitions": {
                "parameters": {
                    "steps": {"parameterType": "NUMBER_INTEGER", "defaultValue": 7},
                    "name": {"parameterType": "STRING", "defaultValue": "x"},
                }
            },
            "dag": {
                "tasks": {
                    "First": {
                        "taskInfo": {"name": "First"},
                        "componentRef": {"name": "First"},
                        "inputs": {"parameters": parameters, "artifacts": made},
                    },
                    "Zeroth": {
                        "taskInfo": {"name": "Zeroth"},
                        "componentRef": {"name": "Zeroth"},
                        "inputs": {"parameters": parameters},
                    },
                }
            },
        },
    }


def write(folder: pathlib.Path, document: Any) -> pathlib.Path:
    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump_all([document, {"platforms": {}}]), encoding="utf-8")
    return file


@pytest.fixture
def good(tmp_path: pathlib.Path) -> pathlib.Path:
    return write(tmp_path, pipeline(container(WRITE.replace("METADATA", "{}"))))


def told(ran: kubeflow_local.LocalRun, task: str) -> Any:
    folder = pathlib.Path(ran.outputs[task]["made"].uri)
    return json.loads((folder / "told.json").read_text(encoding="utf-8"))


def test_a_task_runs_after_those_that_it_reads_from(good: pathlib.Path, tmp_path: pathlib.Path):
    ran = kubeflow_local.run(good, {}, tmp_path)
    assert list(ran.logs) == ["Zeroth", "First"]
    for log in ran.logs.values():
        assert log.read_text(encoding="utf-8") == "written\n"


def test_placeholders_are_replaced_as_the_launcher_does(good: pathlib.Path, tmp_path: pathlib.Path):
    ran = kubeflow_local.run(good, {"steps": 3}, tmp_path)
    execution, arguments = told(ran, "Zeroth")
    assert execution["inputs"]["parameterValues"] == {"steps": 3.0, "folder": "/mnt"}
    assert arguments == ["3", "/mnt/x", execution["outputs"]["artifacts"]["made"]["artifacts"][0]["uri"]]


def test_a_default_holds_where_nothing_is_given(good: pathlib.Path, tmp_path: pathlib.Path):
    assert told(kubeflow_local.run(good, {}, tmp_path), "Zeroth")[1][0] == "7"


def test_an_output_comes_to_the_next_task_as_through_ml_metadata(good: pathlib.Path, tmp_path: pathlib.Path):
    """Its properties, numbers as doubles, and what the backend adds; but not its type."""
    ran = kubeflow_local.run(good, {}, tmp_path)
    (model,) = told(ran, "First")[0]["inputs"]["artifacts"]["model"]["artifacts"]
    assert model["uri"] == ran.outputs["Zeroth"]["made"].uri
    assert model["name"].isdecimal()
    assert model["type"] == {"instanceSchema": ""}
    assert model["metadata"] == {
        "blessed": 1.0,
        "why": "good",
        "whole": 1.0,
        "display_name": "made",
        "store_session_info": "{}",
    }


def test_a_failing_task_ends_the_run_and_its_log_is_named(tmp_path: pathlib.Path):
    package = write(tmp_path, pipeline(container(FAIL)))
    with pytest.raises(UserError, match=r"First failed with status 3\. Its log is ") as error:
        kubeflow_local.run(package, {}, tmp_path)
    log = pathlib.Path(str(error.value).rpartition("Its log is ")[2])
    assert log.read_text(encoding="utf-8") == "no such bucket\n"


def test_a_task_that_fails_in_this_process_leaves_its_traceback(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    def main(arguments: list[str]) -> None:
        print("looking at", *arguments)
        raise FileNotFoundError("no model in /mnt/captioner")

    monkeypatch.setattr(kubeflow_entrypoint, "main", main)
    task = {"image": "a/b:1", "command": list(kubeflow_entrypoint.COMMAND), "args": ["the model"]}
    package = write(tmp_path, pipeline({"container": task}))
    with pytest.raises(UserError, match=r"First failed: no model in /mnt/captioner\. Its log is ") as error:
        kubeflow_local.run(package, {}, tmp_path, in_process=True)
    log = pathlib.Path(str(error.value).rpartition("Its log is ")[2]).read_text(encoding="utf-8")
    assert "looking at the model" in log
    assert "Traceback" in log
    assert "FileNotFoundError: no model in /mnt/captioner" in log


def test_a_property_that_the_backend_cannot_store_fails_here_too(tmp_path: pathlib.Path):
    package = write(tmp_path, pipeline(container(FAIL), metadata="{'verdict': None}"))
    with pytest.raises(UserError, match="Zeroth: made: the property 'verdict' has no value"):
        kubeflow_local.run(package, {}, tmp_path)


def test_an_argument_of_another_type_is_refused_as_by_the_driver(good: pathlib.Path, tmp_path: pathlib.Path):
    with pytest.raises(UserError, match='expected steps to be a NUMBER_INTEGER; got "3"'):
        kubeflow_local.run(good, {"steps": "3"}, tmp_path)


def test_an_argument_that_the_pipeline_does_not_have_is_named(good: pathlib.Path, tmp_path: pathlib.Path):
    with pytest.raises(UserError, match="the pipeline has no parameter epochs; it has: name, steps"):
        kubeflow_local.run(good, {"epochs": 3}, tmp_path)


def test_a_parameter_without_a_default_must_be_given(tmp_path: pathlib.Path):
    document = pipeline(container(FAIL))
    del document["root"]["inputDefinitions"]["parameters"]["steps"]["defaultValue"]
    with pytest.raises(UserError, match="the pipeline needs a value for steps"):
        kubeflow_local.run(write(tmp_path, document), {}, tmp_path)


def test_what_the_open_source_backend_does_not_run_is_not_run_here(tmp_path: pathlib.Path):
    package = write(tmp_path, pipeline({"resolver": {}}))
    with pytest.raises(UserError, match="First is a resolver, which no open-source backend runs"):
        kubeflow_local.run(package, {}, tmp_path)


@pytest.mark.parametrize("text", ["", "just text", "{a: 1}", "[1, 2]", "{"])
def test_a_file_that_is_no_pipeline_is_told_apart(tmp_path: pathlib.Path, text: str):
    file = tmp_path / "other.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"other\.yaml is no compiled pipeline"):
        kubeflow_local.read(file)


def test_a_file_that_is_not_there_is_named(tmp_path: pathlib.Path):
    with pytest.raises(UserError, match=r"none\.yaml cannot be read: No such file"):
        kubeflow_local.read(tmp_path / "none.yaml")
