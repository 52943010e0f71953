"""What is told of a run's end, or of spans before one: JSON, the same for a command and for a webhook."""

import socket
from typing import Any

from pipeline import runs
from pipeline.continuous.config import INTERRUPTED
from pipeline.continuous.state import JUDGEMENT, RUN, Asked, Ending

_TITLES = {
    (RUN, runs.PUSHED): "a new model was pushed",
    (RUN, runs.REFUSED): "the new model was refused",
    (RUN, runs.UNCHANGED): "nothing changed",
    (RUN, runs.FAILED): "the run failed",
    (RUN, INTERRUPTED): "the run was interrupted",
    (JUDGEMENT, runs.REFUSED): "new spans were refused",
    (JUDGEMENT, runs.FAILED): "new spans could not be judged",
}


def make(ending: Ending, asked: Asked, root: str) -> dict[str, Any]:
    """Returns the message of an ending.

    Returns:
      `text`: all of it for people, in a few lines; chat programs show a webhook's `text`.
      `about`: `run`, or `judgement` of new spans before one: then `state` is `refused` or `failed`.
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
    host = socket.gethostname()
    lines = [f"captioner on {host}, {root}: {_TITLES[ending.what, ending.state]}", *ending.sentences]
    lines += [_of_span(span) for span in ending.spans if span["state"] == "refused" or span["warnings"]]
    lines += [line for line in (ending.next, f"Report: {ending.report}" if ending.report else "") if line]
    return {
        "text": "\n".join(lines),
        "about": ending.what,
        "state": ending.state,
        "why": ending.why,
        "sentences": list(ending.sentences),
        "next": ending.next,
        "failures": ending.failures,
        "spans": list(ending.spans),
        "version": ending.version,
        "run": ending.run,
        "report": ending.report,
        "log": ending.log,
        "started": ending.started.isoformat(),
        "ended": ending.ended.isoformat(),
        "config": asked.config,
        "data": asked.data,
        "root": root,
        "host": host,
    }


def _of_span(span: dict[str, Any]) -> str:
    said = " ".join((*span["reasons"], *span["warnings"]))
    return f"Span {span['span']} is {span['state']}" + (f": {said}" if said else ".")
