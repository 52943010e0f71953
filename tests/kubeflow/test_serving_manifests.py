"""The manifests as kustomize renders them: valid, consistent, without privileges, with readable configs."""

import argparse
import pathlib
import re

import kubernetes_validate
import pytest

from serving import options
from serving.config import container, generate, read
from serving.config.machine import GIB, Machine
from serving.config.plan import make_plan
from tests.kubeflow import rendering
from tests.kubeflow.rendering import VERSIONS

ROOT = rendering.ROOT / "serving"
OVERLAYS = sorted(path.name for path in (ROOT / "overlays").iterdir())
# What the base is written for.
REQUEST = container.Request(rendering.served_model(), Machine(4, 8 * GIB), "captioner")


def rendered(overlay):
    """Everything that an overlay applies."""
    return rendering.rendered(f"serving/overlays/{overlay}")


def objects(overlay, kind):
    return rendering.objects(f"serving/overlays/{overlay}", kind)


def only(overlay, kind):
    (found,) = objects(overlay, kind)
    return found


def pod(overlay):
    return only(overlay, "Deployment")["spec"]["template"]


def containers(overlay):
    spec = pod(overlay)["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def server(overlay):
    (found,) = (found for found in containers(overlay) if found["name"] == "server")
    return found


def ports(overlay):
    return {port["name"]: port["containerPort"] for port in server(overlay)["ports"]}


def config_maps(overlay):
    return {found["metadata"]["name"]: found["data"] for found in objects(overlay, "ConfigMap")}


def config_files(overlay):
    """Name -> text of what the server sees in /config; None for what a secret holds."""
    volumes = {volume["name"]: volume for volume in pod(overlay)["spec"]["volumes"]}
    files = {}
    for source in volumes["config"]["projected"]["sources"]:
        if "configMap" in source:
            files |= config_maps(overlay)[source["configMap"]["name"]]
        else:
            files |= {item["path"]: None for item in source["secret"]["items"]}
    return files


every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def test_the_overlays_are_those_of_the_readme():
    readme = (ROOT.parent / "README.md").read_text()
    assert OVERLAYS == ["embedded", "gcs", "s3", "tls", "volume"]
    assert all(f"`{overlay}`" in readme for overlay in OVERLAYS)


@pytest.mark.parametrize("version", VERSIONS)
@every_overlay
def test_every_object_fits_the_schema(overlay, version):
    for found in rendered(overlay):
        kubernetes_validate.validate(found, version, strict=True)


def test_the_schema_refuses_what_does_not_fit():
    """So that the test above can fail."""
    wrong = {**only("volume", "Deployment"), "spek": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@every_overlay
def test_there_is_one_of_each(overlay):
    kinds = [found["kind"] for found in rendered(overlay)]
    for kind in (
        "Namespace",
        "ServiceAccount",
        "Deployment",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
    ):
        assert kinds.count(kind) == 1
    names = [(found["kind"], found["metadata"]["name"]) for found in rendered(overlay)]
    assert len(set(names)) == len(names)
    assert all(
        found["metadata"].get("namespace") == "captioner"
        for found in rendered(overlay)
        if found["kind"] != "Namespace"
    )


@every_overlay
def test_selectors_match_the_pods(overlay):
    labels = pod(overlay)["metadata"]["labels"]
    spec = only(overlay, "Deployment")["spec"]
    selectors = [
        spec["selector"]["matchLabels"],
        only(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        only(overlay, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(found["spec"]["selector"] for found in objects(overlay, "Service")),
        *(
            spread["labelSelector"]["matchLabels"]
            for spread in pod(overlay)["spec"]["topologySpreadConstraints"]
        ),
    ]
    assert len(selectors) == 6
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()
    target = only(overlay, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "captioner")
    assert "replicas" not in spec  # the autoscaler's


@every_overlay
def test_callers_are_selected_by_their_own_labels(overlay):
    captions, metrics = only(overlay, "NetworkPolicy")["spec"]["ingress"]
    (caller,) = captions["from"]
    assert caller["podSelector"]["matchLabels"] == {"captioner.example.com/client": "true"}
    assert [port["port"] for port in captions["ports"]] == ["grpc"]
    assert [port["port"] for port in metrics["ports"]] == ["http"]


@every_overlay
def test_ports_are_named_alike(overlay):
    own = ports(overlay)
    assert own == {"grpc": container.GRPC_PORT, "http": container.REST_PORT}
    for service in objects(overlay, "Service"):
        for port in service["spec"]["ports"]:
            assert port["targetPort"] == port["name"]
            assert port["port"] == own[port["name"]]
    for rule in only(overlay, "NetworkPolicy")["spec"]["ingress"]:
        assert all(port["port"] in own for port in rule["ports"])
    scrape = pod(overlay)["metadata"]["annotations"]
    assert int(scrape["prometheus.io/port"]) == own["http"]


@every_overlay
def test_probes_ask_ports_that_exist(overlay):
    own = ports(overlay)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        how = server(overlay)[probe]
        ((kind, target),) = ((kind, how[kind]) for kind in ("httpGet", "tcpSocket", "grpc") if kind in how)
        if kind == "grpc":
            assert target["port"] == own["grpc"]
        else:
            assert target["port"] in own


def test_readiness_of_tensorflow_serving_asks_for_a_version_that_can_answer():
    (entry,) = read_models("volume")
    for overlay in set(OVERLAYS) - {"embedded"}:
        for probe in ("startupProbe", "readinessProbe"):
            path = server(overlay)[probe]["httpGet"]["path"]
            assert path == f"/v1/models/{entry.name}/metadata"


def test_readiness_of_the_embedded_server_is_its_health_service():
    assert server("embedded")["readinessProbe"]["grpc"] == {"port": 8500}
    # Alive is not ready: a server without a version must not be restarted for that.
    assert server("embedded")["livenessProbe"]["grpc"]["service"] == "tensorflow.serving.ModelService"


@every_overlay
def test_the_pods_have_no_privileges(overlay):
    """The conditions of Kubernetes' pod security standard `restricted`, which the namespace enforces."""
    assert (
        only(overlay, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    )
    spec = pod(overlay)["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec["automountServiceAccountToken"]
    assert spec["serviceAccountName"] == only(overlay, "ServiceAccount")["metadata"]["name"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    for found in containers(overlay):
        context = found["securityContext"]
        assert not context["allowPrivilegeEscalation"]
        assert context["readOnlyRootFilesystem"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert not any("hostPort" in port for port in found.get("ports", ()))
        assert {"cpu", "memory"} == set(found["resources"]["requests"]) == set(found["resources"]["limits"])
    kinds = {next(key for key in volume if key != "name") for volume in spec["volumes"]}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}


@every_overlay
def test_mounts_have_their_volumes(overlay):
    volumes = {volume["name"]: volume for volume in pod(overlay)["spec"]["volumes"]}
    used = set()
    for found in containers(overlay):
        places = [mount["mountPath"] for mount in found["volumeMounts"]]
        assert len(set(places)) == len(places)
        assert "/tmp" in places  # the rest cannot be written
        used |= {mount["name"] for mount in found["volumeMounts"]}
    assert used == set(volumes)
    for volume in volumes.values():
        if "persistentVolumeClaim" in volume:
            claim = only(overlay, "PersistentVolumeClaim")["metadata"]["name"]
            assert volume["persistentVolumeClaim"]["claimName"] == claim
        if "configMap" in volume:
            assert volume["configMap"]["name"] in config_maps(overlay)


@every_overlay
def test_images_have_a_version(overlay):
    for found in containers(overlay):
        assert re.fullmatch(r"[\w./-]+:(?!latest)[\w.-]+", found["image"])
    if overlay != "embedded":
        assert server(overlay)["image"] == container.IMAGE


@every_overlay
def test_a_pod_may_end_what_it_has_begun(overlay):
    spec = pod(overlay)["spec"]
    waits = int(server(overlay)["lifecycle"]["preStop"]["exec"]["command"][1])
    drains = [int(word.partition("=")[2]) for word in server(overlay)["args"] if word.startswith("--drain=")]
    assert waits + sum(drains) < spec["terminationGracePeriodSeconds"]


def read_models(overlay):
    path = ROOT / "base" / "config" / "models.config"
    if overlay == "gcs":
        path = ROOT / "overlays" / "gcs" / "models.config"
    return read.read_models(str(path))


@every_overlay
def test_the_config_maps_are_read_by_our_readers(overlay, tmp_path):
    files = config_files(overlay)
    for name, text in files.items():
        (tmp_path / name).write_text(text or "")
    (model,) = read.read_models(str(tmp_path / "models.config"))
    assert model.name == "captioner"
    batching = read.read_batching(str(tmp_path / "batching.config"))
    assert batching.num_batch_threads == int(server(overlay)["resources"]["limits"]["cpu"])
    monitoring = read.read_monitoring(str(tmp_path / "monitoring.config"))
    assert monitoring.enabled
    assert monitoring.path == pod(overlay)["metadata"]["annotations"]["prometheus.io/path"]
    if overlay == "gcs":
        assert model.base_path.startswith("gs://")
    else:
        places = [mount["mountPath"] for mount in server(overlay)["volumeMounts"]]
        assert str(pathlib.PurePath(model.base_path).parent) in places


@every_overlay
def test_flags_point_to_files_that_are_mounted(overlay):
    for word in server(overlay)["args"]:
        if "/config/" in word:
            assert word.partition("/config/")[2] in config_files(overlay)


def test_the_files_are_those_that_serving_config_writes():
    written = generate.files(REQUEST, "/config")
    for name in (container.MODELS_FILE, container.BATCHING_FILE, container.MONITORING_FILE):
        assert (ROOT / "base" / "config" / name).read_text() == written[name]
    resources = server("volume")["resources"]["limits"]
    assert resources == {"cpu": str(REQUEST.machine.cores), "memory": "8Gi"}


def test_the_arguments_are_those_that_serving_config_writes():
    plan = make_plan(REQUEST.machine, REQUEST.folder)
    expected = container.server_flags(REQUEST, plan)
    for overlay in ("volume", "gcs", "s3"):
        assert server(overlay)["args"] == expected
    assert server("tls")["args"] == [*expected, "--ssl_config_file=/config/ssl.config"]


def test_the_embedded_server_knows_its_arguments():
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    found = server("embedded")
    assert found["command"] == ["captioner", "serve"]
    given = parser.parse_args(found["args"])
    assert given.port == ports("embedded")["grpc"]
    assert given.monitoring_port == ports("embedded")["http"]
    assert given.host == "0.0.0.0"


def test_settings_read_once_change_the_pods_and_models_do_not():
    names = set(config_maps("volume"))
    assert "captioner-models" in names
    assert any(re.fullmatch(r"captioner-settings-\w{10}", name) for name in names)
    assert "--model_config_file_poll_wait_seconds=10" in server("volume")["args"]


def test_only_what_needs_a_bucket_may_call_out():
    for overlay in OVERLAYS:
        allowed = only(overlay, "NetworkPolicy")["spec"]["egress"]
        found = {port["port"] for rule in allowed for port in rule["ports"]}
        # Of gcs also GKE's metadata server, for Workload Identity.
        assert found == {"gcs": {53, 443, 80, 988}, "s3": {53, 443}}.get(overlay, set())
        for rule in allowed:
            if not {port["port"] for port in rule["ports"]} <= {53, 443}:
                assert all(peer["ipBlock"]["cidr"].startswith("169.254.169.25") for peer in rule["to"])


def secrets(found):
    """Names of the secrets that an object refers to, anywhere in it."""
    if isinstance(found, list):
        return set().union(*map(secrets, found))
    if not isinstance(found, dict):
        return set()
    names = {found["secretName"]} if "secretName" in found else set()
    names |= {found[key]["name"] for key in ("secret", "secretRef") if "name" in found.get(key, ())}
    return names.union(*map(secrets, found.values()))


@pytest.mark.parametrize(
    ("overlay", "name"),
    [("gcs", "captioner-bucket"), ("s3", "captioner-bucket-key"), ("tls", "captioner-tls"), ("volume", None)],
)
def test_secrets_are_explained_and_not_kept_here(overlay, name):
    assert secrets(pod(overlay)) == ({name} if name else set())
    assert not objects(overlay, "Secret")
    assert name is None or f"secret generic {name} " in (ROOT.parent / "README.md").read_text()
