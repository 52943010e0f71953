"""Whether all that a root and its data hold is whole, read to the last byte."""

import hashlib
import json
import os
import pathlib
import zlib

import numpy as np
import tensorflow as tf

from components.image_featurizer import feature_store
from pipeline import release_history, releases, runs
from pipeline.importers.importer import MANIFEST
from pipeline.paths import Paths
from pipeline.retention import metadata
from serving.saved_model import SavedModel


class Wholeness:
    """Checks a root and its data again and again, and remembers what must not change between checks."""

    def __init__(self, paths: Paths, data: pathlib.Path):
        self._paths = paths
        self._data = data
        self._spans: dict[str, str] = {}  # digest of each
        self._versions: dict[int, str] = {}
        self.checks = 0

    def problems(self) -> list[str]:
        """Returns what is not whole, in sentences; nothing if all is."""
        found = [*self._metadata(), *self._of_spans(), *self._features(), *self._serving(), *self._records()]
        self.checks += 1
        return found

    def _metadata(self) -> list[str]:
        if not os.path.exists(self._paths.metadata):
            return []
        problems = metadata.loose_ends(self._paths.metadata)
        rows = metadata.read(self._paths.metadata)
        made = {artifact for artifact in rows.live if artifact in rows.makers}
        if unmade := rows.live - made:
            problems.append(f"live artifacts that no execution made: {sorted(unmade)}")
        return [f"ML Metadata: {problem}" for problem in problems]

    def _of_spans(self) -> list[str]:
        problems = []
        now = {}
        for folder in sorted(self._data.glob("span-*")):
            manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
            shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
            for shard in shards:
                path = folder / shard["file"]
                if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != shard["sha256"]:
                    problems.append(f"{path} is not what its manifest says")
                    continue
                records = tf.data.TFRecordDataset(str(path), "GZIP").reduce(0, lambda n, _: n + 1)
                if int(records) != shard["images"]:
                    problems.append(f"{path} has {int(records)} records; its manifest says {shard['images']}")
            now[folder.name] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
        problems += _changed("span", self._spans, now)
        self._spans = now
        return problems

    def _features(self) -> list[str]:
        problems = []
        for folder in pathlib.Path(self._paths.feature_store).glob("*/packs"):
            rows: dict[bytes, bytes] = {}
            for path in sorted(folder.glob("*.pack")):
                pack = feature_store.read_pack(str(path), path.stat().st_size)
                if pack is None:
                    problems.append(f"{path} is broken")
                    continue
                content = np.fromfile(path, np.uint8)[pack.rows_at :].reshape(-1, pack.row_bytes)
                for (digest, crc), row in zip(pack.index, content, strict=True):
                    if zlib.crc32(row) != crc:
                        problems.append(f"{path} has a damaged row")
                    if rows.setdefault(bytes(digest), row.tobytes()) != row.tobytes():
                        problems.append(f"{path} has other features of an image than another pack")
        return problems

    def _serving(self) -> list[str]:
        now: dict[int, str] = {}
        problems = []
        for place in (self._paths.serving, self._paths.canary, self._paths.rolled_back):
            for folder in pathlib.Path(place).glob("[0-9]*"):
                now[int(folder.name)] = digest = _digest(folder)
                if digest == self._versions.get(int(folder.name)):
                    continue
                try:  # as a server does it, with the requests that came with the model
                    model = SavedModel(folder)
                    model.warm_up()
                    model.close()
                except Exception as error:  # whatever it is, a server would meet it
                    problems.append(f"version {folder.name} cannot be served: {error}")
        problems += _changed("version", self._versions, now)
        self._versions = now
        return problems

    def _records(self) -> list[str]:
        problems = []
        release_history.History.read(self._paths.release_history)  # raises if it is broken
        for path in pathlib.Path(self._paths.spans).glob("*.json"):
            json.loads(path.read_text("utf-8"))  # likewise
        for run in runs.find_all(self._paths):
            pushed = run.pushed.rpartition("/")[2]
            if run.state == runs.PUSHED and int(pushed) not in releases.read(self._paths).all:
                problems.append(f"run {run.id} pushed version {pushed}, which is nowhere")
        return problems


def _changed(what: str, before: dict, now: dict) -> list[str]:
    return [
        f"{what} {name} is {'changed' if name in now else 'gone'}"
        for name, digest in before.items()
        if now.get(name) != digest
    ]


def _digest(folder: pathlib.Path) -> str:
    content = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return content.hexdigest()
