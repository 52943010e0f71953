"""What TFX's compiler leaves out of a pipeline spec, put in: defaults, caching, retries, resources, volumes.

Each function changes the spec, a `PipelineSpec` message, in place. What that message cannot say is in the
platform spec, the second document of a compiled pipeline, in the form of `kfp-kubernetes`.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from google.protobuf import json_format, struct_pb2
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig, PipelineSpec

from pipeline.kubeflow_config import KubeflowConfig, Secret, TrainerPod

TRAINER: Final = "Trainer"

# They look at what is outside the pipeline: the serving directory, and the spans. All the others answer the
# same where their inputs are the same; but Kubeflow knows an artifact by a number of its own, so what comes
# after a task that has run runs too. What takes long is kept besides: features, checkpoints, judgements.
NEVER_CACHED: Final = frozenset({"Baseline", "SpanExampleGen", "AtomicPusher"})

# It fails because the data does not fit the schema, and would again. All the others may be started again at
# any point: the Trainer goes on from its last epoch, the featurizer with the images not in the store, a span
# is judged once, the pusher renames a version into place and knows a model that is there already, and what is
# written besides is written over.
NOT_RETRIED: Final = frozenset({"StrictExampleValidator"})

# Argo, which runs the tasks, counts it from the start of the first attempt, and ends the one under way when
# it is over: it is for all attempts, not for a wait (argoproj/argo-workflows#13772). With the hour of KFP's
# SDK a long training has no retry (kubeflow/pipelines#14245); without a value there is none at all.
_RETRY_WINDOW_S: Final = 30 * 24 * 3600


def set_defaults(spec: PipelineSpec, defaults: Mapping[str, Any]) -> None:
    """Gives the pipeline's parameters defaults.

    Raises:
      ValueError: `defaults` are not those of the parameters that the pipeline has.
    """
    parameters = spec.root.input_definitions.parameters
    if set(defaults) != set(parameters):
        raise ValueError(f"expected defaults of {sorted(parameters)}; got those of {sorted(defaults)}")
    for name, value in defaults.items():
        parameters[name].default_value.CopyFrom(json_format.ParseDict(value, struct_pb2.Value()))


def set_caching(spec: PipelineSpec, enabled: bool) -> None:
    """Says of every task whether its outputs may come from an earlier run."""
    for name, task in spec.root.dag.tasks.items():
        task.caching_options.enable_cache = enabled and name not in NEVER_CACHED


def set_retries(spec: PipelineSpec, times: int, wait_s: int) -> None:
    """Has every task started again that may be, `times` at most and within 30 days."""
    if not times:
        return
    for name, task in spec.root.dag.tasks.items():
        if name not in NOT_RETRIED:
            policy = task.retry_policy
            policy.max_retry_count = times
            policy.backoff_duration.seconds = wait_s
            policy.backoff_factor = 2.0
            policy.backoff_max_duration.seconds = _RETRY_WINDOW_S


def set_environment(spec: PipelineSpec, variables: Mapping[str, str]) -> None:
    """Gives every task's container environment variables."""
    with _deployment(spec) as deployment:
        for executor in deployment.executors.values():
            for name, value in variables.items():
                executor.container.env.add(name=name, value=value)


def set_trainer(spec: PipelineSpec, pod: TrainerPod) -> None:
    """Gives the Trainer its image, CPU, memory and GPUs."""
    with _deployment(spec) as deployment:
        container = deployment.executors[spec.components[TRAINER].executor_label].container
        if pod.image:
            container.image = pod.image
        resources = container.resources
        if pod.cpu:
            resources.resource_cpu_request = resources.resource_cpu_limit = pod.cpu
        if pod.memory:
            resources.resource_memory_request = resources.resource_memory_limit = pod.memory
        if pod.gpus:
            resources.accelerator.resource_type = pod.gpu_resource
            resources.accelerator.resource_count = str(pod.gpus)


@contextlib.contextmanager
def _deployment(spec: PipelineSpec) -> Iterator[PipelineDeploymentConfig]:
    """Gives the containers of a spec, in which they are a Struct, to be changed."""
    deployment = PipelineDeploymentConfig()
    json_format.ParseDict(json_format.MessageToDict(spec.deployment_spec), deployment)
    yield deployment
    spec.deployment_spec.Clear()
    spec.deployment_spec.update(json_format.MessageToDict(deployment))


def platform_spec(spec: PipelineSpec, config: KubeflowConfig) -> dict[str, Any]:
    """Returns the second document; empty where there is nothing to say."""
    everywhere: dict[str, Any] = {
        "pvcMount": [
            {"mountPath": path, **_named("pvcNameParameter", "constant", claim)}
            for claim, path in config.volumes.items()
        ],
        "secretAsVolume": [_files(secret) for secret in config.secrets if secret.mount_path],
        "secretAsEnv": [_variables(secret) for secret in config.secrets if secret.env],
        "imagePullSecret": [
            _named("secretNameParameter", "secretName", name) for name in config.image_pull_secrets
        ],
        "imagePullPolicy": config.image_pull_policy,
    }
    trainer: dict[str, Any] = {
        "nodeSelector": {"labels": selector} if (selector := dict(config.trainer.node_selector)) else {},
        "tolerations": [
            {name: text for name, text in vars(toleration).items() if text}
            for toleration in config.trainer.tolerations
        ],
    }
    executors = {}
    for name, task in sorted(spec.root.dag.tasks.items()):
        pod = everywhere | (trainer if name == TRAINER else {})
        if pod := {option: value for option, value in pod.items() if value}:
            executors[spec.components[task.component_ref.name].executor_label] = pod
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}} if executors else {}


def require_open_source(spec: PipelineSpec) -> None:
    """Raises ValueError if the spec has what the open-source backend does not run."""
    for label, executor in json_format.MessageToDict(spec.deployment_spec)["executors"].items():
        (kind,) = executor
        if kind != "container":
            raise ValueError(f"{label} is a {kind}, which the open-source backend does not run")
        if "lifecycle" in executor[kind]:
            raise ValueError(f"{label} has a pre-cache check, which the open-source backend leaves out")


def _files(secret: Secret) -> dict[str, Any]:
    return {"mountPath": secret.mount_path, **_named("secretNameParameter", "secretName", secret.name)}


def _variables(secret: Secret) -> dict[str, Any]:
    keys = [{"secretKey": key, "envVar": variable} for key, variable in secret.env.items()]
    return {"keyToEnv": keys, **_named("secretNameParameter", "secretName", secret.name)}


def _named(field: str, before: str, name: str) -> dict[str, Any]:
    """A name as backends from 2.5 on read it, and as earlier ones did."""
    return {field: {"runtimeValue": {"constant": name}}, before: name}
