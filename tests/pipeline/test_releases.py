"""Versions by the folder they lie in, the changes between them, and what a kill in the middle leaves."""

import fcntl
import os
import pathlib
import shutil
from collections.abc import Callable

import pytest
from google.protobuf import text_format

from pipeline import pages, release_history, releases
from pipeline.errors import UserError
from pipeline.paths import Paths
from pipeline.release_history import CANARY, PROMOTED, PUSHED, REMOVED, ROLLED_BACK, Event, History


def put(place: str, *versions: int) -> None:
    """Pushes as the Pusher does: whole folders."""
    for version in versions:
        folder = pathlib.Path(place, str(version))
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text(f"model {version}")


def event(what: str, version: int, reason: str = "", run: str = "") -> Event:
    return Event(what, version, "2026-01-02T03:04:05+00:00", "ana", reason, run)


def repaired(paths: Paths) -> releases.Releases:
    with releases.changing(paths) as now:
        return now


def told(paths: Paths, version: int) -> list[tuple[str, str, str]]:
    return [(e.what, e.who, e.reason) for e in History.read(paths.release_history).of(version)]


@pytest.fixture
def paths(tmp_path: pathlib.Path) -> Paths:
    """Versions 1 and 3 pushed, 4 and 5 on trial, 2 rolled back."""
    paths = Paths(str(tmp_path))
    put(paths.serving, 1, 3)
    put(paths.canary, 4, 5)
    put(paths.rolled_back, 2)
    repaired(paths)
    return paths


class TestWhereAVersionLiesSaysWhatItIs:
    def test_the_newest_of_a_folder_counts(self, paths: Paths) -> None:
        now = releases.read(paths)
        assert {version: now.state(version) for version in now.all} == {
            5: "canary",
            4: "superseded",
            3: "stable",
            2: "rolled back",
            1: "kept",
        }
        assert (now.stable, now.canary) == (3, 5)
        with pytest.raises(KeyError):
            now.state(9)

    def test_a_canary_that_a_push_overtook_is_none(self, paths: Paths) -> None:
        put(paths.serving, 6)
        now = releases.read(paths)
        assert (now.stable, now.canary, now.state(5)) == (6, None, "superseded")

    def test_what_is_not_whole_or_no_number_is_no_version(self, paths: Paths) -> None:
        (pathlib.Path(paths.serving) / "7").mkdir()
        put(paths.serving + "/.pushing", 8)
        for name in ("tmp", "007"):
            shutil.copytree(pathlib.Path(paths.serving, "3"), pathlib.Path(paths.serving, name))
        assert releases.read(paths).served == {1, 3}

    def test_before_the_first_push_there_is_nothing_and_nothing_is_made(self, tmp_path: pathlib.Path) -> None:
        paths = Paths(str(tmp_path / "new"))
        assert repaired(paths) == releases.Releases()
        assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("what", "version", "stable", "canary"),
    [
        (PROMOTED, 5, 5, None),  # 4 is older than it
        (PROMOTED, 4, 4, 5),
        (ROLLED_BACK, 3, 1, 5),
        (ROLLED_BACK, 5, 3, 4),
        (ROLLED_BACK, 1, 3, 5),
    ],
)
def test_a_change_moves_one_version(paths: Paths, what: str, version: int, stable: int, canary: int) -> None:
    with releases.changing(paths) as before:
        releases.carry_out(paths, event(what, version, "why"))
    after = releases.read(paths)
    assert (after.stable, after.canary) == (stable, canary)
    assert after == before.after(event(what, version)), "as it was said to become"
    assert after.all == before.all, "none is lost"
    assert told(paths, version)[-1] == (what, "ana", "why")
    folder = releases.folder(paths, version)
    assert folder is not None
    assert (folder / "saved_model.pb").read_text() == f"model {version}"


def test_what_changes_is_said_for_those_who_ask_the_servers(paths: Paths) -> None:
    now = releases.read(paths)
    assert releases.effects(now, now.after(event(PROMOTED, 5))) == [
        "In service: version 5 instead of 3.",
        "On trial: version none instead of 5.",
    ]
    assert releases.effects(now, now.after(event(ROLLED_BACK, 1)))[0] == "In service: version 3, as before."


