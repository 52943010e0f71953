"""A photo as the model expects it: upright RGB, not larger than is useful.

The importers store training pictures upright; cameras store them as the sensor saw them, with a note which
side is up. The model does not read that note, so whoever sends a photo turns it first.
"""

import io
import warnings
from typing import Final

from PIL import Image, ImageOps

from serving.errors import NotAnImage

# The encoder looks at 299 x 299 pixels: more than this is only slower to send and to decode.
MAX_SIDE: Final = 1024
# A panorama is not shrunk so far that its short side falls below what the encoder sees.
MIN_SIDE: Final = 299
MAX_PIXELS: Final = 100_000_000
_ORIENTATION_TAG: Final = 0x0112
_JPEG_QUALITY: Final = 95


def prepare(data: bytes) -> bytes:
    """Returns `data` as upright RGB JPEG of useful size; a JPEG that is all of that already, unchanged.

    Raises NotAnImage for bytes that cannot be decoded or have more than MAX_PIXELS.
    """
    if not data:
        raise NotAnImage("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS decides, below
            image = Image.open(io.BytesIO(data))
            if image.width * image.height > MAX_PIXELS:
                raise NotAnImage(
                    f"{image.width} x {image.height} pixels are too many; at most {MAX_PIXELS:,} are decoded"
                )
            target = _target_size(*image.size)
            upright = image.getexif().get(_ORIENTATION_TAG, 1) == 1
            if image.format == "JPEG" and image.mode in ("RGB", "L") and upright and target == image.size:
                return data
            return _converted(image, target)
    except NotAnImage:
        raise
    except Image.DecompressionBombError as error:
        raise NotAnImage(f"too many pixels: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise NotAnImage("not an image in a format that can be read") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise NotAnImage(f"a broken image: {error}") from error


def _target_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, max(MAX_SIDE / max(width, height), MIN_SIDE / min(width, height)))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _converted(image: Image.Image, size: tuple[int, int]) -> bytes:
    image.draft("RGB", size)  # a JPEG is decoded at 1/2, 1/4 or 1/8 where that is still large enough
    lies_on_its_side = image.getexif().get(_ORIENTATION_TAG, 1) >= 5
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16-bit grey: convert() would clip it to white
        upright = upright.point(lambda value: value / 256).convert("L")
    if upright.has_transparency_data:
        behind = Image.new("RGBA", upright.size, "white")
        behind.alpha_composite(upright.convert("RGBA"))
        upright = behind
    rgb = upright.convert("RGB")
    size = size[::-1] if lies_on_its_side else size
    if rgb.size != size:
        rgb = rgb.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    rgb.save(out, "JPEG", quality=_JPEG_QUALITY)
    return out.getvalue()
