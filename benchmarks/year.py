"""A year of weekly data, some of it bad: what is served keeps its floor, and the disk stays bounded.

    python -m benchmarks.year

Each week a span comes in (`benchmarks.weeks`) and is judged, as `SpanExampleGen` does it. The triggers of
the local scheduler are asked, with the year's clock instead of the machine's, whether a run is due: by cron,
or because a span has drifted. A run is the whole pipeline, with a warm start from the model in service and
its growing vocabulary. Every fourth week spans that the window has passed by are taken away, and gc removes
what is beyond the newest runs. What is in service is asked, by the signature that clients use, for captions
of pictures that are in no span, and scored.

The exit status is 1 if the served model ever scored below the floor, a bad span was not named or a good one
was, or the disk grew.
"""

import argparse
import collections
import contextlib
import dataclasses
import datetime
import pathlib
import random
import resource
import shutil
import sys
import tempfile
import time
from typing import Final
from unittest import mock

import numpy as np
import rich.console

from benchmarks import tiny, weeks
from models.features import CAPTION_OUTPUT, IMAGE_BYTES_INPUT, SERVING_SIGNATURE
from models.metrics import meteor
from models.metrics.cider_d import cider_d
from models.metrics.tokenizer import tokenize
from pipeline import quiet, releases, run_pipeline, runs
from pipeline.config import PipelineConfig
from pipeline.continuous import spans as arrived
from pipeline.continuous import transitions, triggers, work
from pipeline.continuous.config import TriggerConfig
from pipeline.continuous.state import Asked, Ending, Running, State
from pipeline.errors import UserError
from pipeline.importers.span import span_name
from pipeline.paths import Paths
from pipeline.retention import collection, usage
from pipeline.retention.plan import Limits
from serving.saved_model import SavedModel

_BEGIN: Final = datetime.datetime(2026, 1, 5, 12, tzinfo=datetime.UTC)  # a Monday
_TRIGGERS: Final = TriggerConfig(cron="0 3 1 */3 *", timezone="UTC", on_drift=True)
_COUNTS: Final = (40, 8)  # train and eval pictures a week
_FIRST_COUNTS: Final = (200, 32)
_HELD_OUT: Final = 60
_KEPT_RUNS: Final = 2
_FLOOR: Final = 1.5  # CIDEr-D
_WINDOW: Final = 12
_SETTINGS: Final = (
    f"spans.window={_WINDOW}",
    "spans.fit_images=48",
    "corpus.vocabulary=grow",
    "train.start=warm",
    "train.epochs=6",
    "gate.min_bleu_4=0.05",
    f"gate.min_cider_d={_FLOOR}",
    "gate.allowed_loss_bleu_4=0.1",
    "gate.allowed_loss_cider_d=0.5",
    "gate.resamples=200",
    "push.keep_versions=3",
)
_FIRST_SETTINGS: Final = ("train.epochs=16",)
_GROWTH: Final = 1.5  # of the disk, from the first half of the year to its end

