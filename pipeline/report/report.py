"""The report of a run: one HTML page that needs nothing else, and a model card beside it."""

import hashlib
import os
import pathlib
from collections.abc import Sequence
from typing import Any, Final

from components.evaluator import records as evaluated
from components.evaluator.records import BASELINE, CANDIDATE, ImageRecord
from components.evaluator.verdict import Verdict
from components.span_example_gen.config import SpansConfig
from models.metrics.catalogue import METRICS
from pipeline import charts, pages, release_choices, runs
from pipeline.errors import UserError
from pipeline.paths import Paths
from pipeline.report import content, skew, spans
from pipeline.report.model_card import model_card

PAGE: Final = "report.html"
CARD: Final = "model_card.md"
NEW_CARD: Final = "model_card.new.md"
# Of `training.json`: a phase of training, the chart's title, its unit, and what is drawn under which name.
_CURVES: Final = (
    (
        "epochs",
        "Teacher forcing: loss by epoch",
        "nats a token",
        {"loss": "training, smoothed", "eval_loss": "eval"},
    ),
    (
        "self_critical",
        "Self-critical training: reward by epoch",
        "CIDEr-D",
        {"reward": "training", "eval_reward": "eval"},
    ),
)
# The card's last line, by which an edited one is known.
_SEAL: Final = "\n<!-- as generated: {} -->\n"
PICTURES: Final = 12
_COMPARED: Final = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d")


def make(
    run: runs.Run,
    paths: Paths,
    pictures: int = PICTURES,
    requests: pathlib.Path | None = None,
    request_days: float = skew.DAYS,
) -> pathlib.Path:
    """Writes the page and, where a model was judged, its card; returns the page's path.

    A card that a person has edited is kept, and the new one stands beside it as `model_card.new.md`.

    Args:
      run: which; a run that failed has a report of how far it came.
      paths: of its root.
      pictures: of each section.
      requests: folder of a server's request log, to compare with the data; None: `ROOT/requests`, if it is
        there.
      request_days: how far back the log is read.

    Raises:
      UserError: what the run has made is no longer there, or there is no folder `requests`.
    """
    verdict = run.verdict(paths)
    gone = [folder for folder in run.artifacts.values() if not os.path.isdir(folder)]
    if gone:
        raise UserError(
            f"{gone[0]} is no longer there, so the report of run {run.id} cannot be made again; what was "
            f"written stays in {os.path.dirname(paths.report(run.id, PAGE))}"
        )
    records = evaluated.read(run.artifacts["evaluation"]) if "evaluation" in run.artifacts else []
    # Before the run, which then pushed nothing, or since.
    rolled_back = run.rolled_back
    if run.pushed:
        rolled_back = release_choices.rolled_back(paths, int(os.path.basename(run.pushed)))
    judged = spans.rows(run, paths)
    training = content.training(run.artifacts.get("model_run", ""))
    path = pathlib.Path(paths.report(run.id, PAGE))
    # The folder's name is TFX's own.
    examples = os.path.join(run.artifacts.get("examples", ""), "Split-eval")
    page = pages.render(
        "report.html.j2",
        run=run,
        verdict=verdict,
        rolled_back=rolled_back,
        metrics=content.metric_rows(verdict) if verdict else [],
        slices=content.slice_rows(verdict) if verdict else [],
        charts=[*_learning(training), *(_differences(verdict) if verdict else [])],
        training=training,
        galleries=content.galleries(records, examples, pictures) if records else [],
        repeated=content.repeated(records),
        images=len(records),
        not_featurized=content.not_featurized(run.artifacts.get("featurized", "")),
        config=_flat(run.config),
        slice_metrics=[METRICS[key].name for key in content.SLICE_METRICS],
        spans=judged,
        statistics_titles=spans.titles(judged),
        drift_features=spans.features_of(judged),
        drift_charts=spans.chart(judged),
        skew=_skew(run, verdict, paths, records, judged, requests, request_days),
    )
    pages.write(path, page)
    if verdict is not None:
        card = pages.render("model_card.md.j2", html=False, **model_card(run, verdict, training, rolled_back))
        target = path.with_name(CARD)
        if _is_edited(target):
            target = path.with_name(NEW_CARD)
        pages.write(target, card + _SEAL.format(_digest(card)))
    return path


def _skew(
    run: runs.Run,
    verdict: Verdict | None,
    paths: Paths,
    records: Sequence[ImageRecord],
    judged: Sequence[spans.SpanRow],
    requests: pathlib.Path | None,
    days: float,
) -> skew.Skew | None:
    """What servers were asked beside what the run learned from; None where there is no log."""
    folder = requests or pathlib.Path(paths.requests)
    if not folder.is_dir():
        if requests is not None:
            raise UserError(
                f"--requests must be the folder that a server was given as --request-log; there is no folder "
                f"{folder}"
            )
        return None
    versions = {
        CANDIDATE: int(os.path.basename(run.pushed)) if run.pushed else 0,
        BASELINE: int(verdict.baseline_version or 0) if verdict else 0,
    }
    threshold = run.config.get("spans", {}).get("drift_threshold", SpansConfig().drift_threshold)
    captions = skew.captions_of(records, versions)
    return skew.measure(folder, spans.trained(judged), captions, threshold, days)


def _is_edited(card: pathlib.Path) -> bool:
    """Whether a person has changed the card since it was written."""
    if not card.exists():
        return False
    whole = card.read_text("utf-8")
    text, _, _ = whole.rpartition(_SEAL.partition("{")[0])
    return whole != text + _SEAL.format(_digest(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _learning(training: dict[str, Any]) -> list[tuple[str, str]]:
    """Titles and drawings of the learning curves."""
    found = []
    for phase, title, unit, names in _CURVES:
        rows = [
            {"epoch": epoch["epoch"], "value": epoch[key], "of": name}
            for epoch in training.get(phase, ())
            for key, name in names.items()
            if key in epoch
        ]
        if rows:
            chart = charts.lines(rows, "epoch", "value", "of", "epoch", unit, list(names.values()))
            found.append((title, charts.draw(chart, title)))
    return found


def _differences(verdict: Verdict) -> list[tuple[str, str]]:
    """The scores' differences from the model in service, each as a share of what that one has."""
    baseline = verdict.baseline_overall or {}
    differences = verdict.differences.get("", {})
    allowed = {
        check.metric: check.allowed_loss
        for check in verdict.checks
        if not check.slice and check.allowed_loss is not None
    }
    rows = [
        {
            "name": METRICS[key].name,
            "low": 100 * differences[key].low / baseline[key],
            "middle": 100 * (verdict.overall[key] - baseline[key]) / baseline[key],
            "high": 100 * differences[key].high / baseline[key],
            "allowed": -100 * allowed[key] / baseline[key] if key in allowed else None,
        }
        for key in _COMPARED
        if key in differences and baseline.get(key) and key in verdict.overall
    ]
    if not rows:
        return []
    title = "Difference from the model in service, with bounds; red: the most that may be lost"
    return [(title, charts.draw(charts.intervals(rows, "% of what the model in service has"), title))]


def _flat(config: dict[str, Any]) -> list[tuple[str, str]]:
    """`part.option` and value of every option, as `--set` takes them."""
    rows = []
    for name, value in config.items():
        options = value if isinstance(value, dict) else {"": value}
        for option, setting in options.items():
            rows.append((f"{name}.{option}".rstrip("."), _as_set(setting)))
    return rows


def _as_set(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
