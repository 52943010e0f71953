"""The pipeline's wiring: which component feeds which. Everything they do is in `components` and `models`."""

import dataclasses
import pathlib
from typing import Any, Self

from tfx import v1 as tfx
from tfx.utils import proto_utils

from components.baseline.component import Baseline
from components.baseline.in_service import NO_MODEL
from components.caption_meter.component import CaptionMeter
from components.evaluator.component import CaptionEvaluator
from components.example_validator.component import StrictExampleValidator
from components.image_featurizer.component import ImageFeaturizer
from components.pusher.component import AtomicPusher
from components.schema.component import CuratedSchema
from components.serving_validator.component import ServingValidator
from components.span_example_gen.component import SpanExampleGen
from components.statistics_gen.component import CaptionStatisticsGen
from components.trainer.component import CaptionTrainer
from components.transform.component import CaptionTransform
from models.metrics.meteor import find as find_meteor
from pipeline import fingerprint
from pipeline.config import PipelineConfig
from pipeline.eval_config import build_eval_config
from pipeline.paths import Paths

_SCHEMAS = pathlib.Path(__file__).parent / "schemas"
# The second keeps Beam from looking for its Prism runner, on the network if need be: ours run in process.
_BEAM_ARGS = ("--runner=DirectRunner", "--allow_unsafe_triggers")


@dataclasses.dataclass(frozen=True)
class Values:
    """What the nodes are told, as they take it: plain values, or RuntimeParameters of a compiled pipeline.

    Attributes:
      data: folder of the spans.
      serving: the directory with a numbered folder for each version.
      spans, encoder, corpus, model, train, decode, gate: JSON of the parts of the config.
      max_steps: of training; 0: as many as `train` says.
    """

    data: Any
    serving: Any
    spans: Any
    encoder: Any
    corpus: Any
    model: Any
    train: Any
    decode: Any
    gate: Any
    max_steps: Any = 0

    @classmethod
    def of(cls, config: PipelineConfig, data: str, serving: str) -> Self:
        """Returns the plain values of `config`."""
        names = ("spans", "encoder", "corpus", "model", "train", "decode")
        parts = {name: getattr(config, name).to_json() for name in names}
        return cls(data, serving, **parts, gate=config.gate.gate().to_json())


@dataclasses.dataclass(frozen=True)
class World:
    """What was found when the run was planned, and decides what the cache still holds for.

    Attributes:
      encoder: `models.image_encoder.encoder_fingerprint` of the encoder.
      spans: of `components.span_example_gen.executor.identify`, or `newest`: the node looks.
      in_service: the model to compare with, of `components.baseline.plan`, or `newest`.
      rolled_back: of `components.pusher.component.rolled_back`.
      recorded: the run is under a root's lock, and a record of it is kept (`pipeline.releases`), which then
        also removes old versions; else the pusher does.
    """

    encoder: str
    spans: str
    in_service: str
    rolled_back: str = "[]"
    recorded: bool = True


def build(
    config: PipelineConfig,
    values: Values,
    world: World,
    paths: Paths,
    force_bless: str = "",
) -> tfx.dsl.Pipeline:
    """Wires a run, from the data to the pushed model.

    Args:
      config: what to compute.
      values: of `config`, as the nodes take them.
      world: what there is.
      paths: where results go, but for the pushed model.
      force_bless: a person's reason to bless the model whatever the gate says, and to push it even if it was
        rolled back; empty: the gate decides.
    """
    baseline = Baseline(serving_dir=values.serving, in_service=world.in_service)
    learning = _learn(config, values, world, paths, baseline)
    model = learning.trainer.outputs["model"]
    evaluator = _evaluator(learning, values, baseline, force_bless)
    serving_validator = ServingValidator(
        model=model,
        examples=learning.examples,
        features=learning.featurized,
        n_images=config.validator.images,
        timeout_s=config.validator.timeout_s,
        code_version=fingerprint.of_sources(fingerprint.VALIDATOR_SOURCES),
    )
    pusher = AtomicPusher(
        model=model,
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=serving_validator.outputs["blessing"],
        serving_dir=values.serving,
        canary=config.push.canary,
        force=bool(force_bless),
        rolled_back=world.rolled_back,
        keep_versions=0 if world.recorded else config.push.keep_versions,
        alone=world.recorded,
    )
    return _pipeline(config, paths, [baseline, *learning.nodes, evaluator, serving_validator, pusher])


