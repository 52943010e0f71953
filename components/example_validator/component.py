"""StrictExampleValidator: TFX's ExampleValidator, but anomalies stop the run."""

from tfx.components import ExampleValidator
from tfx.dsl.components.base import executor_spec

from components.example_validator import executor


class StrictExampleValidator(ExampleValidator):
    """Compares statistics with the schema and fails on any anomaly; takes and outputs what TFX's does."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
