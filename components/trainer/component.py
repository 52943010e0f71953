"""CaptionTrainer: trains and exports a captioner, from scratch or from the model in service."""

from tfx import v1 as tfx

from components.trainer import executor


@tfx.dsl.components.component
def CaptionTrainer(
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    transform_graph: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.TransformGraph],
    encoder: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    model: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    model_run: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.ModelRun],
    corpus: tfx.dsl.components.Parameter[str],
    model_config: tfx.dsl.components.Parameter[str],
    train: tfx.dsl.components.Parameter[str],
    decode: tfx.dsl.components.Parameter[str],
    checkpoints_dir: tfx.dsl.components.Parameter[str],
    max_steps: tfx.dsl.components.Parameter[int] = 0,
    code_version: tfx.dsl.components.Parameter[str] = "",
    baseline: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model] = None,
) -> None:
    """Calls `models.trainer.run_fn` as TFX's Trainer does.

    TFX's own has one input for a model, and a captioner needs two: the encoder and the one in service.

    Args:
      examples: transformed Examples.
      transform_graph: Transform's, with the vocabulary.
      encoder: the image encoder that made the features, and is served with the captioner.
      model: the SavedModel in `Format-Serving`.
      model_run: TensorBoard's folder, the projector and `training.json`.
      corpus, model_config, train, decode: JSON of `CorpusConfig`, `ModelConfig`, `TrainConfig` and
        `DecodeConfig` of `models.config`.
      checkpoints_dir: folder of unfinished trainings, which a killed run goes on from.
      max_steps: most training steps; 0: as many as `train` says.
      code_version: changes when code that matters does: for TFX's cache, and for what a killed run left.
      baseline: output of `Baseline`, for a warm start; may hold no model. None where every start is cold.

    Raises:
      FloatingPointError: the loss is no longer a number.
      ValueError: a bad config.
    """
    executor.train(
        examples,
        transform_graph,
        encoder,
        baseline,
        model,
        model_run,
        {
            "corpus": corpus,
            "model": model_config,
            "train": train,
            "decode": decode,
            "code_version": code_version,
        },
        checkpoints_dir,
        max_steps,
    )
