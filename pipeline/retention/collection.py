"""Retention in one call: look at a root, plan, and carry out."""

import os
import pathlib
from collections.abc import Sequence

from components.image_featurizer import pruning
from components.image_featurizer.pruning import Stale
from pipeline.paths import Paths
from pipeline.retention import images, inventory, plan, removal
from pipeline.retention.inventory import Inventory
from pipeline.retention.plan import Limits, Plan


def look(paths: Paths, limits: Limits, data: Sequence[str] = ()) -> Plan:
    """Returns what is to go from a root; changes nothing. Call it with the root's lock.

    Args:
      paths: of the root.
      limits: what may stay.
      data: folders of spans; if there are any, the features of images that are neither in these nor in those
        that the runs kept have used are to go.

    Raises:
      UserError: something cannot be read, or a folder has no spans.
    """
    found = inventory.take(paths)
    return plan.plan(found, limits, _stale(paths, found, limits, data) if data else {})


def collect(paths: Paths, limits: Limits, data: Sequence[str] = ()) -> Plan:
    """Does as `look`, removes what is to go, and returns what that was.

    Raises:
      UserError: as of `look`, or ML Metadata cannot be changed; nothing was removed.
      OSError: a file cannot be removed; the next call goes on.
    """
    found = look(paths, limits, data)
    removal.carry_out(found, paths)
    return found


def _stale(paths: Paths, found: Inventory, limits: Limits, data: Sequence[str]) -> dict[str, list[Stale]]:
    newest = len(found.runs) if limits.runs is None else limits.runs
    used = {run.data for run in plan.kept(found, newest) if run.data and os.path.isdir(run.data)}
    needed = images.hashes(sorted(used | set(data)))
    return {
        store: pruning.find(str(pathlib.Path(paths.feature_store, store, "packs")), needed)
        for store in found.stores
    }
