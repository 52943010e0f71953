"""What the CaptionTrainer does: TFX's arguments of a training from artifacts, and the training."""

from typing import Any

from tfx.components.trainer import fn_args_utils
from tfx.components.util import tfxio_utils
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.baseline import reading
from models import trainer
from models.config import TrainConfig

_TELEMETRY = ["CaptionTrainer"]


def train(
    examples: Any,
    transform_graph: Any,
    encoder: Any,
    baseline: Any,
    model: Any,
    model_run: Any,
    settings: dict[str, str],
    checkpoints_dir: str,
    max_steps: int,
) -> None:
    """See `component.CaptionTrainer`.

    `settings` are the configs as JSON and the code's version, by the names of `run_fn`.
    """
    if max_steps:
        config = TrainConfig.from_json(settings["train"]).replace(max_steps=max_steps)
        settings = settings | {"train": config.to_json()}
    in_service = reading.saved_model(baseline) if baseline is not None else None
    trainer.run_fn(
        fn_args_utils.FnArgs(
            train_files=[_files(examples, "train")],
            eval_files=[_files(examples, "eval")],
            data_accessor=fn_args_utils.DataAccessor(
                tf_dataset_factory=tfxio_utils.get_tf_dataset_factory_from_artifact([examples], _TELEMETRY),
                record_batch_factory=tfxio_utils.get_record_batch_factory_from_artifact(
                    [examples], _TELEMETRY
                ),
                data_view_decode_fn=None,
            ),
            base_model=path_utils.serving_model_path(encoder.uri),
            transform_graph_path=transform_graph.uri,
            transform_output=transform_graph.uri,
            serving_model_dir=path_utils.serving_model_dir(model.uri),
            model_run_dir=model_run.uri,
            custom_config=settings | {"checkpoints": checkpoints_dir, "baseline": in_service or ""},
        )
    )


def _files(examples: Any, split: str) -> str:
    return io_utils.all_files_pattern(artifact_utils.get_split_uri([examples], split))
