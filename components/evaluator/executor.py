"""The CaptionEvaluator's work, apart from TFX's decorator: TFMA over both models, then the gate."""

import math
import os
from typing import Any, Final

import apache_beam as beam
import tfx.components  # noqa: F401 - TFMA 0.52 has its EvalConfig only after this import

import tensorflow_model_analysis as tfma  # isort: skip
from absl import logging
from tensorflow.core.protobuf import saved_model_pb2
from tfx.components.evaluator import constants
from tfx.components.util import tfxio_utils
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils, proto_utils

from components.baseline import in_service, reading
from components.evaluator import extraction, gate, records, scores, verdict
from components.evaluator.records import BASELINE, CANDIDATE
from components.evaluator.rules import Gate
from models import encoder_identity
from models import features as names
from models.metrics import meteor
from models.metrics.tokenizer import tokenize

# Of images that are decoded and encoded: they take much more memory than features.
_IMAGE_BATCH: Final = 32


def evaluate(
    features: Any,
    examples: Any,
    model: Any,
    baseline_model: Any,
    evaluation: Any,
    blessing: Any,
    eval_config: str,
    gate_json: str,
    split: str,
    force_bless: str,
    with_meteor: int,
    beam_pipeline: beam.Pipeline,
) -> None:
    """Scores, judges and writes the artifacts; see `component.CaptionEvaluator`."""
    models = {CANDIDATE: path_utils.serving_model_path(model.uri)}
    unscorable = ""
    if path := reading.saved_model(baseline_model):
        models[BASELINE] = path
    else:
        logging.info("No model is in service: the candidate is judged by the absolute bounds only.")
    same_encoder = len({encoder_identity.read(path) for path in models.values()}) == 1
    signature = names.EVAL_SIGNATURE if same_encoder else names.EVAL_IMAGES_SIGNATURE
    if BASELINE in models and signature not in _signatures(models[BASELINE]):
        unscorable = f"it has no signature {signature!r}, so another version of this software exported it"
        signature = names.EVAL_SIGNATURE
        del models[BASELINE]
    from_images = signature == names.EVAL_IMAGES_SIGNATURE
    data = examples if from_images else features
    for left in fileio.glob(os.path.join(evaluation.uri, f"{records.FILE_PREFIX}-*")):
        fileio.remove(left)  # by an attempt that was killed
    _score(_config(eval_config, models, signature), models, data, split, evaluation.uri, beam_pipeline)

    judged = records.read(evaluation.uri)
    found = scores.read(evaluation.uri)
    scored = int(found.candidate.get(scores.OVERALL, {}).get("images", 0))
    if len(judged) != scored:
        raise RuntimeError(
            f"expected the records of {scored} images in {evaluation.uri}; got {len(judged)}. Delete the "
            "folder and run the pipeline again"
        )
    not_computed = _add_meteor(found, judged) if with_meteor else {"meteor": "not asked for"}
    decision = gate.judge(
        Gate.from_json(gate_json),
        found,
        judged,
        not_computed,
        baseline_version=baseline_model.get_string_custom_property(in_service.VERSION),
        scored_from="images" if from_images else "features",
        unscorable=unscorable,
        force=force_bless,
    )
    _write(blessing, decision)


def _config(text: str, models: dict[str, str], signature: str) -> Any:
    config = tfma.EvalConfig()
    proto_utils.json_to_proto(text, config)
    config = tfma.utils.update_eval_config_with_defaults(
        config, has_baseline=BASELINE in models, rubber_stamp=True
    )
    for spec in config.model_specs:
        spec.signature_name = signature
    tfma.utils.verify_eval_config(config)
    return config


def _score(
    config: Any, models: dict[str, str], data: Any, split: str, output: str, pipeline: beam.Pipeline
) -> None:
    """Runs TFMA: metrics by slice and the record of each image, into folder `output`."""
    shared = [
        tfma.default_eval_shared_model(
            eval_saved_model_path=models[BASELINE if spec.is_baseline else CANDIDATE],
            model_name=spec.name,
            eval_config=config,
        )
        for spec in config.model_specs
    ]
    shared = shared[0] if len(shared) == 1 else shared
    reader = tfxio_utils.get_tfxio_factory_from_artifact(
        examples=[data],
        telemetry_descriptors=["CaptionEvaluator"],
        schema=None,
        raw_record_column_name=tfma.constants.ARROW_INPUT_COLUMN,
    )(io_utils.all_files_pattern(artifact_utils.get_split_uri([data], split)))
    from_images = config.model_specs[0].signature_name == names.EVAL_IMAGES_SIGNATURE
    extractors = tfma.default_extractors(eval_shared_model=shared, eval_config=config)
    _ = (
        pipeline
        | "Read" >> reader.BeamSource(batch_size=_IMAGE_BATCH if from_images else None)
        | "ExtractEvaluateAndWriteResults"
        >> tfma.ExtractEvaluateAndWriteResults(
            eval_shared_model=shared,
            eval_config=config,
            extractors=extraction.with_records(extractors, models),
            evaluators=[
                *tfma.default_evaluators(eval_shared_model=shared, eval_config=config),
                extraction.record_evaluator(),
            ],
            writers=[
                *tfma.default_writers(output, eval_shared_model=shared, eval_config=config),
                extraction.record_writer(output),
            ],
            output_path=output,
        )
    )
    pipeline.run().wait_until_finish()


def _add_meteor(found: scores.Scores, judged: list[records.ImageRecord]) -> dict[str, str]:
    """Adds METEOR to the scores over all images; returns why it was not computed."""
    by_model = {CANDIDATE: found.candidate, BASELINE: found.baseline}
    scored = {name: by_slice for name, by_slice in by_model.items() if by_slice}
    values = meteor.meteor(
        [[tokenize(record.models[name].caption) for record in judged] for name in scored],
        [[tokenize(reference) for reference in record.references] for record in judged],
    )
    if isinstance(values, meteor.Unavailable):
        return {"meteor": values.reason}
    for by_slice, value in zip(scored.values(), values, strict=True):
        by_slice[scores.OVERALL]["meteor"] = value
    return {}


def _signatures(model_path: str) -> set[str]:
    with fileio.open(os.path.join(model_path, in_service.SAVED_MODEL_FILE), "rb") as file:
        content = saved_model_pb2.SavedModel.FromString(file.read())
    return {name for graph in content.meta_graphs for name in graph.signature_def}


def _write(blessing: Any, decision: verdict.Verdict) -> None:
    """Writes the blessing as TFX's Evaluator does, with the reasons beside it."""
    decision.write(os.path.join(blessing.uri, verdict.FILE))
    mark, other = constants.BLESSED_FILE_NAME, constants.NOT_BLESSED_FILE_NAME
    if not decision.blessed:
        mark, other = other, mark
    io_utils.write_string_file(os.path.join(blessing.uri, mark), "")
    # A component that runs again after a kill finds what it wrote before.
    if fileio.exists(os.path.join(blessing.uri, other)):
        fileio.remove(os.path.join(blessing.uri, other))
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(decision.blessed))
    blessing.set_string_custom_property("outcome", decision.sentences[0])
    blessing.set_string_custom_property("forced", decision.forced)
    blessing.set_string_custom_property("verdict", decision.to_json())
    for key, value in decision.overall.items():
        if math.isfinite(value):  # a database has no others
            blessing.set_float_custom_property(key, value)
    for sentence in decision.sentences:
        logging.info("%s", sentence)
