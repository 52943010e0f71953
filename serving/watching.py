"""Files that are read again when they change, while the server runs."""

import os
import time
from typing import Final

_LOOK_S: Final = 1.0  # between looks


class Watch:
    """Tells of each change of some files once; looks at most once a second, however often it is asked.

    A file that has gone has changed, too. Make it before the files are read: a change meanwhile is one.
    """

    def __init__(self, *files: str):
        self._files = files
        self._stamp = self._stamp_now()
        self._looked = time.monotonic()

    def changed(self) -> bool:
        """Whether one of the files has changed since this was last true."""
        if time.monotonic() - self._looked < _LOOK_S:
            return False
        self._looked = time.monotonic()
        before, self._stamp = self._stamp, self._stamp_now()
        return self._stamp != before

    def _stamp_now(self) -> list[tuple[int, ...] | None]:
        return [_stamp(file) for file in self._files]


def _stamp(file: str) -> tuple[int, ...] | None:
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size
