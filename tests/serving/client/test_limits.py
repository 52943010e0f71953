"""Requests keep to the limits of the server, known or not, and every picture has its answer."""

import io

import grpc
import numpy as np
from PIL import Image

from serving import errors
from serving.client import CaptionClient
from tests.serving import scripted
from tests.serving.scripted import texts
from tests.serving.support import jpeg

Code = grpc.StatusCode


def test_long_lists_are_split_and_keep_their_order(client, server):
    images = [image for width in range(40, 45) for image in (jpeg(width), b"bad")]
    expected = [text for width in range(40, 45) for text in (f"{width} x 30", None)]
    assert texts(client.caption(images)) == expected
    assert server.counts == [2, 2, 1], "batches of 4, less the bad ones"


def test_a_batch_that_is_too_large_for_the_server_is_halved_once(address, server):
    server.most_images = 3
    with CaptionClient(address, max_batch=8) as client:
        assert texts(client.caption([jpeg(40 + i) for i in range(20)])) == [
            f"{40 + i} x 30" for i in range(20)
        ]
    # Halves of 4 are too large too, as the server's words tell; from then on the limit is known.
    assert server.counts == [8, 3, 1, 3, 1, 3, 3, 2, 3, 1]


def test_a_picture_that_is_too_large_for_the_server_does_not_keep_the_others_from_their_captions(
    client, server
):
    server.most_pixels = 2000
    answers = client.caption([jpeg(40), jpeg(41), jpeg(400, 300), jpeg(42)])
    assert texts(answers) == ["40 x 30", "41 x 30", None, "42 x 30"]
    assert isinstance(answers[2], errors.TooLarge)
    assert "an image has at most 2000 pixels" in str(answers[2])
    assert answers[2].request_id == server.calls[-2].metadata["x-request-id"]


def test_messages_keep_to_the_size_that_the_client_was_told(address, server):
    images = [jpeg(40 + i) for i in range(6)]
    most = 1024 + 2 * (max(map(len, images)) + 128)
    with CaptionClient(address, max_message_bytes=most) as client:
        assert texts(client.caption(images)) == [f"{40 + i} x 30" for i in range(6)]
        assert server.counts == [2, 2, 2]
        noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
        large = _encoded(noise)
        answers = client.caption([large, jpeg()])
    assert isinstance(answers[0], errors.TooLarge)
    assert f"at most {most:,}" in str(answers[0])
    assert texts(answers) == [None, "40 x 30"]


def test_messages_keep_to_the_size_that_the_server_takes(server):
    """gRPC's own refusal, RESOURCE_EXHAUSTED, which otherwise means a full queue."""
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
    large, small = _encoded(noise), jpeg()
    options = (("grpc.max_receive_message_length", 8000),)
    assert len(large) > 8000 > 4 * (len(small) + 128) + 1024
    with scripted.serving(server, options=options) as address, CaptionClient(address) as client:
        answers = client.caption([small, small, large, small])
        assert texts(answers) == ["40 x 30", "40 x 30", None, "40 x 30"]
        assert isinstance(answers[2], errors.TooLarge)
        asked = len(server.calls)
        assert isinstance(client.caption([large])[0], errors.TooLarge)
        assert len(server.calls) == asked, "the limit is known: it is not sent again"


def _encoded(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95)
    return out.getvalue()
