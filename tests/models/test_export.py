"""The served model: what its signatures answer, and that TensorFlow's C++ loader answers the same.

A Python reload proves nothing (a Keras 3 model saved the obvious way reloads and then fails in TensorFlow
Serving), so the SavedModel is run through the TF1 session loader and through the C API, each in a process
without our packages.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from models import export, image_encoder, warmup
from models import features as names
from models.captioner import Captioner
from models.config import CorpusConfig, DecodeConfig, EncoderConfig
from models.decoders import DECODERS
from models.representations import REPRESENTATIONS
from tests.models.conftest import WORDS, CaptionerMaker

CORPUS = CorpusConfig(max_tokens=5, word_vectors="none")
DECODE = DecodeConfig(beam_width=4, captions=3, max_tokens=5)


@dataclasses.dataclass
class Saved:
    """A captioner in this process and the SavedModel of it."""

    model: Captioner
    served: export.ServedCaptioner
    path: pathlib.Path
    regions: int
    width: int


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> tf.Module:
    """The real encoder, cut off early."""
    path = str(tmp_path_factory.mktemp("encoder"))
    image_encoder.save_encoder(
        EncoderConfig(weights="random", layer="mixed0", pooling="grid", grid_size=2), path
    )
    return tf.saved_model.load(path)


@pytest.fixture(scope="module")
def vocabulary_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("transform") / "vocabulary"
    path.write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, encoder, vocabulary_path, make_captioner: CaptionerMaker) -> Saved:
    _, regions, width = encoder.signatures["serving_default"].structured_outputs["features"].shape
    model = make_captioner(regions=regions, feature_width=width)
    noise = np.random.default_rng(0).integers(0, 256, (4, 20, 20, 3), dtype=np.uint8)
    features, _ = encoder.encode(tf.constant([tf.io.encode_png(picture).numpy() for picture in noise]))
    model.image_projection.adapt(features.numpy())
    served = export.ServedCaptioner(model, encoder, (regions, width), vocabulary_path, CORPUS, DECODE)
    path = tmp_path_factory.mktemp("served") / "1"
    export.save(served, str(path))
    return Saved(model, served, path, regions, width)


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    """A photo's worth of colour, something that is no image, and another picture in another format."""
    rng = np.random.default_rng(5)
    smooth = np.kron(rng.integers(0, 256, (4, 5, 3)), np.ones((20, 20, 1))).astype(np.uint8)
    dark = rng.integers(0, 60, (33, 21, 3)).astype(np.uint8)
    return [tf.io.encode_jpeg(smooth).numpy(), b"not an image", tf.io.encode_png(dark).numpy()]


@pytest.fixture(scope="module")
def answer(saved: Saved, images: list[bytes]) -> dict[str, np.ndarray]:
    """What the model in this process says of them."""
    result = saved.served.caption_images(tf.constant(images))
    return {name: value.numpy() for name, value in result.items()}


# --- the captions ---


def test_an_image_gets_its_best_captions_in_words(answer):
    captions, log_probs = answer[names.CAPTION_OUTPUT], answer[names.LOG_PROB_OUTPUT]
    assert captions.shape == log_probs.shape == (3, DECODE.captions)
    for row in (0, 2):
        assert len(set(captions[row])) == DECODE.captions
        for caption in captions[row]:
            words = caption.decode().split(" ")
            assert 1 <= len(words) <= DECODE.max_tokens
            assert set(words) <= set(WORDS[len(names.ACTION_WORDS) :])
        lengths = np.array([len(caption.split()) + 1 for caption in captions[row]])
        assert np.all(np.diff(log_probs[row] / lengths**DECODE.length_penalty) <= 0), "best first"
    assert captions[0].tolist() != captions[2].tolist(), "two pictures, the same captions"


