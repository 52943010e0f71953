"""A root as runs leave it, with real ML Metadata, made without running anything."""

import dataclasses
import json
import os
import pathlib

import pytest
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from pipeline import runs
from pipeline.paths import Paths

KB = 1024
NODES = ("ExampleGen", "Trainer")  # the second reads what the first writes
ENCODER = "0123456789abcdef"


@dataclasses.dataclass
class MadeRun:
    """A run: its name, and its execution and artifact of each node."""

    name: str
    executions: list[int]
    artifacts: list[int]


class Root:
    """Writes runs one after the other, a day each."""

    def __init__(self, folder: pathlib.Path):
        self.paths = Paths(str(folder))
        config = metadata_store_pb2.ConnectionConfig()
        config.sqlite.filename_uri = self.paths.metadata
        folder.mkdir(parents=True, exist_ok=True)
        self.store = metadata_store.MetadataStore(config)
        self._day = 0
        self._artifact_type = self.store.put_artifact_type(
            metadata_store_pb2.ArtifactType(name="Examples"), can_add_fields=True
        )
        self._context_types = {
            name: self.store.put_context_type(metadata_store_pb2.ContextType(name=name))
            for name in ("pipeline", "pipeline_run", "node", "execution_cache")
        }
        self._execution_types = {
            name: self.store.put_execution_type(metadata_store_pb2.ExecutionType(name=name)) for name in NODES
        }

    def run(
        self,
        data: str = "a",
        seed: int = 1,
        state: str = runs.REFUSED,
        version: int = 0,
        encoder: str = ENCODER,
        folder: str = "",
    ) -> MadeRun:
        """Adds a run of some data with some seed; what an earlier one has computed comes from its cache.

        `version` is of the model that it pushed; it lies in the serving directory then. `folder` is that of
        its spans.
        """
        self._day += 1
        name = f"202601{self._day:02}-030000"
        context = self._context("pipeline_run", f"2026-01-{self._day:02}T03:00:20.123456")
        made = MadeRun(name, [], [])
        keys = (f"{data} {encoder}", f"{data} {encoder} {seed}")
        for node, key in zip(NODES, keys, strict=True):
            self._node(node, key, context, made, encoder)
        pushed = ""
        if version:
            self.push(version)
            pushed, state = os.path.join(self.paths.serving, str(version)), runs.PUSHED
        runs.Run(name, state, pushed=pushed, encoder=encoder, data=folder).write(self.paths)
        log = pathlib.Path(self.paths.log(name))
        log.parent.mkdir(exist_ok=True)
        log.write_text("line\n" * 100)
        store = pathlib.Path(self.paths.feature_store, encoder)
        (store / "packs").mkdir(parents=True, exist_ok=True)
        return made

    def push(self, version: int, place: str = "") -> None:
        """Puts a version into the serving directory."""
        folder = pathlib.Path(place or self.paths.serving, str(version))
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text(f"model {version}")

    def names(self) -> list[str]:
        """Runs that have a report."""
        return [run.id for run in runs.find_all(self.paths)]

    def folders(self, node: str) -> list[int]:
        """Executions whose folder is there."""
        return sorted(int(path.name) for path in pathlib.Path(self.paths.artifacts, node, "out").iterdir())

    def executions(self) -> set[int]:
        """Executions with a row."""
        return {execution.id for execution in self.store.get_executions()}

    def handed_out(self, data: str, seed: int, encoder: str = ENCODER) -> int | None:
        """What TFX's cache gives for the Trainer: the artifact's id, None if it is to be computed."""
        return self._cached(f"{data} {encoder} {seed}")

    def _node(self, node: str, key: str, run: int, made: MadeRun, encoder: str) -> None:
        proto = metadata_store_pb2
        cache = self._context("execution_cache", key)
        contexts = [self._context("pipeline", "demo"), run, self._context("node", f"demo.{node}"), cache]
        known = self._cached(key)
        execution = proto.Execution(type_id=self._execution_types[node])
        execution.last_known_state = proto.Execution.CACHED if known else proto.Execution.COMPLETE
        (id_,) = self.store.put_executions([execution])
        artifact = known
        if artifact is None:
            uri = pathlib.Path(self.paths.artifacts, node, "out", str(id_))
            uri.mkdir(parents=True)
            (uri / "content").write_bytes(b"x" * 100 * KB)
            (uri.parents[1] / ".system" / "executor_execution" / str(id_)).mkdir(parents=True)
            new = proto.Artifact(type_id=self._artifact_type, uri=str(uri), state=proto.Artifact.LIVE)
            new.custom_properties["encoder_fingerprint"].string_value = encoder
            (artifact,) = self.store.put_artifacts([new])
        events = [proto.Event(artifact_id=artifact, execution_id=id_, type=proto.Event.OUTPUT)]
        events += [
            proto.Event(artifact_id=a, execution_id=id_, type=proto.Event.INPUT) for a in made.artifacts
        ]
        for event in events:
            event.path.steps.add().key = "out"
        self.store.put_events(events)
        self.store.put_attributions_and_associations(
            [proto.Attribution(artifact_id=artifact, context_id=context) for context in contexts],
            [proto.Association(execution_id=id_, context_id=context) for context in contexts],
        )
        made.executions.append(id_)
        made.artifacts.append(artifact)

    def _cached(self, key: str) -> int | None:
        """As `tfx.orchestration.portable.cache_utils.get_cached_outputs` does it."""
        context = self.store.get_context_by_type_and_name("execution_cache", key)
        if context is None:
            return None
        for execution in sorted(
            self.store.get_executions_by_context(context.id), key=lambda e: e.id, reverse=True
        ):
            outputs = [
                event.artifact_id
                for event in self.store.get_events_by_execution_ids([execution.id])
                if event.type == metadata_store_pb2.Event.OUTPUT
            ]
            artifacts = self.store.get_artifacts_by_id(outputs)
            if all(a.state == metadata_store_pb2.Artifact.LIVE and os.path.exists(a.uri) for a in artifacts):
                return outputs[0]
        return None

    def _context(self, kind: str, name: str) -> int:
        found = self.store.get_context_by_type_and_name(kind, name)
        if found is not None:
            return found.id
        new = metadata_store_pb2.Context(type_id=self._context_types[kind], name=name)
        return self.store.put_contexts([new])[0]


@pytest.fixture
def root(tmp_path: pathlib.Path) -> Root:
    return Root(tmp_path / "root")


def remember(root: Root, compared_with: int) -> None:
    """Records what the last run was compared with."""
    record = {
        "fingerprint": "f",
        "compared_with": f"{compared_with}-abc",
        "left_in_service": "",
        "pushed": None,
    }
    pathlib.Path(root.paths.last_run).write_text(json.dumps(record))
