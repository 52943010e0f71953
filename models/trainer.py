"""`run_fn` of the Trainer component: puts data, model, training loop and export together."""

import dataclasses
import hashlib
import json
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from absl import logging

from models import (
    checkpoints,
    data,
    distribution,
    encoder_identity,
    export,
    precision,
    projector,
    self_critical,
    training,
    training_log,
    warm_start,
    warmup,
    word_vectors,
)
from models.captioner import Captioner
from models.config import CorpusConfig, DecodeConfig, ModelConfig, TrainConfig
from models.features import ACTION_WORDS, MASK_ID
from models.preprocessing import VOCABULARY_NAME
from models.representations.base import WordTable
from models.seen_captions import SeenCaptions
from models.vocabulary import Vocabulary

COLD, WARM, BEST = "cold", "warm", "best"


def run_fn(fn_args: Any) -> None:
    """Trains a captioner and exports it. Called by TFX's Trainer.

    `fn_args.custom_config` holds `model`, `train`, `corpus` and `decode` as JSON of their configs,
    `checkpoints`, the folder of unfinished trainings, `baseline`, the folder of the SavedModel in service
    (empty: there is none), and `code_version`, another one for other code; `fn_args.base_model` is the image
    encoder's SavedModel. With several workers (see `models.distribution`) each calls this, and the chief
    exports.
    """
    job = _Job(fn_args)
    trained: list[_Trained] = []
    for start in job.starts():
        if trained and trained[-1].is_cold:
            break  # the model in service could not be begun with: the same training once more
        trained.append(job.train(start))
    if not distribution.is_chief(job.strategy):
        return
    best = max(trained, key=lambda one: one.score)
    if len(trained) > 1:
        told = ", ".join(f"{one.start} {one.measured}" for one in trained)
        logging.info("the %s start is exported: %s", best.start, told)
    job.export(best, trained)
    # The export is whole: what a killed run would have gone on from is not needed any more.
    tf.io.gfile.rmtree(job.checkpoint_dir)


@dataclasses.dataclass
class _Trained:
    """A training that has ended; `started` is a sentence of how it began, and `is_cold` if from scratch."""

    start: str
    started: str
    is_cold: bool
    served: export.ServedCaptioner
    parameters: int
    progress: checkpoints.Progress
    criticised: checkpoints.Progress | None

    @property
    def score(self) -> float:
        """Higher is better; comparable within a job."""
        return (self.criticised or self.progress).best

    @property
    def measured(self) -> str:
        """The score as training tells it."""
        return f"eval reward {self.score:.3f}" if self.criticised else f"eval loss {-self.score:.3f}"


