"""A unit file that keeps the local scheduler running: after a crash, and after the machine was off."""

import hashlib
import os
import pathlib
import re
import sys

from pipeline.continuous.config import ENV
from pipeline.continuous.options import Options, check
from pipeline.errors import UserError


def unit(options: Options) -> str:
    """Returns a unit file for a user's systemd, with how to install it.

    The scheduler is a service, not a timer: its state says what was missed and how long to wait after a
    failure, and it looks at the data folder in between.

    Raises:
      UserError: see `options.check`; or the webhook's URL, which may be a secret, would stand in the file.
    """
    check(options)
    webhook = options.notify.webhook
    if webhook and not webhook.startswith(ENV):
        raise UserError(
            "a unit file is read by others, so the webhook's URL does not belong there; give "
            "--notify-webhook env:CAPTIONER_WEBHOOK, and the variable in the file that the unit names"
        )
    root, unit_name = pathlib.Path(options.root).resolve(), name(options.root)
    variables = f"%h/.config/captioner/{unit_name}.env"
    return f"""\
# systemctl --user has it:  save as ~/.config/systemd/user/{unit_name}.service, then
#   systemctl --user daemon-reload
#   systemctl --user enable --now {unit_name}
#   loginctl enable-linger       so that it runs while you are not logged in
#   journalctl --user -u {unit_name}  what it says
#   systemctl --user disable {unit_name}  when the schedule is deleted, which the next reboot would make again
[Unit]
Description=Captioner: retrains in {_literal(str(root))}

[Service]
ExecStart={" ".join(_quoted(word) for word in command(options))}
WorkingDirectory={_literal(os.getcwd())}
# For env:NAME of --notify-webhook; need not be there.
EnvironmentFile=-{variables}
Restart=on-failure
RestartSec=60
# The scheduler passes SIGTERM on to a run, and waits for it.
KillMode=mixed
TimeoutStopSec={options.stop_s + 60:.0f}

[Install]
WantedBy=default.target
"""


def name(root: str) -> str:
    """Returns the name of a root's unit: readable, and different for each root."""
    path = pathlib.Path(root).resolve()
    readable = re.sub(r"[^A-Za-z0-9]+", "-", path.name).strip("-") or "root"
    return f"captioner-{readable}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:6]}"


def command(options: Options) -> list[str]:
    """The command that makes this schedule, without what is so by default."""
    defaults = _values(Options("", "", ""))
    flags = {"--on-new-span": options.triggers.on_new_span, "--on-drift": options.triggers.on_drift}
    return [
        *(sys.executable, "-m", "pipeline.cli", "schedule", "--local"),
        *(w for name, value in _values(options).items() if value != defaults[name] for w in (name, value)),
        *(name for name, given in flags.items() if given),
        *(f"--set={assignment}" for assignment in options.assignments),
    ]


def _values(options: Options) -> dict[str, str]:
    triggers, notify = options.triggers, options.notify
    return {
        "--config": options.config,
        "--data": options.data and os.path.abspath(options.data),
        "--root": options.root and os.path.abspath(options.root),
        "--cron": triggers.cron,
        "--timezone": triggers.timezone,
        "--missed": triggers.missed,
        "--min-new-spans": str(triggers.min_new_spans),
        "--min-new-images": str(triggers.min_new_images),
        "--poll": f"{triggers.poll_s:g}",
        "--retries": str(options.retry.most),
        "--notify-command": notify.command,
        "--notify-webhook": notify.webhook,
        "--notify-on": " ".join(notify.on),
    }


def _literal(text: str) -> str:
    """Systemd replaces what begins with a percent sign."""
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    escaped = _literal(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"'
