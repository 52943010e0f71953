"""Carries a plan out. Cut off anywhere, what stays is whole, and the next time does the rest.

First the rows of ML Metadata go, all in one transaction: from then on the cache hands out nothing of what
goes, and a folder without its execution's row is one that goes, whoever looks. Then each file or folder is
renamed aside, in one step for whoever looks at it, and deleted there.
"""

import errno
import pathlib
import shutil

from components.image_featurizer import pruning
from pipeline.paths import Paths
from pipeline.retention import metadata
from pipeline.retention.inventory import REMOVING
from pipeline.retention.plan import Plan


def carry_out(plan: Plan, paths: Paths) -> None:
    """Removes what `plan` says. Call it with the root's lock, under which the plan was made.

    Raises:
      UserError: ML Metadata cannot be changed; nothing was removed.
      OSError: a file cannot be removed.
    """
    aside = pathlib.Path(paths.root).resolve() / REMOVING
    _delete(aside)  # what was cut off
    if plan.cut:
        metadata.remove(paths.metadata, plan.cut)
    for number, removal in enumerate(plan.removals):
        aside.mkdir(exist_ok=True)
        path, target = removal.item.path, aside / str(number)
        try:
            path.rename(target)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            target = path  # a folder that lies on another disk, by a link or a mount
        _delete(target)
    _delete(aside)
    for stale in plan.stale:
        pruning.remove(stale)


def _delete(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
