"""Manifests as kustomize renders them."""

import functools
import pathlib
import subprocess
import sys
from typing import Any

import yaml

from models import features, warmup
from serving.config import model_folder

ROOT = pathlib.Path(__file__).parents[2] / "kubeflow"
VERSIONS = ("1.29", "1.31", "1.33", "1.35", "1.37")


def served_model() -> model_folder.ModelFolder:
    """A model as `models.export` writes it, of the default size."""
    plan = list(warmup.plan(warmup._INPUTS, xla=False))
    sizes = tuple(size for signature, size in plan if signature == features.SERVING_SIGNATURE)
    return model_folder.ModelFolder("", 1, 90 << 20, sizes, len({signature for signature, _ in plan}))


@functools.cache
def rendered(folder: str) -> list[dict[str, Any]]:
    """Everything that `kubectl apply -k` would apply of a folder, named from `kubeflow`."""
    kubectl = pathlib.Path(sys.executable).parent / "kubectl"
    command = [str(kubectl), "kustomize", str(ROOT / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr  # kustomize warns of what it no longer likes
    return list(yaml.safe_load_all(done.stdout))


def objects(folder: str, kind: str) -> list[dict[str, Any]]:
    """Those of a kind."""
    return [found for found in rendered(folder) if found["kind"] == kind]


def named(folder: str, kind: str, name: str) -> dict[str, Any]:
    """The one of a kind and a name."""
    (found,) = (found for found in objects(folder, kind) if found["metadata"]["name"] == name)
    return found
