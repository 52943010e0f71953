"""Base of the frozen config dataclasses: JSON, overrides, checks.

They cross process boundaries as JSON (TFX execution properties), so `to_json`/`from_json` are exact and
unknown keys raise.
"""

import dataclasses
import json
from typing import Any, Self


class Config:
    """Base of the frozen config dataclasses: JSON and dotted overrides."""

    def to_json(self) -> str:
        """Returns the canonical JSON of this config (sorted keys: equal configs, equal text)."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of `to_json`. Raises ValueError for a key that the config does not have."""
        # JSON knows no tuples, and no config has a list.
        values = {key: tuple(v) if isinstance(v, list) else v for key, v in json.loads(text).items()}
        return cls().replace(**values)

    def replace(self, **changes: Any) -> Self:
        """Returns a copy with `changes`. Raises ValueError for a key that the config does not have."""
        fields = {f.name for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        for key in changes:
            if key not in fields:
                raise ValueError(
                    f"{type(self).__name__} has no option {key!r}; it has: {', '.join(sorted(fields))}"
                )
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


def require(condition: bool, message: str) -> None:
    """Raises ValueError with `message` unless `condition`."""
    if not condition:
        raise ValueError(message)


def choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    require(value in choices, f"{name} must be one of {', '.join(choices)}; got {value!r}")
