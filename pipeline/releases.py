"""Which pushed version is in service, which is on trial, and which was rolled back.

Where a version lies says what it is (`components.pusher.places`), so that any server that follows a folder,
and a pipeline that sees nothing else, are right without a word from here:

    captioner/              the newest is stable (in service), older ones are kept
    captioner-canary/       the newest is the canary, if it is newer than stable; others are superseded
    captioner-rolled-back/  rolled back

A change moves one folder by one rename. `releases.json` says when, by whom and why; `models.config` is
written from the folders for servers that serve stable and canary side by side.
"""

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import shutil
import time
from collections.abc import Collection, Iterator
from typing import Final, Self

from models.features import MODEL_NAME
from pipeline import pages, release_history
from pipeline.errors import UserError
from pipeline.paths import Paths
from pipeline.release_history import Event, History

STABLE: Final = "stable"
CANARY: Final = "canary"
KEPT: Final = "kept"
SUPERSEDED: Final = "superseded"
ROLLED_BACK: Final = "rolled back"

CANARY_MODEL: Final = f"{MODEL_NAME}-canary"

_SAVED_MODEL = "saved_model.pb"  # the Pusher renames whole folders, so one that has it is whole
_LOCK_TIMEOUT_S = 30.0


@dataclasses.dataclass(frozen=True)
class Releases:
    """The versions by the folder that they lie in."""

    served: frozenset[int] = frozenset()
    tried: frozenset[int] = frozenset()
    rolled_back: frozenset[int] = frozenset()

    @property
    def stable(self) -> int | None:
        """The version in service."""
        return max(self.served, default=None)

    @property
    def canary(self) -> int | None:
        """The version on trial. An older one than stable was overtaken by a push."""
        newest = max(self.tried, default=0)
        return newest if newest > (self.stable or 0) else None

    @property
    def all(self) -> list[int]:
        """Every version, the newest first."""
        return sorted(self.served | self.tried | self.rolled_back, reverse=True)

    def state(self, version: int) -> str:
        """Returns `stable`, `canary`, `kept`, `superseded` or `rolled back`. Raises KeyError."""
        if version in self.served:
            return STABLE if version == self.stable else KEPT
        if version in self.tried:
            return CANARY if version == self.canary else SUPERSEDED
        if version in self.rolled_back:
            return ROLLED_BACK
        raise KeyError(version)

    def after(self, event: Event) -> Self:
        """Returns how it will be when `event` has happened."""
        one = {event.version}
        rest = dataclasses.replace(
            self, served=self.served - one, tried=self.tried - one, rolled_back=self.rolled_back - one
        )
        match event.what:
            case release_history.PUSHED | release_history.PROMOTED:
                return dataclasses.replace(rest, served=rest.served | one)
            case release_history.CANARY:
                return dataclasses.replace(rest, tried=rest.tried | one)
            case release_history.ROLLED_BACK:
                return dataclasses.replace(rest, rolled_back=rest.rolled_back | one)
        return rest


def read(paths: Paths) -> Releases:
    """Looks at the folders; changes nothing."""
    return Releases(*(_numbers(folder) for folder in (paths.serving, paths.canary, paths.rolled_back)))


def folder(paths: Paths, version: int) -> pathlib.Path | None:
    """Returns where a version lies; None for one that is nowhere."""
    for place in (paths.serving, paths.canary, paths.rolled_back):
        if version in _numbers(place):
            return pathlib.Path(place, str(version))
    return None


def _numbers(place: str) -> frozenset[int]:
    names = (path.parent.name for path in pathlib.Path(place).glob(f"*/{_SAVED_MODEL}"))
    return frozenset(int(name) for name in names if name.isdecimal() and name == str(int(name)))


def effects(before: Releases, after: Releases) -> list[str]:
    """Returns what changes for those who ask the servers, in sentences."""
    sentences = []
    for title, was, will in (
        ("In service", before.stable, after.stable),
        ("On trial", before.canary, after.canary),
    ):
        if was != will:
            sentences.append(f"{title}: version {will or 'none'} instead of {was or 'none'}.")
        else:
            sentences.append(f"{title}: version {will or 'none'}, as before.")
    return sentences


@contextlib.contextmanager
def changing(paths: Paths, told: Event | None = None) -> Iterator[Releases]:
    """Gives the versions to one command at a time, with what a killed one had begun brought to its end.

    This is not the lock of a run: a bad model must be rolled back while the next one is in training.

    Args:
      paths: of the root.
      told: of a version that was just pushed, instead of what is known of one that is merely found.

    Raises:
      UserError: another command keeps the lock, or the history is broken.
    """
    if not os.path.isdir(os.path.dirname(paths.serving)):  # nothing was ever pushed; make nothing for a typo
        yield Releases()
        return
    with open(paths.release_lock, "w", encoding="utf-8") as file:
        _lock(file.fileno(), paths.root)
        _repair(paths, told)
        yield read(paths)


def _lock(file: int, root: str) -> None:
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise UserError(
                    f"another command has been changing the versions in {root} for {_LOCK_TIMEOUT_S:.0f} "
                    "seconds; wait for it, or end it: the next one finishes what it began"
                ) from None
            time.sleep(0.1)


