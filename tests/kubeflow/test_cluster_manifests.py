"""What a cluster needs besides Kubeflow Pipelines: volume, rights, schedule, the server beside the runs."""

import argparse
import os
import pathlib
import re

import kfp
import kubernetes_validate
import pytest

from pipeline.commands import compile as compile_command
from pipeline.commands import run as run_command
from pipeline.kubeflow_config import KubeflowConfig
from serving import options
from serving.config import container, generate, read
from serving.config.machine import GIB, Machine
from tests.kubeflow.rendering import ROOT, VERSIONS, named, objects, rendered, served_model

OVERLAYS = sorted(f"overlays/{path.name}" for path in (ROOT / "overlays").iterdir())
SCHEDULE = "pipeline/schedule"
FOLDERS = [*OVERLAYS, SCHEDULE]
CLAIM = "captioner"

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
every_folder = pytest.mark.parametrize("folder", FOLDERS)


def pods(folder):
    """Pod specs by the name of what makes them."""
    templates = {
        found["metadata"]["name"]: found["spec"]["template"] for found in objects(folder, "Deployment")
    }
    for found in objects(folder, "CronJob"):
        templates[found["metadata"]["name"]] = found["spec"]["jobTemplate"]["spec"]["template"]
    return {name: template["spec"] for name, template in templates.items()}


def server(overlay):
    (found,) = pods(overlay)["captioner"]["containers"]
    return found


def mounts(folder, pod):
    """Mount path -> mount, with the volume in it, of the pod's container."""
    spec = pods(folder)[pod]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    return {
        mount["mountPath"]: volumes[mount["name"]] | mount for mount in spec["containers"][0]["volumeMounts"]
    }


def cluster(overlay):
    return KubeflowConfig.read(ROOT / overlay / "cluster.yaml")


def test_the_overlays_are_those_of_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert OVERLAYS == ["overlays/gpu", "overlays/kind"]
    assert all(f"kubeflow/{folder}" in readme for folder in FOLDERS)


@pytest.mark.parametrize("version", VERSIONS)
@every_folder
def test_every_object_fits_the_schema(folder, version):
    for found in rendered(folder):
        kubernetes_validate.validate(found, version, strict=True)


@every_folder
def test_there_is_one_of_each_in_the_namespace_of_the_runs(folder):
    names = [(found["kind"], found["metadata"]["name"]) for found in rendered(folder)]
    assert len(set(names)) == len(names)
    assert {found["metadata"]["namespace"] for found in rendered(folder)} == {"kubeflow"}
    # Labels of the namespace are for who installed Kubeflow Pipelines.
    assert not objects(folder, "Namespace")


@every_folder
def test_no_pod_has_privileges(folder):
    assert pods(folder)
    for spec in pods(folder).values():
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for found in spec["containers"]:
            assert found["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in found["resources"]["limits"]


@every_folder
def test_pods_run_as_the_user_of_the_image(folder):
    (user, group) = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE).groups()
    for spec in pods(folder).values():
        assert spec["securityContext"]["runAsUser"] == int(user)
        assert spec["securityContext"]["runAsGroup"] == int(group)


@every_folder
def test_the_images_are_ours_and_have_a_version(folder):
    for spec in pods(folder).values():
        for found in spec["containers"]:
            assert re.fullmatch(
                r"(registry\.example\.com/)?captioner(-gpu)?:(?!latest)[\w.-]+", found["image"]
            )


