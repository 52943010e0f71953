"""The compiled pipeline: what the open-source backend of Kubeflow Pipelines reads, and nothing else."""

import pathlib
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline import cli, configs_by_name, kubeflow_local, kubeflow_parameters, kubeflow_spec
from pipeline.config import PipelineConfig, override
from pipeline.errors import UserError
from pipeline.paths import Paths

ROOT = pathlib.Path(__file__).parents[2]
SETTINGS = ["train.epochs=5", "encoder.weights=random"]
CLUSTER = """
trainer:
  image: repo/captioner:1-gpu
  cpu: 8
  memory: 32Gi
  gpus: 1
  node_selector: {accelerator: l4}
  tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
volumes: {captioner: /mnt/captioner}
env: {GOOGLE_APPLICATION_CREDENTIALS: /var/secrets/key.json}
secrets: [{name: bucket-key, mount_path: /var/secrets}, {name: notify, env: {token: NOTIFY_TOKEN}}]
image_pull_secrets: [registry]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Holds `plain.yaml`, and `gpu.yaml` compiled for a cluster with GPUs."""
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")
    common = ["compile", "--config", "flickr30k", "--image", "repo/captioner:1"]
    for setting in SETTINGS:
        common += ["--set", setting]
    assert cli.main([*common, "--output", str(folder / "plain.yaml")]) == 0
    options = ["--cluster", str(folder / "cluster.yaml"), "--root", "gs://bucket/root", "--data", "gs://data"]
    assert cli.main([*common, "--output", str(folder / "gpu.yaml"), *options]) == 0
    return folder


@pytest.fixture(scope="module")
def spec(folder: pathlib.Path) -> pipeline_spec_pb2.PipelineSpec:
    return kubeflow_local.read(folder / "plain.yaml")


def config() -> PipelineConfig:
    return override(configs_by_name.load("flickr30k"), SETTINGS)


def containers(spec: pipeline_spec_pb2.PipelineSpec) -> dict[str, Any]:
    executors = json_format.MessageToDict(spec.deployment_spec)["executors"]
    return {label.removesuffix("_executor"): executor["container"] for label, executor in executors.items()}


def defaults(spec: pipeline_spec_pb2.PipelineSpec) -> dict[str, Any]:
    return {
        name: json_format.MessageToDict(definition.default_value)
        for name, definition in spec.root.input_definitions.parameters.items()
    }


def test_it_is_a_pipeline_spec_2_1_of_containers(spec: pipeline_spec_pb2.PipelineSpec):
    assert spec.schema_version == "2.1.0"
    assert spec.pipeline_info.name == "flickr30k"
    kubeflow_spec.require_open_source(spec)  # no resolver, no importer, no pre-cache check
    for name, container in containers(spec).items():
        assert container["image"] == "repo/captioner:1", name
        assert container["command"] == ["python", "-m", "pipeline.kubeflow_entrypoint"]
        assert "{{$}}" in container["args"]
    assert set(spec.components) == set(spec.root.dag.tasks) == set(containers(spec))


def test_what_every_task_depends_on_is_a_task(spec: pipeline_spec_pb2.PipelineSpec):
    tasks = spec.root.dag.tasks
    for task in tasks.values():
        assert set(task.dependent_tasks) <= set(tasks)
        for source in task.inputs.artifacts.values():
            made_by = source.task_output_artifact.producer_task
            outputs = spec.components[made_by].output_definitions.artifacts
            assert source.task_output_artifact.output_artifact_key in outputs


def test_what_a_run_may_be_started_with_has_defaults(spec: pipeline_spec_pb2.PipelineSpec):
    given = kubeflow_parameters.arguments(config(), "/mnt/captioner/data", root="/mnt/captioner", max_steps=0)
    assert defaults(spec) == given
    assert '"epochs": 5' in defaults(spec)["train"]
    types = {
        name: definition.parameter_type for name, definition in spec.root.input_definitions.parameters.items()
    }
    number = pipeline_spec_pb2.ParameterType.NUMBER_INTEGER
    assert [name for name, kind in types.items() if kind == number] == ["max_steps"]


def test_every_parameter_reaches_a_task(spec: pipeline_spec_pb2.PipelineSpec):
    used = {
        source.component_input_parameter
        for task in spec.root.dag.tasks.values()
        for source in task.inputs.parameters.values()
    }
    assert used - {""} == set(spec.root.input_definitions.parameters)


def test_a_run_may_choose_any_start(spec: pipeline_spec_pb2.PipelineSpec):
    """The config has `train.start=cold`; another may come when a run is started."""
    for task in ("Transform", "Trainer"):
        assert "baseline" in spec.root.dag.tasks[task].inputs.artifacts


