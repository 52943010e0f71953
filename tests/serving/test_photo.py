"""Photos are sent upright, RGB and no larger than useful; what is already so is sent unchanged."""

import io

import numpy as np
import pytest
from PIL import Image

from serving import photo
from serving.errors import NotAnImage


def encoded(image: Image.Image, format: str = "JPEG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    return image


def two_colours() -> Image.Image:
    """Red above, blue below, wider than high."""
    image = Image.new("RGB", (64, 32), "red")
    image.paste("blue", (0, 16, 64, 32))
    return image


# EXIF orientation -> how the sensor stored the upright picture
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("scale", [1, 50])
def test_photos_are_turned_upright(orientation, scale):
    turn = STORED[orientation]
    image = two_colours().resize((64 * scale, 32 * scale), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image.transpose(turn) if turn is not None else image, exif=exif)

    upright = decoded(photo.prepare(data))

    assert upright.size == ((64, 32) if scale == 1 else (1024, 512))
    top, bottom = upright.getpixel((10, 4)), upright.getpixel((10, upright.height - 4))
    assert top[0] > 200 > 60 > top[2]
    assert bottom[2] > 200 > 60 > bottom[0]
    assert upright.getexif().get(0x0112, 1) == 1


def test_an_upright_jpeg_of_useful_size_is_not_touched():
    data = encoded(two_colours())
    assert photo.prepare(data) is data


def test_a_panorama_keeps_the_short_side_that_the_encoder_sees():
    assert decoded(photo.prepare(encoded(Image.new("RGB", (6000, 600))))).size == (2990, 299)


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_other_formats_become_jpeg(format):
    got = np.asarray(decoded(photo.prepare(encoded(two_colours(), format))), int)
    assert np.abs(got - np.asarray(two_colours(), int)).mean() < 8  # lossy, once or twice


def test_transparency_lies_on_white():
    clear = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    assert decoded(photo.prepare(encoded(clear, "PNG"))).getpixel((5, 5)) == (255, 255, 255)


def test_cmyk_and_16_bit_grey_keep_their_look():
    red = decoded(photo.prepare(encoded(Image.new("RGB", (32, 32), "red").convert("CMYK"))))
    assert red.getpixel((5, 5))[0] > 200 > 60 > red.getpixel((5, 5))[1]
    grey = Image.fromarray(np.full((32, 32), 128 * 256, np.uint16))
    assert abs(decoded(photo.prepare(encoded(grey, "PNG"))).getpixel((5, 5))[0] - 128) < 3


@pytest.mark.parametrize(
    "data",
    [b"", b"not an image", encoded(two_colours())[:20], encoded(two_colours(), "PNG")[:60]],
    ids=["empty", "text", "cut JPEG", "cut PNG"],
)
def test_what_cannot_be_decoded_is_refused(data):
    with pytest.raises(NotAnImage):
        photo.prepare(data)


def test_too_many_pixels_are_refused_before_they_are_decoded():
    bomb = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    with pytest.raises(NotAnImage, match="pixels"):
        photo.prepare(bomb)
