"""When to retrain, what to do after a failure, and whom to tell."""

import dataclasses
import urllib.parse
from typing import Final

from models.settings import Config, choice, require
from pipeline import runs

ONCE: Final = "once"
SKIP: Final = "skip"

INTERRUPTED: Final = "interrupted"
STATES: Final = (runs.PUSHED, runs.REFUSED, runs.FAILED, runs.UNCHANGED, INTERRUPTED)

ENV: Final = "env:"
_HERE: Final = ("localhost", "127.0.0.1", "::1")


@dataclasses.dataclass(frozen=True)
class TriggerConfig(Config):
    """When a run is due. Any one of the triggers is enough.

    Attributes:
      cron: five fields (`pipeline.cron`); empty: no times.
      timezone: that `cron` is read in, as `Europe/Berlin`; empty: the machine's.
      missed: a time that passed while nobody could run is made up `once`, however many passed, or
        it is let go: `skip`. It has passed when it is 2 minutes, and two `poll_s`, old.
      on_new_span: start for spans that were not tried yet, and when a person has accepted or refused one that
        was.
      min_new_spans, min_new_images: so many of them must be there, with so many images together.
      on_drift: start for a span, judged and not tried to the end, that has drifted, however small it is.
      poll_s: longest time between two looks at the clock and the data folder, in seconds.
    """

    cron: str = ""
    timezone: str = ""
    missed: str = ONCE
    on_new_span: bool = False
    min_new_spans: int = 1
    min_new_images: int = 1
    on_drift: bool = False
    poll_s: float = 60.0

    def __post_init__(self) -> None:
        choice("missed", self.missed, (ONCE, SKIP))
        for name in ("min_new_spans", "min_new_images"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1; got {getattr(self, name)}")
        require(self.poll_s >= 1, f"poll_s must be at least 1 second; got {self.poll_s:g}")

    @property
    def any(self) -> bool:
        """Whether there is a trigger at all."""
        return bool(self.cron or self.on_new_span or self.on_drift)


@dataclasses.dataclass(frozen=True)
class RetryConfig(Config):
    """What happens after a run that failed. One that the gate refused has not failed.

    The same is for a judgement of new spans before a run; and somebody who could not be told of an ending is
    told after the same waits, for a day.

    Attributes:
      most: so often in a row a failed run is made again by itself; then only a trigger makes the next.
      first_s: wait before the first time, in seconds; each further wait is twice as long.
      longest_s: no wait is longer, in seconds.
      jitter: a wait is longer by up to this share, at random, so that schedules that failed together for
        a common reason do not all come back together.
    """

    most: int = 5
    first_s: float = 300.0
    longest_s: float = 6 * 3600.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        require(self.most >= 0, f"retries must be 0 (none) or more; got {self.most}")
        require(
            0 < self.first_s <= self.longest_s,
            f"the first wait must be above 0 and not above the longest; got {self.first_s:g} s and "
            f"{self.longest_s:g} s",
        )
        require(0 <= self.jitter <= 1, f"jitter must be from 0 to 1; got {self.jitter:g}")


@dataclasses.dataclass(frozen=True)
class NotifyConfig(Config):
    """Whom to tell how a run ended. The message is JSON; see `pipeline.continuous.message`.

    Attributes:
      command: a program with its arguments, quoted as for a shell, which does not come between; gets the
        message on standard input and in its environment. Empty: none.
      webhook: the message is posted to this URL: https, or http to this very machine. `env:NAME`: the URL
        stands in that environment variable, and so in no list of processes. Empty: none.
      on: of which endings to tell: `pushed`, `refused`, `failed`, `unchanged`, `interrupted`.
      timeout_s: of the command, and of each attempt to post, in seconds.
      attempts: to post.
    """

    command: str = ""
    webhook: str = dataclasses.field(default="", repr=False)  # such URLs are secrets
    on: tuple[str, ...] = (runs.PUSHED, runs.REFUSED, runs.FAILED, runs.UNCHANGED)
    timeout_s: float = 30.0
    attempts: int = 4

    def __post_init__(self) -> None:
        for state in self.on:
            choice("what to notify of", state, STATES)
        require(self.timeout_s > 0, f"the timeout must be above 0 seconds; got {self.timeout_s:g}")
        require(self.attempts >= 1, f"attempts must be at least 1; got {self.attempts}")
        if self.webhook and not self.webhook.startswith(ENV):
            check_url(self.webhook)


def check_url(url: str) -> str:
    """Returns the URL of a webhook. Raises ValueError, which does not repeat it: it may hold a secret."""
    parts = urllib.parse.urlsplit(url)
    here = parts.scheme == "http" and parts.hostname in _HERE
    require(
        bool(parts.hostname) and (parts.scheme == "https" or here),
        "a webhook is a URL that begins with https:// (http:// only for this machine: localhost, 127.0.0.1, "
        f"::1), or env:NAME; got {parts.scheme or 'no scheme'}://{parts.hostname or ''}",
    )
    return url
