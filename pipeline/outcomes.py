"""How a run ended: what its last components say, and where the model is now."""

import dataclasses
import os
from typing import Any

from components.evaluator import verdict as verdicts
from components.evaluator.verdict import Verdict
from pipeline import release_choices, releases
from pipeline.paths import Paths


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
      verdict: of the Evaluator.
      pushed: the folder of the version that the model is; None if it was not pushed.
      pushed_before: whether an earlier run has pushed it.
      refused: why the ServingValidator refused the model; empty if it did not.
      canary: whether that version is on trial.
      rolled_back: why the model is not in service although it is good: it was, and was rolled back. Empty if
        that is not so.
    """

    verdict: Verdict
    pushed: str | None
    pushed_before: bool
    refused: str
    canary: bool = False
    rolled_back: str = ""


def read(runner: Any, pipeline: Any, paths: Paths) -> Outcome:
    """Returns the outcome of a run of `pipeline` by `runner`, a `LocalRunner`, that came to its end."""
    judged = runner.artifacts(pipeline, "CaptionEvaluator")
    tried = runner.artifacts(pipeline, "ServingValidator")["blessing"].custom_properties
    outcome = Outcome(
        verdict(judged),
        pushed=None,
        pushed_before=False,
        refused="" if tried["blessed"].int_value else tried["reason"].string_value,
    )
    return dataclasses.replace(outcome, **placed(runner, pipeline, paths))


def verdict(judged: dict[str, Any]) -> Verdict:
    """Returns the verdict among the CaptionEvaluator's outputs."""
    return verdicts.read(os.path.join(judged["blessing"].uri, verdicts.FILE))


def placed(runner: Any, pipeline: Any, paths: Paths) -> dict[str, Any]:
    """Returns what became of the model: `pushed`, `pushed_before`, `canary` and `rolled_back` of `Outcome`.

    The AtomicPusher's answer may be an old one, from the cache: the version may have been promoted, rolled
    back or removed since.
    """
    from components.baseline import in_service
    from components.pusher import executor as pusher

    said = runner.artifacts(pipeline, "AtomicPusher")["pushed_model"].custom_properties
    before = runner.states["AtomicPusher"] == "cached" or bool(said[pusher.BEFORE].int_value)
    if said[pusher.PUSHED].int_value:
        destination = said[pusher.DESTINATION].string_value
        version = int(os.path.basename(destination))
    elif said[pusher.ROLLED_BACK_VERSION].string_value:
        destination, version = None, int(said[pusher.ROLLED_BACK_VERSION].string_value)
    else:
        return {}
    folder = str(releases.folder(paths, version) or destination)
    if rolled_back := release_choices.rolled_back(paths, version):
        again = pusher.answering(in_service.digest(folder), paths.serving)
        if again is None:
            return {"rolled_back": rolled_back}
        folder, before = again, True  # the same model was pushed once more, by force
    return {"pushed": folder, "pushed_before": before, "canary": _is_canary(paths, folder)}


def _is_canary(paths: Paths, folder: str) -> bool:
    return int(os.path.basename(folder)) == releases.read(paths).canary
