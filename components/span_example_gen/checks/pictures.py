"""Is it new: has it pictures that were not in earlier spans, and are training and eval data still apart?"""

from components.span_example_gen.checks.found import Found, share
from components.span_example_gen.config import SpansConfig
from components.span_example_gen.inspection import Findings
from components.span_example_gen.known_pictures import FRESH, KNOWN, LEAKED, PICTURES

_NAMED = 3


def check_known(findings: Findings, config: SpansConfig) -> Found:
    """Refuses a span most of whose images were there before."""
    images = findings.tally.get(PICTURES, 0)
    known = images - findings.tally.get(FRESH, 0)
    if not known:
        return Found(measured={"known_images": 0.0})
    sentence = f"{known} of {images} images ({share(known, images):.0%}) are not new: {_where(findings)}"
    measured = {"known_images": float(known)}
    if share(known, images) > config.max_known_images:
        limit = f"at most {config.max_known_images:.0%} may be so (spans.max_known_images)."
        return Found((f"It repeats known data: {sentence}; {limit}",), measured=measured)
    return Found(warnings=(f"{sentence}.",), measured=measured)


def check_leaked(findings: Findings, config: SpansConfig) -> Found:
    """Refuses a span that mixes up training and eval data.

    A span is used as it was written or not at all, so leaked images are not taken out of it. A few, such as
    every large collection has, change a score by less than chance does.
    """
    images, leaked = findings.tally.get(PICTURES, 0), findings.tally.get(LEAKED, 0)
    measured = {"leaked_images": float(leaked)}
    if not leaked:
        return Found(measured=measured)
    sentence = (
        f"{leaked} of {images} images ({share(leaked, images):.1%}) are both in training and in eval data, "
        "of this span and accepted ones"
    )
    if share(leaked, images) > config.max_leaked_images:
        limit = f"at most {config.max_leaked_images:.1%} may be so (spans.max_leaked_images)"
        return Found(
            (f"{sentence}; {limit}: models would be judged on what they learned by heart.",),
            measured=measured,
        )
    return Found(warnings=(f"{sentence}.",), measured=measured)


def _where(findings: Findings) -> str:
    """`40 of them are in span 3, 2 in span 1, others are repeated in this span`."""
    spans = {
        int(name.removeprefix(KNOWN)): count
        for name, count in findings.tally.items()
        if name.startswith(KNOWN)
    }
    named = sorted(spans.items(), key=lambda item: (-item[1], item[0]))[:_NAMED]
    parts = [f"{count} of them in span {number}" for number, count in named]
    if len(spans) > _NAMED:
        parts.append(f"others in {len(spans) - _NAMED} more spans")
    return ", ".join(parts) if parts else "they repeat others of this span"