class TestHistory:
    def test_versions_that_nobody_told_of_are_as_old_as_their_folders(self, tmp_path: pathlib.Path) -> None:
        paths = Paths(str(tmp_path))
        put(paths.serving, 1)
        os.utime(pathlib.Path(paths.serving, "1"), (1_700_000_000, 1_700_000_000))
        repaired(paths)
        assert History.read(paths.release_history).events == (Event(PUSHED, 1, "2023-11-14T22:13:20+00:00"),)

    def test_a_push_is_told_by_its_run(self, paths: Paths) -> None:
        put(paths.canary, 6)
        with releases.changing(paths, event(PUSHED, 6, "by force", "20260102")):
            pass
        assert History.read(paths.release_history).of(6) == [event(CANARY, 6, "by force", "20260102")]

    def test_events_are_only_added_and_each_once(self, paths: Paths) -> None:
        first = History.read(paths.release_history).events
        repaired(paths)
        assert History.read(paths.release_history).events == first
        with releases.changing(paths):
            releases.carry_out(paths, event(PROMOTED, 5))
        assert History.read(paths.release_history).events == (*first, event(PROMOTED, 5))

    def test_what_was_done_by_hand_is_found(self, paths: Paths) -> None:
        shutil.rmtree(pathlib.Path(paths.serving, "1"))
        pathlib.Path(paths.rolled_back, "2").rename(pathlib.Path(paths.serving, "2"))
        repaired(paths)
        assert told(paths, 1)[-1][::2] == (REMOVED, "its folder was gone")
        assert told(paths, 2)[-1][::2] == (PUSHED, "found in captioner, moved by hand")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[]",
            '{"events": [], "pending": {"what": "pushed"}}',
            '{"events": [{"what": "pushed", "version": "1", "time": ""}], "pending": null}',
            '{"events": [{"what": "praised", "version": 1, "time": ""}], "pending": null}',
        ],
    )
    def test_a_broken_one_is_said_and_the_folders_still_count(self, paths: Paths, text: str) -> None:
        pathlib.Path(paths.release_history).write_text(text)
        with pytest.raises(UserError, match=r"releases.json cannot be read .*move it away"):
            repaired(paths)
        assert releases.read(paths).stable == 3
        pathlib.Path(paths.release_history).unlink()
        assert repaired(paths).stable == 3

    def test_an_event_reads_as_a_sentence(self) -> None:
        said = event(ROLLED_BACK, 3, "it shouts").sentence
        assert said == "rolled back 2026-01-02 03:04 UTC by ana: it shouts"

    def test_an_account_without_a_name_is_no_reason_to_fail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def nameless() -> str:
            raise KeyError("getpwuid(): uid not found")

        monkeypatch.setattr(release_history.getpass, "getuser", nameless)
        assert release_history.event(PUSHED, 1).who == f"account {os.getuid()}"


