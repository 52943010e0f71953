"""A caption model to serve, with random weights: what is timed does not depend on what it has learned."""

import io
import pathlib
import shutil
from typing import Any

import keras
import numpy as np
from PIL import Image, ImageFilter

from models import export, image_encoder, warmup
from models.captioner import Captioner
from models.config import CorpusConfig, DecodeConfig, EncoderConfig, ModelConfig
from models.features import ACTION_WORDS
from models.representations.base import WordTable


def place(folder: pathlib.Path, given: str | None, *what: Any) -> pathlib.Path:
    """Makes `folder` the versions of a model: a copy of the SavedModel `given`, else what `save` makes."""
    if given:
        shutil.copytree(given, folder / "1")
    else:
        save(folder, 1, *what)
    return folder


def save(
    folder: pathlib.Path,
    version: int,
    encoder: EncoderConfig | None = None,
    model: ModelConfig | None = None,
    vocabulary: int = 7_000,
) -> pathlib.Path:
    """Saves a model as `folder`/`version`, appearing whole, and returns its path.

    By default what the config flickr8k serves: InceptionV3 up to mixed8 on a 4x4 grid, the Transformer.
    """
    encoder = encoder or EncoderConfig(weights="random", layer="mixed8", pooling="grid", grid_size=4)
    keras.utils.set_random_seed(1)
    built = image_encoder.build_encoder(encoder)
    vectors = np.random.default_rng(1).normal(size=(vocabulary, 50)).astype(np.float32)
    captioner = Captioner(
        model or ModelConfig(decoder="transformer"),
        WordTable(vocabulary, min(vocabulary, len(ACTION_WORDS) + 136), vectors),
    )
    export.build(captioner, built.shape)
    words = [*ACTION_WORDS, *(f"word{i}" for i in range(vocabulary - len(ACTION_WORDS)))]
    aside = folder / f"writing-{version}"
    aside.mkdir(parents=True)
    vocabulary_file = folder / "vocabulary"
    vocabulary_file.write_text("\n".join(words) + "\n")
    served = export.ServedCaptioner(
        captioner, built, built.shape, str(vocabulary_file), CorpusConfig(), DecodeConfig()
    )
    export.save(served, str(aside))
    requests = warmup.image_requests(warmup.grey_jpeg(), warmup.plan(served.functions, xla=False))
    warmup.write_warmup(str(aside), requests)
    return aside.rename(folder / str(version))


def photos(count: int, width: int = 500, height: int = 375) -> list[bytes]:
    """Pictures with the size and about the bytes of Flickr's photos."""
    rng = np.random.default_rng(2)
    made = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((width, height)).filter(ImageFilter.GaussianBlur(2))
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=90)
        made.append(out.getvalue())
    return made
