"""Is it like what was learned from so far?"""

from collections.abc import Sequence

from components.drift.compare import Drift
from components.span_example_gen.checks.found import Found
from components.span_example_gen.config import REFUSE, SpansConfig


def check(compared: Sequence[Drift], config: SpansConfig) -> Found:
    """Names the features that have drifted. By default that is no reason to refuse, but one to train anew."""
    sentences = tuple(f"{each.sentence[0].upper()}{each.sentence[1:]}" for each in compared if each.drifted)
    return Found(reasons=sentences) if config.on_drift == REFUSE else Found(warnings=sentences)
