"""The window: the newest accepted spans, as one Examples artifact whose files are those of the spans."""

import os
from collections.abc import Iterable, Sequence
from typing import Final

from absl import logging
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from components.span_example_gen.records import ACCEPTED, REFUSED, Judgement
from components.span_example_gen.spans import SPLITS, Span

_FILE_FORMAT: Final = "tfrecords_gzip"


def choose(judgements: Sequence[Judgement], window: int) -> list[Span]:
    """Returns the newest accepted spans, the oldest first.

    Args:
      judgements: of all spans, the oldest first.
      window: how many spans at most; 0: all.

    Raises:
      ValueError: no span is accepted, or those of the window lack a split.
    """
    accepted = [each.span for each in judgements if each.state == ACCEPTED]
    if not accepted:
        raise ValueError(_nothing_left(judgements))
    spans = accepted[-window:] if window else accepted
    for split in SPLITS:
        if not any(span.paths(split) for span in spans):
            raise ValueError(
                f"no {split} images in the window ({describe(spans)}): a captioner needs images to learn "
                "from and others to be judged by. Import more data, or take a wider spans.window"
            )
    return spans


def fill(examples: types.Artifact, spans: Sequence[Span]) -> None:
    """Makes `examples` the Examples of the window; takes no room where hard links are possible."""
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
    for split in SPLITS:
        folder = artifact_utils.get_split_uri([examples], split)
        if fileio.exists(folder):
            fileio.rmtree(folder)  # an attempt that was cut short may have had another window
        fileio.makedirs(folder)
        for span in spans:
            for path in span.paths(split):
                _link(path, os.path.join(folder, f"{span.name}-{os.path.basename(path)}"))
    examples.set_int_custom_property("span", spans[-1].number)
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(examples, _FILE_FORMAT)
    logging.info("The window is %s.", describe(spans))


def describe(spans: Iterable[Span]) -> str:
    """`span 12`, `spans 3, 12`, or `52 spans from 1 to 52` where there are many."""
    numbers = [span.number for span in spans]
    if len(numbers) == 1:
        return f"span {numbers[0]}"
    if len(numbers) > 8:
        return f"{len(numbers)} spans from {numbers[0]} to {numbers[-1]}"
    return f"spans {', '.join(map(str, numbers))}"


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or none that has links: slow, and it takes room
        logging.log_first_n(
            logging.WARNING, "%s is copied: no hard link to %s can be made", 1, source, target
        )
        fileio.copy(source, target, overwrite=True)


def _nothing_left(judgements: Sequence[Judgement]) -> str:
    if not judgements:
        return "there are no spans to learn from: import data with 'captioner import'"
    lines = [f"  {each.span.name}: {' '.join(each.why)}" for each in judgements if each.state == REFUSED]
    return (
        "no accepted span is left to learn from. All were refused:\n"
        + "\n".join(lines)
        + "\nImport good data as a new span, or accept one all the same with 'captioner spans accept'"
    )
