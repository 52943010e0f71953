"""TensorFlow's C++ loader answers as the model in this process does.

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

from models import export
from models import features as names
from models.decoders import DECODERS
from models.representations import REPRESENTATIONS
from tests.models.conftest import WORDS, CaptionerMaker
from tests.models.export.conftest import CORPUS, DECODE, ask, example, options, raw_example

SESSION_LOADER = """
import json, sys
for package in ("models", "components", "serving", "pipeline"):
    sys.modules[package] = None  # importing it fails
sys.path += sys.argv[2:]
import tensorflow as tf
requests = json.load(sys.stdin)
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1])
    answers = []
    for request in requests:
        feed = {
            name: [bytes.fromhex(value) if isinstance(value, str) else value for value in values]
            for name, (_, values) in request["inputs"].items()
        }
        answers.append(session.run(request["outputs"], feed))
json.dump(
    [
        [
            {
                "shape": list(result.shape),
                "values": [v.hex() if isinstance(v, bytes) else float(v) for v in result.flatten().tolist()],
            }
            for result in results
        ]
        for results in answers
    ],
    sys.stdout,
)
"""


def signature_of(path: pathlib.Path, signature: str):
    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    return model.meta_graphs[0].signature_def[signature]


def run_elsewhere(how: str, path: pathlib.Path, signature: str, **given: list) -> dict[str, np.ndarray]:
    """Runs a signature in a process that has neither our packages nor this folder."""
    (answer,) = run_all_elsewhere(how, path, [(signature, given)])
    return answer


def run_all_elsewhere(
    how: str, path: pathlib.Path, asked: list[tuple[str, dict[str, list]]]
) -> list[dict[str, np.ndarray]]:
    """As `run_elsewhere`, one after another in one process."""
    definitions = [signature_of(path, signature) for signature, _ in asked]
    requests = [
        {
            "inputs": {
                info.name: [info.dtype, [v.hex() if isinstance(v, bytes) else v for v in given[name]]]
                for name, info in definition.inputs.items()
            },
            "outputs": [info.name for info in definition.outputs.values()],
        }
        for definition, (_, given) in zip(definitions, asked, strict=True)
    ]
    if how == "session":
        packages = [folder for folder in sys.path if folder.endswith("site-packages")]
        command = [sys.executable, "-I", "-S", "-c", SESSION_LOADER, str(path), *packages]
    else:
        script = pathlib.Path(__file__).with_name("run_in_c.py").read_text(encoding="utf-8")
        command = [sys.executable, "-I", "-S", "-c", script, tf.sysconfig.get_lib(), str(path)]
    done = subprocess.run(
        command, input=json.dumps(requests), capture_output=True, text=True, cwd="/", timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [
        {name: _array(result) for name, result in zip(definition.outputs, results, strict=True)}
        for definition, results in zip(definitions, json.loads(done.stdout), strict=True)
    ]


def _array(result: dict) -> np.ndarray:
    values = [bytes.fromhex(v) if isinstance(v, str) else v for v in result["values"]]
    kind = object if values and isinstance(values[0], bytes) else np.float32
    return np.array(values, kind).reshape(result["shape"])


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
    assert_same(run_elsewhere(how, saved.path, names.SERVING_SIGNATURE, image_bytes=images), answer)


def test_an_image_alone_is_answered_there_as_among_others(saved, images, answer):
    alone = run_elsewhere("C API", saved.path, names.SERVING_SIGNATURE, image_bytes=images[:1])
    assert_same(alone, {name: value[:1] for name, value in answer.items()})


# Each signature, with options an image where it has some.
CASES = [
    (names.BEAM_SIGNATURE, {"max_tokens": [2, 5, 3], "length_penalty": [0.0, 1.0, 0.5]}),
    (names.BEAM_SIGNATURE, {"beam_width": [3, 1, 2], "captions": [1, 2, 3], "min_tokens": [3, 1, 2]}),
    (names.SAMPLE_SIGNATURE, {}),
    (names.SAMPLE_SIGNATURE, {"seed": [1, 2, 3], "top_k": [0, 2, 3], "top_p": [0.9, 1.0, 0.5]}),
    (names.GREEDY_SIGNATURE, {}),
    (names.FEATURES_SIGNATURE, {}),
    (names.GREEDY_FEATURES_SIGNATURE, {}),
    (names.SCORE_SIGNATURE, {}),
    (names.ATTENTION_SIGNATURE, {}),
    (names.ATTENTION_FEATURES_SIGNATURE, {}),
    (names.EVAL_SIGNATURE, {}),
    (names.EVAL_IMAGES_SIGNATURE, {}),
]


@pytest.fixture(scope="module")
def inputs(images, stored) -> dict[str, dict[str, list]]:
    """What signatures read beside options, by signature."""
    features = [np.frombuffer(image, "<f2") for image in stored]
    common = {
        "image_bytes": images,
        "features": stored,
        "caption": [b"a cat", b"the dog", b"a zebra"],
        "examples": [example(image, ["a cat", "zebra"]) for image in features],
    }
    raw = {"examples": [raw_example(image, ["a cat", "zebra"]) for image in images]}
    return {
        signature: common | (raw if signature == names.EVAL_IMAGES_SIGNATURE else {})
        for signature, _ in CASES
    }


@pytest.fixture(scope="module")
def answers_there(saved, inputs) -> list[dict[str, np.ndarray]]:
    """What the C API's process says to all cases."""
    asked = []
    for signature, columns in CASES:
        chosen = options(3, signature, **columns)
        values = {name: value.numpy().tolist() for name, value in chosen.items()}
        asked.append((signature, inputs[signature] | values))
    return run_all_elsewhere("C API", saved.path, asked)


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda case: f"{CASES[case][0]}-{case}")
def test_every_signature_answers_the_same_there(saved, inputs, answers_there, case):
    signature, columns = CASES[case]
    required = set(signature_of(saved.path, signature).inputs)
    given = [values for name, values in inputs[signature].items() if name in required]
    assert_same(answers_there[case], ask(saved.served, signature, *given, **columns))


