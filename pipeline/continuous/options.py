"""A schedule as a person asks for it."""

import dataclasses

from pipeline import configs_by_name
from pipeline.config import override
from pipeline.continuous import notify
from pipeline.continuous.config import NotifyConfig, RetryConfig, TriggerConfig
from pipeline.continuous.times import Times
from pipeline.errors import UserError


@dataclasses.dataclass(frozen=True)
class Options:
    """What to run, when, and whom to tell.

    Attributes:
      config: name of a config, as for `captioner run`.
      data: folder of the spans.
      root: where results go, the schedule with them.
      assignments: `part.option=value` texts that override the config.
      triggers, retry, notify: see their classes.
      stop_s: so long a run may take to end when the scheduler is stopped, in seconds; then it is killed.
      once: look once, run if it is due, and end: for a timer of another program. That looks too seldom to be
        on time, so `cron` needs `missed` to be `once`.
    """

    config: str
    data: str
    root: str
    assignments: tuple[str, ...] = ()
    triggers: TriggerConfig = dataclasses.field(default_factory=TriggerConfig)
    retry: RetryConfig = dataclasses.field(default_factory=RetryConfig)
    notify: NotifyConfig = dataclasses.field(default_factory=NotifyConfig)
    stop_s: float = 600.0
    once: bool = False


def check(options: Options) -> None:
    """Raises UserError for what could not work when the first run is due either."""
    if not options.triggers.any:
        raise UserError(
            "nothing says when to run: give --cron, for example '0 3 * * 1' (Mondays at 3:00), --on-new-span "
            "or --on-drift"
        )
    override(configs_by_name.load(options.config), list(options.assignments))
    if options.triggers.cron:
        Times(options.triggers.cron, options.triggers.timezone)
    try:
        notify.check(options.notify)
    except ValueError as error:
        raise UserError(str(error)) from error
