"""The ServingValidator component: boots the server on a candidate and asks it real requests."""

from tfx import v1 as tfx

from components.serving_validator import executor


@tfx.dsl.components.component
def ServingValidator(
    model: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    features: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    blessing: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.InfraBlessing],
    n_images: tfx.dsl.components.Parameter[int] = 16,
    timeout_s: tfx.dsl.components.Parameter[float] = 300.0,
    split: tfx.dsl.components.Parameter[str] = "eval",
    code_version: tfx.dsl.components.Parameter[str] = "",
) -> None:
    """Blesses a model that answers over gRPC what the Evaluator judged, as TFX's InfraValidator does.

    InfraValidator needs docker, sends no images and cannot be compiled for Kubeflow; this needs neither.

    Args:
      model: the candidate.
      examples: raw Examples with the images.
      features: the same images' features, as the Evaluator read them.
      blessing: as InfraValidator writes it: a file INFRA_BLESSED or INFRA_NOT_BLESSED and the custom property
        `blessed` (1 or 0), which the Pusher reads; also `reason` (empty if blessed), `images` (compared) and
        `ties` (captions that differ with equal log-probabilities).
      n_images: images asked for, the first of the split.
      timeout_s: longest wait, in seconds, for the server to be ready and for each answer.
      split: split of both Examples that the images are taken from.
      code_version: changes when code that matters does; only tells TFX's cache.

    Raises:
      ValueError: the split is missing or no image of it has features. (A model that is at fault is no error:
        it is not blessed.)
    """
    del code_version
    executor.validate(model, examples, features, blessing, n_images, timeout_s, split)
