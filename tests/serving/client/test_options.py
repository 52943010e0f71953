"""Options become inputs of the signature that takes them; wrong ones are refused before anything is sent."""

import re

import grpc
import numpy as np
import pytest

from models import features
from serving import errors
from serving.client import Attention, CaptionClient, CaptionOptions
from tests.serving.support import jpeg

Code = grpc.StatusCode


def test_without_options_the_default_signature_is_asked(client, server):
    client.caption([jpeg()])
    assert (server.calls[0].signature, server.calls[0].options) == (features.SERVING_SIGNATURE, {})


def test_a_number_of_captions_is_a_search_with_the_model_s_own_options(client, server):
    client.caption([jpeg()] * 2, CaptionOptions(num=3))
    assert server.calls[0].signature == features.BEAM_SIGNATURE
    assert server.calls[0].options == {
        "beam_width": [-1, -1],
        "captions": [3, 3],
        "min_tokens": [-1, -1],
        "max_tokens": [-1, -1],
        "length_penalty": [-1.0, -1.0],
    }


def test_samples_have_all_their_options(client, server):
    client.caption(
        [jpeg()],
        CaptionOptions(num=2, sample=True, temperature=0.5, top_k=0, top_p=0.25, seed=7, max_tokens=9),
    )
    assert server.calls[0].signature == features.SAMPLE_SIGNATURE
    assert server.calls[0].options == {
        "captions": [2],
        "min_tokens": [-1],
        "max_tokens": [9],
        "temperature": [0.5],
        "top_k": [0],
        "top_p": [0.25],
        "seed": [7],
    }


def test_samples_without_a_seed_differ_between_pictures_and_calls(client, server):
    for _ in range(2):
        client.caption([jpeg()] * 2, CaptionOptions(sample=True))
    seeds = [seed for call in server.calls for seed in call.options["seed"]]
    assert len(set(seeds)) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num": 0}, "num: expected a whole number, 1 or more; got 0"),
        ({"num": True}, "num: expected a whole number"),
        ({"beam": 2.0}, "beam: expected a whole number"),
        ({"beam": 2, "num": 3}, "expected num <= beam; got num=3, beam=2"),
        ({"min_tokens": 3, "max_tokens": 2}, "expected min_tokens <= max_tokens; got 3 and 2"),
        ({"length_penalty": -0.5}, "length_penalty: expected a number of 0 or more; got -0.5"),
        ({"length_penalty": float("nan")}, "length_penalty: expected a number"),
        ({"temperature": 0.5}, "temperature=0.5: expected only with sample=True; got sample=False"),
        ({"seed": 1, "top_k": 2}, "top_k=2, seed=1: expected only with sample=True"),
        ({"sample": True, "beam": 2}, "beam=2: expected only with sample=False; got sample=True"),
        ({"sample": True, "length_penalty": 1.0}, "expected only with sample=False"),
        ({"sample": True, "temperature": 0}, "temperature: expected a number more than 0; got 0"),
        ({"sample": True, "temperature": 1e-60}, "temperature: expected a number more than 0"),
        ({"sample": True, "top_p": 1.5}, "top_p: expected a number more than 0 and at most 1; got 1.5"),
        ({"sample": True, "top_k": -1}, "top_k: expected a whole number, 0 or more; got -1"),
        ({"sample": True, "seed": 2**63}, "seed: expected a whole number"),
        ({"sample": "yes"}, "sample: expected True or False"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sent(options, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        CaptionOptions(**options)


def test_model_version_and_label_are_asked_for(address, server):
    with CaptionClient(address, model="m", version=7) as client:
        client.caption([jpeg()])
    with CaptionClient(address, label="canary") as client:
        client.caption([jpeg()])
    first, second = (call.spec for call in server.calls)
    assert (first.name, first.version.value) == ("m", 7)
    assert (second.name, second.version_label) == (features.MODEL_NAME, "canary")


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"max_batch": 0},
        {"max_message_bytes": 1 << 40},
        {"version": 1, "label": "stable"},
    ],
)
def test_wrong_settings_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        CaptionClient(**arguments)


def test_attention_is_a_grid_a_word(client, server):
    weights = np.zeros((1, 4, 9), np.float32)
    weights[0, 0, 2] = weights[0, 1, 3] = weights[0, 2, 8] = 1
    server.outputs = {
        features.TOKENS_OUTPUT: [["a", "dog", features.STOP, ""]],
        features.ATTENTION_OUTPUT: weights,
        features.STATUS_OUTPUT: [features.STATUS_OK],
    }
    attention = client.attention(jpeg())
    assert isinstance(attention, Attention)
    assert attention.tokens == ("a", "dog")
    assert (attention.weights.shape, attention.weights.dtype) == ((2, 3, 3), np.float32)
    assert attention.weights[0, 0, 2] == attention.weights[1, 1, 0] == 1, "row by row"
    assert server.calls[0].signature == features.ATTENTION_SIGNATURE


def test_attention_of_a_model_that_has_none_is_its_own_error(client, server):
    server.script = [(Code.FAILED_PRECONDITION, 'Serving signature key "attention" not found.')]
    with pytest.raises(errors.AttentionUnavailable, match="does not attend to regions"):
        client.attention(jpeg())


def test_attention_of_what_is_no_picture_is_refused(client, server):
    with pytest.raises(errors.NotAnImage):
        client.attention(b"bad")
    server.outputs = {
        features.TOKENS_OUTPUT: [[""]],
        features.ATTENTION_OUTPUT: np.zeros((1, 1, 4), np.float32),
        features.STATUS_OUTPUT: [features.STATUS_NOT_AN_IMAGE],
    }
    with pytest.raises(errors.NotAnImage, match=features.STATUS_NOT_AN_IMAGE):
        client.attention(jpeg())
