"""InceptionV3 (Szegedy et al., 2016, arXiv 1512.00567) up to one layer, as a frozen TensorFlow graph.

Glossary: B images, S side of the layer's map, D its channels, G regions a side, R = G * G.
"""

import difflib
import re
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from models.decode_image import SIDE

_CALIBRATION_IMAGES = 32
_AUTO_NAME = re.compile(r"(.+?)(?:_(\d+))?")


def inception_up_to(layer: str, weights: str | None) -> keras.Model:
    """Returns InceptionV3 from pixels `[B, 299, 299, 3]` in [-1, 1] to the map `[B, S, S, D]` of `layer`.

    Args:
      layer: `mixed0` .. `mixed10`, or any other layer with a map, by its name in a fresh Keras process.
      weights: path of a `.h5` for the model without top; None leaves Keras's initial values.

    Raises:
      ValueError: unknown layer; weights that do not fit; weights that lack (are zero in) a needed kernel.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Skipping nested container")
            whole = keras.applications.InceptionV3(
                include_top=False, weights=weights, input_shape=(SIDE, SIDE, 3)
            )
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise ValueError(
            f"{weights} does not hold weights for keras.applications.InceptionV3(include_top=False): "
            f"{error}. Give the path of such a .h5, or encoder.weights=imagenet to let Keras get its own."
        ) from error
    model = keras.Model(whole.input, _find_layer(whole, layer).output)
    if weights is not None:
        _require_whole(model, layer, weights)
    return model


def _find_layer(model: keras.Model, name: str) -> keras.layers.Layer:
    """Finds a layer by its name in a fresh process: Keras numbers unnamed layers on through a process."""
    auto = [_AUTO_NAME.fullmatch(layer.name).groups() for layer in model.layers]  # type: ignore[union-attr]
    first: dict[str, int] = {}
    for stem, number in auto:
        first[stem] = min(first.get(stem, 1 << 30), int(number or 0))
    layers: dict[str, keras.layers.Layer] = {}
    for layer, (stem, number) in zip(model.layers, auto, strict=True):
        index = int(number or 0) - first[stem]
        named = layer.name.startswith("mixed")  # named by keras.applications, never numbered
        layers[layer.name if named else stem + (f"_{index}" if index else "")] = layer
    maps = {key: layer for key, layer in layers.items() if len(getattr(layer.output, "shape", ())) == 4}
    if name not in maps or isinstance(maps[name], keras.layers.InputLayer):
        near = difflib.get_close_matches(name, maps, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(
            f"encoder.layer must be a layer of InceptionV3; got {name!r}: {hint}Usual ones are mixed0 to "
            "mixed10 (deeper: more meaning, fewer regions, slower)."
        )
    return maps[name]


def _require_whole(model: keras.Model, layer: str, weights: str) -> None:
    for part in model.layers:
        if isinstance(part, keras.layers.Conv2D) and not np.any(part.get_weights()[0]):
            raise ValueError(
                f"{weights} is not complete: a convolution that {layer} needs ({part.name}) is all zeros, so "
                "its features would be partly dead. Take an earlier layer, or the whole weights."
            )


def randomise(model: keras.Model, seed: int) -> None:
    """Gives `model` seeded random weights whose features are informative at every depth.

    Kernels are He-normal (He et al., 2015, arXiv 1502.01852). Random batch-norm networks used at inference
    have the wrong moving statistics (0 and 1), so that activations shrink or grow layer by layer until they
    carry nothing. They are set to the true ones by one pass over synthetic pictures: data-dependent
    initialisation (Krähenbühl et al., 2016, arXiv 1511.06856; LSUV, arXiv 1511.06422), which for batch norm
    is a training step with momentum 0 and no gradient.

    Equal seeds give equal kernels everywhere; the statistics may differ in the last bits between machines.
    """
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            shape = layer.kernel.shape
            deviation = np.sqrt(2.0 / np.prod(shape[:3]))
            layer.set_weights([(rng.standard_normal(shape) * deviation).astype(np.float32)])
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    # As a graph, which frees each activation after its last use; eagerly Keras keeps them all, 4 GB more.
    tf.function(lambda pixels: model(pixels, training=True), autograph=False)(
        tf.constant(dead_leaves(rng, _CALIBRATION_IMAGES))
    )
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def dead_leaves(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draws opaque discs and squares of power-law size and any colour over each other.

    The dead leaves model (Lee, Mumford and Huang, 2001, doi 10.1023/A:1011109015675) has the edges, flat
    areas and scale invariance of photographs, unlike white noise.

    Returns:
      float32 `[count, 299, 299, 3]` in [-1, 1].
    """
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    images = np.empty((count, SIDE, SIDE, 3), np.float32)
    for image in images:
        image[:] = rng.uniform(-1, 1, 3)
        for _ in range(60):
            y, x = rng.uniform(0, SIDE, 2)
            radius = 8 / np.sqrt(rng.uniform(0.005, 1))  # density ~ radius ** -3: scale invariant
            far = np.hypot if rng.random() < 0.5 else np.maximum
            image[far(np.abs(rows - y), np.abs(columns - x)) < radius] = rng.uniform(-1, 1, 3)
    return images


def freeze(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns `model` as a function of constants: pixels float32 `[B, 299, 299, 3]` -> map `[B, S, S, D]`.

    Other modules can then embed and save it without its variables, which Keras 3 duplicates on saving and
    TensorFlow's C++ loader then misses.
    """
    function = tf.function(lambda pixels: model(pixels, training=False), autograph=False)
    spec = tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, name="pixels")
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(spec), lower_control_flow=False)
    return lambda pixels: frozen(pixels)[0]


def pool_regions(features: tf.Tensor, regions: int) -> tf.Tensor:
    """Averages a map `[B, S, S, D]` over a `regions` x `regions` grid of equal areas -> `[B, R, D]`.

    Cells on the border of two areas count in both by their share (S need not be a multiple of `regions`).
    Regions run row by row from the top left.
    """
    _, rows, columns, channels = features.shape
    pooled = tf.einsum(
        "gs,bstd,ht->bghd", _area_weights(rows, regions), features, _area_weights(columns, regions)
    )
    return tf.reshape(pooled, [-1, regions * regions, channels])


def _area_weights(cells: int, regions: int) -> np.ndarray:
    """Returns float32 `[regions, cells]`: the share of each cell in each region's average."""
    edges = np.linspace(0, cells, regions + 1)
    low, high = edges[:-1, np.newaxis], edges[1:, np.newaxis]
    cell = np.arange(cells)[np.newaxis]
    overlap = np.clip(np.minimum(high, cell + 1) - np.maximum(low, cell), 0, None)
    return (overlap / (high - low)).astype(np.float32)
