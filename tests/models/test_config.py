"""Configs are checked when made and cross process boundaries as JSON."""

import dataclasses
import json

import hypothesis
import pytest
from hypothesis import strategies as st

from models.config import Config, CorpusConfig, DecodeConfig, EncoderConfig, ModelConfig, TrainConfig

CONFIGS = [EncoderConfig, CorpusConfig, ModelConfig, TrainConfig, DecodeConfig]


@pytest.mark.parametrize("config", CONFIGS)
def test_json_brings_a_config_back(config: type[Config]):
    assert config.from_json(config().to_json()) == config()


@hypothesis.given(st.floats(1e-8, 1.0), st.integers(1, 10_000), st.booleans())
def test_json_is_exact(rate, epochs, shuffle):
    config = TrainConfig(learning_rate=rate, epochs=epochs, shuffle_captions=shuffle)
    assert TrainConfig.from_json(config.to_json()) == config


def test_equal_configs_have_equal_text():
    assert (
        CorpusConfig(min_images=2, max_tokens=9).to_json()
        == CorpusConfig(max_tokens=9, min_images=2).to_json()
    )


@pytest.mark.parametrize("config", CONFIGS)
def test_an_unknown_option_is_named_with_those_there_are(config: type[Config]):
    first = min(field.name for field in dataclasses.fields(config))
    with pytest.raises(ValueError, match=rf"no option 'colour'; it has: {first}"):
        config().replace(colour="red")
    with pytest.raises(ValueError, match="no option 'colour'"):
        config.from_json(json.dumps({"colour": "red"}))


@pytest.mark.parametrize("config", CONFIGS)
def test_configs_are_frozen(config: type[Config]):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config(), dataclasses.fields(config)[0].name, None)


@pytest.mark.parametrize(
    ("config", "option", "bad"),
    [
        (EncoderConfig, "pooling", "max"),
        (EncoderConfig, "grid_size", -1),
        (EncoderConfig, "weights", "weights.ckpt"),
        (CorpusConfig, "min_images", 0),
        (CorpusConfig, "max_tokens", 0),
        (CorpusConfig, "stop_words", "german"),
        (TrainConfig, "epochs", 0),
        (TrainConfig, "batch_size", 0),
        (TrainConfig, "learning_rate", 0.0),
        (TrainConfig, "label_smoothing", 1.0),
        (TrainConfig, "weight_average", 1.0),
        (TrainConfig, "warmup_share", -0.1),
        (TrainConfig, "clip_norm", 0.0),
        (TrainConfig, "weight_decay", -1.0),
        (TrainConfig, "patience", -1),
        (TrainConfig, "steps_per_call", 0),
        (TrainConfig, "precision", "int8"),
        (TrainConfig, "self_critical_epochs", -1),
        (TrainConfig, "self_critical_captions", 1),
        (TrainConfig, "self_critical_rate", 0.0),
        (DecodeConfig, "beam_width", 0),
        (DecodeConfig, "captions", 6),
        (DecodeConfig, "captions", 0),
        (DecodeConfig, "max_tokens", 0),
        (DecodeConfig, "length_penalty", -0.5),
        (DecodeConfig, "min_tokens", 21),
        (DecodeConfig, "min_tokens", 0),
        (DecodeConfig, "no_repeat_ngram", -1),
        (DecodeConfig, "temperature", 0.0),
        (DecodeConfig, "top_k", -1),
        (DecodeConfig, "top_p", 0.0),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_what_came(config: type[Config], option: str, bad: object):
    with pytest.raises(ValueError, match=rf"\.{option} must .*{bad}"):
        config(**{option: bad})


def test_the_length_of_a_caption_counts_start_and_stop():
    assert CorpusConfig(max_tokens=30).caption_length == 32  # the original's length
