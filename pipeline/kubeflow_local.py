"""Runs a compiled pipeline on this machine, task by task, as Kubeflow Pipelines runs it in a cluster.

What is not done as there: tasks run one after another, none is retried or taken from a cache, and resources,
volumes and secrets are those of this machine.
"""

import dataclasses
import graphlib
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import rich.console
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.evaluator.verdict import Verdict
from pipeline.errors import UserError
from pipeline.kubeflow_launcher import Artifacts, Launcher, Task
from pipeline.kubeflow_store import Store


@dataclasses.dataclass(frozen=True)
class LocalRun:
    """A run that came to its end.

    Attributes:
      outputs: artifacts by task and name of the output, with their properties as metadata.
      logs: file of each task's log, in the order in which the tasks ran.
      store: where the artifacts are.
    """

    outputs: dict[str, Artifacts]
    logs: dict[str, pathlib.Path]
    store: Store

    def path(self, task: str, output: str) -> pathlib.Path:
        """Returns where an artifact is kept."""
        return self.store.path(self.outputs[task][output].uri)

    def properties(self, task: str, output: str) -> dict[str, Any]:
        """Returns the properties of an artifact."""
        return json_format.MessageToDict(self.outputs[task][output].metadata)

    @property
    def verdict(self) -> Verdict:
        """Of the CaptionEvaluator."""
        return Verdict.from_json(self.properties("CaptionEvaluator", "blessing")["verdict"])

    @property
    def pushed(self) -> str:
        """The folder of the version that the model is; empty if it is none."""
        pushed = self.properties("AtomicPusher", "pushed_model")
        return pushed["pushed_destination"] if pushed["pushed"] else ""


def run(
    package: str | pathlib.Path,
    arguments: Mapping[str, str | int | float],
    work_dir: str | pathlib.Path,
    in_process: bool = False,
    pipeline_root: str = "",
) -> LocalRun:
    """Runs a compiled pipeline to its end, and tells how it goes and ends.

    Args:
      package: the YAML file of `captioner compile`.
      arguments: of the pipeline, by name, where they differ from its defaults; see `kubeflow_parameters`.
      work_dir: logs, and artifacts, go into a new folder `kubeflow/DATE-TIME` in it.
      in_process: run our components in this process; quicker, but not quite as in a container.
      pipeline_root: where artifacts go, if not there.

    Raises:
      UserError: the file is no pipeline, an argument is unknown or missing, or a task failed.
    """
    spec = read(package)
    parameters = _parameters(spec, arguments)
    tasks = _in_order(spec)
    folder = pathlib.Path(work_dir).resolve() / "kubeflow" / time.strftime("%Y%m%d-%H%M%S")
    launcher = Launcher(parameters, pipeline_root or str(folder / "artifacts"), folder, in_process)
    console = rich.console.Console(stderr=True)
    for number, task in enumerate(tasks, start=1):
        console.print(f"[bold]\\[{number}/{len(tasks)}] {task.name}[/bold]", highlight=False)
        started = time.monotonic()
        launcher.launch(task)
        console.print(f"[dim]  done in {time.monotonic() - started:.0f} s[/dim]", highlight=False)
    logs = {task.name: launcher.log(task.name) for task in tasks}
    ran = LocalRun(launcher.outputs, logs, launcher.store)
    _tell(ran, folder)
    return ran


def read(package: str | pathlib.Path) -> pipeline_spec_pb2.PipelineSpec:
    """Reads the pipeline spec of a compiled pipeline. Raises UserError where the file is none."""
    try:
        with open(package, encoding="utf-8") as file:
            document = next(yaml.safe_load_all(file))
        return json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
    except OSError as error:
        raise UserError(
            f"{package} cannot be read: {error.strerror}; write one with 'captioner compile'"
        ) from error
    except (yaml.YAMLError, json_format.ParseError, StopIteration, AttributeError) as error:
        raise UserError(
            f"{package} is no compiled pipeline ({error}); write one with 'captioner compile'"
        ) from error


def defaults(spec: pipeline_spec_pb2.PipelineSpec) -> dict[str, Any]:
    """Returns the parameters of a pipeline that have a default, by name."""
    return {
        name: json_format.MessageToDict(definition.default_value)
        for name, definition in spec.root.input_definitions.parameters.items()
        if definition.HasField("default_value")
    }


def _parameters(
    spec: pipeline_spec_pb2.PipelineSpec, arguments: Mapping[str, str | int | float]
) -> dict[str, Any]:
    known = spec.root.input_definitions.parameters
    if unknown := sorted(set(arguments) - set(known)):
        raise UserError(
            f"the pipeline has no parameter {', '.join(unknown)}; it has: {', '.join(sorted(known))}. "
            "Compile it again if it is of another version"
        )
    by_default = defaults(spec)
    if missing := sorted(set(known) - set(by_default) - set(arguments)):
        raise UserError(f"the pipeline needs a value for {', '.join(missing)}")
    return by_default | dict(arguments)


def _in_order(spec: pipeline_spec_pb2.PipelineSpec) -> list[Task]:
    """Returns the tasks, each after those that it depends on."""
    deployment = json_format.ParseDict(
        json_format.MessageToDict(spec.deployment_spec), pipeline_spec_pb2.PipelineDeploymentConfig()
    )
    tasks = spec.root.dag.tasks
    before = {
        name: {
            *task.dependent_tasks,
            *(source.task_output_artifact.producer_task for source in task.inputs.artifacts.values()),
        }
        for name, task in sorted(tasks.items())
    }
    ordered = []
    for name in graphlib.TopologicalSorter(before).static_order():
        component = spec.components[tasks[name].component_ref.name]
        executor = deployment.executors[component.executor_label]
        if executor.WhichOneof("spec") != "container":
            raise UserError(
                f"{name} is a {executor.WhichOneof('spec')}, which no open-source backend runs; "
                "compile the pipeline with 'captioner compile'"
            )
        ordered.append(Task(name, tasks[name], component, executor.container))
    return ordered


def _tell(ran: LocalRun, folder: pathlib.Path) -> None:
    lines = []
    if "CaptionEvaluator" in ran.outputs:
        lines += ran.verdict.sentences
    if "AtomicPusher" in ran.outputs:
        lines.append(f"Pushed: {ran.pushed}" if ran.pushed else "Nothing was pushed.")
    print("\n".join([*lines, f"Logs: {folder / 'logs'}"]), flush=True)
