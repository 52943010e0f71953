"""How a run or a judgement ended, from what it left behind: records, its exit status, what it printed."""

import datetime
import pathlib
import re
import signal
from collections.abc import Sequence
from typing import Final

from pipeline import locks, runs
from pipeline.continuous.config import INTERRUPTED
from pipeline.continuous.spans import NEW, Span
from pipeline.continuous.spans import REFUSED as REFUSED_SPAN
from pipeline.continuous.state import JUDGEMENT, Ending, Running, State
from pipeline.continuous.triggers import describe
from pipeline.paths import Paths

REACHED_ITS_END: Final = (runs.PUSHED, runs.REFUSED, runs.UNCHANGED)

_PAGE: Final = "report.html"
_TAIL: Final = 16384  # bytes of a log that are looked through
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def reported(paths: Paths) -> tuple[str, ...]:
    """Returns the ids of the runs that have a record."""
    return tuple(sorted(path.parent.name for path in pathlib.Path(paths.reports).glob(f"*/{runs.FILE}")))


def read(
    paths: Paths,
    state: State,
    status: int | None,
    stopped: bool,
    spans: Sequence[Span],
    now: datetime.datetime,
) -> Ending:
    """Returns how a run ended.

    Args:
      paths: of its root.
      state: with the run as `running`.
      status: of its process, negative for a signal; None if nobody waited for it.
      stopped: whether the scheduler, being stopped, ended it.
      spans: as they are now.
      now: the time.

    Raises:
      ValueError: no run was begun.
    """
    running = state.running
    if running is None:
        raise ValueError("expected a state with a run under way")
    run = _record(paths, running)
    if run and run.state in REACHED_ITS_END:
        how, sentences = run.state, _verdict(run, paths)
    elif stopped:
        how, sentences = INTERRUPTED, ["The scheduler was stopped, and the run with it."]
    else:
        error = run.error if run else ""
        how, sentences = runs.FAILED, [error or _cut_short("The run", running, status)]
    page = pathlib.Path(paths.report(run.id, _PAGE)) if run else None
    return Ending(
        state=how,
        why=running.why,
        started=running.started,
        ended=now,
        sentences=tuple(sentences),
        run=run.id if run else "",
        report=str(page) if page and page.exists() else "",
        log=running.log,
        version=run.pushed if run else "",
        spans=tuple(_told(span) for span in spans if state.tried.get(span.digest) != span.state),
    )


def judgement(
    state: State, status: int | None, stopped: bool, spans: Sequence[Span] | None, now: datetime.datetime
) -> tuple[Ending, ...]:
    """Returns what somebody should know of a judgement before a run: what was refused, and that it failed.

    The arguments are those of `read`; `spans` is None if the data folder cannot be read.

    Raises:
      ValueError: none was begun.
    """
    running = state.running
    if running is None or running.what != JUDGEMENT:
        raise ValueError("expected a state with a judgement under way")
    meant = [span for span in spans or () if span.digest in running.spans]
    refused = [span for span in meant if span.judged == REFUSED_SPAN]
    left = [span for span in meant if span.judged == NEW]

    def ending(how: str, sentence: str, spans: Sequence[Span] = ()) -> Ending:
        told = tuple(_told(span) for span in spans)
        times = (running.started, now)
        return Ending(how, running.why, *times, (sentence,), log=running.log, spans=told, what=JUDGEMENT)

    found = []
    if refused:
        verb, it = ("was", "it") if len(refused) == 1 else ("were", "them")
        sentence = f"{describe(refused)} {verb} refused when judged before a run: no run starts for {it}."
        found.append(ending(runs.REFUSED, sentence, refused))
    if status != 0 and not stopped and (left or spans is None):
        what = f"The judgement of {describe(left).lower() if left else 'new spans'}"
        found.append(ending(runs.FAILED, _cut_short(what, running, status)))
    return tuple(found)


def _record(paths: Paths, running: Running) -> runs.Run | None:
    """The newest record since the run began, but of a run that somebody else has under way."""
    under_way = locks.held(paths.lock)
    for name in reversed([name for name in reported(paths) if name not in running.earlier]):
        try:
            run = runs.Run.read(pathlib.Path(paths.report(name, runs.FILE)))
        except (OSError, ValueError, KeyError, TypeError):  # of another version of this software, or removed
            continue
        if run.state != runs.RUNNING or not under_way:
            return run
    return None


def _verdict(run: runs.Run, paths: Paths) -> list[str]:
    verdict = run.verdict(paths)
    return runs.last_lines(run, verdict) if verdict else []


def _cut_short(what: str, running: Running, status: int | None) -> str:
    if status is not None and status < 0:
        hint = "; was there enough memory?" if -status == signal.SIGKILL else ""
        return f"{what} was killed by signal {-status} ({signal.Signals(-status).name}){hint}"
    if status is None:
        return f"{what} was cut off: the machine went off, or the scheduler was killed"
    said = _last_line(pathlib.Path(running.log))
    return f"{what} ended with status {status}" + (f": {said}" if said else "")


def _last_line(log: pathlib.Path) -> str:
    """The last line that a run printed, or where its error message begins."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            text = _ESCAPES.sub("", file.read().decode(errors="replace"))
    except OSError:
        return ""
    message = text.rpartition("captioner: error: ")[2] if "captioner: error: " in text else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return message.strip() or (lines[-1] if lines else "")


def _told(span: Span) -> dict[str, object]:
    return {
        "span": span.number,
        "state": span.state,
        "images": span.images,
        "reasons": list(span.reasons),
        "warnings": list(span.warnings),
    }
