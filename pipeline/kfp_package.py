"""A compiled pipeline as a server takes it: a file, and what is in it."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

from pipeline import kubeflow_parameters
from pipeline.config import PipelineConfig, override
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
      defaults: of those that have one.
    """

    path: str
    name: str
    version: str
    tasks: frozenset[str]
    parameters: frozenset[str]
    defaults: Mapping[str, Any]

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
        return cls(
            path=path,
            name=spec.pipeline_info.name,
            version=hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:_VERSION_LENGTH],
            tasks=frozenset(task.task_info.name or key for key, task in spec.root.dag.tasks.items()),
            parameters=frozenset(spec.root.input_definitions.parameters),
            defaults=kubeflow_local.defaults(spec),
        )

    def config(self) -> PipelineConfig:
        """Returns the config that was compiled in, but for its gate, which is kept only as its rules.

        Raises:
          UserError: it is that of another version of this program.
        """
        config = PipelineConfig()
        try:
            parts = {
                part: type(getattr(config, part)).from_json(self.defaults[part])
                for part in kubeflow_parameters.PARTS
            }
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{self.path} was compiled by another version ({error}); 'captioner compile' it again"
            ) from error
        return config.replace(**parts)

    def arguments(
        self,
        assignments: list[str],
        config: PipelineConfig | None = None,
        data: str = "",
        serving: str = "",
        root: str = "",
    ) -> dict[str, str | int]:
        """Returns what to start a run with, in place of the defaults.

        Args:
          assignments: `part.option=value` texts.
          config: that they change and that is taken whole; None: they change the one that was compiled in.
          data, serving, root: see `kubeflow_parameters.arguments`.

        Raises:
          UserError: there is no such option, or it cannot be given when a run is started.
        """
        kubeflow_parameters.check_assignments(assignments)
        if config is None and (gate := [text for text in assignments if text.strip().startswith("gate.")]):
            raise UserError(f"--set {gate[0]} needs --config as well, the one that it changes")
        base = config or self.config()
        given = kubeflow_parameters.arguments(override(base, assignments), data, serving, root)
        if config is None:
            before = kubeflow_parameters.arguments(base)
            given = {name: value for name, value in given.items() if before.get(name) != value}
        if unknown := sorted(set(given) - self.parameters):
            raise UserError(
                f"{self.path} takes no {', '.join(unknown)}; compile it again with 'captioner compile'"
            )
        if missing := sorted(self.parameters - set(self.defaults) - set(given)):
            raise UserError(f"{self.path} has no default for {', '.join(missing)}; compile it again")
        return given
