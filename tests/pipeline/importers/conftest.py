"""Makers of small image files and data sets."""

import io
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

ImageMaker = Callable[..., bytes]


@pytest.fixture
def image_file() -> ImageMaker:
    """Returns the bytes of an image file: noise of a seed, unless a picture is given."""

    def make(format_: str = "JPEG", picture: Image.Image | None = None, seed: int = 0, **options) -> bytes:
        if picture is None:
            pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels)
        file = io.BytesIO()
        picture.save(file, format_, **options)
        return file.getvalue()

    return make


@pytest.fixture
def write_files(tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """Writes `{path: bytes or text}` into a new folder and returns it."""

    def write(files: dict[str, bytes | str], name: str = "source") -> pathlib.Path:
        folder = tmp_path / name
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return write