def test_a_bad_image_says_so_and_costs_the_others_nothing(saved, images, answer):
    assert answer[names.STATUS_OUTPUT].tolist() == [
        b"ok",
        names.STATUS_NOT_AN_IMAGE.encode(),
        b"ok",
    ]
    assert answer[names.CAPTION_OUTPUT][1].tolist() == [b""] * DECODE.captions
    assert answer[names.LOG_PROB_OUTPUT][1].tolist() == [0.0] * DECODE.captions
    for row, image in enumerate(images):
        alone = saved.served.caption_images(tf.constant([image]))
        assert alone[names.CAPTION_OUTPUT][0].numpy().tolist() == answer[names.CAPTION_OUTPUT][row].tolist()
        np.testing.assert_allclose(
            alone[names.LOG_PROB_OUTPUT][0], answer[names.LOG_PROB_OUTPUT][row], atol=1e-4
        )


def test_the_log_probability_is_that_of_the_caption(saved, images, answer):
    features, _ = saved.served.encoder.encode(tf.constant(images[:1]))
    for caption, log_prob in zip(
        answer[names.CAPTION_OUTPUT][0], answer[names.LOG_PROB_OUTPUT][0], strict=True
    ):
        assert -nll(saved.model, features, caption.decode())[0] == pytest.approx(log_prob, abs=1e-3)


def test_stored_features_get_the_captions_of_their_image(saved, images, answer):
    features, _ = saved.served.encoder.encode(tf.constant(images))
    stored = tf.constant([image.astype("<f2").tobytes() for image in features.numpy()])
    result = saved.served.caption_features(stored)
    for row in (0, 2):
        assert (
            result[names.CAPTION_OUTPUT][row].numpy().tolist() == answer[names.CAPTION_OUTPUT][row].tolist()
        )


def test_greedy_captions_are_of_one_beam(saved, images):
    result = saved.served.caption_images_greedily(tf.constant(images))
    assert result[names.CAPTION_OUTPUT].shape == (3, 1)
    features, _ = saved.served.encoder.encode(tf.constant(images))
    alone = [saved.served.caption_greedily(features[row : row + 1]).numpy()[0] for row in (0, 2)]
    assert result[names.CAPTION_OUTPUT][:, 0].numpy().tolist() == [alone[0], b"", alone[1]]


@pytest.mark.parametrize(
    "signature", ["caption_images", "caption_images_greedily", "caption_features", "evaluate_examples"]
)
def test_nothing_asked_nothing_answered(saved, signature):
    result = getattr(saved.served, signature)(tf.constant([], tf.string))
    assert {value.shape[0] for value in result.values()} == {0}


# --- what the Evaluator reads ---


def nll(model: Captioner, features, caption: str) -> tuple[float, int, int]:
    """Nats, tokens right and tokens of one caption of one image, a word at a time and in float64."""
    ids = [WORDS.index(word) for word in caption.lower().split()]
    tokens = np.array([[names.START_ID, *ids, names.STOP_ID]])
    logits = np.array(model(features, tokens[:, :-1]), np.float64)[0]
    total, right = 0.0, 0
    for place, word in enumerate(tokens[0, 1:]):
        total += np.log(np.exp(logits[place]).sum()) - logits[place, word]
        right += int(np.argmax(logits[place]) == word)
    return total, right, tokens.shape[1] - 1


def example(features: np.ndarray, captions: list[str]) -> bytes:
    record = tf.train.Example()
    record.features.feature[names.IMAGE_FEATURES].bytes_list.value.append(features.astype("<f2").tobytes())
    record.features.feature[names.CAPTIONS].bytes_list.value.extend(caption.encode() for caption in captions)
    return record.SerializeToString()


