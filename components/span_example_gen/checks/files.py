"""Is the span all there: does it hold anything, and can it be read to its end?"""

from components.span_example_gen.checks.found import Found, share
from components.span_example_gen.config import SpansConfig
from components.span_example_gen.inspection import Findings
from components.span_example_gen.reading import IMAGES, OTHER_HASH, UNREADABLE
from components.span_example_gen.spans import TRAIN, Span


def check_manifest(span: Span) -> Found:
    """Compares the files, by name and size, with what the importer wrote of them. Reads no shard."""
    sizes = dict(span.shards)
    try:
        listed = span.listed()
    except ValueError as error:
        return Found((f"{error}.",))
    reasons = []
    for name, file in listed.items():
        if name not in sizes:
            reasons.append(f"{name} is missing: the manifest has it, with {file.images} images.")
        elif sizes[name] != file.size:
            reasons.append(f"{name} has {sizes[name]} bytes; the manifest says {file.size}.")
    strange = sorted(sizes.keys() - listed.keys()) if listed else []
    reasons += [f"{name} is not in the manifest: it was not imported with this span." for name in strange]
    if not sizes:
        reasons.append("It is empty: there is no file of the train or eval split.")
    return Found(tuple(reasons))


def check_content(findings: Findings, config: SpansConfig) -> Found:
    """Looks at what could be read."""
    reasons, warnings = list(findings.broken), []
    images, unreadable = findings.images, findings.tally.get(UNREADABLE, 0)
    if not images and not reasons:
        reasons.append("It is empty: its files hold no image.")
    if images and not findings.tally.get(IMAGES + TRAIN, 0):
        warnings.append("It has no training images: nothing is learned from it.")
    lost = share(unreadable, images)
    if unreadable:
        sentence = f"{unreadable} of {images} images cannot be decoded ({lost:.1%})"
        if lost > config.max_unreadable:
            reasons.append(f"{sentence}; at most {config.max_unreadable:.1%} may be so.")
        else:
            warnings.append(f"{sentence} and are left out.")
    if other := findings.tally.get(OTHER_HASH, 0):
        reasons.append(
            f"{other} of {images} images are not what their content_hash says: they were changed after the "
            "import."
        )
    measured = {
        "images": float(images),
        "captions": float(findings.captions),
        "unreadable": float(unreadable),
    }
    return Found(tuple(reasons), tuple(warnings), measured)
