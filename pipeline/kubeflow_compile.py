"""Compiles the pipeline for Kubeflow Pipelines: one YAML file that a cluster, or this machine, runs."""

import dataclasses
import pathlib
import tempfile
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration import data_types
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

from components.baseline import in_service
from components.span_example_gen import spans
from pipeline import kubeflow_entrypoint, kubeflow_parameters, kubeflow_spec, pages, pipeline
from pipeline.config import PipelineConfig
from pipeline.kubeflow_config import KubeflowConfig
from pipeline.paths import Paths


def compile_pipeline(
    config: PipelineConfig,
    image: str,
    output: str | pathlib.Path,
    cluster: KubeflowConfig,
    data: str,
    serving: str,
    root: str,
) -> None:
    """Writes the pipeline as YAML: pipeline spec 2.1, and the platform spec of Kubernetes if there is one.

    Args:
      config: what to compute, by default.
      image: of the tasks, with this version of the code.
      output: file to write, whole or not at all.
      cluster: how it runs there.
      data, serving, root: defaults, as `kubeflow_parameters.arguments` takes them.
    """
    defaults = kubeflow_parameters.arguments(config, data, serving, root, max_steps=0)
    spec = _compiled(config, image)
    kubeflow_spec.require_open_source(spec)
    kubeflow_spec.set_defaults(spec, defaults)
    kubeflow_spec.set_caching(spec, cluster.cache)
    kubeflow_spec.set_retries(spec, cluster.retries, cluster.retry_wait_s)
    kubeflow_spec.set_environment(spec, cluster.env)
    kubeflow_spec.set_trainer(spec, cluster.trainer)
    documents = [json_format.MessageToDict(spec)]
    if platform := kubeflow_spec.platform_spec(spec, cluster):
        documents.append(platform)
    text = yaml.safe_dump_all(documents, sort_keys=True, width=110)
    pages.write(pathlib.Path(output), _heading(spec, image) + text)


@dataclasses.dataclass(frozen=True)
class _Places(Paths):
    """Places that are told when a run is started. `root` only has what a compiled pipeline does not use."""

    @property
    def spans(self) -> Any:
        return _parameter("spans_dir")

    @property
    def feature_store(self) -> Any:
        return _parameter("features_dir")

    @property
    def checkpoints(self) -> Any:
        return _parameter("checkpoints_dir")


def _compiled(config: PipelineConfig, image: str) -> pipeline_spec_pb2.PipelineSpec:
    parts = {part: _parameter(part) for part in (*kubeflow_parameters.PARTS, "gate")}
    values = pipeline.Values(
        data=_parameter("data_dir"),
        serving=_parameter("serving_dir"),
        max_steps=_parameter("max_steps", int),
        **parts,
    )
    world = pipeline.World(encoder="", spans=spans.NEWEST, in_service=in_service.NEWEST, recorded=False)
    # Wired for every way to start, because which one it is may be said when a run is started.
    wiring = config.replace(
        train=config.train.replace(start="best"), corpus=config.corpus.replace(vocabulary="grow")
    )
    with tempfile.TemporaryDirectory() as folder:
        wired = pipeline.build(wiring, values, world, _Places(folder))
        runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(
            kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
                default_image=image,
                default_commands=list(kubeflow_entrypoint.COMMAND),
                use_pipeline_spec_2_1=True,
            )
        )
        job = runner.run(wired, write_out=False)
    return json_format.ParseDict(job["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())


def _parameter(name: str, kind: type = str) -> data_types.RuntimeParameter:
    return data_types.RuntimeParameter(name=name, ptype=kind)


def _heading(spec: pipeline_spec_pb2.PipelineSpec, image: str) -> str:
    """Comments in the form in which KFP's own compiler writes them."""
    types = {"STRING": "str", "NUMBER_INTEGER": "int"}
    lines = [
        "# PIPELINE DEFINITION",
        f"# Name: {spec.pipeline_info.name}",
        f"# Description: tfx-captioner in {image}; written by 'captioner compile'",
        "# Inputs:",
    ]
    for name, definition in sorted(spec.root.input_definitions.parameters.items()):
        kind = pipeline_spec_pb2.ParameterType.ParameterTypeEnum.Name(definition.parameter_type)
        default = json_format.MessageToDict(definition.default_value)
        shown = repr(default) if isinstance(default, str) else f"{default:g}"
        lines.append(f"#    {name}: {types[kind]} [Default: {shown}]")
    return "\n".join(lines) + "\n"