def test_the_evaluator_reads_the_best_caption_and_counts_of_tokens(saved, images):
    features, _ = saved.served.encoder.encode(tf.constant([images[0], images[2], images[0]]))
    captions = [
        ["A cat", "the dog the cat"],
        ["a zebra", "dog", "a cat a dog a cat"],  # a rare word; too long
        ["zebra"],
    ]
    counted = [captions[0], ["dog"], []]
    result = saved.served.evaluate_examples(
        tf.constant([example(*pair) for pair in zip(features.numpy(), captions, strict=True)])
    )
    stored = tf.constant([image.astype("<f2").tobytes() for image in features.numpy()])
    best = saved.served.caption_features(stored)[names.CAPTION_OUTPUT][:, 0]
    assert result[names.CAPTION_OUTPUT].numpy().tolist() == best.numpy().tolist()
    for row, kept in enumerate(counted):
        slow = np.sum(
            [nll(saved.model, features[row : row + 1], text) for text in kept] or [[0, 0, 0]], axis=0
        )
        found = [result[name][row].numpy() for name in ("token_nll", "token_correct", "token_count")]
        np.testing.assert_allclose(found, slow, rtol=1e-4)


def test_captions_that_all_have_rare_words_leave_counts_of_zero(saved):
    features = np.zeros((saved.regions, saved.width), np.float32)
    result = saved.served.evaluate_examples(
        tf.constant([example(features, ["zebra"]), example(features, [])])
    )
    assert result["token_count"].numpy().tolist() == result["token_nll"].numpy().tolist() == [0.0, 0.0]


# --- the SavedModel ---

SESSION_LOADER = """
import json, sys
for package in ("models", "components", "serving", "pipeline"):
    sys.modules[package] = None  # importing it fails
sys.path += sys.argv[2:]
import tensorflow as tf
request = json.load(sys.stdin)
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1])
    feed = {name: [bytes.fromhex(value) for value in values] for name, values in request["inputs"].items()}
    results = session.run(request["outputs"], feed)
json.dump(
    [
        {
            "shape": list(result.shape),
            "values": [v.hex() if isinstance(v, bytes) else float(v) for v in result.reshape(-1).tolist()],
        }
        for result in results
    ],
    sys.stdout,
)
"""


