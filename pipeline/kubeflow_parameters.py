"""Parameters of a compiled pipeline: what can be said anew each time a run is started.

Places are folders of a volume that every task mounts, or in a bucket of Google Cloud Storage. Each part of
the config is a parameter of its own, as JSON. What a pod is made of, flags of Beam, the ServingValidator and
`push` are compiled in.
"""

from pipeline.config import PipelineConfig
from pipeline.errors import UserError

PARTS = ("spans", "encoder", "corpus", "model", "train", "decode")
PLACES = ("data_dir", "serving_dir", "spans_dir", "features_dir", "checkpoints_dir")
COMPILED_IN = ("name", "validator", "push", "beam_args")


def arguments(
    config: PipelineConfig, data: str = "", serving: str = "", root: str = "", max_steps: int | None = None
) -> dict[str, str | int]:
    """Returns the arguments of a run.

    Args:
      config: what to compute.
      data: folder of the spans; empty: the pipeline's default.
      serving: the directory with a numbered folder for each version; empty: `serving/captioner` in `root`.
      root: what is kept between runs, and with an empty `serving` the pushed models; empty: the pipeline's
        default.
      max_steps: of training; None: as many as `train` says, or fewer if it has converged.

    Raises:
      UserError: a place is in a store that TensorFlow does not read.
    """
    for place in (data, serving, root):
        if "://" in place and not place.startswith("gs://"):
            raise UserError(
                f"expected a folder of a volume, as /mnt/captioner, or gs://BUCKET/FOLDER; got {place}: "
                "TensorFlow reads no other store"
            )
    given: dict[str, str | int] = {part: getattr(config, part).to_json() for part in PARTS}
    # In a container there are no weights in Keras's cache, for which `auto` looks.
    if config.encoder.weights == "auto":
        given["encoder"] = config.encoder.replace(weights="random").to_json()
    given["gate"] = config.gate.gate().to_json()
    if data:
        given["data_dir"] = data
    if root:
        given |= _kept_in(root)
    if serving:
        given["serving_dir"] = serving
    if max_steps is not None:
        given["max_steps"] = max_steps
    return given


def check_assignments(assignments: list[str]) -> None:
    """Raises UserError if one of `part.option=value` is of what a pipeline has compiled in."""
    for assignment in assignments:
        part = assignment.partition("=")[0].strip().partition(".")[0]
        if part in COMPILED_IN:
            raise UserError(
                f"--set {assignment}: a compiled pipeline does not take {part} when a run is started; give "
                "it to 'captioner compile'"
            )


def _kept_in(root: str) -> dict[str, str | int]:
    """As `pipeline.paths` has it, but a folder of the cluster is not looked for on this machine."""
    root = root.rstrip("/")
    return {
        "serving_dir": f"{root}/serving/captioner",
        "spans_dir": f"{root}/spans",
        "features_dir": f"{root}/features",
        "checkpoints_dir": f"{root}/checkpoints",
    }
