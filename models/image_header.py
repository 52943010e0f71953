"""How large an image file says it is, read before it is decoded.

A file of a few bytes can declare a picture of gigabytes, and an animated GIF of megabytes can hold thousands
of pictures, all of which TensorFlow's decoder unpacks to give the first. So sizes are read first, and of a
GIF only the first picture is handed on.

No bytes make these functions fail: they need not run in the tf.data pipeline that keeps bad images apart. It
prepares its graph anew in every call, and a large one would cost more there than the image itself.

Shapes: B images, N bytes of the longest.
"""

from collections.abc import Callable
from typing import Final

import tensorflow as tf

MAX_PIXELS: Final = 100_000_000  # 300 MB when decoded
_HEAD: Final = 32
_MAX_SEGMENTS: Final = 1 << 12  # of a JPEG before its size
_MAX_BLOCKS: Final = 1 << 15  # of a GIF's first picture and what is before it, up to 255 bytes each
_BEFORE, _EXTENSION, _PICTURE, _END = range(4)  # where a walk through a GIF is


# Traced once in a process, not for each signature of each model.
@tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
def still(image_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns files of one picture and their sizes.

    Args:
      image_bytes: string `[B]`.

    Returns:
      string `[B]`: GIFs end after their first picture, others are as they were.
      int64 `[B]`: width * height as the header says; 0 if it says nothing, or for what is none of JPEG, PNG,
        GIF, BMP and WebP.
    """
    data = _head(image_bytes)
    is_jpeg, is_gif = _starts(data, b"\xff\xd8\xff"), _starts(data, b"GIF8")
    sizes = _sizes(data)
    sizes = tf.cond(
        tf.reduce_any(is_jpeg),
        lambda: tf.where(is_jpeg, _of_jpeg(image_bytes, is_jpeg), sizes),
        lambda: sizes,
    )
    return tf.cond(
        tf.reduce_any(is_gif),
        lambda: _first_of_gif(image_bytes, is_gif, sizes),
        lambda: (tf.identity(image_bytes), sizes),
    )


def _sizes(data: tf.Tensor) -> tf.Tensor:
    """First bytes -> sizes of the formats that have them there, else 0."""
    webp = _starts(data, b"RIFF") & _starts(data, b"WEBP", 8)
    lossless = _number(data, 21, 4)  # 14 bits of width - 1, 14 bits of height - 1
    sizes = tf.zeros_like(lossless)
    for kind, size in (
        # Where another chunk comes first, the size is not read, and the file refused.
        (_starts(data, b"\x89PNG\r\n\x1a\n") & _starts(data, b"IHDR", 12), _of_png(data)),
        (_starts(data, b"BM"), _signed(data, 18) * _signed(data, 22)),
        # The upper 2 bits of each say how to scale it when shown.
        (webp & _starts(data, b"VP8 ", 12), _number(data, 26, 2) % 2**14 * (_number(data, 28, 2) % 2**14)),
        (webp & _starts(data, b"VP8L", 12), (lossless % 2**14 + 1) * (lossless // 2**14 % 2**14 + 1)),
        (webp & _starts(data, b"VP8X", 12), (_number(data, 24, 3) + 1) * (_number(data, 27, 3) + 1)),
    ):
        sizes = tf.where(kind, size, sizes)
    return sizes


def _of_jpeg(image_bytes: tf.Tensor, is_jpeg: tf.Tensor) -> tf.Tensor:
    """Sizes of JPEGs, 0 of others.

    A JPEG is segments: 0xff, a kind, and most a length in two bytes, which count, and content. The size is in
    the first segment "start of frame". As the decoder does, this passes over bytes between segments.
    """
    byte, length = _reader(image_bytes, is_jpeg)

    def going_on(step, at, searching, frame):
        return (step < _MAX_SEGMENTS) & tf.reduce_any(searching)

    def walk(step, at, searching, frame):
        kind = byte(at + 1)
        between = (byte(at) != 0xFF) | (kind == 0xFF)
        bare = (kind <= 0x01) | ((kind >= 0xD0) & (kind <= 0xD8))
        # Of 0xc0 to 0xcf three are other things.
        found = (kind >= 0xC0) & (kind <= 0xCF) & (kind != 0xC4) & (kind != 0xC8) & (kind != 0xCC)
        found &= searching & ~between
        move = tf.where(between, 1, tf.where(bare, 2, 2 + 256 * byte(at + 2) + byte(at + 3)))
        searching &= ~found & (at + move < length)
        return step + 1, tf.where(searching, at + move, at), searching, tf.where(found, at, frame)

    begin = (0, 2 * tf.ones_like(length), is_jpeg, tf.zeros_like(length))
    frame = tf.while_loop(going_on, walk, begin, parallel_iterations=1)[3]
    height, width = (256 * byte(frame + at) + byte(frame + at + 1) for at in (5, 7))
    return tf.where(frame > 0, tf.cast(width, tf.int64) * tf.cast(height, tf.int64), 0)


def _first_of_gif(image_bytes: tf.Tensor, is_gif: tf.Tensor, sizes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts GIFs off after the first picture, whose own size counts: the decoder ignores that of the screen.

    A GIF is a header and parts: extensions and pictures. Each has a header and blocks: a byte with the
    block's size and so many bytes; one of size 0 is the last.
    """
    byte, length = _reader(image_bytes, is_gif)

    def colours(flags):
        """Bytes of a table of colours."""
        return tf.where(flags >= 0x80, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def going_on(step, at, place, picture):
        return (step < _MAX_BLOCKS) & tf.reduce_any(place != _END)

    def walk(step, at, place, picture):
        here = byte(at)
        in_blocks = (place == _EXTENSION) | (place == _PICTURE)
        extension = (place == _BEFORE) & (here == 0x21)
        start = (place == _BEFORE) & (here == 0x2C)
        after = tf.where(
            in_blocks,
            tf.where(here > 0, place, tf.where(place == _EXTENSION, _BEFORE, _END)),
            tf.where(extension, _EXTENSION, tf.where(start, _PICTURE, _END)),
        )
        # 0x21 and a kind; or 0x2c, four numbers of two bytes, flags, colours and the width of a code.
        header = tf.where(extension, 2, 10 + colours(byte(at + 9)) + 1)
        moved = tf.where(place == _END, at, at + tf.where(in_blocks, here + 1, header))
        after = tf.where(moved < length, after, _END)
        return step + 1, moved, after, tf.where(start, at, picture)

    first = 13 + colours(byte(10 * tf.ones_like(length)))
    begin = (0, first, tf.where(first < length, _BEFORE, _END), tf.zeros_like(length))
    _, end, _, picture = tf.while_loop(going_on, walk, begin, parallel_iterations=1)
    width, height = (byte(picture + at) + 256 * byte(picture + at + 1) for at in (5, 7))
    own = tf.where(picture > 0, tf.cast(width, tf.int64) * tf.cast(height, tf.int64), 0)
    cut = tf.strings.join([tf.strings.substr(image_bytes, tf.zeros_like(end), end), b";"])
    return tf.where(is_gif, cut, image_bytes), tf.where(is_gif, own, sizes)


def _reader(image_bytes: tf.Tensor, wanted: tf.Tensor) -> tuple[Callable[[tf.Tensor], tf.Tensor], tf.Tensor]:
    """Returns a function that reads a byte of each file, at places int32 [B], and the lengths, int32 [B].

    Files that are not wanted have the length 0. Beyond the end a byte is that of another place, or 0.
    """
    length = tf.where(wanted, tf.strings.length(image_bytes), 0)
    longest = tf.reduce_max(length)
    data = tf.io.decode_raw(tf.where(wanted, image_bytes, ""), tf.uint8, fixed_length=longest)  # [B, N]

    def byte(at: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(data, tf.minimum(at, longest - 1), batch_dims=1), tf.int32)

    return byte, length


def _head(image_bytes: tf.Tensor) -> tf.Tensor:
    """-> the first bytes, int64 [B, 32], 0 after the end."""
    start = tf.strings.substr(image_bytes, 0, _HEAD)
    return tf.cast(tf.io.decode_raw(start, tf.uint8, fixed_length=_HEAD), tf.int64)


def _starts(data: tf.Tensor, text: bytes, at: int = 0) -> tf.Tensor:
    return tf.reduce_all(data[:, at : at + len(text)] == list(text), axis=1)


def _number(data: tf.Tensor, at: int, count: int) -> tf.Tensor:
    """The number in so many bytes, the least of them first."""
    return tf.reduce_sum(data[:, at : at + count] * [256**place for place in range(count)], axis=1)


def _signed(data: tf.Tensor, at: int) -> tf.Tensor:
    """How far from 0 the number in four bytes is: rows from top to bottom give a BMP a negative height."""
    value = _number(data, at, 4)
    return tf.where(value < 2**31, value, 2**32 - value)


def _of_png(data: tf.Tensor) -> tf.Tensor:
    return _number(data[:, 19:15:-1], 0, 4) * _number(data[:, 23:19:-1], 0, 4)
