"""What can be said of the image without building it."""

import pathlib
import re
from importlib.metadata import requires

import setuptools

REPOSITORY = pathlib.Path(__file__).parents[2]
FOLDER = REPOSITORY / "kubeflow"
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8")


def pins(path):
    """Version by name, of a lock."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text("utf-8"), re.MULTILINE))


def test_cuda_goes_with_the_lock():
    lock, cuda = pins(REPOSITORY / "requirements.lock"), pins(FOLDER / "cuda.lock")
    assert {name: version for name, version in cuda.items() if not name.startswith("nvidia-")}.items() <= (
        lock.items()
    )
    wanted = {re.match(r"[\w-]+", line).group() for line in requires("tensorflow") if '"and-cuda"' in line}
    assert wanted
    assert wanted <= cuda.keys()


def test_every_package_of_cuda_has_a_hash():
    blocks = re.split(r"^(?=[\w.-]+==)", (FOLDER / "cuda.lock").read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pins(FOLDER / "cuda.lock"))
    assert all("--hash=sha256:" in block for block in blocks)


def test_the_build_sees_what_it_copies_and_little_else():
    allowed = [
        line[1:]
        for line in (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    ]
    packages = setuptools.find_packages(
        str(REPOSITORY), include=["pipeline", "components", "models", "serving"]
    )
    assert set(packages) <= set(allowed)
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert copied - {"."} <= set(allowed)
    assert not {"tests", ".git", ".venv", "demo"} & set(allowed)


def test_both_targets_are_there_and_the_small_one_is_the_default():
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", DOCKERFILE, re.MULTILINE)
    assert {"cpu", "gpu"} <= {name for _, name in stages}
    assert stages[-1] == ("cpu", "")


def test_nothing_is_installed_without_a_hash():
    commands = re.findall(r"(?:uv pip|/pip) install (?:[^\n]*\\\n)*[^\n]*", DOCKERFILE)
    assert len(commands) == 4
    for command in commands:
        # Our own wheel comes from the stage itself.
        assert "--require-hashes" in command or "--no-index" in command
