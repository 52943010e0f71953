"""How much faster captions are written with a state than by reading all words again for each new one.

Four ways run the same beam search with the same weights, side by side in one process, after image features;
they differ in the `step` alone:

- with a state, a step computes one word; the same compiled by XLA (`decode.xla`), not counting compilation;
- full recomputation, the way of the 2017 original: a step is the captioner's `call`, as in training, on the
  caption in its final length, of whose logits the one row is taken;
- careful recomputation: only the words so far are run, logits are computed of the last one only, and the
  image is projected once.

Every caption has 20 words (`min_tokens = max_tokens`), beam 5, vocabulary 7,000, 16 regions, default presets,
random weights. The bars are on full recomputation against the faster of the two with a state.

    python -m benchmarks.decoding [--decoders gru,transformer] [--batches 1,32] [--rounds 5]
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from models.captioner import Captioner
from models.config import ModelConfig
from models.decoders import DECODERS
from models.decoders.base import DecoderState
from models.features import ACTION_WORDS, MASK_ID
from models.generation.beam import beam_search
from models.generation.rules import Rules
from models.representations.base import WordTable

_VOCABULARY = 7_000
_FEATURES = (16, 1280)  # a 4x4 grid of mixed8
_WORDS = 20
_BEAM = 5
# Batch size -> least ratio for the Transformer.
_BARS = {1: 4.0, 32: 5.0}

_OTHERS = ("XLA", "full recomputation", "careful recomputation")

Search = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def captioner(decoder: str) -> Captioner:
    """A captioner with random weights."""
    keras.utils.set_random_seed(1)
    vectors = np.random.default_rng(1).normal(size=(_VOCABULARY, 50)).astype(np.float32)
    model = Captioner(ModelConfig(decoder=decoder), WordTable(_VOCABULARY, len(ACTION_WORDS) + 136, vectors))
    model(np.zeros((1, *_FEATURES), np.float32), np.zeros((1, 2), np.int32))
    return model


def incremental(model: Captioner, xla: bool = False) -> Search:
    """The search as it is served."""
    return _search(model.step, lambda features: model.init_state(features, _WORDS + 1), xla)


def fully_recomputing(model: Captioner) -> Search:
    """The search with the training-time `call` for a step."""

    def step(ids, index, state):
        words = tf.where(tf.range(_WORDS + 1) == index, ids[:, None], state.words)
        features = tf.repeat(state.image, tf.shape(words)[0] // tf.shape(state.image)[0], axis=0)
        return ops.log_softmax(model(features, words)[:, index]), DecoderState(words, state.image)

    return _search(step, lambda features: DecoderState(_no_words(features), features))


def carefully_recomputing(model: Captioner) -> Search:
    """The search with a step that recomputes what it must."""

    def step(ids, index, state):
        words = tf.where(tf.range(_WORDS + 1) == index, ids[:, None], state.words)
        image = tf.repeat(state.image, tf.shape(words)[0] // tf.shape(state.image)[0], axis=0)
        hidden = model.decoder(model.embed(words[:, : index + 1]), image)[:, -1]
        return ops.log_softmax(model.to_logits(hidden)), DecoderState(words, state.image)

    return _search(step, lambda features: DecoderState(_no_words(features), model.image_projection(features)))


def _no_words(features):
    return tf.fill([tf.shape(features)[0], _WORDS + 1], MASK_ID)


def _search(step, first, xla: bool = False) -> Search:
    rules = Rules(_WORDS, min_tokens=_WORDS)

    @tf.function(
        input_signature=[tf.TensorSpec([None, *_FEATURES])], autograph=False, jit_compile=xla or None
    )
    def run(features):
        return beam_search(step, first(features), tf.shape(features)[0], _BEAM, 1.0, rules)

    return run


def seconds(search: Search, features: tf.Tensor) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    search(features)[1].numpy()
    return time.perf_counter() - start


def compare(decoder: str, batches: list[int], rounds: int, advance: Callable[[], None]) -> list[list[float]]:
    """Returns for each batch size ms a caption of the four ways, and three ratios (medians of the rounds)."""
    model = captioner(decoder)
    ways = [
        incremental(model),
        incremental(model, xla=True),
        fully_recomputing(model),
        carefully_recomputing(model),
    ]
    rows = []
    for batch in batches:
        features = tf.random.stateless_normal([batch, *_FEATURES], [batch, 1])
        (_, expected), *others = (way(features) for way in ways)  # warm
        for name, (_, log_probs) in zip(_OTHERS, others, strict=True):
            # Of two captions that are as likely, another way may find the other one.
            if not np.allclose(expected, log_probs, atol=1e-2):
                raise RuntimeError(f"{decoder}, batch {batch}: {name} wrote captions of another likelihood")
        times = []
        for _ in range(rounds):
            times.append([seconds(way, features) for way in ways])
            advance()
        each = [1000 * statistics.median(column) / batch for column in zip(*times, strict=True)]
        pairs = ((2, 0), (2, 1), (3, 0))
        ratios = [statistics.median(time[slow] / time[fast] for time in times) for slow, fast in pairs]
        rows.append(each + ratios)
    return rows


def main() -> int:
    """Prints the table; returns 1 if the Transformer is under a bar."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--decoders", default=",".join(DECODERS))
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    decoders = args.decoders.split(",")
    batches = [int(batch) for batch in args.batches.split(",")]
    console = Console(width=130)
    console.print(
        f"{_WORDS} words, beam {_BEAM}, vocabulary {_VOCABULARY}, {_FEATURES[0]} regions, {os.cpu_count()} "
        f"cores, TensorFlow {tf.__version__}, Python {platform.python_version()}; ms a caption, medians of "
        f"{args.rounds} rounds"
    )
    table = Table(
        "decoder",
        "batch",
        "with a state",
        "XLA",
        "full recomputation",
        "careful",
        "full / state",
        "full / XLA",
        "careful / state",
    )
    fine = True
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("decoding", total=len(decoders) * len(batches) * args.rounds)
        for decoder in decoders:
            rows = compare(decoder, batches, args.rounds, lambda: progress.advance(task))
            for batch, (*milliseconds, full, compiled, careful) in zip(batches, rows, strict=True):
                bar = _BARS.get(batch) if decoder == "transformer" else None
                fine &= bar is None or max(full, compiled) >= bar
                times = (f"{each:.1f}" for each in milliseconds)
                shown = f"{compiled:.1f}" + (f" (bar: {bar:g})" if bar else "")
                table.add_row(decoder, str(batch), *times, f"{full:.1f}", shown, f"{careful:.1f}")
    console.print(table)
    if not fine:
        console.print("UNDER THE BAR")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
