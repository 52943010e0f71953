"""Tells of a run's end by a command and a webhook. Nothing else suffers from what goes wrong with that."""

import contextlib
import logging
import os
import shlex
import shutil
import signal
import subprocess
import urllib.parse
from collections.abc import Sequence
from typing import Any, Final

from pipeline import plain_json
from pipeline.continuous.config import ENV, NotifyConfig, check_url

VERDICT: Final = "CAPTIONER_VERDICT"
COMMAND: Final = "command"
WEBHOOK: Final = "webhook"
_LONGEST_VARIABLE: Final = 100_000  # bytes; Linux takes 131,072
_SHOWN: Final = 300  # characters of what a command said
_FIRST_WAIT_S: Final = 1.0  # between attempts to post; then twice as long each time
_AGAIN: Final = (408, 425, 429, 500, 502, 503, 504)


def tell(config: NotifyConfig, message: dict[str, Any], only: Sequence[str] = ()) -> dict[str, str]:
    """Passes the message on.

    Args:
      config: whom to tell.
      message: what.
      only: ways to tell, of `command` and `webhook`; empty: all that there are.

    Returns:
      What went wrong, by the way to tell, in sentences that hold no secret; nothing if all went well.
    """
    if message["state"] not in config.on:
        return {}
    text = plain_json.dumps(message)
    complaints = {}
    for to, name, send in ((config.command, COMMAND, _run), (config.webhook, WEBHOOK, _post)):
        if not to or (only and name not in only):
            continue
        try:
            complaint = send(text, message["state"], config)
        except Exception as error:  # a run must not suffer from whom it tells
            # Only its kind: the text may hold the URL.
            complaint = f"The {name} to notify failed: {type(error).__name__}."
        if complaint:
            complaints[name] = complaint
    return complaints


def describe(config: NotifyConfig) -> list[str]:
    """Returns whom it tells, in words without secrets."""
    command = [f"command {shlex.split(config.command)[0]}"] if config.command else []
    return command + ([f"webhook {_safe(config.webhook)}"] if config.webhook else [])


def check(config: NotifyConfig) -> None:
    """Raises ValueError for what could not work at the end of the first run either."""
    if config.command:
        try:
            program = shlex.split(config.command)[0]
        except (ValueError, IndexError) as error:
            raise ValueError(f"--notify-command {config.command!r} is no command: {error}") from error
        if shutil.which(program) is None:
            raise ValueError(f"--notify-command: there is no program {program!r}")
    if config.webhook:
        _url(config.webhook)


def _run(text: str, state: str, config: NotifyConfig) -> str:
    """Runs a command with the message on standard input and, unless it is too long, in its environment."""
    environment = os.environ | {"CAPTIONER_STATE": state}
    if len(text.encode()) <= _LONGEST_VARIABLE:
        environment[VERDICT] = text
    try:
        process = subprocess.Popen(
            shlex.split(config.command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # with all that it starts, it can be ended
            text=True,
            errors="replace",
        )
    except (OSError, ValueError) as error:
        return f"The command to notify could not be started: {error}."
    try:
        said, _ = process.communicate(text, timeout=config.timeout_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"The command to notify took more than {config.timeout_s:g} seconds and was ended."
    if process.returncode:
        return f"The command to notify ended with status {process.returncode}" + (
            f": {said.strip()[-_SHOWN:]}" if said.strip() else "."
        )
    return ""


def _post(text: str, state: str, config: NotifyConfig) -> str:
    """Posts the message; again where another time may help."""
    del state
    import requests
    import urllib3
    from requests import adapters

    url, shown = _url(config.webhook), _safe(config.webhook)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it logs URLs, which may be secrets
    retries = urllib3.Retry(
        total=config.attempts - 1,
        backoff_factor=_FIRST_WAIT_S,
        status_forcelist=_AGAIN,
        allowed_methods=["POST"],
        redirect=False,  # the message is for this address
        respect_retry_after_header=False,  # nobody shall keep the scheduler waiting for hours
        raise_on_status=False,
    )
    with requests.Session() as session:
        session.mount(url, adapters.HTTPAdapter(max_retries=retries))
        try:
            answer = session.post(
                url,
                data=text.encode(),
                headers={"Content-Type": "application/json"},
                timeout=config.timeout_s,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            kind = type(error).__name__
            return f"{shown} could not be notified in {config.attempts} attempts: {kind}."
    if answer.status_code >= 300:
        return f"{shown} refused the notification: HTTP status {answer.status_code}."
    return ""


def _url(webhook: str) -> str:
    if not webhook.startswith(ENV):
        return check_url(webhook)
    name = webhook.removeprefix(ENV)
    if not os.environ.get(name):
        raise ValueError(
            f"--notify-webhook {webhook}: the environment has no variable {name!r}, or an empty one"
        )
    return check_url(os.environ[name])


def _safe(webhook: str) -> str:
    """A webhook without its path, which is often its password."""
    if webhook.startswith(ENV):
        return webhook
    parts = urllib.parse.urlsplit(webhook)
    return f"{parts.scheme}://{parts.hostname}/..."
