"""The command line of `captioner import`."""

import argparse

import pytest

from pipeline.commands import import_
from pipeline.importers.span import existing_spans


def parse(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    import_.add_arguments(parser.add_subparsers().add_parser("import"))
    return parser.parse_args(["import", *argv])


def test_scenes_are_imported_and_summed_up(tmp_path, capsys):
    argv = ("scenes", "--out", str(tmp_path), "--train", "5", "--eval", "2", "--test", "1", "--span", "4")
    assert import_.run(parse(*argv, "--", "--direct_num_workers=1")) == 0
    assert existing_spans(tmp_path) == [4]
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    for row in (
        ["train", "5", "25", "1"],
        ["eval", "2", "10", "1"],
        ["test", "1", "5", "1"],
        ["all", "8", "40", "3"],
    ):
        assert row in lines


def test_a_folder_with_losses_says_what_was_lost(write_files, image_file, tmp_path, capsys):
    table = "file,caption\na.jpg,A photo\nb.jpg,The same photo\nc.jpg,A page\n"
    files = {"a.jpg": image_file(), "b.jpg": image_file(), "c.jpg": "<html>", "captions.csv": table}
    data = str(tmp_path / "data")
    argv = ("folder", "--source", str(write_files(files)), "--out", data, "--max-rejected", "0.4")
    assert import_.run(parse(*argv, "--split-shares", "1:0:0")) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "rejected: not_an_image 1" in printed
    assert "identical pictures: a.jpg, b.jpg (train)" in printed


@pytest.mark.parametrize("source", ["flickr30k", "flickr8k", "coco", "folder"])
def test_options_of_a_beam_runner_follow_two_dashes(source):
    args = parse(source, "--source", "in", "--out", "out", "--", "--runner=FlinkRunner", "--parallelism=4")
    assert args.beam_args == ["--runner=FlinkRunner", "--parallelism=4"]
    assert args.split_shares == (8, 1, 1)


@pytest.mark.parametrize(
    "argv",
    [
        ("flickr8k", "--out", "out"),
        ("scenes", "--out", "out", "--source", "in"),
        ("scenes", "--out", "out", "--max-rejected", "5"),
        ("folder", "--source", "in", "--out", "out", "--split-shares", "8:2"),
        ("movies", "--out", "out"),
    ],
)
def test_wrong_use_ends_with_a_message(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(*argv)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err