class TestRemovingOldVersions:
    def _removed(self, paths: Paths, keep: int, spared: tuple[int, ...] = ()) -> list[int]:
        with releases.changing(paths):
            return releases.remove_old(paths, keep, spared)

    def test_the_newest_stay(self, tmp_path: pathlib.Path) -> None:
        paths = Paths(str(tmp_path))
        put(paths.serving, 1, 2, 3, 4)
        assert self._removed(paths, 2) == [1, 2]
        assert releases.read(paths).all == [4, 3]
        assert told(paths, 1)[-1][::2] == (REMOVED, "beyond the newest 2")
        assert not pathlib.Path(paths.removing).exists()

    def test_stable_and_canary_and_rolled_back_and_the_baseline_stay(self, paths: Paths) -> None:
        put(paths.serving, 0)
        assert self._removed(paths, 1, spared=(1,)) == [0, 4]
        assert releases.read(paths).all == [5, 3, 2, 1]

    def test_rolled_back_ones_go_where_that_is_asked_for(self, tmp_path: pathlib.Path) -> None:
        paths = Paths(str(tmp_path))
        put(paths.serving, 9)
        put(paths.rolled_back, 3, 5, 7)
        assert releases.old(paths, 1) == []
        assert releases.old(paths, 1, spared=(3,), rolled_back=True) == [5]
        with releases.changing(paths):
            assert releases.remove_old(paths, 2, rolled_back=True) == [3]
        assert releases.read(paths).all == [9, 7, 5]

    def test_a_version_goes_in_one_step(self, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = []
        rename = pathlib.Path.rename

        def look(path: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
            whole.append((path / "saved_model.pb").exists())
            return rename(path, target)

        monkeypatch.setattr(pathlib.Path, "rename", look)
        assert self._removed(paths, 1) == [1, 4]
        assert whole == [True, True]

    def test_zero_keeps_all(self, paths: Paths) -> None:
        assert self._removed(paths, 0) == []


class TestModelsConfig:
    """What TensorFlow Serving, and any server with its config files, is told."""

    def _read(self, paths: Paths) -> dict[str, str]:
        from tensorflow_serving.config import model_server_config_pb2

        text = pathlib.Path(paths.models_config).read_text("utf-8")
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
        for model in config.model_config_list.config:
            assert model.model_platform == "tensorflow"
            assert model.model_version_policy.latest.num_versions == 1
        return {model.name: model.base_path for model in config.model_config_list.config}

    def test_stable_and_canary_have_names_of_their_own(self, paths: Paths) -> None:
        """Under one name, the canary would get the requests that name no version: it is the newest."""
        assert self._read(paths) == {"captioner": paths.serving, "captioner-canary": paths.canary}

    def test_a_canary_is_named_only_while_there_is_one(self, paths: Paths) -> None:
        """TensorFlow Serving waits at its start for a version of each model that is named."""
        with releases.changing(paths):
            releases.carry_out(paths, event(PROMOTED, 5))
        assert self._read(paths) == {"captioner": paths.serving}

    def test_before_the_canary_leaves_its_folder_its_name_is_gone(
        self, paths: Paths, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = {}
        rename = pathlib.Path.rename

        def look(path: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
            seen.update(self._read(paths))
            return rename(path, target)

        monkeypatch.setattr(pathlib.Path, "rename", look)
        with releases.changing(paths):
            releases.carry_out(paths, event(ROLLED_BACK, 5))
        assert seen == {"captioner": paths.serving}

    def test_our_reader_takes_it_too(self, paths: Paths) -> None:
        from serving.config import read

        assert [(model.name, model.base_path) for model in read.read_models(paths.models_config)] == [
            ("captioner", paths.serving),
            ("captioner-canary", paths.canary),
        ]

    def test_a_folder_may_have_an_odd_name(self, tmp_path: pathlib.Path) -> None:
        paths = Paths(str(tmp_path / 'a "b" \\ ç'))
        put(paths.serving, 1)
        repaired(paths)
        assert self._read(paths) == {"captioner": paths.serving}


def test_one_command_at_a_time_changes_versions(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "_LOCK_TIMEOUT_S", 0.0)
    with open(paths.release_lock, "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another command has been changing the versions"):
            repaired(paths)
    assert repaired(paths).stable == 3


class Killed(BaseException):
    """As if by kill -9: nothing of ours catches it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int, done: bool) -> Callable[[], int]:
    """Dies at the so many-th write, rename or removal, before it or when it is done; returns their count."""
    steps = 0

    def deadly(work: Callable) -> Callable:
        def run(*args, **kwargs):
            nonlocal steps
            steps += 1
            if steps == step and not done:
                raise Killed
            result = work(*args, **kwargs)
            if steps == step:
                raise Killed
            return result

        return run

    monkeypatch.setattr(pathlib.Path, "rename", deadly(pathlib.Path.rename))
    monkeypatch.setattr(pages, "write", deadly(pages.write))
    monkeypatch.setattr(shutil, "rmtree", deadly(shutil.rmtree))
    return lambda: steps


def is_in_order(paths: Paths) -> None:
    """Each version lies in one place, and what servers follow is what `models.config` says."""
    now = releases.read(paths)
    assert not now.served & now.tried | now.served & now.rolled_back | now.tried & now.rolled_back
    text = pathlib.Path(paths.models_config).read_text()
    assert text == releases.models_config(paths.serving, paths.canary if now.canary else None)
    assert History.read(paths.release_history).pending is None
    assert not pathlib.Path(paths.removing).exists()


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, 7))
@pytest.mark.parametrize(("what", "version"), [(PROMOTED, 5), (ROLLED_BACK, 3), (ROLLED_BACK, 5)])
def test_a_change_that_is_killed_is_finished_by_the_next_command(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, what: str, version: int, step: int, done: bool
) -> None:
    before = releases.read(paths)
    change = event(what, version, "why")
    with monkeypatch.context() as patch:
        steps = kill_at(patch, step, done)
        try:
            with releases.changing(paths):
                releases.carry_out(paths, change)
        except Killed:
            pass
        else:
            assert steps() < step, "it ends when there is no such step any more"
    cut = releases.read(paths)
    assert cut in (before, before.after(change))
    assert cut.stable is not None, "somebody answers all the while"
    if "captioner-canary" in pathlib.Path(paths.models_config).read_text():
        assert cut.canary is not None, "a server can start"

    begun = step > 2 or (step == 2 and done)  # the first step clears leftovers, the second says what is to be
    assert repaired(paths) == (before.after(change) if begun else before)
    is_in_order(paths)
    assert told(paths, version).count((what, "ana", "why")) == int(begun), "recorded once, with its reason"


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, 8))
def test_a_removal_that_is_killed_leaves_no_half_version(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, step: int, done: bool
) -> None:
    with monkeypatch.context() as patch:
        kill_at(patch, step, done)
        try:
            with releases.changing(paths):
                releases.remove_old(paths, 1)
        except Killed:
            pass
    assert (releases.read(paths).stable, releases.read(paths).canary) == (3, 5)
    now = repaired(paths)
    assert set(now.all) <= {5, 4, 3, 2, 1}
    is_in_order(paths)
    for version in {1, 4} - set(now.all):
        assert told(paths, version)[-1][0] == REMOVED


def test_a_push_that_was_killed_before_it_was_told_is_found(paths: Paths) -> None:
    put(paths.canary, 6)  # the Pusher's rename was its last act
    assert "captioner-canary" in pathlib.Path(paths.models_config).read_text(), "the older one answers still"
    assert repaired(paths).canary == 6
    assert told(paths, 6) == [(CANARY, "", "")]
    is_in_order(paths)
