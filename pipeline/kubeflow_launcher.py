"""One task of a compiled pipeline, run on this machine as Kubeflow's driver and launcher run it in a cluster.

The driver resolves a task's inputs and names its outputs: the ExecutorInput. The launcher replaces the
placeholders in the container's command with it, runs the command, and reads what it says of its outputs. What
ML Metadata does to an artifact on its way to the next task is done here too, so that what would fail in a
cluster fails on a laptop.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import traceback
import uuid
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline import kubeflow_entrypoint, quiet
from pipeline.errors import UserError
from pipeline.kubeflow_store import Store

Artifacts = dict[str, pipeline_spec_pb2.RuntimeArtifact]

_NUMBERS = (pipeline_spec_pb2.ParameterType.NUMBER_INTEGER, pipeline_spec_pb2.ParameterType.NUMBER_DOUBLE)


@dataclasses.dataclass(frozen=True)
class Task:
    """A task as the pipeline spec has it."""

    name: str
    spec: pipeline_spec_pb2.PipelineTaskSpec
    component: pipeline_spec_pb2.ComponentSpec
    container: pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec


class Launcher:
    """Runs tasks one after another, and keeps their outputs for those after them."""

    def __init__(
        self, parameters: Mapping[str, Any], pipeline_root: str, folder: pathlib.Path, in_process: bool
    ):
        """Prepares a run.

        Args:
          parameters: of the pipeline, by name.
          pipeline_root: folder or store of the artifacts, `minio://bucket/path` for example; see `Store`.
          folder: where the tasks' logs and answers go.
          in_process: run our own entrypoint here and not as a process of its own, which takes half a minute
            a task to import TFX.
        """
        self.outputs: dict[str, Artifacts] = {}  # by task and name, as the next task is told of them
        self._parameters = parameters
        self._pipeline_root = pipeline_root
        self._folder = folder
        self.store = Store(pipeline_root, folder / "store")
        self._in_process = in_process
        self._ids = 0

    def log(self, task: str) -> pathlib.Path:
        """Returns where a task's log is kept."""
        return self._folder / "logs" / f"{task}.log"

    def launch(self, task: Task) -> None:
        """Runs a task whose inputs are there.

        Raises:
          UserError: it failed, or its answer is not one that Kubeflow takes; the message names its log.
        """
        execution = self._execution(task)
        command = [*task.container.command, *task.container.args]
        texts = placeholders(execution)
        command = [_replaced(word, texts) for word in command]
        self.store.download(_all(execution.inputs))
        outputs = _all(execution.outputs)
        for artifact in outputs:
            os.makedirs(os.path.dirname(kubeflow_entrypoint.local_path(artifact.uri)), exist_ok=True)
        self.log(task.name).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(execution.outputs.output_file).parent.mkdir(parents=True, exist_ok=True)
        self._run(task.name, command)
        self.store.upload(outputs)
        try:
            self.outputs[task.name] = self._published(execution)
        except (ValueError, json_format.ParseError) as error:
            raise UserError(f"{task.name}: {error}. Its log is {self.log(task.name)}") from error

    def _execution(self, task: Task) -> pipeline_spec_pb2.ExecutorInput:
        """The driver's part."""
        execution = pipeline_spec_pb2.ExecutorInput()
        for name, source in task.spec.inputs.parameters.items():
            value = self._parameter(task, name, source)
            execution.inputs.parameter_values[name].CopyFrom(value)
        for name, source in task.spec.inputs.artifacts.items():
            made = self.outputs[source.task_output_artifact.producer_task]
            artifact = made[source.task_output_artifact.output_artifact_key]
            execution.inputs.artifacts[name].artifacts.add().CopyFrom(artifact)
        salt = str(uuid.uuid4())
        for name, spec in task.component.output_definitions.artifacts.items():
            artifact = execution.outputs.artifacts[name].artifacts.add()
            artifact.uri = "/".join((self._pipeline_root.rstrip("/"), task.name, salt, name))
            artifact.type.CopyFrom(spec.artifact_type)
        # As a backend with PUBLISH_LOGS does, which is its default.
        log = execution.outputs.artifacts["executor-logs"].artifacts.add()
        log.uri = "/".join((self._pipeline_root.rstrip("/"), task.name, salt, "executor-logs"))
        log.type.schema_title = "system.Artifact"
        execution.outputs.output_file = str(self._folder / "outputs" / task.name / "executor_output.json")
        return execution

    def _parameter(self, task: Task, name: str, source: Any) -> struct_pb2.Value:
        kind = source.WhichOneof("kind")
        if kind == "component_input_parameter":
            value = json_format.ParseDict(
                self._parameters[source.component_input_parameter], struct_pb2.Value()
            )
        elif kind == "runtime_value":
            value = source.runtime_value.constant
        else:
            raise ValueError(f"{task.name}: input {name} comes from a {kind}, which no task of ours does")
        wanted = task.component.input_definitions.parameters[name].parameter_type
        is_number = value.WhichOneof("kind") == "number_value"
        if is_number != (wanted in _NUMBERS):
            type_name = pipeline_spec_pb2.ParameterType.ParameterTypeEnum.Name(wanted)
            raise UserError(
                f"{task.name}: expected {name} to be a {type_name}; got {json_format.MessageToJson(value)}"
            )
        return value

    def _run(self, task: str, command: list[str]) -> None:
        """The launcher's part."""
        log = self.log(task)
        ours = len(kubeflow_entrypoint.COMMAND)
        try:
            if self._in_process and tuple(command[:ours]) == kubeflow_entrypoint.COMMAND:
                _run_here(command[ours:], log)
            else:
                _run_apart(command, log)
        except subprocess.CalledProcessError as error:
            raise UserError(f"{task} failed with status {error.returncode}. Its log is {log}") from error
        except Exception as error:
            raise UserError(f"{task} failed: {error}. Its log is {log}") from error

    def _published(self, execution: pipeline_spec_pb2.ExecutorInput) -> Artifacts:
        """The outputs, as the launcher stores them and the driver reads them for other tasks."""
        answer = pipeline_spec_pb2.ExecutorOutput()
        path = pathlib.Path(execution.outputs.output_file)
        if path.exists():
            json_format.Parse(path.read_text(encoding="utf-8"), answer)
        published = {}
        for name, artifacts in execution.outputs.artifacts.items():
            artifact = pipeline_spec_pb2.RuntimeArtifact(uri=artifacts.artifacts[0].uri)
            if name in answer.artifacts:
                told = answer.artifacts[name].artifacts[0]
                artifact.uri = told.uri or artifact.uri
                artifact.metadata.CopyFrom(told.metadata)
            _through_ml_metadata(name, artifact)
            self._ids += 1
            artifact.name = str(self._ids)
            published[name] = artifact
        return published


