"""A compiled pipeline as a server takes it: a file, and what is in it."""

import dataclasses
import hashlib
import pathlib

from pipeline.errors import UserError
from pipeline.kfp_errors import not_installed

_VERSION_LENGTH = 16  # hexadecimal digits: enough that two files do not share a name


@dataclasses.dataclass(frozen=True)
class Package:
    """A file of `captioner compile`.

    Attributes:
      path: where it is.
      name: of the pipeline.
      version: named after the file's content, so that the same file is the same version.
      tasks: names of the pipeline's tasks, as the server shows them.
      parameters: names of the arguments that it takes.
      needed: those of them that have no default.
    """

    path: str
    name: str
    version: str
    tasks: frozenset[str]
    parameters: frozenset[str]
    needed: frozenset[str]

    @classmethod
    def read(cls, path: str) -> "Package":
        """Reads a file. Raises UserError where it is no compiled pipeline."""
        try:
            from pipeline import kubeflow_local
        except ImportError as error:
            raise not_installed(error) from error
        spec = kubeflow_local.read(path)
        if not path.endswith((".yaml", ".yml")) or not spec.pipeline_info.name:
            raise UserError(
                f"expected a compiled pipeline, a .yaml file with a name in it; got {path}: write one with "
                "'captioner compile'"
            )
        parameters = spec.root.input_definitions.parameters
        return cls(
            path=path,
            name=spec.pipeline_info.name,
            version=hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:_VERSION_LENGTH],
            tasks=frozenset(task.task_info.name or key for key, task in spec.root.dag.tasks.items()),
            parameters=frozenset(parameters),
            needed=frozenset(
                name for name, parameter in parameters.items() if not parameter.HasField("default_value")
            ),
        )
