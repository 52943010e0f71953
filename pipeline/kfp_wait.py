"""Follows a run of Kubeflow Pipelines to its end."""

import time
from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import Any, Final

from pipeline.errors import UserError
from pipeline.kfp_client import Server
from pipeline.kfp_errors import ServerError

_POLL_S: Final = 5.0
# A server that is restarted comes back in a minute or two; the run goes on meanwhile.
_LONGEST_SILENCE_S: Final = 300.0
# With CANCELED, at which the kfp client's own waiting does not end.
_ENDED: Final = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


def wait(
    server: Server,
    run_id: str,
    tasks: Collection[str],
    tell: Callable[[str, str], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Returns when the run has succeeded.

    Args:
      server: where it runs.
      run_id: its identity.
      tasks: names of the tasks to tell of; the server's list has others, of its own.
      tell: called with a task's name and its new state.
      sleep, clock: how time is passed and told.

    Raises:
      UserError: the run has failed or was ended.
      ServerError: the server was silent for minutes, or no longer takes who asks.
    """
    told: dict[str, str] = {}
    heard, renew = clock(), False
    while True:
        try:
            if renew:
                server.reconnect()
            run = server.run(run_id)
        except ServerError as error:
            if error.status == HTTPStatus.UNAUTHORIZED and not renew:
                renew = True  # tokens last an hour, runs last longer
                continue
            if not error.passing or clock() - heard > _LONGEST_SILENCE_S:
                raise ServerError(f"{error}. The run goes on: {server.page(run_id)}", error.status) from error
            sleep(_POLL_S)
            continue
        heard, renew = clock(), False
        for task in _tasks(run):
            if task.display_name in tasks and task.state and told.get(task.task_id) != task.state:
                told[task.task_id] = task.state
                tell(task.display_name, task.state)
        if run.state in _ENDED:
            break
        sleep(_POLL_S)
    if run.state != "SUCCEEDED":
        raise UserError(f"the run ended as {run.state}{_why(run, tasks)}. Its page: {server.page(run_id)}")


def _tasks(run: Any) -> list[Any]:
    return (run.run_details.task_details if run.run_details else None) or []


def _why(run: Any, tasks: Collection[str]) -> str:
    reasons = [
        f"{task.display_name}: {_message(task) or 'its log says why'}"
        for task in _tasks(run)
        if task.state == "FAILED" and task.display_name in tasks
    ]
    if not reasons and _message(run):
        reasons = [_message(run)]
    return f" ({'; '.join(reasons)})" if reasons else ""


def _message(holder: Any) -> str:
    return (holder.error.message or "").strip() if holder.error else ""
