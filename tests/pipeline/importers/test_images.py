"""Any image file becomes an upright RGB JPEG, or a reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.importers.images import to_upright_jpeg
from pipeline.importers.records import BadImage, Reason

ORIENTATION = 0x0112
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def decoded(data: bytes, **options) -> Image.Image:
    picture = to_upright_jpeg(data, **options)
    image = Image.open(io.BytesIO(picture.encoded))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (picture.width, picture.height))
    return image


def assert_colour(image: Image.Image, colour: tuple[int, int, int], at: tuple[int, int] = (4, 4)) -> None:
    assert np.abs(np.subtract(image.getpixel(at), colour)).max() <= 4  # JPEG rounds a little


def plain(mode: str, colour) -> Image.Image:
    return Image.new(mode, (16, 16), colour)


def test_an_upright_rgb_jpeg_keeps_its_bytes(image_file):
    data = image_file("JPEG", quality=71, progressive=True)
    picture = to_upright_jpeg(data)
    assert picture.encoded == data
    assert (picture.width, picture.height) == (30, 20)


@pytest.mark.parametrize("format_", ["PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_other_formats_are_converted(image_file, format_):
    assert_colour(decoded(image_file(format_, plain("RGB", BLUE))), BLUE)


def test_the_first_frame_of_an_animation_is_taken(image_file):
    for format_ in ("GIF", "WEBP", "MPO"):
        options = {"save_all": True, "append_images": [plain("RGB", BLUE)]}
        assert_colour(decoded(image_file(format_, plain("RGB", RED), **options)), RED)


@pytest.mark.parametrize(
    ("format_", "picture", "expected"),
    [
        ("JPEG", plain("CMYK", (0, 255, 255, 0)), RED),
        ("JPEG", plain("L", 128), (128, 128, 128)),
        ("PNG", plain("1", 1), WHITE),
        ("PNG", plain("RGBA", (255, 0, 0, 0)), WHITE),
        ("PNG", plain("RGBA", (255, 0, 0, 128)), (255, 127, 127)),
        ("PNG", plain("LA", (0, 0)), WHITE),
        ("WEBP", plain("RGBA", (0, 0, 255, 0)), WHITE),
        ("PNG", Image.fromarray(np.full((16, 16), 0x8000, np.uint16)), (128, 128, 128)),
    ],
    ids=["cmyk", "grey", "bits", "clear", "half clear", "grey and clear", "clear webp", "16 bit"],
)
def test_other_colour_modes_become_rgb_on_white(image_file, format_, picture, expected):
    assert_colour(decoded(image_file(format_, picture)), expected)


def test_a_palette_with_a_clear_colour_lies_on_white(image_file):
    picture = plain("P", 0)
    picture.putpalette([*RED, *BLUE])
    assert_colour(decoded(image_file("PNG", picture, transparency=0)), WHITE)


# What a viewer does for each EXIF orientation, as numpy operations on the stored pixels.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied_and_dropped(image_file, format_, orientation):
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:16, :32] = RED
    pixels[16:, :32] = BLUE
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = decoded(image_file(format_, Image.fromarray(pixels), exif=exif, quality=95))
    assert image.getexif().get(ORIENTATION, 1) == 1
    # Compared away from the edges between the blocks, where JPEG blurs.
    expected = TURNS[orientation](pixels)[8::16, 8::16].astype(int)
    assert np.abs(np.asarray(image)[8::16, 8::16] - expected).max() < 16


def test_a_meaningless_orientation_is_ignored(image_file):
    exif = Image.Exif()
    exif[ORIENTATION] = 0
    data = image_file("JPEG", exif=exif)
    assert to_upright_jpeg(data).encoded == data


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_truncated_file_is_refused(image_file, format_):
    data = image_file(format_)
    with pytest.raises(BadImage) as caught:
        to_upright_jpeg(data[: len(data) // 2 + 40])
    assert caught.value.reason == Reason.TRUNCATED


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY_FILE),
        (b"<html>not found</html>", Reason.NOT_AN_IMAGE),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", Reason.NOT_AN_IMAGE),
    ],
)
def test_other_files_are_refused(data, reason):
    with pytest.raises(BadImage) as caught:
        to_upright_jpeg(data)
    assert caught.value.reason == reason


def test_a_broken_file_is_refused(image_file):
    data = bytearray(image_file("PNG"))
    data[50] ^= 0xFF  # inside the compressed pixels: the checksum no longer fits
    with pytest.raises(BadImage) as caught:
        to_upright_jpeg(bytes(data))
    assert caught.value.reason == Reason.UNREADABLE


def test_the_pixel_limit_is_inclusive(image_file):
    data = image_file("PNG")  # 30 x 20
    assert decoded(data, max_pixels=600).size == (30, 20)
    with pytest.raises(BadImage) as caught:
        to_upright_jpeg(data, max_pixels=599)
    assert caught.value.reason == Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize("side", [9_000, 60_000])  # over our limit; over Pillow's as well
def test_a_decompression_bomb_is_refused_unopened(image_file, side):
    data = bytearray(image_file("PNG"))
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(BadImage) as caught:
        to_upright_jpeg(bytes(data))
    assert caught.value.reason == Reason.TOO_MANY_PIXELS
