"""CaptionStatisticsGen: TFX's statistics, without the bytes of the images."""

import pathlib
from collections.abc import Iterator

import pytest
import tensorflow_data_validation as tfdv
from tfx.components.statistics_gen.executor import Executor as TfxExecutor
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.statistics_gen.executor import Executor
from models import features
from tests.beam import jobs
from tests.beam.engines import DIRECT


def _computed(executor: type[BaseBeamExecutor], examples: standard_artifacts.Examples, folder: pathlib.Path):
    """The artifact, and of each split the number of examples and the features by name."""
    artifact = standard_artifacts.ExampleStatistics()
    artifact.uri = str(folder)
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=list(DIRECT), tmp_dir=str(folder / "tmp"), unique_id="1"
    )
    schema = standard_artifacts.Schema()
    schema.uri = str(jobs.SCHEMAS / "raw")
    options = tfdv.StatsOptions(use_sketch_based_topk_uniques=True).to_json()  # for TFX's; ours has them
    executor(context).Do(
        {"examples": [examples], "schema": [schema]},
        {"statistics": [artifact]},
        {"stats_options_json": options},
    )
    splits = {}
    for split in jobs.IMAGES:
        (dataset,) = tfdv.load_stats_binary(str(folder / f"Split-{split}" / "FeatureStats.pb")).datasets
        splits[split] = dataset.num_examples, {feature.path.step[0]: feature for feature in dataset.features}
    return artifact, splits


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    """By ours and by TFX's, of the same Examples."""
    folder = tmp_path_factory.mktemp("statistics")
    jobs.run_import(DIRECT, folder / "data")
    examples = jobs.examples_of(folder / "data" / "span-0001", folder / "examples")
    examples.span = 3
    return tuple(_computed(each, examples, folder / each.__module__) for each in (Executor, TfxExecutor))


def test_all_but_the_image_is_as_tfx_has_it(computed: tuple):
    (_, ours), (_, tfx) = computed
    assert {split: number for split, (number, _) in ours.items()} == jobs.IMAGES
    for split, (number, expected) in tfx.items():
        assert ours[split][0] == number
        assert set(ours[split][1]) == set(expected)
        for name, feature in expected.items():
            if name != features.IMAGE_ENCODED:
                assert ours[split][1][name] == feature, (split, name)


def test_an_image_is_counted_and_its_bytes_are_not_there(computed: tuple):
    (_, ours), (_, tfx) = computed
    for split, images in jobs.IMAGES.items():
        image, with_bytes = (each[split][1][features.IMAGE_ENCODED] for each in (ours, tfx))
        assert image.string_stats.common_stats.num_non_missing == images
        assert image.string_stats.common_stats == with_bytes.string_stats.common_stats
        assert with_bytes.string_stats.avg_length > 100
        assert image.string_stats.avg_length == 0


def test_the_artifact_is_of_the_splits_and_the_span_of_the_examples(computed: tuple):
    (ours, _), (tfx, _) = computed
    assert ours.split_names == tfx.split_names == '["train", "eval"]'
    assert ours.span == tfx.span == 3