def run_elsewhere(how: str, path: pathlib.Path, signature: str, rows: list[bytes]) -> dict[str, np.ndarray]:
    """Runs a signature with one string input in a process that has neither our packages nor this folder."""
    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    definition = model.meta_graphs[0].signature_def[signature]
    (given,) = definition.inputs.values()
    outputs = {name: info.name for name, info in definition.outputs.items()}
    request = {"inputs": {given.name: [row.hex() for row in rows]}, "outputs": list(outputs.values())}
    if how == "session":
        packages = [folder for folder in sys.path if folder.endswith("site-packages")]
        command = [sys.executable, "-I", "-S", "-c", SESSION_LOADER, str(path), *packages]
    else:
        script = pathlib.Path(__file__).with_name("run_in_c.py").read_text(encoding="utf-8")
        command = [sys.executable, "-I", "-S", "-c", script, tf.sysconfig.get_lib(), str(path)]
    done = subprocess.run(
        command, input=json.dumps(request), capture_output=True, text=True, cwd="/", timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = {}
    for name, result in zip(outputs, json.loads(done.stdout), strict=True):
        values = [bytes.fromhex(v) if isinstance(v, str) else v for v in result["values"]]
        kind = object if values and isinstance(values[0], bytes) else np.float32
        results[name] = np.array(values, kind).reshape(result["shape"])
    return results


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].shape == value.shape
        if value.dtype == object:
            assert found[name].tolist() == value.tolist(), name
        else:
            np.testing.assert_allclose(found[name], value, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("how", ["session", "C API"])
def test_the_c_plus_plus_loader_gives_the_same_captions(saved, images, answer, how):
    assert_same(run_elsewhere(how, saved.path, names.SERVING_SIGNATURE, images), answer)


def test_an_image_alone_is_answered_there_as_among_others(saved, images, answer):
    alone = run_elsewhere("C API", saved.path, names.SERVING_SIGNATURE, images[:1])
    assert_same(alone, {name: value[:1] for name, value in answer.items()})


@pytest.mark.parametrize(
    "signature", [names.GREEDY_SIGNATURE, names.FEATURES_SIGNATURE, names.EVAL_SIGNATURE]
)
def test_the_other_signatures_load_there_too(saved, images, signature):
    features, _ = saved.served.encoder.encode(tf.constant(images))
    rows, function = {
        names.GREEDY_SIGNATURE: (images, saved.served.caption_images_greedily),
        names.FEATURES_SIGNATURE: (
            [image.astype("<f2").tobytes() for image in features.numpy()],
            saved.served.caption_features,
        ),
        names.EVAL_SIGNATURE: (
            [example(image, ["a cat", "zebra"]) for image in features.numpy()],
            saved.served.evaluate_examples,
        ),
    }[signature]
    expected = {name: value.numpy() for name, value in function(tf.constant(rows)).items()}
    assert_same(run_elsewhere("C API", saved.path, signature, rows), expected)


OTHERS = [
    pytest.param(decoder, representation, id=f"{decoder}-{representation}")
    for decoder in DECODERS
    for representation in REPRESENTATIONS
]


@pytest.mark.parametrize(("decoder", "representation"), OTHERS)
def test_every_decoder_and_representation_loads_there(
    tmp_path, saved, vocabulary_path, make_captioner: CaptionerMaker, decoder, representation
):
    model = make_captioner(
        decoder=decoder,
        input_representation=representation,
        output_representation=representation,
        regions=saved.regions,
        feature_width=saved.width,
    )
    shape = (saved.regions, saved.width)
    served = export.ServedCaptioner(model, saved.served.encoder, shape, vocabulary_path, CORPUS, DECODE)
    export.save(served, str(tmp_path))
    noise = np.random.default_rng(3).normal(size=(3, *shape))
    stored = [row.astype("<f2").tobytes() for row in noise]
    expected = {name: value.numpy() for name, value in served.caption_features(tf.constant(stored)).items()}
    assert_same(run_elsewhere("C API", tmp_path, names.FEATURES_SIGNATURE, stored), expected)


def test_the_model_carries_its_vocabulary(saved):
    (asset,) = (saved.path / "assets").iterdir()
    assert asset.read_text(encoding="utf-8").split("\n") == [*WORDS, ""]


def test_the_weights_beside_it_make_the_same_captioner_again(saved, make_captioner: CaptionerMaker):
    """A later training starts from them; Keras 3 cannot read a SavedModel back."""
    again = make_captioner(regions=saved.regions, feature_width=saved.width, seed=7)
    features = np.random.default_rng(0).normal(size=(2, saved.regions, saved.width)).astype(np.float32)
    tokens = np.array([[2, 5, 6], [2, 8, 7]])
    expected = saved.model(features, tokens)
    assert not np.allclose(again(features, tokens), expected)
    again.load_weights(saved.path / "assets.extra" / "captioner.weights.h5")
    np.testing.assert_array_equal(again(features, tokens), expected)


def test_the_warm_up_requests_are_answered(tmp_path, saved):
    """TensorFlow Serving sends each of them to the new version before it takes others."""
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record)
        for record in tf.data.TFRecordDataset(warmup.write_warmup(str(tmp_path))).as_numpy_iterator()
    ]
    assert (tmp_path / "assets.extra" / "tf_serving_warmup_requests").is_file()
    asked = []
    for log in logs:
        request = log.predict_log.request
        assert request.model_spec.name == names.MODEL_NAME
        (image_bytes,) = request.inputs.values()
        batch = tf.make_ndarray(image_bytes)
        asked.append((request.model_spec.signature_name, len(batch)))
    both = (names.SERVING_SIGNATURE, names.GREEDY_SIGNATURE)
    assert asked == [(signature, size) for signature in both for size in (1, 2, 4, 8)]
    assert saved.served.caption_images(tf.constant(batch[:1]))[names.STATUS_OUTPUT].numpy().tolist() == [
        b"ok"
    ]
