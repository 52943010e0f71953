"""What the container of a Kubeflow task runs: TFX's executor runner, fitted to the open-source backend.

    python -m pipeline.kubeflow_entrypoint --executor_class_path X --json_serialized_invocation_args '{{$}}'

TFX's runner expects what only Vertex AI gives. Kubeflow Pipelines 2
- tells no type of an input artifact (tensorflow/tfx#7768): it is taken from the component's definition;
- names artifacts `minio://...` or `s3://...`, which TensorFlow does not read: KFP's launcher, which starts
  this process, has downloaded the inputs to `/minio` and `/s3`, and uploads the outputs from there;
- adds an artifact of its own for the log, of a type that TFX does not know;
- makes no folder for an output, as TFX does under every other orchestrator.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kfp.pipeline_spec import pipeline_spec_pb2

COMMAND: Final = ("python", "-m", "pipeline.kubeflow_entrypoint")

# Where KFP's launcher keeps what a store has. TensorFlow and Beam read gs:// themselves, on every worker.
_LAUNCHER_FOLDERS = {"minio://": "/minio/", "s3://": "/s3/"}
_KFP_TYPES = "system."


def main(argv: Sequence[str]) -> None:
    """Runs a TFX executor.

    Args:
      argv: arguments that TFX compiles, with the ExecutorInput's JSON in them, then flags of Beam.
    """
    # Takes half a minute.
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    parser = argparse.ArgumentParser(prog="pipeline.kubeflow_entrypoint", allow_abbrev=False)
    for name in (
        "executor_class_path",
        "json_serialized_invocation_args",
        "json_serialized_inputs_spec_args",
    ):
        parser.add_argument(f"--{name}", required=True)
    args, beam_args = parser.parse_known_args(argv)
    execution = json_format.Parse(
        args.json_serialized_invocation_args, pipeline_spec_pb2.ExecutorInput(), ignore_unknown_fields=True
    )
    inputs = json_format.Parse(args.json_serialized_inputs_spec_args, pipeline_spec_pb2.ComponentInputsSpec())
    uris = fit(execution, inputs)
    args.json_serialized_invocation_args = json_format.MessageToJson(execution)
    kubeflow_v2_run_executor.main((args, beam_args))
    _restore(execution.outputs.output_file, uris)


def local_path(uri: str) -> str:
    """Returns where an artifact is in the container: a path, or the URI itself where TensorFlow reads it."""
    for scheme, folder in _LAUNCHER_FOLDERS.items():
        if uri.startswith(scheme):
            return folder + uri.removeprefix(scheme)
    return uri


def fit(
    execution: "pipeline_spec_pb2.ExecutorInput", inputs: "pipeline_spec_pb2.ComponentInputsSpec"
) -> dict[str, str]:
    """Makes of `execution`, in place, what TFX's runner reads; returns the outputs' URIs by name."""
    for name, artifacts in execution.inputs.artifacts.items():
        for artifact in artifacts.artifacts:
            if not (artifact.type.instance_schema or artifact.type.schema_title):
                artifact.type.CopyFrom(inputs.artifacts[name].artifact_type)
            artifact.uri = local_path(artifact.uri)
    uris = {}
    for name, artifacts in list(execution.outputs.artifacts.items()):
        (artifact,) = artifacts.artifacts
        if artifact.type.schema_title.startswith(_KFP_TYPES):
            del execution.outputs.artifacts[name]
            continue
        uris[name] = artifact.uri
        artifact.uri = local_path(artifact.uri)
        if "://" not in artifact.uri:
            os.makedirs(artifact.uri, exist_ok=True)
    return uris


def _restore(output_file: str, uris: dict[str, str]) -> None:
    """Names the outputs in the executor's answer as the backend named them."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    with open(output_file, encoding="utf-8") as file:
        answer = json_format.Parse(file.read(), pipeline_spec_pb2.ExecutorOutput())
    for name, uri in uris.items():
        for artifact in answer.artifacts[name].artifacts:
            artifact.uri = uri
    with open(output_file, "w", encoding="utf-8") as file:
        file.write(json_format.MessageToJson(answer))


if __name__ == "__main__":
    from absl import app

    app.run(lambda _: main(sys.argv[1:]), argv=sys.argv[:1])
