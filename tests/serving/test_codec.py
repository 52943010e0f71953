"""Tensors cross the wire unchanged, and what does not fit together is refused before memory is taken."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving import codec

ARRAYS = [
    np.array([[b"a", b"\x00\xff"], [b"", b"caf\xc3\xa9"]], object),
    np.array([[1.5, -0.0], [np.inf, 3.25]], np.float32),
    np.array([1e300, -2.0], np.float64),
    np.array([-1, 2**31 - 1], np.int32),
    np.array([0, 255], np.uint8),
    np.array([-(2**63), 2**63 - 1], np.int64),
    np.array([True, False]),
    np.array([1.5, -65504.0, np.nan], np.float16),
    np.array(3.0, np.float32),
    np.zeros([0, 4], np.float32),
]
IDS = [f"{array.dtype}{list(array.shape)}" for array in ARRAYS]


@pytest.mark.parametrize("array", ARRAYS, ids=IDS)
def test_tensorflow_reads_what_is_written(array):
    tensor = tensor_pb2.TensorProto()
    codec.write(array, tensor)
    np.testing.assert_array_equal(tf.make_ndarray(tensor), array)


@pytest.mark.parametrize("array", ARRAYS, ids=IDS)
def test_what_tensorflow_writes_is_read(array):
    got = codec.read(tf.make_tensor_proto(array))
    assert got.dtype == array.dtype
    np.testing.assert_array_equal(got, array)


def test_one_value_stands_for_all():
    assert codec.read(tf.make_tensor_proto(b"x", shape=[2, 2])).tolist() == [[b"x", b"x"], [b"x", b"x"]]


def test_text_is_sent_as_utf8():
    tensor = tensor_pb2.TensorProto()
    codec.write(np.array(["café"]), tensor)
    assert list(tensor.string_val) == ["café".encode()]


def tensor(dtype: int, shape: list[int], **values) -> tensor_pb2.TensorProto:
    proto = tensor_pb2.TensorProto(dtype=dtype, **values)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    "bad",
    [
        tensor(codec.STRING, [3], string_val=[b"a", b"b"]),
        tensor(codec.STRING, [1], string_val=[]),
        tensor(codec.STRING, [1 << 40], string_val=[b"one for all"]),
        tensor(codec.STRING, [-1], string_val=[b"a"]),
        tensor(codec.STRING, [1], tensor_content=b"a"),
        tensor(1, [2], tensor_content=b"1234567"),
        tensor(1, [1 << 62, 4], float_val=[1.0]),
        tensor(3, [1] * 100, int_val=[1]),
        tensor(4, [1], int_val=[256]),
        tensor(19, [1], half_val=[-1]),
        tensor(8, [1], tensor_content=b"12345678"),
        tensor(9999, [1]),
    ],
)
def test_what_does_not_fit_is_refused(bad):
    with pytest.raises(ValueError, match=r"\S"):
        codec.read(bad)


def test_a_tensor_without_a_shape_is_refused():
    bad = tensor(codec.STRING, [], string_val=[b"a"])
    bad.tensor_shape.unknown_rank = True
    with pytest.raises(ValueError, match="no shape"):
        codec.read(bad)


def test_an_array_without_a_place_in_the_protocol_is_refused():
    with pytest.raises(ValueError, match="complex64"):
        codec.write(np.zeros(1, np.complex64), tensor_pb2.TensorProto())
