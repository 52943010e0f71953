"""What goes and why, worked out from an inventory alone.

Of the newest runs everything stays, and so it does of the run of each version in service or on trial, of the
one that the last run was compared with, and of the last that came to its end. Of a run whose version is still
there, kept or rolled back, the report and the lineage stay, and only its files go. Of all others nothing
stays.
Versions themselves are no matter of this (`push.keep_versions`).

The volume of a cluster knows of no runs, which Kubeflow keeps: there only checkpoints go, by their age, and
features of images that are in no span.
"""

import bisect
import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from components.image_featurizer.pruning import Stale
from pipeline.retention import inventory as inventories
from pipeline.retention import metadata, usage
from pipeline.retention.inventory import Inventory, Item, Run

DEFAULT_RUNS: Final = 10
UNTOUCHED_DAYS: Final = 14  # how old checkpoints are that nobody will go on with, where no runs are known

ARTIFACTS: Final = "folders of components"
FEATURES: Final = "image features of encoders that no run kept has used"
CHECKPOINTS: Final = "checkpoints of trainings that nobody went on with"
REPORTS: Final = "reports and logs"
DEBRIS: Final = "working folders that nothing reads"
IMAGES: Final = "image features of images in no span, or stored twice"


@dataclasses.dataclass(frozen=True)
class Limits:
    """What may stay: the newest `runs`, and as many of them as fit into `size` bytes; None: no such limit."""

    runs: int | None = DEFAULT_RUNS
    size: int | None = None


@dataclasses.dataclass(frozen=True)
class Removal:
    """Something that goes: what it is, one of the constants above, and the bytes that this frees."""

    item: Item
    what: str
    size: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """What goes.

    Attributes:
      gone: runs of which nothing stays.
      recorded: runs of which report and lineage stay, and files go now.
      removals: files and folders.
      cut: rows of ML Metadata.
      stale: packs of image features with rows to go.
      holds: bytes under the root now; files that have another name outside of it take no room in it.
      left: bytes after.
    """

    gone: tuple[str, ...]
    recorded: tuple[str, ...]
    removals: tuple[Removal, ...]
    cut: metadata.Cut
    stale: tuple[Stale, ...]
    holds: int
    left: int

    def __bool__(self) -> bool:
        return bool(self.removals or self.cut or self.stale)

    def by_kind(self) -> dict[str, tuple[int, int]]:
        """Returns how many of each kind go, and the bytes that this frees."""
        counts: collections.Counter[str] = collections.Counter()
        sizes: collections.Counter[str] = collections.Counter()
        for removal in self.removals:
            counts[removal.what] += 1
            sizes[removal.what] += removal.size
        if self.stale:
            counts[IMAGES] = sum(stale.rows for stale in self.stale)
            sizes[IMAGES] = sum(stale.size for stale in self.stale)
        return {what: (counts[what], sizes[what]) for what in counts}


def plan(inventory: Inventory, limits: Limits, stale: Mapping[str, Sequence[Stale]]) -> Plan:
    """Returns what goes.

    Args:
      inventory: of the root.
      limits: what may stay. The newest run stays whatever the size.
      stale: packs with rows to go, by store.
    """
    most = len(inventory.runs) if limits.runs is None else min(limits.runs, len(inventory.runs))

    def fits(dropped: int) -> bool:
        return limits.size is None or _plan(inventory, most - dropped, stale).left <= limits.size

    fewest_dropped = bisect.bisect_left(range(most), True, key=fits)
    return _plan(inventory, max(most - fewest_dropped, min(most, 1)), stale)


def kept(inventory: Inventory, newest: int) -> list[Run]:
    """Returns the runs of which everything stays, if the `newest` so many do."""
    finished = [run.name for run in inventory.runs if run.finished][-1:]
    recent = [run.name for run in inventory.runs[len(inventory.runs) - newest :]]
    names = {*recent, *finished, *inventory.serving}
    return [run for run in inventory.runs if run.name in names]


def _plan(inventory: Inventory, newest: int, stale: Mapping[str, Sequence[Stale]]) -> Plan:
    rows = inventory.rows
    whole = kept(inventory, newest)
    recorded = [run for run in inventory.runs if run.name in inventory.pushed and run not in whole]
    gone = [run for run in inventory.runs if run not in whole and run not in recorded]
    contexts = _contexts(whole)
    in_place = rows.lineage(contexts)
    going: list[tuple[Item, str]] = [(item, DEBRIS) for item in inventory.debris]
    faded: set[int] = set()
    for execution, items in inventory.artifacts.items():
        if execution not in in_place:
            faded.add(execution)
            going += [(item, ARTIFACTS) for item in items]
    going += [(item, REPORTS) for run in gone for item in run.items]
    used = {run.encoder for run in whole} | {
        rows.encoders[artifact] for artifact in rows.artifacts(in_place) if artifact in rows.encoders
    }
    staying = {store for store in inventory.stores if store in used or not any(used)}
    going += [(item, FEATURES) for store, item in inventory.stores.items() if store not in staying]
    if newest or not inventory.runs:
        first = inventory.runs[-newest].name if newest else ""
        oldest = inventories.started(first) if first else inventories.days_ago(UNTOUCHED_DAYS)
        going += [(item, CHECKPOINTS) for item, changed in inventory.checkpoints if changed < oldest]
    packs = tuple(each for store in sorted(staying) for each in stale.get(store, ()))
    sizes = usage.freed([item.usage for item, _ in going])
    (holds,) = usage.freed([inventory.total])
    return Plan(
        tuple(run.name for run in gone),
        tuple(run.name for run in recorded if faded & rows.of(run.contexts)),
        tuple(Removal(item, what, size) for (item, what), size in zip(going, sizes, strict=True)),
        metadata.cut(rows, contexts, _contexts(recorded)),
        packs,
        holds,
        holds - sum(sizes) - sum(pack.size for pack in packs),
    )


def _contexts(runs: Sequence[Run]) -> frozenset[int]:
    return frozenset().union(*(run.contexts for run in runs))
