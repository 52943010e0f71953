"""TensorProto <-> numpy, strictly: a message from the network is checked before memory is taken for it.

Works on any message with TensorProto's fields: TensorFlow's own on the server, `wire.Tensor` on the client.
"""

import math
from typing import Any, Final

import numpy as np

STRING: Final = 7  # DT_STRING of tensorflow/core/framework/types.proto; the keys below are the others

# dtype enum -> (numpy type, name of the repeated field that holds its values)
_NUMERIC: Final[dict[int, tuple[type[np.generic], str]]] = {
    1: (np.float32, "float_val"),
    2: (np.float64, "double_val"),
    3: (np.int32, "int_val"),
    4: (np.uint8, "int_val"),
    9: (np.int64, "int64_val"),
    10: (np.bool_, "bool_val"),
    19: (np.float16, "half_val"),  # as the 16 bits, in an int
}
_ENUM: Final = {np.dtype(kind): enum for enum, (kind, _) in _NUMERIC.items()}

# One value may stand for a whole tensor; this bounds what a few bytes can ask for.
_MAX_SPLAT: Final = 1 << 20


def read(tensor: Any) -> np.ndarray:
    """Returns the tensor as an array; strings as `object` array of bytes.

    Raises ValueError if dtype, shape and values do not fit together.
    """
    if tensor.tensor_shape.unknown_rank:
        raise ValueError("the tensor has no shape; send one with every dimension given")
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if len(shape) > 254 or any(size < 0 for size in shape):
        raise ValueError(f"expected a shape of non-negative sizes; got {shape[:8]}")
    count = math.prod(shape)
    if tensor.dtype == STRING:
        if tensor.tensor_content:
            raise ValueError("strings belong in string_val; got tensor_content")
        return _shaped(_filled(np.array([*tensor.string_val, None], object)[:-1], count, shape), shape)
    if tensor.dtype not in _NUMERIC:
        raise ValueError(f"dtype {tensor.dtype} is not supported")
    kind, field = _NUMERIC[tensor.dtype]
    if tensor.tensor_content:
        expected = count * np.dtype(kind).itemsize
        if len(tensor.tensor_content) != expected:
            raise ValueError(
                f"a tensor of shape {shape} has {expected} bytes; got {len(tensor.tensor_content)}"
            )
        return _shaped(np.frombuffer(tensor.tensor_content, kind), shape)
    values = getattr(tensor, field)
    try:
        array = np.array(values, np.uint16 if kind is np.float16 else kind)
    except OverflowError as error:
        raise ValueError(f"a value does not fit {np.dtype(kind).name}: {error}") from error
    if kind is np.float16:
        array = array.view(np.float16)
    return _shaped(_filled(array, count, shape), shape)


def write(array: np.ndarray, tensor: Any) -> None:
    """Fills an empty message with `array` (bytes, numbers), values in their typed field.

    Typed fields, not tensor_content, because that is how TensorFlow Serving answers by default and some
    clients read `float_val` directly. Raises ValueError for a dtype that has no place in the protocol.
    """
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if array.dtype.kind in "OSU":
        tensor.dtype = STRING
        tensor.string_val.extend(
            value.encode() if isinstance(value, str) else bytes(value) for value in array.ravel().tolist()
        )
        return
    if array.dtype not in _ENUM:
        raise ValueError(f"arrays of {array.dtype} cannot be sent")
    tensor.dtype = _ENUM[array.dtype]
    _, field = _NUMERIC[tensor.dtype]
    flat = array.ravel()
    getattr(tensor, field).extend((flat.view(np.uint16) if field == "half_val" else flat).tolist())


def _filled(values: np.ndarray, count: int, shape: list[int]) -> np.ndarray:
    """Returns `count` values: all of them, or one repeated (as TensorFlow writes a constant tensor)."""
    if len(values) == count:
        return values
    if len(values) == 1 and 1 < count <= _MAX_SPLAT:
        return np.repeat(values, count)
    raise ValueError(f"a tensor of shape {shape} has {count} values; got {len(values)}")


def _shaped(values: np.ndarray, shape: list[int]) -> np.ndarray:
    try:
        return values.reshape(shape)
    except ValueError as error:  # more than numpy's 64 dimensions
        raise ValueError(f"a shape of {len(shape)} dimensions is not supported") from error
