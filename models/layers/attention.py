"""Multi-head attention: of words over image regions, and of words over the words before them.

B images, N = B * K rows (K captions an image), T tokens, R regions, L longest caption, H width; a head's
queries and keys are W wide, its values U.
"""

import keras
from keras import ops

# Far below any score, and a number in half precision, too.
_NEVER = -3e4


class Heads(keras.layers.Layer):
    """What both attentions share: scaled dot-product attention in heads (Vaswani et al. 2017).

    Unlike in `keras.layers.MultiHeadAttention`, there is a `step` for one word, where what the image or an
    earlier word gives is computed once and not again for every later word. It counts its operations too: for
    a handful of words TensorFlow's batched products, softmax and transpositions on CPUs (oneDNN) take 30-50
    microseconds to start, the sums and products that stand for them here under 10.

    Args:
      heads: number of heads; must divide `width`.
      width: of values and output.
      key_width: of a head's queries and keys; 0 is `width / heads`.
    """

    def __init__(self, heads: int, width: int, key_width: int = 0, **kwargs):
        super().__init__(**kwargs)
        if width % heads:
            raise ValueError(f"the width must divide by the number of heads; got {width} and {heads} heads")
        self._heads = heads
        self._width = width
        self._key_width = key_width or width // heads
        self._scale = self._key_width**-0.5
        self.output_projection = keras.layers.Dense(width)

    def _split(self, x):
        """`[B, T, heads * W]` -> `[B, heads, T, W]`."""
        shape = (-1, ops.shape(x)[1], self._heads, x.shape[-1] // self._heads)
        return ops.transpose(ops.reshape(x, shape), (0, 2, 1, 3))

    def _scores(self, queries, keys):
        """`[B, T, heads * W]` and `[B, S, heads * W]` -> `[B, heads, T, S]`."""
        return ops.matmul(self._split(queries) * self._scale, ops.swapaxes(self._split(keys), 2, 3))

    def _context(self, weights, values):
        """Weights `[B, heads, T, S]` and values `[B, S, width]` -> `[B, T, width]`."""
        context = ops.transpose(ops.matmul(weights, self._split(values)), (0, 2, 1, 3))
        shape = (-1, ops.shape(context)[1], self._width)
        return self.output_projection(ops.reshape(context, shape))


class ImageAttention(Heads):
    """Attention of words over image regions."""

    def __init__(self, heads: int, width: int, key_width: int = 0, **kwargs):
        super().__init__(heads, width, key_width, **kwargs)
        self.query = keras.layers.Dense(heads * self._key_width)
        self.key = keras.layers.Dense(heads * self._key_width)
        self.value = keras.layers.Dense(width)

    def build(self, query_shape, image_shape):
        self.output_projection.build((*query_shape[:-1], self._width))
        self.query.build(query_shape)
        self.key.build(image_shape)
        self.value.build(image_shape)

    def call(self, query, image):
        """Words `[B, T, H]`, image `[B, R, D]` -> (context `[B, T, width]`, weights `[B, heads, T, R]`)."""
        scores = self._scores(self.query(query), self.key(image))
        # Of one region there is nothing to choose (and Keras warns of such a softmax).
        weights = ops.softmax(scores, axis=-1) if scores.shape[-1] != 1 else ops.ones_like(scores)
        return self._context(weights, self.value(image)), weights

    def memory(self, image):
        """Image `[B, R, D]` -> what `step` needs of it: `[B, H, heads * R]`, a bias, `[B, heads * R, width]`.

        A step is linear before and after its softmax: words to queries to scores, and weights to values to
        output. Here the two products of each are multiplied out, once an image. That pays while there are few
        regions: with more than about `width / (heads - 1)` of them a step multiplies more than it saves.
        """
        shape = (-1, image.shape[1], self._heads)
        keys = ops.reshape(self.key(image) * self._scale, (*shape, self._key_width))
        values = ops.reshape(self.value(image), (*shape, self._width // self._heads))
        queries = self._in_heads(self.query.kernel)
        to_scores = ops.einsum("ihw,brhw->bihr", queries, keys)
        bias = ops.einsum("hw,brhw->bhr", self._in_heads(self.query.bias), keys)
        outputs = ops.cast(self.output_projection.kernel, values.dtype)
        outputs = ops.reshape(outputs, (self._heads, -1, self._width))
        to_output = ops.einsum("brhu,huo->bhro", values, outputs)
        places = self._heads * image.shape[1]
        return (
            ops.reshape(to_scores, (-1, queries.shape[0], places)),
            ops.reshape(bias, (-1, 1, places)),
            ops.reshape(to_output, (-1, places, self._width)),
        )

    def step(self, query, memory):
        """One word a row `[N, H]`, and the `memory` of B images -> context `[N, width]`."""
        to_scores, bias, to_output = memory
        images, width, places = ops.shape(bias)[0], query.shape[-1], bias.shape[-1]
        # All captions of an image attend at once, as the words of one caption do in training.
        scores = ops.matmul(ops.reshape(query, (images, -1, width)), to_scores) + bias
        weights = _softmax(ops.reshape(scores, (-1, self._heads, places // self._heads)), axis=-1)
        context = ops.matmul(ops.reshape(weights, (images, -1, places)), to_output)
        return ops.reshape(context, (-1, self._width)) + ops.cast(self.output_projection.bias, context.dtype)

    def _in_heads(self, weights):
        """`[..., heads * W]` -> `[..., heads, W]`."""
        shape = (*weights.shape[:-1], self._heads, self._key_width)
        return ops.cast(ops.reshape(weights, shape), self.compute_dtype)


class CausalSelfAttention(Heads):
    """Attention of each word over itself and the words before it, with a cache for writing word by word."""

    def __init__(self, heads: int, width: int, key_width: int = 0, **kwargs):
        super().__init__(heads, width, key_width, **kwargs)
        # Queries, keys and values in one product.
        self.project = keras.layers.Dense(2 * heads * self._key_width + width)

    def build(self, shape):
        self.output_projection.build((*shape[:-1], self._width))
        self.project.build(shape)

    def _projected(self, x):
        width = self._heads * self._key_width
        return ops.split(self.project(x), [width, 2 * width], axis=-1)

    def call(self, x):
        """`[B, T, H]` -> `[B, T, width]`."""
        query, key, value = self._projected(x)
        places = ops.arange(ops.shape(x)[1])
        scores = ops.where(places <= places[:, None], self._scores(query, key), _NEVER)
        return self._context(ops.softmax(scores, axis=-1), value)

    def empty(self, rows, max_length: int):
        """Cache for `rows` captions: keys `[rows, L, heads * W]` and values `[rows, L, width]`."""
        keys, values = (rows, max_length, self._heads * self._key_width), (rows, max_length, self._width)
        return ops.zeros(keys, self.compute_dtype), ops.zeros(values, self.compute_dtype)

    def step(self, x, places, cache):
        """`[N, H]`, its `CachePlaces` and the cache -> (`[N, width]`, cache)."""
        query, key, value = self._projected(x)
        keys, values = cache
        keys = ops.scatter_update(keys, places.written, key)
        values = ops.scatter_update(values, places.written, value)
        length = keys.shape[1]
        query = ops.reshape(query * self._scale, (-1, 1, self._heads, self._key_width))
        scores = ops.sum(query * ops.reshape(keys, (-1, length, self._heads, self._key_width)), axis=-1)
        weights = _softmax(scores + ops.cast(places.unseen, scores.dtype), axis=1)
        of_heads = ops.reshape(values, (-1, length, self._heads, self._width // self._heads))
        context = ops.reshape(ops.sum(weights[..., None] * of_heads, axis=1), (-1, self._width))
        return self.output_projection(context), (keys, values)


class CachePlaces:
    """Where in caches of `rows` captions of L words word `index` goes, and which it sees.

    The same for all layers. `written` is int32 `[rows, 2]`; `unseen` `[L, 1]` is 0 or near minus infinity.
    """

    def __init__(self, rows, index, max_length: int):
        self.written = ops.stack([ops.arange(rows), ops.broadcast_to(index, (rows,))], axis=1)
        self.unseen = ops.where(ops.arange(max_length)[:, None] <= index, 0.0, _NEVER)


def _softmax(x, axis: int):
    powers = ops.exp(x - ops.max(x, axis=axis, keepdims=True))
    return powers / ops.sum(powers, axis=axis, keepdims=True)
