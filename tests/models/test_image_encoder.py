"""The image encoder: bytes to features, the same wherever it is embedded."""

import pathlib
import shutil
import subprocess
import sys
import textwrap
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import encoder_weights, image_encoder, inception
from models.config import EncoderConfig
from tests.conftest import DATA

CONFIG = EncoderConfig(weights="random", layer="mixed0", pooling="grid", grid_size=4, seed=3)
WEIGHTS = DATA / "inception_v3" / "inception_v3_2015-12-05_partial_notop_f16.weights.h5"


def picture(seed: int) -> np.ndarray:
    """Returns a uint8 picture of its own size and content."""
    rng = np.random.default_rng(seed)
    whole = inception.dead_leaves(rng, 1)[0]
    height, width = rng.integers(80, 299, 2)
    return ((whole[:height, :width] + 1) * 127.5).astype(np.uint8)


def jpeg(seed: int) -> bytes:
    return tf.io.encode_jpeg(picture(seed)).numpy()


def encode(encoder, images: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    features, ok = encoder.encode(tf.constant(images, tf.string))
    return features.numpy(), ok.numpy()


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("encoder"))
    assert image_encoder.save_encoder(CONFIG, path) == (16, 256)
    return path


@pytest.fixture(scope="module")
def encoder(saved):
    return tf.saved_model.load(saved)


@pytest.fixture(scope="module")
def photos() -> list[bytes]:
    return [jpeg(seed) for seed in range(5)]