def _all(side: Any) -> list[pipeline_spec_pb2.RuntimeArtifact]:
    """The artifacts of an ExecutorInput's `inputs` or `outputs`."""
    return [artifact for artifacts in side.artifacts.values() for artifact in artifacts.artifacts]


def _run_apart(command: list[str], log: pathlib.Path) -> None:
    if command[0] == "python":
        command = [sys.executable, *command[1:]]
    with open(log, "ab") as file:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=True)


def _run_here(arguments: list[str], log: pathlib.Path) -> None:
    with (
        quiet.noise_to(str(log)),
        open(log, "a", encoding="utf-8", buffering=1) as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        try:
            kubeflow_entrypoint.main(arguments)
        except Exception:
            traceback.print_exc()
            raise


def placeholders(execution: pipeline_spec_pb2.ExecutorInput) -> dict[str, str]:
    """Returns what the launcher puts into a command in place of which text."""
    texts = {"{{$}}": json_format.MessageToJson(execution, indent=None)}
    for side, of_side in (("inputs", execution.inputs), ("outputs", execution.outputs)):
        for name, artifacts in of_side.artifacts.items():
            uri = artifacts.artifacts[0].uri
            texts[f"{{{{$.{side}.artifacts['{name}'].uri}}}}"] = uri
            texts[f"{{{{$.{side}.artifacts['{name}'].path}}}}"] = kubeflow_entrypoint.local_path(uri)
    for name, value in execution.inputs.parameter_values.items():
        texts[f"{{{{$.inputs.parameters['{name}']}}}}"] = _text(value)
    for name, parameter in execution.outputs.parameters.items():
        texts[f"{{{{$.outputs.parameters['{name}'].output_file}}}}"] = parameter.output_file
    return texts


def _replaced(word: str, texts: Mapping[str, str]) -> str:
    for placeholder, text in texts.items():
        word = word.replace(placeholder, text)
    return word


def _text(value: struct_pb2.Value) -> str:
    plain = json_format.MessageToDict(value)
    if isinstance(plain, str):
        return plain
    if isinstance(plain, float) and plain.is_integer():
        return str(int(plain))
    return json.dumps(plain)


def _through_ml_metadata(name: str, artifact: pipeline_spec_pb2.RuntimeArtifact) -> None:
    """Does to an output, in place, what storing and loading it does: it loses its type, and integers.

    Raises:
      ValueError: it has a property that cannot be stored.
    """
    artifact.type.instance_schema = ""
    for key, value in artifact.metadata.fields.items():
        kind = value.WhichOneof("kind")
        if kind == "bool_value":
            value.number_value = float(value.bool_value)
        elif kind == "list_value":
            value.struct_value.CopyFrom(_struct(list=json_format.MessageToDict(value)))
        elif kind == "struct_value":
            value.struct_value.CopyFrom(_struct(struct=json_format.MessageToDict(value)))
        elif kind not in ("number_value", "string_value"):
            raise ValueError(f"{name}: the property {key!r} has no value, which Kubeflow cannot store")
    artifact.metadata.update({"display_name": name, "store_session_info": "{}"})


def _struct(**values: Any) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct
