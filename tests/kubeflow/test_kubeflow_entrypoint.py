"""What the entrypoint of a task's container makes of what the open-source backend tells it."""

import pathlib

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline import kubeflow_entrypoint

MODEL = "title: tfx.Model\ntype: object\n"
INPUTS = json_format.ParseDict(
    {"artifacts": {"model": {"artifactType": {"instanceSchema": MODEL}}}},
    pipeline_spec_pb2.ComponentInputsSpec(),
)


@pytest.fixture(autouse=True)
def launcher_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Stands for `/minio`."""
    folder = tmp_path / "minio"
    monkeypatch.setitem(kubeflow_entrypoint._LAUNCHER_FOLDERS, "minio://", f"{folder}/")
    return folder


def execution(type_: dict[str, str] | None = None) -> pipeline_spec_pb2.ExecutorInput:
    """As the driver of Kubeflow Pipelines writes it."""
    model = {"name": "7", "uri": "minio://bucket/Trainer/model", "type": type_ or {"instanceSchema": ""}}
    blessing = {"uri": "minio://bucket/x/blessing", "type": {"instanceSchema": "title: tfx.ModelBlessing"}}
    log = {"uri": "minio://bucket/x/executor-logs", "type": {"schemaTitle": "system.Artifact"}}
    return json_format.ParseDict(
        {
            "inputs": {"artifacts": {"model": {"artifacts": [model]}}},
            "outputs": {
                "artifacts": {"blessing": {"artifacts": [blessing]}, "executor-logs": {"artifacts": [log]}}
            },
        },
        pipeline_spec_pb2.ExecutorInput(),
    )


def test_an_input_gets_the_type_that_its_definition_has():
    given = execution()
    kubeflow_entrypoint.fit(given, INPUTS)
    assert given.inputs.artifacts["model"].artifacts[0].type.instance_schema == MODEL


def test_a_type_that_is_told_stays():
    given = execution(type_={"schemaTitle": "tfx.Model"})
    kubeflow_entrypoint.fit(given, INPUTS)
    assert given.inputs.artifacts["model"].artifacts[0].type.schema_title == "tfx.Model"


def test_artifacts_are_where_the_launcher_keeps_them(launcher_folder: pathlib.Path):
    given = execution()
    uris = kubeflow_entrypoint.fit(given, INPUTS)
    model, blessing = given.inputs.artifacts["model"], given.outputs.artifacts["blessing"]
    assert model.artifacts[0].uri == f"{launcher_folder}/bucket/Trainer/model"
    assert blessing.artifacts[0].uri == f"{launcher_folder}/bucket/x/blessing"
    assert (launcher_folder / "bucket/x/blessing").is_dir()
    assert uris == {"blessing": "minio://bucket/x/blessing"}


def test_the_artifact_for_the_log_is_not_the_components():
    given = execution()
    kubeflow_entrypoint.fit(given, INPUTS)
    assert list(given.outputs.artifacts) == ["blessing"]


def test_the_answer_has_the_names_that_the_backend_gave(tmp_path: pathlib.Path):
    answer = tmp_path / "executor_output.json"
    artifact = {"uri": "/minio/bucket/x/blessing", "metadata": {"blessed": 1.0}}
    message = json_format.ParseDict(
        {"artifacts": {"blessing": {"artifacts": [artifact]}}}, pipeline_spec_pb2.ExecutorOutput()
    )
    answer.write_text(json_format.MessageToJson(message), encoding="utf-8")
    kubeflow_entrypoint._restore(str(answer), {"blessing": "minio://bucket/x/blessing"})
    read = json_format.Parse(answer.read_text(encoding="utf-8"), pipeline_spec_pb2.ExecutorOutput())
    (told,) = read.artifacts["blessing"].artifacts
    assert told.uri == "minio://bucket/x/blessing"
    assert told.metadata["blessed"] == 1


def test_what_tensorflow_reads_itself_stays_a_uri():
    assert kubeflow_entrypoint.local_path("gs://bucket/model") == "gs://bucket/model"
    assert kubeflow_entrypoint.local_path("s3://bucket/model") == "/s3/bucket/model"
    assert kubeflow_entrypoint.local_path("/mnt/model") == "/mnt/model"
