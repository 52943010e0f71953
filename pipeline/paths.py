"""Where a run keeps what it makes, all under one root."""

import dataclasses
import pathlib

from components.pusher import places
from models.features import MODEL_NAME


@dataclasses.dataclass(frozen=True)
class Paths:
    """Places under `root`: `metadata.db`, `pipeline/`, `spans/`, `features/`, `checkpoints/`, `serving/`,
    `reports/`, `logs/`. A root may be the URI of a bucket."""

    root: str

    def _at(self, *names: str) -> str:
        root = self.root if "://" in self.root else str(pathlib.Path(self.root).resolve())
        return "/".join([root.rstrip("/"), *names])

    @property
    def metadata(self) -> str:
        return self._at("metadata.db")

    @property
    def artifacts(self) -> str:
        return self._at("pipeline")

    @property
    def spans(self) -> str:
        return self._at("spans")

    @property
    def feature_store(self) -> str:
        return self._at("features")

    @property
    def checkpoints(self) -> str:
        return self._at("checkpoints")

    @property
    def serving(self) -> str:
        return self._at("serving", MODEL_NAME)

    @property
    def canary(self) -> str:
        return places.canary_dir(self.serving)

    @property
    def rolled_back(self) -> str:
        return places.rolled_back_dir(self.serving)

    @property
    def removing(self) -> str:
        return self._at("serving", ".removing")

    @property
    def release_history(self) -> str:
        return self._at("serving", "releases.json")

    @property
    def models_config(self) -> str:
        return self._at("serving", "models.config")

    @property
    def release_lock(self) -> str:
        return self._at(".releases.lock")

    @property
    def requests(self) -> str:
        """Where the request logs of servers are looked for."""
        return self._at("requests")

    @property
    def reports(self) -> str:
        return self._at("reports")

    def report(self, run: str, name: str) -> str:
        return self._at("reports", run.replace(":", "-"), name)

    def log(self, name: str) -> str:
        return self._at("logs", f"{name}.log")

    @property
    def last_run(self) -> str:
        return self._at("last_run.json")

    @property
    def lock(self) -> str:
        return self._at(".lock")
