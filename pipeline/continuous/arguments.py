"""The arguments of `captioner schedule --local` that a schedule on Kubeflow does not have."""

import argparse

from pipeline.continuous.config import ONCE, SKIP, STATES, NotifyConfig, RetryConfig, TriggerConfig
from pipeline.continuous.options import Options
from pipeline.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares them.

    `--config`, `--data`, `--root`, `--set` (as `assignments`) and `--cron` are the caller's.
    """
    when, retry, notify = TriggerConfig(), RetryConfig(), NotifyConfig()
    group = parser.add_argument_group("local schedule: when a run is due, beside --cron")
    group.add_argument(
        "--timezone", default="", metavar="ZONE", help="of --cron, as Europe/Berlin (default: the machine's)"
    )
    group.add_argument(
        "--missed",
        choices=(ONCE, SKIP),
        default=when.missed,
        help="times of --cron that passed while the machine was off or busy: made up once, however many, or "
        "skipped (default: %(default)s). A time has passed when it is 2 minutes, and twice --poll, ago",
    )
    group.add_argument("--on-new-span", action="store_true", help="start a run for new spans in --data")
    group.add_argument(
        "--min-new-spans", type=int, default=when.min_new_spans, metavar="N", help="not for fewer new spans"
    )
    group.add_argument(
        "--min-new-images",
        type=int,
        default=when.min_new_images,
        metavar="N",
        help="nor for fewer images in them",
    )
    group.add_argument(
        "--on-drift", action="store_true", help="start a run for a span whose judgement warns of drift"
    )
    group.add_argument(
        "--poll",
        type=float,
        default=when.poll_s,
        metavar="SECONDS",
        help="longest time between two looks at the clock and at --data (default: %(default)g)",
    )
    group = parser.add_argument_group("local schedule: after a run")
    group.add_argument(
        "--retries",
        type=int,
        default=retry.most,
        metavar="N",
        help="make a failed run, or judgement of new spans, again so often by itself (default: %(default)s), "
        "after 5 minutes, then twice as long each time, at most 6 hours; then it waits for what makes the "
        "next run due",
    )
    group.add_argument(
        "--notify-command",
        default=notify.command,
        metavar="COMMAND",
        help="run this with the verdict, JSON, on standard input and in CAPTIONER_VERDICT",
    )
    group.add_argument(
        "--notify-webhook",
        default=notify.webhook,
        metavar="URL",
        help="post the verdict, JSON, to this https URL; env:NAME takes it from an environment variable",
    )
    group.add_argument(
        "--notify-on",
        default=" ".join(notify.on),
        metavar="STATES",
        help=f"of which endings to tell, of {' '.join(STATES)} (default: '%(default)s')",
    )
    group = parser.add_argument_group("local schedule: how it runs")
    group.add_argument(
        "--once",
        action="store_true",
        help="look once, run if it is due, and end, with status 1 if that failed: "
        "for a timer of your own, whose times fit those of --cron only with --missed once, the default",
    )
    group.add_argument(
        "--systemd", action="store_true", help="print a unit file that keeps this schedule running, and end"
    )


def options_from(args: argparse.Namespace) -> Options:
    """Returns the schedule that the arguments ask for. Raises UserError for a value that cannot be."""
    try:
        return Options(
            config=args.config,
            data=args.data,
            root=args.root,
            assignments=tuple(args.assignments),
            triggers=TriggerConfig(
                cron=args.cron or "",
                timezone=args.timezone,
                missed=args.missed,
                on_new_span=args.on_new_span,
                min_new_spans=args.min_new_spans,
                min_new_images=args.min_new_images,
                on_drift=args.on_drift,
                poll_s=args.poll,
            ),
            retry=RetryConfig(most=args.retries),
            notify=NotifyConfig(
                command=args.notify_command,
                webhook=args.notify_webhook,
                on=tuple(args.notify_on.replace(",", " ").split()),
            ),
            once=args.once,
        )
    except ValueError as error:
        raise UserError(str(error)) from error
