"""A run of Kubeflow Pipelines, followed to its end."""

import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import kfp_wait
from pipeline.errors import UserError
from pipeline.kfp_client import Access, Server
from pipeline.kfp_errors import ServerError
from pipeline.kfp_package import Package
from tests.pipeline.kfp.fake import Answer, FakeKfp


def task(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"task_id": name, "display_name": name, "state": state, **more}


@pytest.fixture
def run_id(fake: FakeKfp, package: Package) -> str:
    return Server(Access(fake.url)).start(package, {}, "captioner", "Tuesday")


def follow(
    fake: FakeKfp,
    package: Package,
    run_id: str,
    meanwhile: Callable[[], None] = lambda: None,
    **access: Any,
) -> list[tuple[str, str]]:
    """What is told until the run ends; each pause between two looks takes 100 seconds."""
    told: list[tuple[str, str]] = []
    now = [0.0]

    def sleep(_: float) -> None:
        now[0] += 100
        meanwhile()

    kfp_wait.wait(
        Server(Access(fake.url, **access)),
        run_id,
        package.tasks,
        lambda name, state: told.append((name, state)),
        sleep,
        lambda: now[0],
    )
    return told


def test_each_change_of_a_task_is_told_once(fake: FakeKfp, package: Package, run_id: str):
    own = task("root-driver", "SUCCEEDED")
    fake.run_states = [
        {"state": "PENDING"},
        {"state": "RUNNING", "run_details": {"task_details": [own, task("Trainer", "RUNNING")]}},
        {"state": "RUNNING", "run_details": {"task_details": [own, task("Trainer", "RUNNING")]}},
        {"state": "SUCCEEDED", "run_details": {"task_details": [own, task("Trainer", "SUCCEEDED")]}},
    ]
    assert follow(fake, package, run_id) == [("Trainer", "RUNNING"), ("Trainer", "SUCCEEDED")]


def test_a_failure_names_the_task(fake: FakeKfp, package: Package, run_id: str):
    failed = task("Trainer", "FAILED", error={"code": 2, "message": "exit status 137 "})
    fake.run_states = [{"state": "FAILED", "run_details": {"task_details": [failed]}}]
    with pytest.raises(UserError, match=r"FAILED \(Trainer: exit status 137\)\. Its page: http"):
        follow(fake, package, run_id)


def test_a_failure_of_the_run_itself_is_told(fake: FakeKfp, package: Package, run_id: str):
    fake.run_states = [{"state": "FAILED", "error": {"code": 3, "message": "no such claim"}}]
    with pytest.raises(UserError, match=r"FAILED \(no such claim\)"):
        follow(fake, package, run_id)


@pytest.mark.parametrize("state", ["CANCELED", "SKIPPED"])
def test_a_run_that_was_ended_is_waited_for_no_longer(
    fake: FakeKfp, package: Package, run_id: str, state: str
):
    fake.run_states = [{"state": state}]
    with pytest.raises(UserError, match=f"ended as {state}"):
        follow(fake, package, run_id)


def test_a_restart_of_the_server_is_waited_out(fake: FakeKfp, package: Package, run_id: str):
    fake.answers = [Answer("runs/", 503, ""), Answer("runs/", 502, "<html>")]
    assert follow(fake, package, run_id) == []


def test_a_server_that_stays_away_is_not(fake: FakeKfp, package: Package, run_id: str):
    fake.answers = [Answer("runs/", 503, "")] * 10
    with pytest.raises(ServerError, match=r"HTTP 503.*The run goes on: http://"):
        follow(fake, package, run_id)
    assert len(fake.answers) == 5, "it asked until more than five minutes had passed"


def test_what_is_no_outage_ends_the_waiting(fake: FakeKfp, package: Package, run_id: str):
    fake.answers = [Answer("runs/", 403, "RBAC: access denied")]
    with pytest.raises(ServerError, match="The run goes on"):
        follow(fake, package, run_id)


def test_a_token_that_expires_meanwhile_is_read_again(
    fake: FakeKfp, package: Package, run_id: str, tmp_path: pathlib.Path
):
    token = tmp_path / "token"

    def renew(text: str) -> None:
        token.write_text(text)
        fake.authorization = f"Bearer {text}"

    renew("first")
    fake.run_states = [{"state": "RUNNING"}, {"state": "SUCCEEDED"}]
    told = follow(fake, package, run_id, meanwhile=lambda: renew("second"), token_file=str(token))
    assert told == []
    assert fake.sent[-1].headers["Authorization"] == "Bearer second"


def test_one_that_stays_refused_is_not_asked_with_for_ever(fake: FakeKfp, package: Package, run_id: str):
    fake.answers = [Answer("runs/", 401, ""), Answer("runs/", 401, "")]
    with pytest.raises(ServerError, match=r"HTTP 401.*The run goes on"):
        follow(fake, package, run_id)