def test_what_looks_at_the_world_is_never_cached(spec: pipeline_spec_pb2.PipelineSpec):
    cached = {name: task.caching_options.enable_cache for name, task in spec.root.dag.tasks.items()}
    assert {name for name, enabled in cached.items() if not enabled} == kubeflow_spec.NEVER_CACHED
    for task in ("Baseline", "SpanExampleGen"):
        sources = spec.root.dag.tasks[task].inputs.parameters
        looks = "in_service" if task == "Baseline" else "spans"
        assert sources[looks].runtime_value.constant.string_value == "newest"


def test_all_is_retried_but_the_judgement_of_the_data(spec: pipeline_spec_pb2.PipelineSpec):
    retried = {name for name, task in spec.root.dag.tasks.items() if task.HasField("retry_policy")}
    assert set(spec.root.dag.tasks) - retried == kubeflow_spec.NOT_RETRIED
    policy = spec.root.dag.tasks["Trainer"].retry_policy
    assert (policy.max_retry_count, policy.backoff_duration.seconds, policy.backoff_factor) == (2, 60, 2.0)


def test_a_long_training_is_retried_too(spec: pipeline_spec_pb2.PipelineSpec):
    """Argo counts this from the start of the first attempt, and ends the one under way when it is over."""
    longest = spec.root.dag.tasks["Trainer"].retry_policy.backoff_max_duration
    assert longest.seconds >= 7 * 24 * 3600


def test_nothing_of_this_machine_is_in_it(folder: pathlib.Path):
    text = (folder / "plain.yaml").read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert str(pathlib.Path.home()) not in text
    assert "/tmp" not in text


def test_only_the_trainer_has_resources_and_an_image_of_its_own(folder: pathlib.Path):
    found = containers(kubeflow_local.read(folder / "gpu.yaml"))
    assert [name for name, container in found.items() if "resources" in container] == ["Trainer"]
    assert found["Trainer"]["resources"] == {
        "resourceCpuRequest": "8",
        "resourceCpuLimit": "8",
        "resourceMemoryRequest": "32Gi",
        "resourceMemoryLimit": "32Gi",
        "accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "1"},
    }
    assert {name: container["image"] for name, container in found.items()} == {
        name: "repo/captioner:1-gpu" if name == "Trainer" else "repo/captioner:1" for name in found
    }


def platform(folder: pathlib.Path, name: str) -> list[Any]:
    return list(yaml.safe_load_all((folder / name).read_text(encoding="utf-8")))[1:]


def test_every_task_has_the_environment(folder: pathlib.Path):
    variable = {"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/var/secrets/key.json"}
    for container in containers(kubeflow_local.read(folder / "gpu.yaml")).values():
        assert container["env"] == [variable]


def test_the_pusher_keeps_as_many_versions_as_the_config_says(spec: pipeline_spec_pb2.PipelineSpec):
    given = spec.root.dag.tasks["AtomicPusher"].inputs.parameters["keep_versions"]
    assert given.runtime_value.constant.number_value == config().push.keep_versions == 10


def test_the_platform_spec_says_what_the_pipeline_spec_cannot(folder: pathlib.Path):
    assert platform(folder, "plain.yaml") == []
    (document,) = platform(folder, "gpu.yaml")
    executors = document["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == {
        component.executor_label for component in kubeflow_local.read(folder / "gpu.yaml").components.values()
    }
    for label, pod in executors.items():
        assert [mount["mountPath"] for mount in pod["pvcMount"]] == ["/mnt/captioner"]
        assert [secret["secretName"] for secret in pod["secretAsVolume"]] == ["bucket-key"]
        assert ("nodeSelector" in pod) == ("tolerations" in pod) == (label == "Trainer_executor")