def carry_out(paths: Paths, event: Event) -> None:
    """Moves a version to where `event` says, and records it. Call it within `changing`.

    Wherever it is cut off, each version lies in one place, and the next `changing` does the rest.
    """
    History.read(paths.release_history).begun(event).write(paths.release_history)
    _finish(paths)


def _finish(paths: Paths) -> None:
    history = History.read(paths.release_history)
    if history.pending is None:
        return
    now, event = read(paths), history.pending
    source = folder(paths, event.version)
    target = pathlib.Path(_place(paths, event.what), str(event.version))
    if source is not None and source != target:
        if event.version == now.canary:
            # A server that starts waits for a version of every model in its config: first out of the config.
            _write_config(paths, now.stable, None)
        target.parent.mkdir(exist_ok=True)
        source.rename(target)
    history.with_(event).write(paths.release_history)
    _follow(paths)


def _place(paths: Paths, what: str) -> str:
    match what:
        case release_history.CANARY:
            return paths.canary
        case release_history.ROLLED_BACK:
            return paths.rolled_back
    return paths.serving


def _repair(paths: Paths, told: Event | None) -> None:
    """Finishes what was begun, and records what was found: by older versions of this software, by hand."""
    _finish(paths)
    shutil.rmtree(paths.removing, ignore_errors=True)
    history, now = History.read(paths.release_history), read(paths)
    new = []
    for version in reversed(now.all):
        last, place = history.last(version), folder(paths, version)
        assert place is not None
        gone = last is None or last.what == release_history.REMOVED
        if last is not None and not gone and _place(paths, last.what) == str(place.parent):
            continue
        kinds = {paths.canary: release_history.CANARY, paths.rolled_back: release_history.ROLLED_BACK}
        what = kinds.get(str(place.parent), release_history.PUSHED)
        if told is not None and told.version == version:
            new.append(dataclasses.replace(told, what=what))
        else:
            reason = "" if last is None else f"found in {place.parent.name}, moved by hand"
            new.append(release_history.found(what, version, place, reason))
    for version in sorted({event.version for event in history.events} - set(now.all)):
        last = history.last(version)
        if last is not None and last.what != release_history.REMOVED:
            new.append(release_history.event(release_history.REMOVED, version, "its folder was gone"))
    if new:
        history.with_(*new).write(paths.release_history)
    _follow(paths)


def old(paths: Paths, keep: int, spared: Collection[int] = (), rolled_back: bool = False) -> list[int]:
    """Returns the versions beyond the newest `keep`, the oldest first.

    Args:
      paths: of the root.
      keep: versions in service or kept, and as many that were on trial; 0 keeps all.
      spared: versions that stay besides those in service or on trial.
      rolled_back: as many of those that were rolled back, too; else they all stay.
    """
    if not keep:
        return []
    now = read(paths)
    places = (now.served, now.tried, now.rolled_back) if rolled_back else (now.served, now.tried)
    beyond = [version for place in places for version in sorted(place, reverse=True)[keep:]]
    return [version for version in sorted(beyond) if version not in {now.stable, now.canary, *spared}]


def remove_old(paths: Paths, keep: int, spared: Collection[int] = (), rolled_back: bool = False) -> list[int]:
    """Removes the versions that `old` returns, and says which. Call it within `changing`."""
    removed = old(paths, keep, spared, rolled_back)
    for version in removed:
        source = folder(paths, version)
        assert source is not None
        os.makedirs(paths.removing, exist_ok=True)
        # In one step for whoever looks at the folder; deleting takes many.
        source.rename(pathlib.Path(paths.removing, str(version)))
        event = release_history.event(release_history.REMOVED, version, f"beyond the newest {keep}")
        History.read(paths.release_history).with_(event).write(paths.release_history)
        shutil.rmtree(paths.removing)
    return removed


def _follow(paths: Paths) -> None:
    now = read(paths)
    _write_config(paths, now.stable, now.canary)


def _write_config(paths: Paths, stable: int | None, canary: int | None) -> None:
    if stable is None:
        return
    path = pathlib.Path(paths.models_config)
    text = models_config(paths.serving, paths.canary if canary is not None else None)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        pages.write(path, text)


def models_config(stable: str, canary: str | None) -> str:
    """Returns TensorFlow Serving's model config file for the two folders; no canary without its folder.

    Two names, and not one name with two labels: TensorFlow Serving answers a request without version or label
    from the highest version that it has loaded, which would be the canary.
    """
    text = "# Written by captioner from the folders beside it; changes are lost.\nmodel_config_list {\n"
    for name, base_path in ((MODEL_NAME, stable), (CANARY_MODEL, canary)):
        if base_path is not None:
            quoted = base_path.replace("\\", "\\\\").replace('"', '\\"')
            text += (
                f'  config {{\n    name: "{name}"\n    base_path: "{quoted}"\n'
                '    model_platform: "tensorflow"\n'
                "    model_version_policy { latest { num_versions: 1 } }\n  }\n"
            )
    return text + "}\n"
