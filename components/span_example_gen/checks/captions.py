"""Do its captions fit its images, as far as the model in service can tell?"""

from components.span_example_gen import caption_fit
from components.span_example_gen.checks.found import Found
from components.span_example_gen.config import SpansConfig
from components.span_example_gen.inspection import Findings

_FEWEST = 8  # scored images; fewer tell nothing


def check(findings: Findings, config: SpansConfig) -> Found:
    """Refuses a span whose captions fit clearly worse than those of accepted spans.

    It must both look mislabelled (`min_caption_fit`) and be told from good data beyond chance: a model that
    is poor, or a span that is small, is no reason to refuse anything.
    """
    if not (findings.scores and findings.images and config.min_caption_fit):
        return Found()
    span, reference = findings.scores["span"], findings.scores["reference"]
    for scores, what in ((reference, "accepted eval images"), (span, "images of the span")):
        if scores.scored < _FEWEST:
            count = f"only {scores.scored}" if scores.scored else "no"
            return Found(
                warnings=(
                    f"Whether its captions fit its images was not checked: {count} {what} have captions in "
                    f"words that the model in service knows, and {_FEWEST} are needed.",
                )
            )
    fit = caption_fit.compare(span, reference)
    measured = {"caption_gap": fit.gap, "accepted_caption_gap": fit.reference_gap, "caption_fit": fit.share}
    if fit.reference_low <= 0:
        return Found(
            warnings=(
                "Whether its captions fit its images was not checked: the model in service finds accepted "
                "captions hardly likelier with the right image than with another.",
            ),
            measured=measured,
        )
    sentence = (
        f"the right image makes them {fit.gap:.2f} nats a word likelier than another one, and those of "
        f"accepted spans {fit.reference_gap:.2f} ({fit.share:.0%}, at most {fit.at_most:.0%} by 99 %; at "
        f"least {config.min_caption_fit:.0%} is asked for)"
    )
    if fit.share >= config.min_caption_fit:
        return Found(measured=measured)
    if fit.at_most < 1:
        return Found(
            (
                f"Its captions do not fit its images: {sentence}. They are mislabelled, or of a kind that "
                "the model in service knows nothing of.",
            ),
            measured=measured,
        )
    return Found(
        warnings=(f"Its captions may not fit its images, but it has too few to tell: {sentence}.",),
        measured=measured,
    )
