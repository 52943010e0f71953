"""What is compared of images and captions: a few numbers an image, each in buckets fixed once and for all.

Fixed buckets can be added up: what was learned from is the sum of its spans, whenever each was counted, and a
single odd value does not stretch the buckets of all others.
"""

import dataclasses
import io
from collections.abc import Collection, Iterable
from typing import Final

import numpy as np
import tensorflow as tf
from PIL import Image, ImageStat

from models import features as names
from models.vocabulary import split_words

CAPTION_WORDS: Final = "caption_words"
UNKNOWN_SHARE: Final = "unknown_share"
WIDTH: Final = "width"
HEIGHT: Final = "height"
BRIGHTNESS: Final = "brightness"
FEATURE_MEAN: Final = "feature_mean"

Values = dict[str, list[float]]  # of one image, by feature


@dataclasses.dataclass(frozen=True)
class Feature:
    """A number that images have.

    Attributes:
      title: what a person calls it.
      edges: of the buckets, ascending; what lies outside counts in the first or the last.
    """

    title: str
    edges: tuple[float, ...]


_PIXELS: Final = tuple(float(2 ** (half / 2)) for half in range(10, 31))  # 32 to 32,768

FEATURES: Final = {
    CAPTION_WORDS: Feature("words a caption", (*range(0, 31, 2), 40.0, 60.0)),
    UNKNOWN_SHARE: Feature(
        "share of the words that the model in service does not know",
        (0.0, 0.001, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0),
    ),
    WIDTH: Feature("image width in pixels", _PIXELS),
    HEIGHT: Feature("image height in pixels", _PIXELS),
    BRIGHTNESS: Feature("mean brightness of an image (0: black, 255: white)", tuple(range(0, 257, 16))),
    # Encoders differ in scale, hence the octaves; one encoder's values take up few of them.
    FEATURE_MEAN: Feature(
        "mean of an image's features", tuple(float(2 ** (eighth / 8)) for eighth in range(-80, 49))
    ),
}


def of_example(example: tf.train.Example, vocabulary: Collection[str] | None = None) -> Values:
    """The features of a raw Example (`models.features`), as far as it has them.

    Args:
      example: with image and captions.
      vocabulary: words that the model in service knows; None: `unknown_share` is left out.

    Raises:
      ValueError: the image cannot be decoded.
    """
    feature = example.features.feature
    values = of_captions(
        (caption.decode("utf-8", "replace") for caption in feature[names.CAPTIONS].bytes_list.value),
        vocabulary,
    )
    for image in feature[names.IMAGE_ENCODED].bytes_list.value:
        values |= of_image(image)
    return values


def of_captions(captions: Iterable[str], vocabulary: Collection[str] | None = None) -> Values:
    """`caption_words` of each of an image's captions, and `unknown_share` of all their words together.

    Args:
      captions: as written.
      vocabulary: as for `of_example`.
    """
    words = [split_words(caption) for caption in captions]
    values = {CAPTION_WORDS: [float(len(caption)) for caption in words]}
    all_words = [word for caption in words for word in caption]
    if vocabulary is not None and all_words:
        values[UNKNOWN_SHARE] = [sum(word not in vocabulary for word in all_words) / len(all_words)]
    return values


def of_image(image: bytes) -> Values:
    """`width`, `height` and `brightness` of an image file.

    Raises:
      ValueError: it cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(image)) as opened:
            width, height = opened.size
            # Of a JPEG, an eighth of the resolution is decoded, which takes a tenth of the time.
            opened.draft("L", (width // 8, height // 8))
            (brightness,) = ImageStat.Stat(opened.convert("L")).mean
    except Exception as error:  # Pillow's plugins raise nearly anything on broken data
        raise ValueError(f"the image cannot be decoded: {type(error).__name__}: {error}") from error
    return {WIDTH: [float(width)], HEIGHT: [float(height)], BRIGHTNESS: [brightness]}


def of_features(features: np.ndarray) -> Values:
    """`feature_mean` of an image's features [R, D]; comparable where the encoder is the same."""
    return {FEATURE_MEAN: [float(np.mean(features, dtype=np.float64))]}
