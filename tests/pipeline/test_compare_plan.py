"""Which runs a comparison has, and what is refused before any starts."""

import pytest

from models.config import DECODER_NAMES, ModelConfig
from pipeline.compare.plan import Contender, Run, plan
from pipeline.config import PipelineConfig
from pipeline.errors import UserError

CONFIG = PipelineConfig(model=ModelConfig(decoder="gru", width=48, image_entry="prefix", train_vectors=True))


def runs(
    decoders: str = "gru",
    representations: str = "",
    presets: str = "",
    seeds: int = 1,
    assignments: tuple[str, ...] = (),
) -> list[Run]:
    return plan(CONFIG, assignments, decoders, representations, presets, seeds)


def test_the_decoders_are_those_that_there_are():
    from models.decoders import DECODERS as built

    assert set(DECODER_NAMES) == set(built)


def test_every_contender_runs_with_every_seed_and_no_seed_waits_for_another_contender():
    planned = runs("gru,transformer", "hybrid,one_hot", seeds=2)
    names = [run.contender.name for run in planned]
    assert names[:4] == ["gru hybrid", "gru one_hot", "transformer hybrid", "transformer one_hot"]
    assert names[4:] == names[:4]
    assert [run.seed for run in planned] == [1] * 4 + [2] * 4
    for run in planned:
        model = run.config.model
        assert run.config.train.seed == run.seed
        assert Contender(
            model.decoder, model.preset, model.input_representation, model.output_representation
        ) == (run.contender)


def test_the_config_decides_what_is_not_asked_for():
    (run,) = runs()
    assert run.config == CONFIG
    assert run.contender == Contender("gru", "default", "hybrid", "one_hot")


def test_all_means_every_decoder():
    assert [run.contender.decoder for run in runs("all")] == list(DECODER_NAMES)


def test_words_may_go_out_another_way_than_they_come_in():
    (run,) = runs(representations="vector:binary_code")
    assert (run.config.model.input_representation, run.config.model.output_representation) == (
        "vector",
        "binary_code",
    )
    assert run.contender.name == "gru vector:binary_code"


def test_what_is_named_twice_runs_once():
    assert len(runs("gru,gru", "hybrid,hybrid:hybrid", "default,default")) == 1


def test_shapes_that_the_config_chose_for_its_own_decoder_do_not_bind_the_others():
    own, other = (run.config.model for run in runs("gru,transformer"))
    assert (own.width, own.image_entry) == (48, "prefix")
    assert (other.width, other.image_entry) == (None, None)
    assert other.train_vectors, "only shapes are the preset's"
    (talk,) = (run.config.model for run in runs(presets="talk2017"))
    assert talk.resolve().width == 200


def test_set_holds_for_all_contenders_and_gives_the_first_seed():
    planned = runs("gru,transformer", seeds=2, assignments=("model.width=64", "train.seed=7"))
    assert [run.config.model.width for run in planned] == [64] * 4
    assert [run.config.train.seed for run in planned] == [7, 7, 8, 8]


def test_options_that_are_only_right_together_are_checked_together():
    asked = {"representations": "one_hot", "presets": "talk2017"}
    with pytest.raises(UserError, match=r"gru talk2017 one_hot: .*embedding_width=0"):
        runs(**asked)
    (run,) = runs(**asked, assignments=("model.embedding_width=200",))
    assert run.config.model.embedding_width == 200


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"decoders": "lstm"}, r"lstm hybrid:one_hot: .*model\.decoder must be one of gru, .*got 'lstm'"),
        ({"representations": "bytes"}, r"input_representation must be one of .*got 'bytes'"),
        ({"representations": "hybrid:a:b"}, r"output_representation must be one of .*got 'a:b'"),
        ({"presets": "talk"}, r"model\.preset must be one of default, talk2017; got 'talk'"),
        ({"decoders": "gru,"}, r"--decoders takes names with commas between; got 'gru,'"),
        ({"seeds": 0}, r"--seeds takes a number from 1; got 0"),
        ({"assignments": ("model.decoder=gru",)}, r"model\.decoder contradicts .*give --decoders"),
        ({"assignments": (" model.preset = x",)}, r"model\.preset contradicts .*give --presets"),
        ({"assignments": ("model.output_representation=x",)}, r"contradicts .*give --representations"),
        ({"assignments": ("model.heads=7",)}, r"model\.width must divide by model\.heads"),
        (
            {"decoders": "transformer", "assignments": ("model.image_entry=first_state",)},
            r"transformer hybrid:one_hot: .*image_entry of transformer must be one of every_step, none",
        ),
        ({"assignments": ("train.epoch=1",)}, r"has no option 'epoch'"),
    ],
)
def test_what_cannot_run_is_refused_with_a_remedy(asked: dict, message: str):
    with pytest.raises(UserError, match=message):
        runs(**asked)
