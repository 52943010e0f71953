"""What of a cluster a compiled pipeline needs to know: the Trainer's machine, volumes, secrets, retries.

Read from a YAML file, for example

    trainer:
      cpu: "8"
      memory: 32Gi
      gpus: 1
      node_selector: {cloud.google.com/gke-accelerator: nvidia-l4}
      tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
    volumes: {captioner: /mnt/captioner}
    env: {GOOGLE_APPLICATION_CREDENTIALS: /var/secrets/key.json}
    secrets:
      - {name: bucket-key, mount_path: /var/secrets}
      - {name: notify, env: {token: NOTIFY_TOKEN}}
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Any, Self

import yaml

from models.settings import choice, require
from pipeline.errors import UserError

_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")


@dataclasses.dataclass(frozen=True)
class Toleration:
    """A taint of nodes that the Trainer may run on all the same; fields as in a Pod."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""

    def __post_init__(self) -> None:
        choice("operator", self.operator, ("Equal", "Exists"))
        choice("effect", self.effect, ("", "NoSchedule", "PreferNoSchedule", "NoExecute"))


@dataclasses.dataclass(frozen=True)
class Secret:
    """A Secret that every task gets: its keys as files, or as environment variables.

    Attributes:
      name: of the Secret, in the namespace of the runs.
      mount_path: folder of the files; empty for none.
      env: variable by key of the Secret.
    """

    name: str
    mount_path: str = ""
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        require(
            bool(self.mount_path) != bool(self.env),
            f"the secret {self.name} needs either a mount_path or env, a variable by key",
        )


@dataclasses.dataclass(frozen=True)
class TrainerPod:
    """The Trainer's container. The other tasks take what the namespace gives by default.

    Attributes:
      image: with CUDA, for example; empty: that of the other tasks.
      cpu, memory: requested and the limit, as Kubernetes quantities (`8`, `500m`, `32Gi`); empty for none.
      gpus: how many devices of `gpu_resource`.
      gpu_resource: the name that the cluster's device plug-in gives them.
      node_selector: labels of the nodes that it may run on.
      tolerations: taints that it bears.
    """

    image: str = ""
    cpu: str = ""
    memory: str = ""
    gpus: int = 0
    gpu_resource: str = "nvidia.com/gpu"
    node_selector: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()

    def __post_init__(self) -> None:
        for name, quantity in (("cpu", self.cpu), ("memory", self.memory)):
            require(
                not quantity or bool(_QUANTITY.fullmatch(quantity)),
                f"trainer.{name} must be a Kubernetes quantity such as 8, 500m or 32Gi; got {quantity!r}",
            )
        require(self.gpus >= 0, f"trainer.gpus must be 0 or more; got {self.gpus}")


@dataclasses.dataclass(frozen=True)
class KubeflowConfig:
    """How a pipeline runs in a cluster; nothing of it changes what is computed.

    Attributes:
      trainer: see `TrainerPod`.
      volumes: mount path by the name of a PersistentVolumeClaim, in every task. Data, features, checkpoints
        and the serving directory lie on these, or in a bucket.
      env: value by name of an environment variable, in every task; what is secret belongs into `secrets`.
      secrets: see `Secret`.
      image_pull_secrets: names of Secrets.
      image_pull_policy: `Always`, `IfNotPresent` or `Never`; empty: Kubernetes' default.
      retries: how often a task is started again that may be, see `kubeflow_spec.NOT_RETRIED`, when its
        process fails or is killed. A pod that is evicted or loses its node fails the run.
      retry_wait_s: before the first retry; it doubles with each.
      cache: take the outputs of a task from an earlier run where nothing has changed, see
        `kubeflow_spec.NEVER_CACHED`.
    """

    trainer: TrainerPod = dataclasses.field(default_factory=TrainerPod)
    volumes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    image_pull_secrets: tuple[str, ...] = ()
    image_pull_policy: str = ""
    retries: int = 2
    retry_wait_s: int = 60
    cache: bool = True

    def __post_init__(self) -> None:
        choice("image_pull_policy", self.image_pull_policy, ("", "Always", "IfNotPresent", "Never"))
        require(self.retries >= 0, f"retries must be 0 or more; got {self.retries}")
        require(self.retry_wait_s >= 0, f"retry_wait_s must be 0 or more; got {self.retry_wait_s}")
        for claim, path in self.volumes.items():
            require(path.startswith("/"), f"the volume {claim} needs an absolute path; got {path!r}")

    def unmounted(self, *places: str) -> list[str]:
        """Returns those of `places`, folders or URIs, that lie on none of the volumes."""
        mounts = [path.rstrip("/") for path in self.volumes.values()]
        return [
            place
            for place in places
            if place and "://" not in place and not any(f"{place}/".startswith(f"{path}/") for path in mounts)
        ]

    @classmethod
    def read(cls, path: str | pathlib.Path) -> Self:
        """Reads a YAML file.

        Raises:
          UserError: it cannot be read, or says what no cluster has; the message names the option.
        """
        try:
            values = yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise UserError(f"{path} is no YAML: {error}") from error
        try:
            return _read(cls, values, "")
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error


# Which class the parts have of which a file has a mapping, or a list of mappings.
_PARTS: dict[str, Any] = {"trainer": TrainerPod, "tolerations": Toleration, "secrets": Secret}


def _read(kind: Any, values: Any, where: str) -> Any:
    """Makes a `kind` of what YAML has of it. Raises ValueError that names the option."""
    name = where or "the file"
    require(isinstance(values, dict), f"{name} must have options with values; got {values!r}")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(set(values) - set(fields)):
        raise ValueError(f"{name} has no option {', '.join(unknown)}; it has: {', '.join(fields)}")
    made = {}
    for option, value in values.items():
        path = f"{where}.{option}" if where else option
        if part := _PARTS.get(option):
            made[option] = (
                tuple(_read(part, item, path) for item in _list(value, path))
                if option != "trainer"
                else _read(part, value, path)
            )
        else:
            made[option] = _plain(value, fields[option].type, path)
    missing = [
        option
        for option, field in fields.items()
        if option not in made
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    require(not missing, f"{name} needs {', '.join(missing)}")
    return kind(**made)


def _plain(value: Any, annotation: Any, path: str) -> Any:
    if annotation is str:
        # YAML reads `cpu: 8` as a number.
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        require(isinstance(value, str), f"{path} must be a text; got {value!r}")
    elif annotation in (int, bool):
        require(type(value) is annotation, f"{path} must be {annotation.__name__}; got {value!r}")
    elif annotation == tuple[str, ...]:
        return tuple(_plain(item, str, path) for item in _list(value, path))
    else:  # a mapping of texts
        require(isinstance(value, dict), f"{path} must have names with values; got {value!r}")
        return {str(key): _plain(item, str, f"{path}.{key}") for key, item in value.items()}
    return value


def _list(value: Any, path: str) -> list[Any]:
    require(isinstance(value, list), f"{path} must be a list; got {value!r}")
    return value
