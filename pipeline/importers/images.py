"""Turns whatever image file a user has into an upright RGB JPEG, or says why it cannot."""

import dataclasses
import io
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.importers.records import BadImage, Reason

# Only decoders meant for untrusted pictures: Pillow's others include EPS, which starts Ghostscript.
FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
MAX_PIXELS: Final = 64_000_000
JPEG_QUALITY: Final = 92
_ORIENTATION: Final = 0x0112  # EXIF tag


@dataclasses.dataclass(frozen=True)
class Picture:
    """An upright RGB JPEG.

    Attributes:
      encoded: the bytes of the JPEG file.
      width, height: in pixels, as displayed.
    """

    encoded: bytes
    width: int
    height: int


def to_upright_jpeg(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decodes an image file to its end and returns it as an upright RGB JPEG.

    A file that already is one keeps its exact bytes. Otherwise the first frame is taken, turned as EXIF
    says, laid on white where it is transparent, and encoded at quality 92.

    Args:
      data: the file's bytes.
      max_pixels: larger images are refused before they are decoded (decompression bombs).

    Raises:
      BadImage: empty, not an image, truncated, otherwise unreadable, or too large.
    """
    if not data:
        raise BadImage(Reason.EMPTY_FILE, "the file has no bytes")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _convert(image, data, max_pixels)
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        names = ", ".join(FORMATS)
        raise BadImage(Reason.NOT_AN_IMAGE, f"none of {names}; it starts with {data[:8]!r}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(Reason.TOO_MANY_PIXELS, str(error)) from error
    except Exception as error:  # Pillow's plugins raise nearly anything on broken data
        reason = Reason.TRUNCATED if _is_cut_short(data, error) else Reason.UNREADABLE
        raise BadImage(reason, f"{type(error).__name__}: {error}") from error


def _is_cut_short(data: bytes, error: Exception) -> bool:
    if data.startswith(b"RIFF"):  # WebP's decoder does not say, but the file's head gives its length
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return isinstance(error, EOFError) or "truncated" in str(error).lower()


def _convert(image: Image.Image, data: bytes, max_pixels: int) -> Picture:
    width, height = image.size
    if width * height > max_pixels:
        raise BadImage(
            Reason.TOO_MANY_PIXELS,
            f"{width}x{height} is more than {max_pixels} pixels (--max-pixels)",
        )
    if image.format == "JPEG" and image.mode == "RGB" and _is_upright(image):
        # All of the file must be read to see that it is whole, but an eighth of the resolution will do.
        image.draft("RGB", (width // 8, height // 8))
        image.load()
        return Picture(data, width, height)
    image.load()
    if not _is_upright(image):
        image = ImageOps.exif_transpose(image)
    return encode_jpeg(_to_rgb(image))


def encode_jpeg(image: Image.Image) -> Picture:
    """Encodes an RGB image as JPEG, without metadata."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return Picture(file.getvalue(), image.width, image.height)


def _is_upright(image: Image.Image) -> bool:
    try:
        return image.getexif().get(_ORIENTATION) not in range(2, 9)
    except Exception:  # a broken EXIF block says nothing about the picture
        return True


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion cuts off at 255 instead of scaling.
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("RGB")
