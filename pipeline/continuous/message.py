"""What is told of a run's end: JSON, the same for a command and for a webhook."""

import socket
from typing import Any

from pipeline import runs
from pipeline.continuous import transitions
from pipeline.continuous.config import INTERRUPTED
from pipeline.continuous.state import State

_TITLES = {
    runs.PUSHED: "a new model was pushed",
    runs.REFUSED: "the new model was refused",
    runs.UNCHANGED: "nothing changed",
    runs.FAILED: "the run failed",
    INTERRUPTED: "the run was interrupted",
}


def make(state: State, root: str) -> dict[str, Any]:
    """Returns the message of the last ending in `state`.

    Returns:
      `text`: all of it for people, in a few lines; chat programs show a webhook's `text`.
      `state`: `pushed`, `refused`, `unchanged`, `failed` or `interrupted`.
      `why`: the run was due.
      `sentences`: the verdict, or what went wrong.
      `next`: what happens now; empty if nothing in particular.
      `failures`: failed runs in a row.
      `spans`: those judged in it: `span`, `state`, `images`, `reasons`, `warnings`.
      `version`: folder of the model that it is; empty if none was pushed.
      `run`, `report`, `log`: its id, its page and what it printed; empty as far as it did not come.
      `started`, `ended`: ISO 8601, UTC.
      `config`, `data`, `root`, `host`: what and where.
    """
    ending = state.endings[-1]
    following = transitions.what_next(state)
    host = socket.gethostname()
    lines = [f"captioner on {host}, {root}: {_TITLES[ending.state]}", *ending.sentences]
    lines += [_of_span(span) for span in ending.spans if span["state"] == "refused" or span["warnings"]]
    lines += [line for line in (following, f"Report: {ending.report}" if ending.report else "") if line]
    return {
        "text": "\n".join(lines),
        "state": ending.state,
        "why": ending.why,
        "sentences": list(ending.sentences),
        "next": following,
        "failures": state.failures,
        "spans": list(ending.spans),
        "version": ending.version,
        "run": ending.run,
        "report": ending.report,
        "log": ending.log,
        "started": ending.started.isoformat(),
        "ended": ending.ended.isoformat(),
        "config": state.asked.config,
        "data": state.asked.data,
        "root": root,
        "host": host,
    }


def _of_span(span: dict[str, Any]) -> str:
    said = " ".join((*span["reasons"], *span["warnings"]))
    return f"Span {span['span']} is {span['state']}" + (f": {said}" if said else ".")
