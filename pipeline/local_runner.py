"""Runs the pipeline on this machine: LocalDagRunner, but it says where it is and never fails in silence."""

import datetime
import time
from collections.abc import Collection, Iterator
from typing import Any

import rich.console
from absl import logging
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils

from pipeline.errors import UserError

_Execution = metadata_store_pb2.Execution
_DONE = {_Execution.COMPLETE: "done", _Execution.CACHED: "cached"}


class NodeError(UserError):
    """A node failed or was skipped: `node` says which."""

    def __init__(self, node: str, message: str):
        super().__init__(message)
        self.node = node


class LocalRunner:
    """Runs node after node, in this process.

    TFX's LocalDagRunner returns as if all were well when a node's inputs cannot be resolved: it skips the
    node and those after it. Here each node's execution is read back from ML Metadata.
    """

    def __init__(self, console: rich.console.Console, told: Collection[str] | None = None):
        """Tells on `console` of the nodes in `told`; None: of all."""
        self._console = console
        self._told = told
        self.run_id = ""
        self.states: dict[str, str] = {}  # by node: `done` or `cached`
        self.seconds: dict[str, float] = {}  # by node

    def run(self, pipeline: tfx.dsl.Pipeline) -> None:
        """Runs `pipeline` to its end.

        Raises:
          NodeError: a node failed or was skipped; the message names it and gives the reason.
        """
        ir = compiler.Compiler().compile(pipeline)
        self.run_id = datetime.datetime.now().isoformat()
        runtime_parameter_utils.substitute_runtime_parameter(
            ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: self.run_id}
        )
        deployment = runner_utils.extract_local_deployment_config(ir)
        config = deployment.metadata_connection_config
        connection = getattr(config, config.WhichOneof("connection_config"))
        nodes = [node.pipeline_node for node in ir.nodes]
        for number, node in enumerate(nodes, start=1):
            name = node.node_info.id
            self._tell(name, f"[bold]\\[{number}/{len(nodes)}] {name}[/bold]")
            started = time.monotonic()
            try:
                launcher.Launcher(
                    pipeline_node=node,
                    mlmd_connection=metadata.Metadata(connection),
                    pipeline_info=ir.pipeline_info,
                    pipeline_runtime_spec=ir.runtime_spec,
                    executor_spec=runner_utils.extract_executor_spec(deployment, name),
                    custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
                ).launch()
            except Exception as error:
                logging.error("%s failed", name, exc_info=True)
                raise NodeError(name, f"{name} failed: {root_cause(error)}") from error
            state = self._state(connection, name)
            if state not in _DONE:
                raise NodeError(
                    name,
                    f"{name} did not run (its state is {state}): its inputs could not be resolved. Look at "
                    "the log; a component before it may have made no output",
                )
            self.states[name] = _DONE[state]
            self.seconds[name] = time.monotonic() - started
            self._tell(name, f"[dim]  {_DONE[state]} in {self.seconds[name]:.0f} s[/dim]")

    def artifacts(self, pipeline: tfx.dsl.Pipeline, node: str) -> dict[str, Any]:
        """Outputs of `node` in the last run: ML Metadata's artifact by output name."""
        with metadata.Metadata(pipeline.metadata_connection_config) as handle:
            (execution,) = self._executions(handle, node)
            return dict(_outputs(handle, execution))

    def _tell(self, node: str, text: str) -> None:
        if self._told is None or node in self._told:
            self._console.print(text, highlight=False)

    def _state(self, connection: Any, node: str) -> Any:
        with metadata.Metadata(connection) as handle:
            states = [execution.last_known_state for execution in self._executions(handle, node)]
        if not states:
            return "missing"
        return states[-1] if states[-1] in _DONE else _Execution.State.Name(states[-1])

    def _executions(self, handle: Any, node: str) -> list[Any]:
        context = handle.store.get_context_by_type_and_name("pipeline_run", self.run_id)
        if context is None:
            return []
        contexts = {
            other.id
            for other in handle.store.get_contexts_by_type("node")
            if other.name.split(".")[-1] == node
        }
        return [
            execution
            for execution in handle.store.get_executions_by_context(context.id)
            if contexts & {other.id for other in handle.store.get_contexts_by_execution(execution.id)}
        ]


def _outputs(handle: Any, execution: Any) -> Iterator[tuple[str, Any]]:
    event = metadata_store_pb2.Event
    for found in handle.store.get_events_by_execution_ids([execution.id]):
        if found.type in (event.OUTPUT, event.INTERNAL_OUTPUT, event.DECLARED_OUTPUT):
            name = found.path.steps[0].key
            (artifact,) = handle.store.get_artifacts_by_id([found.artifact_id])
            yield name, artifact


def root_cause(error: BaseException) -> str:
    """The sentence of what went wrong, without the layers of wrapping around it."""
    while error.__cause__ is not None or (error.__context__ is not None and not str(error)):
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    # Beam adds "[while running '...']", and its own traceback before it.
    text = str(error).split(" [while running")[0].strip() or type(error).__name__
    last_line = text.splitlines()[-1].strip()
    return last_line if text.startswith("Traceback") else text
