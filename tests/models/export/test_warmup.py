"""Requests that a server answers before it takes others."""

import dataclasses
import pathlib

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from models import export, warmup
from models import features as names
from serving.saved_model import SavedModel
from tests.models.export.conftest import CORPUS, DECODE

SERVER_BATCH = 16  # most images that the embedded server runs together
XLA_BATCH = 8  # as it is to be set for models that XLA compiles


def test_the_model_answers_them_all(saved):
    plan = warmup.plan(saved.served.functions, xla=False)
    path = warmup.write_warmup(str(saved.path), warmup.image_requests(warmup.grey_jpeg(), plan))
    assert pathlib.Path(path) == saved.path / "assets.extra" / "tf_serving_warmup_requests"
    model = SavedModel(saved.path)
    asked: dict[str, list[int]] = {}
    try:
        for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            assert request.model_spec.name == names.MODEL_NAME
            signature = request.model_spec.signature_name
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            assert set(inputs) == set(model.signatures[signature].inputs)
            (rows,) = {len(value) for value in inputs.values()}
            assert model.run(signature, inputs)[names.STATUS_OUTPUT].tolist() == [b"ok"] * rows
            asked.setdefault(signature, []).append(rows)
    finally:
        model.close()
    # Its first run costs each signature most: none that takes images is left out.
    takes_images = {
        name for name, definition in model.signatures.items() if names.IMAGE_BYTES_INPUT in definition.inputs
    }
    assert set(asked) == takes_images
    assert asked.pop(names.SERVING_SIGNATURE) == [1, 2, 4, XLA_BATCH, SERVER_BATCH]
    assert all(rows == [1, XLA_BATCH] for rows in asked.values())


@pytest.mark.parametrize("xla", [False, True])
def test_what_xla_compiles_is_compiled_for_every_batch_before(saved, vocabulary_path, xla):
    served = export.ServedCaptioner(
        saved.model,
        saved.served.encoder,
        (saved.regions, saved.width),
        vocabulary_path,
        CORPUS,
        dataclasses.replace(DECODE, xla=xla),
    )
    plan = list(warmup.plan(served.functions, xla))
    for signature in {signature for signature, _ in plan}:
        graph = served.functions[signature].get_concrete_function().graph.as_graph_def()
        compiled = any(function.attr["_XlaMustCompile"].b for function in graph.library.function)
        every = set(range(1, XLA_BATCH + 1))
        assert compiled == ({size for name, size in plan if name == signature} == every)


def test_a_model_without_attention_is_not_asked_for_it():
    assert {name for name, _ in warmup.plan({names.SERVING_SIGNATURE}, xla=False)} == {
        names.SERVING_SIGNATURE
    }
