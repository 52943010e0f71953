"""The CaptionEvaluator component: scores candidate and model in service, and blesses the candidate or not."""

import apache_beam as beam
from tfx import v1 as tfx

from components.evaluator import executor


@tfx.dsl.components.component(use_beam=True)
def CaptionEvaluator(
    features: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    model: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    baseline_model: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    evaluation: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.ModelEvaluation],
    blessing: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.ModelBlessing],
    eval_config: tfx.dsl.components.Parameter[str],
    gate: tfx.dsl.components.Parameter[str],
    split: tfx.dsl.components.Parameter[str] = "eval",
    force_bless: tfx.dsl.components.Parameter[str] = "",
    meteor: tfx.dsl.components.Parameter[int] = 1,
    code_version: tfx.dsl.components.Parameter[str] = "",
    beam_pipeline: tfx.dsl.components.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Runs TFMA on the candidate, beside the model in service where there is one, and judges by the gate.

    TFX's Evaluator compares two numbers; this one tells a difference from chance, on the images themselves.

    Args:
      features: featurized Examples: image id, features and captions.
      examples: raw Examples, read instead where the two models have different image encoders.
      model: the candidate.
      baseline_model: output of `Baseline`; may hold no model.
      evaluation: as TFX's Evaluator writes it, and the records of all images; see
        `components.evaluator.records`.
      blessing: as TFX's Evaluator writes it: a file BLESSED or NOT_BLESSED and the custom property `blessed`
        (1 or 0), which the Pusher reads; also the file `verdict.json`, and as custom properties `outcome`,
        `verdict` (the same JSON), `forced`, and each metric over all images.
      eval_config: `tfma.EvalConfig` as JSON, of `pipeline.eval_config.build_eval_config`.
      gate: `components.evaluator.rules.Gate` as JSON.
      split: of both Examples.
      force_bless: a person's reason to bless the candidate whatever the gate says; empty: the gate decides.
      meteor: whether METEOR is computed where it can be; it takes some seconds.
      code_version: changes when code that matters does; only tells TFX's cache.
      beam_pipeline: given by TFX.

    Raises:
      FileNotFoundError: the baseline says that it has a model, and has none.
      ValueError: an image without captions, or a model without the signature that is evaluated.
    """
    del code_version
    executor.evaluate(
        features,
        examples,
        model,
        baseline_model,
        evaluation,
        blessing,
        eval_config,
        gate,
        split,
        force_bless,
        meteor,
        beam_pipeline,
    )