def build_comparison(config: PipelineConfig, values: Values, world: World, paths: Paths) -> tfx.dsl.Pipeline:
    """Wires a run of a comparison: the same up to the evaluation, then measured; nothing is served or pushed.

    Under one root, all that such runs and those of `build` have in common comes from the cache.
    """
    baseline = Baseline(serving_dir=paths.serving, in_service=NO_MODEL)
    learning = _learn(config, values, world, paths, baseline)
    evaluator = _evaluator(learning, values, baseline, meteor=0)
    meter = CaptionMeter(
        model=learning.trainer.outputs["model"],
        features=learning.featurized,
        code_version=fingerprint.of_sources(fingerprint.METER_SOURCES),
    )
    return _pipeline(config, paths, [baseline, *learning.nodes, evaluator, meter])


@dataclasses.dataclass(frozen=True)
class _Learning:
    """From the data to a trained model: the nodes in their order, and what those after them read."""

    nodes: list[Any]
    examples: Any
    featurized: Any
    trainer: Any


def _learn(config: PipelineConfig, values: Values, world: World, paths: Paths, baseline: Any) -> _Learning:
    raw_schema = _schema("raw")
    example_gen = SpanExampleGen(
        schema=raw_schema.outputs["schema"],
        data_dir=values.data,
        records_dir=paths.spans,
        serving_dir=values.serving,
        config=values.spans,
        spans=world.spans,
        code_version=fingerprint.of_sources(
            ["components/span_example_gen", "components/drift", "components/statistics_gen"]
        ),
    )
    examples = example_gen.outputs["examples"]
    statistics = CaptionStatisticsGen(
        examples=examples,
        schema=raw_schema.outputs["schema"],
        code_version=fingerprint.of_sources(["components/statistics_gen"]),
    ).with_id("StatisticsGen")
    validator = StrictExampleValidator(
        statistics=statistics.outputs["statistics"], schema=raw_schema.outputs["schema"]
    )
    featurizer = ImageFeaturizer(
        examples=examples,
        encoder_config=values.encoder,
        store_dir=paths.feature_store,
        code_version=fingerprint.of_texts(
            world.encoder, fingerprint.of_sources(["components/image_featurizer"])
        ),
    )
    # Nothing is computed of data that does not fit the schema.
    featurizer.add_upstream_node(validator)
    featurized = featurizer.outputs["featurized"]
    featurized_schema = _schema("featurized")
    transform = CaptionTransform(
        examples=featurized,
        schema=featurized_schema.outputs["schema"],
        corpus=values.corpus,
        code_version=fingerprint.of_texts(
            fingerprint.of_sources(fingerprint.TRANSFORM_SOURCES),
            fingerprint.of_file(config.corpus.word_vectors),
        ),
        **_given(baseline, config.corpus.vocabulary != "rebuild"),
    ).with_id("Transform")
    trainer = CaptionTrainer(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        encoder=featurizer.outputs["encoder"],
        corpus=values.corpus,
        model_config=values.model,
        train=values.train,
        decode=values.decode,
        checkpoints_dir=paths.checkpoints,
        max_steps=values.max_steps,
        code_version=fingerprint.of_trainer(),
        **_given(baseline, config.train.start != "cold"),
    ).with_id("Trainer")
    nodes = [
        raw_schema,
        example_gen,
        statistics,
        validator,
        featurizer,
        featurized_schema,
        transform,
        trainer,
    ]
    return _Learning(nodes, examples, featurized, trainer)


def _given(baseline: Any, needed: bool) -> dict[str, Any]:
    """The model in service as an input only where it counts: it changes with every push."""
    return {"baseline": baseline.outputs["baseline"]} if needed else {}


def _evaluator(
    learning: _Learning, values: Values, baseline: Any, force_bless: str = "", meteor: int = 1
) -> Any:
    return CaptionEvaluator(
        features=learning.featurized,
        examples=learning.examples,
        model=learning.trainer.outputs["model"],
        baseline_model=baseline.outputs["baseline"],
        eval_config=proto_utils.proto_to_json(build_eval_config()),
        gate=values.gate,
        force_bless=force_bless,
        meteor=meteor,
        # A Java installed since is a reason to evaluate again.
        code_version=fingerprint.of_texts(
            fingerprint.of_sources(fingerprint.EVALUATOR_SOURCES), type(find_meteor()).__name__
        ),
    )


def _pipeline(config: PipelineConfig, paths: Paths, nodes: list[Any]) -> tfx.dsl.Pipeline:
    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=paths.artifacts,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            paths.metadata
        ),
        components=nodes,
        enable_cache=True,
        beam_pipeline_args=beam_args(config),
    )


def beam_args(config: PipelineConfig) -> list[str]:
    """Returns the flags of every Beam pipeline of a run."""
    return [*_BEAM_ARGS, *config.beam_args]


def _schema(name: str) -> Any:
    text = (_SCHEMAS / name / "schema.pbtxt").read_text(encoding="utf-8")
    return CuratedSchema(text=text).with_id(f"{name.capitalize()}Schema")