class _Job:
    """What all trainings of a run share."""

    def __init__(self, fn_args: Any):
        self._args = fn_args
        self.strategy = distribution.make_strategy()
        settings = fn_args.custom_config
        self._corpus = CorpusConfig.from_json(settings["corpus"])
        self._model_config = ModelConfig.from_json(settings["model"])
        self._config = TrainConfig.from_json(settings["train"])
        self._decode = DecodeConfig.from_json(settings["decode"])
        self._baseline = settings.get("baseline", "")
        self._encoder = tf.saved_model.load(fn_args.base_model)
        outputs = self._encoder.signatures["serving_default"].structured_outputs
        self._feature_shape = tuple(outputs["features"].shape[1:])
        transform = tft.TFTransformOutput(fn_args.transform_output)
        self._vocabulary_path = transform.vocabulary_file_by_name(VOCABULARY_NAME)
        self._vocabulary = Vocabulary.load(self._vocabulary_path, self._corpus)
        self._words = _word_table(self._vocabulary, self._corpus, self._model_config)
        self._train, self._evaluation = (
            data.load_split(
                files,
                fn_args.data_accessor,
                transform.transformed_metadata.schema,
                self._feature_shape,
                self._corpus.caption_length,
            )
            for files in (fn_args.train_files, fn_args.eval_files)
        )
        if self._config.shuffle_captions:
            logging.warning("train.shuffle_captions is on: every image has another's captions")
            self._train = self._train.shuffled(self._config.seed)
        self.checkpoint_dir = self._checkpoint_dir()

    def starts(self) -> list[str]:
        """The trainings of this run: `warm`, `cold` or both, which a model in service must be there for."""
        if self._config.start != COLD and not self._baseline:
            logging.info("train.start=%s: no model is in service, so a cold start", self._config.start)
            return [COLD]
        return {COLD: [COLD], WARM: [WARM], BEST: [WARM, COLD]}[self._config.start]

    def train(self, start: str) -> _Trained:
        """Trains once; goes on with what a killed run has left."""
        config, strategy = self._config, self.strategy
        keras.utils.set_random_seed(config.seed)
        with strategy.scope(), precision.policy(precision.resolve(config.precision)):
            model = self._build()
        model.image_projection.adapt(self._train.features)
        is_cold, started = self._begin(model) if start == WARM else (True, "cold start")
        logging.info("%s", started)
        folder = os.path.join(self.checkpoint_dir, start)
        loop = training.Training(model, config, self._train, self._evaluation, folder, strategy)

        def criticise(**callbacks: Any) -> checkpoints.Progress | None:
            """Goes on with the trained model, if that is asked for."""
            if not config.self_critical_epochs:
                return None
            return self_critical.SelfCriticalTraining(
                model,
                config,
                self._decode,
                self._train,
                self._evaluation,
                loop.on_device,
                os.path.join(folder, "self_critical"),
                strategy,
            ).fit(**callbacks)

        # Served in float32 whatever it was trained in. A model of its own also because the variables of
        # several devices are the training's.
        with precision.policy("float32"):
            served_model = self._build()
        served = export.ServedCaptioner(
            served_model,
            self._encoder,
            self._feature_shape,
            self._vocabulary_path,
            self._corpus,
            self._decode,
        )
        parameters = sum(variable.value.shape.num_elements() for variable in model.trainable_variables)
        if not distribution.is_chief(strategy):
            return _Trained(start, started, is_cold, served, parameters, loop.fit(), criticise())
        log_dir = self._args.model_run_dir
        if config.start == BEST:
            log_dir = os.path.join(log_dir, start)
        with training_log.TrainingLog(log_dir, config, self._evaluation, served, parameters, started) as log:

            def on_epoch(epoch: int, scalars: dict[str, float]) -> None:
                copy_weights(model, served_model)
                log.on_epoch(epoch, scalars)

            progress = loop.fit(on_epoch, log.on_step)
            criticised = criticise(on_epoch=log.on_self_critical_epoch, on_step=log.on_self_critical_step)
        copy_weights(model, served_model)
        return _Trained(start, started, is_cold, served, parameters, progress, criticised)

    def export(self, trained: _Trained, of: list[_Trained]) -> None:
        """Writes the model and what belongs to it; `of` are all trainings of the run."""
        args, served = self._args, trained.served
        training_log.write_history(
            args.model_run_dir,
            trained.parameters,
            trained.progress,
            trained.criticised,
            {one.start: f"{one.started}: {one.measured}" for one in of},
        )
        words = self._vocabulary.words
        projector.write_projector(
            args.model_run_dir, words, np.asarray(served.model.embed(np.arange(len(words))))
        )
        export.save(served, args.serving_model_dir)
        warm_start.write(served.model, self._shapes(), args.serving_model_dir)
        encoder_identity.write(args.serving_model_dir, encoder_identity.read(args.base_model))
        SeenCaptions.of(self._train.texts(words)).write(args.serving_model_dir)
        plan = warmup.plan(served.functions, self._decode.xla)
        warmup.write_warmup(args.serving_model_dir, warmup.image_requests(warmup.grey_jpeg(), plan))

    def _build(self) -> Captioner:
        model = Captioner(self._model_config, self._words)
        export.build(model, self._feature_shape)
        return model

    def _shapes(self) -> warm_start.Shapes:
        return warm_start.Shapes.of(self._model_config, self._feature_shape, self._words)

    def _checkpoint_dir(self) -> str:
        """A folder that only a training of the same data, settings and code finds again after a kill.

        By what there is to learn from, not where it lies: on Kubeflow another run has its inputs elsewhere.
        """
        settings = dict(self._args.custom_config)
        folder, baseline = settings.pop("checkpoints"), settings.pop("baseline", "")
        if self._config.start != COLD and baseline:
            settings["baseline"] = warm_start.digest(baseline)
        identity = [settings, self._vocabulary.words, self._train.digest(), self._evaluation.digest()]
        name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        return os.path.join(folder, name)

    def _begin(self, model: Captioner) -> tuple[bool, str]:
        """Returns whether `model` begins from scratch all the same, and how it begins in a sentence."""
        encoder = encoder_identity.read(self._args.base_model)
        words = self._vocabulary.words
        try:
            return False, warm_start.begin(model, self._shapes(), words, self._baseline, encoder)
        except warm_start.ColdStart as reason:
            return True, f"cold start: the model in service cannot be begun with: {reason}"


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Gives `target` the weights of `source`, a built model of the same layers in any precision."""
    for weight, trained in zip(target.weights, source.weights, strict=True):
        weight.assign(trained.numpy())


def _word_table(vocabulary: Vocabulary, corpus: CorpusConfig, config: ModelConfig) -> WordTable:
    vectors = None
    if word_vectors.available(corpus):
        vectors = word_vectors.load(corpus.word_vectors, corpus.word_list_size).lookup(vocabulary.words)
        # Action words have no vector of their own: unit vectors, and zero for MASK, as in the original.
        vectors[MASK_ID + 1 : len(ACTION_WORDS)] = np.eye(len(ACTION_WORDS) - 1, vectors.shape[1])
    else:
        logging.warning("no word vectors: the word list is off and vectors are learned")
    return WordTable(
        len(vocabulary),
        vocabulary.base_size,
        vectors,
        config.train_vectors,
        config.error_correction,
        config.hybrid_rest,
    )