class TestEncode:
    def test_equals_the_keras_model_on_each_image_alone(self, encoder, photos):
        model = inception.inception_up_to(CONFIG.layer, None)
        inception.randomise(model, CONFIG.seed)
        features, ok = encode(encoder, photos)
        assert ok.all()
        for photo, feature in zip(photos, features, strict=True):
            pixels = tf.image.resize(tf.io.decode_jpeg(photo), (299, 299), antialias=True)
            pixels = keras.applications.inception_v3.preprocess_input(pixels.numpy())
            layer = model(pixels[np.newaxis], training=False).numpy()[0]
            fine = layer.repeat(4, axis=0).repeat(4, axis=1)  # 35 * 4 cells: four whole blocks of 35 a side
            expected = fine.reshape(4, 35, 4, 35, -1).mean(axis=(1, 3)).reshape(16, -1)
            np.testing.assert_allclose(feature, expected, rtol=2e-3, atol=2e-3)

    def test_features_are_float16_numbers(self, encoder, photos):
        features, _ = encode(encoder, photos)
        assert features.dtype == np.float32
        np.testing.assert_array_equal(features, features.astype(np.float16).astype(np.float32))

    def test_a_bad_image_fails_alone(self, encoder, photos):
        bad = [b"", b"no image", photos[0][: len(photos[0]) // 3]]
        good, _ = encode(encoder, photos)
        mixed, ok = encode(encoder, [bad[0], *photos[:2], bad[1], *photos[2:], bad[2]])
        assert ok.tolist() == [False, True, True, False, True, True, True, False]
        np.testing.assert_allclose(mixed[ok], good, rtol=2e-3, atol=2e-3)
        assert not mixed[~ok].any()

    def test_all_images_bad(self, encoder):
        features, ok = encode(encoder, [b"a", b"b"])
        assert not ok.any()
        assert not features.any()

    def test_an_empty_batch(self, encoder):
        features, ok = encode(encoder, [])
        assert features.shape == (0, 16, 256)
        assert ok.shape == (0,)

    def test_formats(self, encoder):
        pixels = picture(9)
        grey = tf.image.rgb_to_grayscale(pixels)
        images = [tf.io.encode_png(pixels), tf.io.encode_png(grey), tf.io.encode_jpeg(grey)]
        images = [image.numpy() for image in images]
        features, ok = encode(encoder, [*images, _gif(), _bmp(pixels)])
        assert ok.all()
        np.testing.assert_array_equal(features[0], features[4])  # PNG and BMP are lossless

    def test_does_not_depend_on_the_resolution_of_the_photo(self, encoder):
        """A fine texture must not alias into a pattern when a large photo is made small."""
        stripes = np.zeros((1196, 1196, 3), np.uint8)
        stripes[:, ::2] = 255  # one pixel wide: grey at a quarter of the size
        grey = np.full((299, 299, 3), 127, np.uint8)
        features, _ = encode(encoder, [tf.io.encode_png(p).numpy() for p in (stripes, grey)])
        np.testing.assert_allclose(features[0], features[1], atol=0.05)


def _gif() -> bytes:
    """Returns a GIF of one pixel."""
    return bytes.fromhex(
        "47494638396101000100800000ff0000ffffff21f90400000000002c00000000010001000002024401003b"
    )


def _bmp(pixels: np.ndarray) -> bytes:
    height, width, _ = pixels.shape
    rows = [row[:, ::-1].tobytes() + b"\0" * (-width * 3 % 4) for row in pixels[::-1]]
    body = b"".join(rows)

    def number(value: int, size: int = 4) -> bytes:
        return value.to_bytes(size, "little")

    header = b"BM" + number(54 + len(body)) + number(0) + number(54)
    info = number(40) + number(width) + number(height) + number(1, 2) + number(24, 2) + number(0) * 6
    return header + info + body


class TestEmbedding:
    """The captioner loads the encoder, calls it in its own signatures, and is served by C++."""

    def test_runs_in_the_session_loader_without_keras(self, saved, photos, tmp_path):
        module = _Captioner(tf.saved_model.load(saved))
        images = [*photos, b"no image"]
        expected = module.serve(tf.constant(images))
        path = str(tmp_path / "captioner")
        signatures = {"serving_default": module.serve, "other": module.other}
        tf.saved_model.save(module, path, signatures=signatures)
        for i, image in enumerate(images):
            (tmp_path / f"{i}.image").write_bytes(image)
        script = """
            import glob, sys
            sys.modules["keras"] = None  # importing it fails
            import numpy as np, tensorflow as tf
            path, folder = sys.argv[1:]
            images = [open(name, "rb").read() for name in sorted(glob.glob(folder + "/*.image"))]
            with tf.compat.v1.Session(graph=tf.Graph()) as session:
                signatures = tf.compat.v1.saved_model.load(session, ["serve"], path).signature_def
                for name in ("serving_default", "other"):
                    signature = signatures[name]
                    outputs = {key: info.name for key, info in signature.outputs.items()}
                    fed = {signature.inputs["image_bytes"].name: images}
                    np.savez(f"{folder}/{name}.npz", **session.run(outputs, fed))
        """
        command = [sys.executable, "-c", textwrap.dedent(script), path, str(tmp_path)]
        subprocess.run(command, check=True, capture_output=True)
        got = np.load(tmp_path / "serving_default.npz")
        np.testing.assert_allclose(got["score"], expected["score"], rtol=1e-2, atol=1e-2)
        assert got["ok"].tolist() == [True] * 5 + [False]
        np.testing.assert_allclose(np.load(tmp_path / "other.npz")["score"], -got["score"], atol=1e-4)

    def test_holds_no_variables_and_stores_the_network_once(self, saved):
        assert not tf.saved_model.load(saved).signatures["serving_default"].variables
        kernels = inception.inception_up_to(CONFIG.layer, None).count_params() * 4
        graph = (pathlib.Path(saved) / "saved_model.pb").stat().st_size
        assert kernels < graph < 1.5 * kernels + 500_000


class _Captioner(tf.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.weight = tf.Variable(np.random.default_rng(1).standard_normal((256, 2)), dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(self, image_bytes):
        features, ok = self.encoder.encode(image_bytes)
        return {"score": features @ self.weight, "ok": ok}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def other(self, image_bytes):
        return {"score": -self.serve(image_bytes)["score"]}


class TestRandomWeights:
    def test_equal_seeds_equal_features(self, encoder, photos):
        again, _ = encode(image_encoder.build_encoder(CONFIG), photos)
        np.testing.assert_allclose(again, encode(encoder, photos)[0], rtol=2e-3, atol=2e-3)

    def test_another_seed_gives_other_features(self, encoder, photos):
        other, _ = encode(image_encoder.build_encoder(CONFIG.replace(seed=4)), photos)
        assert np.abs(other - encode(encoder, photos)[0]).mean() > 0.1

    def test_statistics_hold_at_depth_on_other_pictures(self):
        """Without calibration the deviation of a deep layer's inputs is orders of magnitude off."""
        model = inception.inception_up_to("mixed4", None)
        inception.randomise(model, seed=1)
        norm = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)][-1]
        pictures = inception.dead_leaves(np.random.default_rng(7), 8)
        outputs = keras.Model(model.input, norm.output)(pictures).numpy()
        assert np.abs(outputs.mean(axis=(0, 1, 2))).mean() < 0.3
        assert 0.5 < outputs.std(axis=(0, 1, 2)).mean() < 1.5

    def test_warns_loudly(self, caplog):
        with caplog.at_level("WARNING", logger="absl"):
            image_encoder.build_encoder(CONFIG)
        assert "RANDOM WEIGHTS" in caplog.text


class TestLayers:
    def test_feature_shape_is_the_shape(self, encoder):
        assert image_encoder.feature_shape(CONFIG) == (16, 256)
        assert image_encoder.feature_shape(CONFIG.replace(layer="mixed8", pooling="pool")) == (1, 1280)
        assert image_encoder.feature_shape(CONFIG.replace(layer="mixed10", grid_size=0)) == (64, 2048)

    def test_numbered_layers_keep_their_names_through_a_process(self):
        """Keras numbers unnamed layers on: a second model's first activation is activation_94."""
        shapes = [inception.inception_up_to("activation_4", None).output.shape for _ in range(2)]
        assert shapes == [(None, 71, 71, 192)] * 2

    def test_unknown_layer_names_near_ones(self):
        with pytest.raises(ValueError, match=r"'mixd8': did you mean .*mixed8"):
            image_encoder.feature_shape(CONFIG.replace(layer="mixd8"))

    def test_grid_finer_than_the_map(self):
        with pytest.raises(ValueError, match="grid_size is 9, but the map of mixed10 has 8 cells"):
            image_encoder.feature_shape(CONFIG.replace(layer="mixed10", grid_size=9))


class TestWeights:
    def test_missing_file(self, tmp_path):
        config = CONFIG.replace(weights=str(tmp_path / "none.h5"))
        with pytest.raises(FileNotFoundError, match=r"none\.h5.*'imagenet'.*'random'"):
            image_encoder.build_encoder(config)

    def test_a_file_of_another_model(self, tmp_path):
        path = str(tmp_path / "other.weights.h5")
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(path)
        with pytest.raises(ValueError, match=r"other\.weights\.h5 does not hold weights for .*InceptionV3"):
            image_encoder.build_encoder(CONFIG.replace(weights=path))

    @pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"no {WEIGHTS}")
    def test_layers_that_the_file_lacks_are_refused(self):
        config = CONFIG.replace(weights=str(WEIGHTS), layer="mixed10")
        with pytest.raises(
            ValueError, match=r"not complete: a convolution that mixed10 needs .* is all zeros"
        ):
            image_encoder.build_encoder(config)

    @pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"no {WEIGHTS}")
    def test_real_weights_load(self, photos):
        config = CONFIG.replace(weights=str(WEIGHTS), layer="mixed8")
        features, ok = encode(image_encoder.build_encoder(config), photos[:2])
        assert features.shape == (2, 16, 1280)
        assert ok.all()
        assert np.abs(features[0] - features[1]).max() > 0.5

    def test_failed_download_says_where_to_put_the_file(self, tmp_path, monkeypatch):
        def no_network(**_):
            raise Exception("URL fetch failure")

        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        monkeypatch.setattr(keras.applications, "InceptionV3", no_network)
        expected = rf"{tmp_path}.*could not be downloaded \(URL fetch failure\).*path of a \.h5"
        with pytest.raises(OSError, match=expected):
            image_encoder.build_encoder(CONFIG.replace(weights="imagenet"))

    def test_auto_takes_imagenet_only_if_it_is_on_disk(self, tmp_path, monkeypatch):
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        assert encoder_weights.resolve_weights("auto") == "random"
        path = encoder_weights.imagenet_cache_path()
        path.parent.mkdir()
        path.touch()
        assert encoder_weights.resolve_weights("auto") == "imagenet"
        assert encoder_weights.resolve_weights("some.h5") == "some.h5"


