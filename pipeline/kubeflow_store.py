"""The store of artifacts of a run on this machine, and the folder that a task's container has of it.

In a cluster a task sees its own inputs and nothing else: Kubeflow's launcher downloads them into an empty
container, and uploads the files of the outputs, so that folders without a file are gone for the next task.
"""

import pathlib
import shutil
from collections.abc import Iterable

from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline import kubeflow_entrypoint


class Store:
    """Where artifacts are kept; a folder that tasks read and write themselves if the root is one."""

    def __init__(self, root: str, folder: pathlib.Path):
        """Prepares a store.

        Args:
          root: of the artifacts, `minio://bucket/path` for example, or a folder.
          folder: where a store that is no folder is kept.
        """
        place = kubeflow_entrypoint.local_path(root)
        self._container = None if place == root else pathlib.Path(place)
        self._folder = folder

    def path(self, uri: str) -> pathlib.Path:
        """Returns where the artifact `uri` is kept."""
        if self._container is None:
            return pathlib.Path(uri)
        return self._folder / pathlib.Path(kubeflow_entrypoint.local_path(uri)).relative_to(self._container)

    def download(self, inputs: Iterable[pipeline_spec_pb2.RuntimeArtifact]) -> None:
        """Gives a new container what a task reads."""
        if self._container is None:
            return
        shutil.rmtree(self._container, ignore_errors=True)
        for artifact in inputs:
            _copy_files(self.path(artifact.uri), pathlib.Path(kubeflow_entrypoint.local_path(artifact.uri)))

    def upload(self, outputs: Iterable[pipeline_spec_pb2.RuntimeArtifact]) -> None:
        """Keeps what a task has written."""
        if self._container is None:
            return
        for artifact in outputs:
            _copy_files(pathlib.Path(kubeflow_entrypoint.local_path(artifact.uri)), self.path(artifact.uri))


def _copy_files(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a file, or the files of a folder; folders are made as files need them, as in a bucket."""
    for path in [source] if source.is_file() else source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