def test_every_signature_is_asked(saved):
    assert {signature for signature, _ in CASES} == set(saved.served.functions) - {names.SERVING_SIGNATURE}


def test_no_input_may_be_left_out(saved):
    """TensorFlow Serving gives a default one row, which its batching refuses beside the images' rows."""
    for signature in saved.served.functions:
        assert not signature_of(saved.path, signature).defaults
    for signature, given in (
        (names.SERVING_SIGNATURE, ()),
        (names.BEAM_SIGNATURE, names.BEAM_OPTIONS),
        (names.SAMPLE_SIGNATURE, names.SAMPLE_OPTIONS),
    ):
        inputs = signature_of(saved.path, signature).inputs
        assert set(inputs) == {names.IMAGE_BYTES_INPUT, *given}
        for name in given:
            assert tf.as_dtype(inputs[name].dtype).name == names.OPTION_DTYPES[name]
            assert [each.size for each in inputs[name].tensor_shape.dim] == [-1]


@pytest.mark.parametrize("signature", [names.BEAM_SIGNATURE, names.GREEDY_SIGNATURE])
def test_compiled_by_xla_the_captions_are_the_same_there(tmp_path, saved, images, vocabulary_path, signature):
    decode = dataclasses.replace(DECODE, xla=True, no_repeat_ngram=2)
    shape = (saved.regions, saved.width)
    encoder = saved.served.encoder
    plain, compiled = (
        export.ServedCaptioner(saved.model, encoder, shape, vocabulary_path, CORPUS, config)
        for config in (dataclasses.replace(decode, xla=False), decode)
    )
    compiled.functions = {signature: compiled.functions[signature]}
    export.save(compiled, str(tmp_path))
    graph = saved_model_pb2.SavedModel.FromString((tmp_path / "saved_model.pb").read_bytes())
    functions = graph.meta_graphs[0].graph_def.library.function
    assert any(function.attr["_XlaMustCompile"].b for function in functions)
    columns = {"max_tokens": [2, 5, 3], "beam_width": [4, 3, 1]} if signature == names.BEAM_SIGNATURE else {}
    expected = ask(plain, signature, images, **columns)
    asked = {name: value.numpy().tolist() for name, value in options(3, signature, **columns).items()}
    assert_same(run_elsewhere("C API", tmp_path, signature, image_bytes=images, **asked), expected)


# Each decoder and each representation: how they work together is tested in this process.
OTHERS = [
    *((decoder, "hybrid") for decoder in DECODERS),
    *(("gru", representation) for representation in REPRESENTATIONS if representation != "hybrid"),
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
    # One signature: all of them were asked above.
    served.functions = {names.FEATURES_SIGNATURE: served.functions[names.FEATURES_SIGNATURE]}
    export.save(served, str(tmp_path))
    noise = np.random.default_rng(3).normal(size=(3, *shape))
    stored = [row.astype("<f2").tobytes() for row in noise]
    expected = ask(served, names.FEATURES_SIGNATURE, stored)
    assert_same(run_elsewhere("C API", tmp_path, names.FEATURES_SIGNATURE, features=stored), expected)


def test_the_model_carries_its_vocabulary(saved):
    (asset,) = (saved.path / "assets").iterdir()
    assert asset.read_text(encoding="utf-8").split("\n") == [*WORDS, ""]