class TestFingerprint:
    def test_covers_every_option_that_changes_features(self):
        changes = [{}, {"layer": "mixed1"}, {"pooling": "pool"}, {"grid_size": 2}, {"seed": 4}]
        prints = {image_encoder.encoder_fingerprint(CONFIG.replace(**change)) for change in changes}
        assert len(prints) == len(changes)

    def test_follows_the_content_of_the_weights_not_their_path(self, tmp_path):
        files = [tmp_path / name for name in ("a.h5", "b.h5", "c.h5")]
        files[0].write_bytes(b"weights")
        shutil.copy(files[0], files[1])
        files[2].write_bytes(b"other weights")
        first, copy, other = (
            image_encoder.encoder_fingerprint(CONFIG.replace(weights=str(path))) for path in files
        )
        assert first == copy
        assert first != other

    def test_follows_code_but_not_comments(self, tmp_path, monkeypatch):
        plain = "def f(x):\n    return x + 1\n"
        commented = 'def f(x):\n    """Doc."""\n    return x + 1  # why\n'
        changed = "def f(x):\n    return x + 2\n"
        codes = []
        for i, text in enumerate((plain, commented, changed)):
            path = tmp_path / f"code{i}.py"
            path.write_text(text)
            module = types.ModuleType(path.stem)
            module.__file__ = str(path)
            codes.append(image_encoder._code(module))
        assert codes[0] == codes[1] != codes[2]