def test_kubernetes_reads_the_platform_spec(folder: pathlib.Path):
    """Against the messages that the backend's driver parses it with."""
    messages = pytest.importorskip(
        "kfp.kubernetes.kubernetes_executor_config_pb2", reason="kfp-kubernetes is not installed"
    )
    (document,) = platform(folder, "gpu.yaml")
    json_format.ParseDict(document, pipeline_spec_pb2.PlatformSpec())
    for pod in document["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        message = json_format.ParseDict(pod, messages.KubernetesExecutorConfig())
        (mount,) = message.pvc_mount
        assert mount.pvc_name_parameter.runtime_value.constant.string_value == "captioner"
        (variables,) = message.secret_as_env
        assert variables.key_to_env[0].env_var == "NOTIFY_TOKEN"


def test_places_may_be_in_a_bucket(folder: pathlib.Path):
    found = defaults(kubeflow_local.read(folder / "gpu.yaml"))
    assert {name: found[name] for name in kubeflow_parameters.PLACES} == {
        "data_dir": "gs://data",
        "serving_dir": "gs://bucket/root/serving/captioner",
        "spans_dir": "gs://bucket/root/spans",
        "features_dir": "gs://bucket/root/features",
        "checkpoints_dir": "gs://bucket/root/checkpoints",
    }


@pytest.mark.parametrize("place", ["data", "serving", "root"])
def test_a_store_that_tensorflow_does_not_read_is_refused(place: str):
    with pytest.raises(UserError, match="got s3://bucket/captioner: TensorFlow reads no other store"):
        kubeflow_parameters.arguments(config(), **{place: "s3://bucket/captioner"})


def test_the_places_in_a_root_are_those_of_a_local_run(tmp_path: pathlib.Path):
    given = kubeflow_parameters.arguments(config(), "data", root=f"{tmp_path}/")
    paths = Paths(str(tmp_path))
    assert [given[name] for name in kubeflow_parameters.PLACES] == [
        "data",
        paths.serving,
        paths.spans,
        paths.feature_store,
        paths.checkpoints,
    ]


def test_what_is_not_said_is_left_to_the_pipeline():
    given = kubeflow_parameters.arguments(config())
    assert set(given) == {*kubeflow_parameters.PARTS, "gate"}
    assert kubeflow_parameters.arguments(config(), serving="/served", max_steps=7).items() >= {
        ("serving_dir", "/served"),
        ("max_steps", 7),
    }


def test_auto_weights_are_those_of_a_container_without_any():
    given = kubeflow_parameters.arguments(override(config(), ["encoder.weights=auto"]))
    assert '"weights": "random"' in str(given["encoder"])


@pytest.mark.parametrize("assignment", ["push.canary=true", "beam_args=--runner=X", "validator.images=3"])
def test_what_is_compiled_in_is_no_argument_of_a_run(assignment: str):
    kubeflow_parameters.check_assignments(["train.epochs=5", "gate.min_bleu_4=0.1"])
    with pytest.raises(UserError, match="give it to 'captioner compile'"):
        kubeflow_parameters.check_assignments([assignment])


def test_retries_and_the_cache_can_be_left_out(spec: pipeline_spec_pb2.PipelineSpec):
    other = pipeline_spec_pb2.PipelineSpec()
    for name in spec.root.dag.tasks:
        other.root.dag.tasks[name].task_info.name = name
    kubeflow_spec.set_caching(other, enabled=False)
    kubeflow_spec.set_retries(other, times=0, wait_s=60)
    for task in other.root.dag.tasks.values():
        assert not task.caching_options.enable_cache
        assert not task.HasField("retry_policy")


def test_what_only_other_backends_run_is_refused(spec: pipeline_spec_pb2.PipelineSpec):
    other = pipeline_spec_pb2.PipelineSpec()
    other.CopyFrom(spec)
    other.deployment_spec["executors"]["Baseline_executor"] = {"resolver": {}}
    with pytest.raises(ValueError, match="Baseline_executor is a resolver"):
        kubeflow_spec.require_open_source(other)
    other.deployment_spec["executors"]["Baseline_executor"] = {"container": {"lifecycle": {}}}
    with pytest.raises(ValueError, match="Baseline_executor has a pre-cache check"):
        kubeflow_spec.require_open_source(other)


def test_a_default_too_few_or_too_many_is_a_mistake(spec: pipeline_spec_pb2.PipelineSpec):
    with pytest.raises(ValueError, match="expected defaults of"):
        kubeflow_spec.set_defaults(spec, {"train": "{}"})


def test_the_command_names_places_that_no_task_will_see(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
):
    (tmp_path / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")
    common = ["compile", "--config", "demo", "--image", "a/b:1", "--output", str(tmp_path / "pipeline.yaml")]
    assert cli.main(common) == 0
    said = capsys.readouterr().err
    assert "no task will see /mnt/captioner/data: no volume is mounted there" in said
    assert "no task will see /mnt/captioner: " in said
    cluster = ["--cluster", str(tmp_path / "cluster.yaml"), "--serving", "gs://bucket/served"]
    assert cli.main([*common, *cluster]) == 0
    assert "no task will see" not in capsys.readouterr().err
    assert cli.main([*common, *cluster, "--data", "/mnt/captioner2/data"]) == 0
    assert "no task will see /mnt/captioner2/data: " in capsys.readouterr().err


def test_the_command_says_what_it_needs(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    common = ["compile", "--config", "demo", "--image", "a/b:1", "--output"]
    assert cli.main([*common, str(tmp_path / "pipeline.json")]) == 1
    assert "--output must end in .yaml" in capsys.readouterr().err
    assert cli.main([*common, str(tmp_path / "p.yaml"), "--cluster", str(tmp_path / "no.yaml")]) == 1
    assert "no.yaml cannot be read" in capsys.readouterr().err
    common[common.index("a/b:1")] = "registry:5000/a/b"
    assert cli.main([*common, str(tmp_path / "p.yaml")]) == 1
    assert "--image needs a tag or a digest" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
