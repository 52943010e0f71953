"""A config's flags for Beam reach the jobs, and go before ours."""

import apache_beam as beam
from apache_beam.options.pipeline_options import PortableOptions, TypeOptions
from apache_beam.runners.direct.direct_runner import SwitchingDirectRunner
from apache_beam.runners.portability.flink_runner import FlinkRunner

from pipeline import pipeline as wiring
from pipeline.config import PipelineConfig, override
from pipeline.paths import Paths


def flags(config: PipelineConfig) -> list[str]:
    return wiring._pipeline(config, Paths("root"), []).beam_pipeline_args


def test_without_flags_jobs_run_in_this_process() -> None:
    pipeline = beam.Pipeline(argv=flags(PipelineConfig()))
    assert isinstance(pipeline.runner, SwitchingDirectRunner)
    # Without it the runner would look for Prism, a program of its own.
    assert pipeline.options.view_as(TypeOptions).allow_unsafe_triggers


def test_the_runner_of_a_config_is_taken() -> None:
    given = (
        "--runner=FlinkRunner",
        "--flink_master=flink:8081",
        "--environment_type=EXTERNAL",
        "--environment_config=localhost:50000",
    )
    config = override(PipelineConfig(), [f"beam_args={' '.join(given)}"])
    pipeline = beam.Pipeline(argv=flags(config))
    assert isinstance(pipeline.runner, FlinkRunner)
    assert pipeline.options.view_as(PortableOptions).environment_type == "EXTERNAL"
