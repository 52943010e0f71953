"""What a file may say of a cluster, and how it is told what it may not."""

import pathlib

import pytest

from pipeline.errors import UserError
from pipeline.kubeflow_config import KubeflowConfig, Secret, Toleration, TrainerPod

ROOT = pathlib.Path(__file__).parents[2]
EVERYTHING = """
trainer:
  image: repo/captioner:1-gpu
  cpu: 8
  memory: 32Gi
  gpus: 1
  node_selector: {accelerator: l4}
  tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
volumes: {captioner: /mnt/captioner}
secrets:
  - {name: bucket-key, mount_path: /var/secrets}
  - {name: notify, env: {token: NOTIFY_TOKEN}}
image_pull_secrets: [registry]
image_pull_policy: IfNotPresent
retries: 3
retry_wait_s: 10
cache: false
"""


def read(folder: pathlib.Path, text: str) -> KubeflowConfig:
    file = folder / "cluster.yaml"
    file.write_text(text, encoding="utf-8")
    return KubeflowConfig.read(file)


def test_a_file_says_all_there_is_to_say(tmp_path: pathlib.Path):
    assert read(tmp_path, EVERYTHING) == KubeflowConfig(
        trainer=TrainerPod(
            image="repo/captioner:1-gpu",
            cpu="8",
            memory="32Gi",
            gpus=1,
            node_selector={"accelerator": "l4"},
            tolerations=(Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"),),
        ),
        volumes={"captioner": "/mnt/captioner"},
        secrets=(
            Secret("bucket-key", mount_path="/var/secrets"),
            Secret("notify", env={"token": "NOTIFY_TOKEN"}),
        ),
        image_pull_secrets=("registry",),
        image_pull_policy="IfNotPresent",
        retries=3,
        retry_wait_s=10,
        cache=False,
    )


def test_an_empty_file_is_all_defaults(tmp_path: pathlib.Path):
    assert read(tmp_path, "") == KubeflowConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer: {gpu: 1}", "trainer has no option gpu; it has: image, cpu, memory, gpus"),
        ("gpus: 1", "the file has no option gpus; it has: trainer, volumes"),
        ("trainer: {gpus: two}", "trainer.gpus must be int; got 'two'"),
        ("trainer: {gpus: -1}", "trainer.gpus must be 0 or more; got -1"),
        ("trainer: {memory: lots}", "trainer.memory must be a Kubernetes quantity such as"),
        ("trainer: 8", "trainer must have options with values; got 8"),
        ("trainer: {tolerations: [{effect: Sometimes}]}", "effect must be one of"),
        ("cache: 1", "cache must be bool; got 1"),
        ("volumes: {captioner: mnt}", "the volume captioner needs an absolute path; got 'mnt'"),
        ("volumes: [captioner]", "volumes must have names with values; got"),
        ("secrets: {name: key}", "secrets must be a list; got"),
        ("secrets: [{mount_path: /key}]", "secrets needs name"),
        ("secrets: [{name: key}]", "the secret key needs either a mount_path or env"),
        ("image_pull_policy: Sometimes", "image_pull_policy must be one of , Always"),
        ("trainer: {", "is no YAML"),
    ],
)
def test_what_no_cluster_has_is_told_by_its_name(tmp_path: pathlib.Path, text: str, message: str):
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    assert message in str(error.value)
    assert "cluster.yaml" in str(error.value)


@pytest.mark.parametrize("file", sorted((ROOT / "kubeflow" / "overlays").glob("*/cluster.yaml")), ids=str)
def test_the_overlays_files_are_read(file: pathlib.Path):
    assert KubeflowConfig.read(file).volumes == {"captioner": "/mnt/captioner"}


def test_a_file_that_is_not_there_is_named(tmp_path: pathlib.Path):
    with pytest.raises(UserError, match=r"nowhere\.yaml cannot be read: No such file"):
        KubeflowConfig.read(tmp_path / "nowhere.yaml")