# How a bad span is named, in its reasons or, where it is accepted, in its warnings.
_NAMES: Final = {
    weeks.MISLABELLED: "captions do not fit its images",
    weeks.ANOMALY: "does not fit the schema",
    weeks.EMPTY: "is empty",
    weeks.DUPLICATE: "repeats known data",
    weeks.DRIFTED: "drifted",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A week, and what came of it.

    Attributes:
      week: which, and what is wrong with its data.
      state: of its span: accepted or refused.
      said: of the span, in sentences.
      why: a run was due; empty if none was.
      outcome: of the run; empty without one.
      version: in service after it.
      served: CIDEr-D of what is in service, on the held-out pictures.
      disk: bytes of the root.
      seconds, processor_seconds: that the week took, by the clock and of all cores, children included.
    """

    week: weeks.Week
    state: str
    said: tuple[str, ...]
    why: str
    outcome: str
    version: int | None
    served: float
    disk: int
    seconds: float
    processor_seconds: float

    @property
    def problem(self) -> str:
        """What should not be so; empty if all is well."""
        kind, said = self.week.kind, " ".join(self.said)
        if kind == weeks.GOOD and (self.state != arrived.ACCEPTED or "drifted" in said):
            return f"a good span is named: {said}"
        if kind != weeks.GOOD and _NAMES[kind] not in said:
            return f"a bad span is not named, but {self.state}: {said or 'nothing was said'}"
        if self.outcome == runs.FAILED:
            return "the run failed"
        if self.served < _FLOOR:
            return f"what is served has {self.served:.3f}, below the floor of {_FLOOR}"
        return ""


class Year:
    """The year as far as it has come."""

    def __init__(self, folder: pathlib.Path, seed: int):
        self._data, self._paths = folder / "data", Paths(str(folder / "root"))
        self._seed = seed
        self._random = random.Random(seed)
        self._held_out = weeks.held_out(_HELD_OUT, seed)
        asked = Asked("demo", str(self._data), triggers=_TRIGGERS)
        self._state = State(asked, _BEGIN, again="There is no model yet.")
        self._served: dict[int, float] = {}  # by version

    def live(self, week: weeks.Week) -> Row:
        """Lives through a week."""
        began, worked = time.monotonic(), _processor_seconds()
        now = _BEGIN + datetime.timedelta(weeks=week.number - 1)
        weeks.write(week, self._data, _FIRST_COUNTS if week.number == 1 else _COUNTS, self._seed)
        work.judge(self._config(), str(self._data), self._paths.root)
        spans = arrived.look(str(self._data), self._paths.spans)
        why = triggers.decide(self._state, spans, now).why
        outcome = self._run(why, spans, now) if why else ""
        if week.number % 4 == 0:
            self._tidy()
        version = releases.read(self._paths).stable
        if version is None:
            raise RuntimeError(
                f"nothing is in service after the first run: {outcome}; see {self._paths.reports}"
            )
        span = spans[-1]
        return Row(
            week,
            span.state,
            (*span.reasons, *span.warnings),
            why,
            outcome,
            version,
            self._score(version),
            usage.freed([usage.scan(self._paths.root)])[0],
            time.monotonic() - began,
            _processor_seconds() - worked,
        )

    def _run(self, why: str, spans: list[arrived.Span], now: datetime.datetime) -> str:
        running = Running(why, now, "", spans=tuple(span.digest for span in spans))
        self._state = transitions.begun(self._state, running)
        try:
            run_pipeline.run(self._config(), str(self._data), self._paths.root)
            state = runs.find(self._paths, runs.LATEST).state
        except UserError as error:
            state, why = runs.FAILED, str(error)
        spans = arrived.look(str(self._data), self._paths.spans)
        ending = Ending(state, why, now, now)
        self._state = transitions.ended(self._state, ending, spans, self._random)
        return state

    def _config(self) -> PipelineConfig:
        first = releases.read(self._paths).stable is None
        return tiny.config([*_SETTINGS, *(_FIRST_SETTINGS if first else ())])

    def _tidy(self) -> None:
        """Takes spans away that the window has passed by, and then what nothing refers to any more."""
        accepted = [
            span.number
            for span in arrived.look(str(self._data), self._paths.spans)
            if span.state == arrived.ACCEPTED
        ]
        for number in range(1, accepted[-_WINDOW] if len(accepted) > _WINDOW else 1):
            shutil.rmtree(self._data / span_name(number), ignore_errors=True)
        with run_pipeline.lock(self._paths):
            collection.collect(self._paths, Limits(_KEPT_RUNS), [str(self._data)])

    def _score(self, version: int) -> float:
        if version not in self._served:
            model = SavedModel(pathlib.Path(self._paths.serving, str(version)))
            pictures = np.array([picture for picture, _ in self._held_out], object)
            answers = model.run(SERVING_SIGNATURE, {IMAGE_BYTES_INPUT: pictures})[CAPTION_OUTPUT]
            model.close()
            self._served[version] = cider_d(
                [tokenize(best.decode("utf-8")) for best in answers.reshape(len(pictures), -1)[:, 0]],
                [[tokenize(caption) for caption in captions] for _, captions in self._held_out],
            )
        return self._served[version]


def _processor_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in usages)


def main() -> None:
    """Lives through the year and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--seed", type=int, default=1, help="of all data, and of which weeks are bad")
    parser.add_argument("--folder", type=pathlib.Path, help="empty; kept (default: a temporary one)")
    args = parser.parse_args()
    console = rich.console.Console(file=sys.stdout, highlight=False, soft_wrap=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or pathlib.Path(temporary)
        with (
            # Starting Java takes longer than all other scores of so few pictures.
            mock.patch.object(meteor, "find", return_value=meteor.Unavailable("left out")),
            quiet.noise_to(str(folder / "year.log")),
            open(folder / "runs.out", "w", encoding="utf-8") as out,
        ):
            year = Year(folder, args.seed)
            for week in weeks.calendar(args.weeks, args.seed):
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                    rows.append(year.live(week))
                console.print(_line(rows[-1]), markup=False)
        problems = [f"week {row.week.number}: {row.problem}" for row in rows if row.problem]
        problems += _growth(rows)
    _summary(rows, console)
    for problem in problems:
        console.print(problem, style="red", markup=False)
    sys.exit(bool(problems))


def _line(row: Row) -> str:
    return (
        f"{row.week.number:2}  {row.week.kind:14}  {row.state:8}  {row.outcome:9}  {row.version}  "
        f"CIDEr-D {row.served:.3f}  {row.disk / 1e6:6.1f} MB  {row.seconds:5.1f} s "
        f"({row.processor_seconds:4.1f})  " + " ".join((*row.said, row.why and f"[{row.why}]"))
    )


def _growth(rows: list[Row]) -> list[str]:
    """The disk after gc, at the end of the year against the largest of its first half."""
    tidied = [row.disk for row in rows if row.week.number % 4 == 0]
    half = len(tidied) // 2
    if half < 3 or tidied[-1] <= _GROWTH * max(tidied[:half]):
        return []
    return [f"the disk grew from {max(tidied[:half]) / 1e6:.0f} to {tidied[-1] / 1e6:.0f} MB"]


def _summary(rows: list[Row], console: rich.console.Console) -> None:
    console.print("\n| data | weeks | accepted | refused | named |\n|---|---|---|---|---|")
    for kind in (weeks.GOOD, *weeks.BAD):
        mine = [row for row in rows if row.week.kind == kind]
        refused = sum(row.state == arrived.REFUSED for row in mine)
        named = sum(kind != weeks.GOOD and _NAMES[kind] in " ".join(row.said) for row in mine)
        console.print(f"| {kind} | {len(mine)} | {len(mine) - refused} | {refused} | {named} |")
    outcomes = collections.Counter(row.outcome for row in rows if row.outcome)
    served = [row.served for row in rows]
    console.print(
        f"\n{sum(outcomes.values())} runs ({', '.join(f'{n} {what}' for what, n in outcomes.items())}); "
        f"CIDEr-D served from {min(served):.3f} to {max(served):.3f}, at first {served[0]:.3f}, in the end "
        f"{served[-1]:.3f}, floor {_FLOOR}; disk at most {max(row.disk for row in rows) / 1e6:.0f} MB, in "
        f"the end {rows[-1].disk / 1e6:.0f} MB; {sum(row.seconds for row in rows) / 60:.1f} minutes, "
        f"{sum(row.processor_seconds for row in rows) / 60:.1f} of processors"
    )


if __name__ == "__main__":
    main()
