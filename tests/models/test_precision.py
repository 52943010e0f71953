"""Number formats: chosen for the devices, set for a model and not for the process."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import precision, trainer
from models.decoders import DECODERS
from models.features import START_ID
from models.generation.beam import beam_search
from models.generation.rules import Rules
from tests.models.conftest import FEATURE_WIDTH, WORDS, CaptionerMaker


@pytest.mark.parametrize(("can", "expected"), [(True, "mixed_bfloat16"), (False, "float32")])
def test_auto_without_a_gpu_is_what_the_cpu_is_fast_in(monkeypatch, can, expected):
    monkeypatch.setattr(precision, "computes_bfloat16", lambda: can)
    assert precision.resolve("auto") == expected
    assert precision.resolve("float32") == "float32"


@pytest.mark.parametrize(
    ("flags", "can"), [("fpu avx512_bf16 sse", True), ("fpu amx_bf16", True), ("fpu avx512f", False)]
)
def test_the_cpu_says_whether_it_computes_in_bfloat16(tmp_path, flags, can):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\nflags\t\t: {flags}\nbugs :\n")
    assert precision.computes_bfloat16(cpuinfo) is can
    assert not precision.computes_bfloat16(tmp_path / "none")


def test_the_process_keeps_its_own_policy_also_after_an_error():
    before = keras.mixed_precision.dtype_policy()
    with precision.policy("mixed_bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
    with pytest.raises(ZeroDivisionError), precision.policy("mixed_bfloat16"):
        _ = 1 / 0
    assert keras.mixed_precision.dtype_policy() == before
    assert keras.layers.Dense(1).compute_dtype == "float32"


def test_what_was_trained_in_half_precision_is_served_in_float32(make_captioner: CaptionerMaker):
    with precision.policy("mixed_bfloat16"):
        trained = make_captioner(seed=1)
    served = make_captioner(seed=2)
    trainer.copy_weights(trained, served)

    assert trained.decoder.compute_dtype == "bfloat16"
    assert {layer.compute_dtype for layer in served._flatten_layers()} == {"float32"}
    for one, other in zip(trained.weights, served.weights, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    features = np.random.default_rng(0).normal(size=(3, 1, FEATURE_WIDTH)).astype(np.float32)
    tokens = np.full((3, 2), START_ID)
    exact, rough = np.array(served(features, tokens)), np.array(trained(features, tokens))
    np.testing.assert_allclose(exact, rough, rtol=0.1, atol=0.3)
    assert np.abs(exact - rough).max() > 1e-4, "both computed in the same precision"


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_captions_are_written_in_half_precision_too(make_captioner: CaptionerMaker, decoder, policy):
    """As self-critical training does: the state keeps its types, and words come out as all at once."""
    with precision.policy(policy):
        captioner = make_captioner(decoder=decoder, regions=4, fresh=True)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 4, FEATURE_WIDTH)).astype(np.float32)
    tokens = rng.integers(5, len(WORDS), (2, 5)).astype(np.int32)
    state = captioner.init_state(features, 5)
    kinds = [leaf.dtype for leaf in tf.nest.flatten(state)]
    expected = keras.ops.log_softmax(captioner(features, tokens))
    for index in range(5):
        log_probs, state = captioner.step(tokens[:, index], tf.constant(index), state)
        np.testing.assert_allclose(log_probs, expected[:, index], atol=0.15)
        assert [leaf.dtype for leaf in tf.nest.flatten(state)] == kinds
    first = captioner.init_state(features, 6)
    _, scores = tf.function(lambda: beam_search(captioner.step, first, tf.constant(2), 3, 1.0, Rules(5)))()
    assert np.all(np.isfinite(scores))