@every_overlay
def test_everything_is_on_one_volume_that_there_is(overlay):
    (claim,) = objects(overlay, "PersistentVolumeClaim")
    assert claim["metadata"]["name"] == CLAIM
    found = [
        volume["persistentVolumeClaim"]["claimName"]
        for spec in pods(overlay).values()
        for volume in spec["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    assert found == [CLAIM, CLAIM]  # the server's and the workbench's
    assert list(cluster(overlay).volumes) == [CLAIM]


def test_the_volume_is_of_a_kind_that_the_cluster_has():
    modes = {
        overlay: only["spec"]["accessModes"]
        for overlay in OVERLAYS
        for only in objects(overlay, "PersistentVolumeClaim")
    }
    assert modes == {"overlays/kind": ["ReadWriteOnce"], "overlays/gpu": ["ReadWriteMany"]}


@every_overlay
def test_places_that_are_compiled_in_by_default_are_on_the_volume(overlay):
    parser = argparse.ArgumentParser()
    compile_command.add_arguments(parser)
    compiled = parser.parse_args(["--config", "demo", "--image", "captioner:1", "--output", "pipeline.yaml"])
    (place,) = cluster(overlay).volumes.values()
    assert mounts(overlay, "captioner-workbench")[place]["persistentVolumeClaim"] == {"claimName": CLAIM}
    assert compiled.root == place
    assert pathlib.PurePath(compiled.data).is_relative_to(place)
    assert not compiled.serving  # then it is serving/captioner in the root


@every_overlay
def test_the_server_serves_what_runs_push(overlay, tmp_path):
    (tmp_path / "models.config").write_text(
        named(overlay, "ConfigMap", "captioner-models")["data"]["models.config"]
    )
    (model,) = read.read_models(str(tmp_path / "models.config"))
    mounted = mounts(overlay, "captioner")["/models"]
    assert mounted["persistentVolumeClaim"] == {"claimName": CLAIM, "readOnly": True}
    assert mounted["readOnly"] is True
    on_volume = pathlib.PurePath(mounted["subPath"]) / pathlib.PurePath(model.base_path).relative_to(
        "/models"
    )
    assert str(on_volume) == "serving/captioner"
    # Else the kubelet makes the folder, and it is root's.
    (workbench,) = pods(overlay)["captioner-workbench"]["containers"]
    assert f"mkdir -p data {on_volume} &&" in workbench["command"][-1]


@every_overlay
def test_the_volume_belongs_to_the_group_of_the_pods(overlay):
    context = pods(overlay)["captioner-workbench"]["securityContext"]
    assert context["fsGroup"] == context["runAsGroup"]


@every_overlay
def test_the_server_knows_its_arguments(overlay):
    assert server(overlay)["command"] == ["captioner", "serve"]
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    given = parser.parse_args(server(overlay)["args"])
    assert given.port == 8500
    files = set()
    for source in mounts(overlay, "captioner")["/config"]["projected"]["sources"]:
        files |= named(overlay, "ConfigMap", source["configMap"]["name"])["data"].keys()
    assert {word.partition("/config/")[2] for word in server(overlay)["args"] if "/config/" in word} == files


def test_the_tasks_may_do_only_what_they_need():
    (role,) = objects("overlays/kind", "Role")
    (binding,) = objects("overlays/kind", "RoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "captioner-pipeline", "namespace": "kubeflow"}
    ]
    assert named("overlays/kind", "ServiceAccount", "captioner-pipeline")
    for rule in role["rules"]:
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        if rule["resources"] == ["secrets"]:
            assert (rule["verbs"], rule["resourceNames"]) == (["get"], ["mlpipeline-minio-artifact"])
    written = {
        resource: rule["verbs"]
        for rule in role["rules"]
        for resource in rule["resources"]
        if not {"get", "list", "watch"} >= set(rule["verbs"])
    }
    assert written == {"workflowtaskresults": ["create", "patch"], "workflowtasksets/status": ["patch"]}


def test_the_laptop_needs_little_and_no_metrics():
    assert not objects("overlays/kind", "HorizontalPodAutoscaler")
    assert named("overlays/kind", "Deployment", "captioner")["spec"]["replicas"] == 1
    files = generate.files(container.Request(served_model(), Machine(1, 5 * GIB), "captioner"), "/config")
    (settings,) = (
        found["data"]
        for found in objects("overlays/kind", "ConfigMap")
        if found["metadata"]["name"].startswith("captioner-settings-")
    )
    assert settings["batching.config"] == files[container.BATCHING_FILE]
    assert settings["monitoring.config"] == files[container.MONITORING_FILE]
    assert server("overlays/kind")["resources"]["limits"] == {"cpu": "1", "memory": "5Gi"}
    threads = {each["name"]: each["value"] for each in server("overlays/kind")["env"]}
    assert threads["TF_NUM_INTRAOP_THREADS"] == threads["TF_NUM_INTEROP_THREADS"] == "1"


def test_on_a_laptop_no_registry_is_asked():
    images = {spec["containers"][0]["image"] for spec in pods("overlays/kind").values()}
    assert images == {"captioner:dev"}
    assert cluster("overlays/kind").image_pull_policy == "IfNotPresent"


def test_trainer_and_server_have_a_gpu_each_and_the_image_for_it():
    trainer = cluster("overlays/gpu").trainer
    assert trainer.gpus == 1
    assert server("overlays/gpu")["resources"]["limits"][trainer.gpu_resource] == "1"
    assert server("overlays/gpu")["image"] == trainer.image
    assert trainer.image != pods("overlays/gpu")["captioner-workbench"]["containers"][0]["image"]
    borne = [{name: text for name, text in vars(each).items() if text} for each in trainer.tolerations]
    assert pods("overlays/gpu")["captioner"]["tolerations"] == borne


def test_the_schedule_asks_for_a_run_as_captioner_run_takes_it():
    (job,) = pods(SCHEDULE)["captioner"]["containers"]
    assert job["command"] == ["captioner", "run"]
    parser = argparse.ArgumentParser()
    run_command.add_arguments(parser)
    given = parser.parse_args(job["args"])
    assert given.kubeflow
    assert given.in_cluster
    assert named("overlays/kind", "ServiceAccount", given.service_account)
    mounted = mounts(SCHEDULE, "captioner")
    pipeline = pathlib.PurePath(given.pipeline)
    name = mounted[str(pipeline.parent)]["configMap"]["name"]
    assert f"create configmap {name} --from-file={pipeline.name}" in (ROOT / "README.md").read_text()


def test_the_schedule_starts_one_run_at_a_time():
    (job,) = objects(SCHEDULE, "CronJob")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    assert job["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert "--wait" in pods(SCHEDULE)["captioner"]["containers"][0]["args"]


def test_the_schedule_says_whose_runs_they_are_where_the_client_looks_for_it():
    folder, name = os.path.split(kfp.Client._NAMESPACE_PATH)
    (item,) = mounts(SCHEDULE, "captioner")[folder]["downwardAPI"]["items"]
    assert (item["path"], item["fieldRef"]["fieldPath"]) == (name, "metadata.namespace")


def test_the_schedule_shows_a_token_where_the_client_looks_for_it():
    from kfp import client

    path = pathlib.PurePath(client.KF_PIPELINES_SA_TOKEN_PATH)
    (source,) = mounts(SCHEDULE, "captioner")[str(path.parent)]["projected"]["sources"]
    assert source["serviceAccountToken"]["path"] == path.name
    assert source["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"
