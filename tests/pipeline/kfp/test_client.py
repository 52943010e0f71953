"""What the server of Kubeflow Pipelines is sent, and who is said to send it."""

import pathlib
import ssl
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.kfp_client import Access, Server
from pipeline.kfp_errors import ServerError
from pipeline.kfp_package import Package
from tests.pipeline.kfp.fake import DEFAULTS, PIPELINE, FakeKfp, serving, write_pipeline
from tests.serving.pki import Authority

WEEKLY = "0 0 3 * * 1"
OTHER = PIPELINE.replace("captioner:1", "captioner:2")


class TestPackage:
    def test_it_knows_what_is_in_the_file(self, package: Package):
        assert package.name == "captioner"
        assert package.tasks == {"ImageFeaturizer", "Trainer"}
        assert set(package.defaults) == package.parameters
        assert package.defaults["data_dir"] == "/mnt/data"
        assert package.defaults["max_steps"] == 0
        assert package.config() == DEFAULTS

    def test_the_version_is_named_after_the_content(self, package: Package, tmp_path: pathlib.Path):
        (tmp_path / "copy").mkdir()
        copy = Package.read(write_pipeline(tmp_path / "copy"))
        other = Package.read(write_pipeline(tmp_path / "copy", OTHER))
        assert copy.version == package.version
        assert other.version != package.version

    @pytest.mark.parametrize("text", ["kind: Workflow\n", "just: [a\n", "", "{}\n", "- 1\n"])
    def test_another_file_is_refused(self, tmp_path: pathlib.Path, text: str):
        with pytest.raises(UserError, match="captioner compile"):
            Package.read(write_pipeline(tmp_path, text))

    def test_no_file_is_refused(self, tmp_path: pathlib.Path):
        with pytest.raises(UserError, match=r"none\.yaml cannot be read: No such file"):
            Package.read(str(tmp_path / "none.yaml"))


class TestUpload:
    def test_the_same_file_is_uploaded_once(self, fake: FakeKfp, package: Package):
        server = Server(Access(fake.url))
        first = server.upload(package)
        assert server.upload(package) == first
        (upload,) = [each for each in fake.sent if each.path.endswith("/upload_version")]
        assert upload.query == {"name": package.version, "pipelineid": first[0]}
        assert upload.body.strip() == PIPELINE.strip()
        assert fake.posted("pipelines") == {"display_name": "captioner"}

    def test_another_file_is_another_version_of_the_same_pipeline(
        self, fake: FakeKfp, package: Package, tmp_path: pathlib.Path
    ):
        server = Server(Access(fake.url))
        pipeline, version = server.upload(package)
        (tmp_path / "new").mkdir()
        again, other = server.upload(Package.read(write_pipeline(tmp_path / "new", OTHER)))
        assert again == pipeline
        assert other != version


class TestRun:
    def test_a_run_is_of_the_uploaded_version_with_the_arguments(self, fake: FakeKfp, package: Package):
        server = Server(Access(fake.url))
        run_id = server.start(package, {"data_dir": "gs://bucket/data"}, "captioner", "Tuesday", "trainer-sa")
        pipeline, version = server.upload(package)
        (experiment,) = fake.of("experiments")
        assert fake.posted("runs") == {
            "experiment_id": experiment,
            "display_name": "Tuesday",
            "pipeline_version_reference": {"pipeline_id": pipeline, "pipeline_version_id": version},
            "runtime_config": {"parameters": {"data_dir": "gs://bucket/data"}},
            "service_account": "trainer-sa",
        }
        assert server.page(run_id) == f"{fake.url}/#/runs/details/{run_id}"

    def test_its_page_may_be_elsewhere(self, fake: FakeKfp, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://kubeflow.example.com/pipeline")
        page = Server(Access(fake.url)).page("7")
        assert page == "https://kubeflow.example.com/pipeline/#/runs/details/7"

    def test_the_experiment_is_made_once(self, fake: FakeKfp, package: Package):
        server = Server(Access(fake.url))
        for name in ("Tuesday", "Wednesday"):
            server.start(package, {}, "captioner", name)
        assert fake.posted("experiments")["display_name"] == "captioner"
        assert len(fake.of("runs")) == 2

    def test_the_client_prints_nothing(
        self, fake: FakeKfp, package: Package, capsys: pytest.CaptureFixture[str]
    ):
        Server(Access(fake.url)).start(package, {}, "captioner", "Tuesday")
        assert capsys.readouterr().out == ""


class TestSchedule:
    def test_one_run_at_a_time_nothing_made_up_for_and_nothing_cached(self, fake: FakeKfp, package: Package):
        Server(Access(fake.url)).schedule(package, {"train": '{"epochs": 9}'}, "weekly", "monday", WEEKLY)
        sent = fake.posted("recurringruns")
        spec = sent.pop("pipeline_spec")
        (experiment,) = fake.of("experiments")
        assert sent == {
            "experiment_id": experiment,
            "display_name": "monday",
            "mode": "ENABLE",
            "max_concurrency": 1,
            "no_catchup": True,
            "trigger": {"cron_schedule": {"cron": WEEKLY}},
            "runtime_config": {"parameters": {"train": '{"epochs": 9}'}},
        }
        tasks = spec["pipeline_spec"]["root"]["dag"]["tasks"]
        assert set(tasks) == {"ImageFeaturizer", "Trainer"}
        assert not any(task["cachingOptions"].get("enableCache") for task in tasks.values())
        assert spec["platform_spec"]["platforms"]["kubernetes"], "node selectors, volumes and secrets"

    def test_they_are_listed_the_oldest_first_however_many_there_are(self, fake: FakeKfp, package: Package):
        server = Server(Access(fake.url))
        server.schedule(package, {"data_dir": "x"}, "weekly", "monday", WEEKLY)
        one = fake.of("recurringruns")["recurringruns-1"]
        for number in range(2, 251):
            fake.of("recurringruns")[str(number)] = one | {
                "recurring_run_id": str(number),
                "created_at": f"2025-01-01T00:{number // 60:02}:{number % 60:02}Z",
            }
        found = server.schedules("weekly")
        assert len(found) == 250
        assert found[0].id == "2"
        last = found[-1]
        assert (last.id, last.name, last.enabled, last.cron) == ("recurringruns-1", "monday", True, WEEKLY)
        assert last.arguments == {"data_dir": "x"}

    def test_those_of_other_experiments_are_left_alone(self, fake: FakeKfp, package: Package):
        server = Server(Access(fake.url))
        server.schedule(package, {}, "of others", "monday", WEEKLY)
        assert server.schedules("weekly") == []
        assert [each.name for each in server.schedules("of others")] == ["monday"]

    def test_pause_resume_delete(self, fake: FakeKfp, package: Package):
        server = Server(Access(fake.url))
        one = server.schedule(package, {}, "weekly", "monday", WEEKLY)
        server.pause(one)
        assert [each.enabled for each in server.schedules("weekly")] == [False]
        server.resume(one)
        assert [each.enabled for each in server.schedules("weekly")] == [True]
        server.delete(one)
        assert server.schedules("weekly") == []
        did = [each for each in fake.asked() if one in each]
        assert did == [
            f"POST /apis/v2beta1/recurringruns/{one}:disable",
            f"POST /apis/v2beta1/recurringruns/{one}:enable",
            f"DELETE /apis/v2beta1/recurringruns/{one}",
        ]

    def test_a_server_that_tells_only_the_mode_is_understood(self, fake: FakeKfp, package: Package):
        server = Server(Access(fake.url))
        one = server.schedule(package, {}, "weekly", "monday", WEEKLY)
        del fake.of("recurringruns")[one]["status"]
        fake.of("recurringruns")[one]["mode"] = "DISABLE"
        assert [each.enabled for each in server.schedules("weekly")] == [False]


class TestUsers:
    def test_the_namespace_goes_with_what_is_made_and_asked(self, package: Package):
        with serving(multi_user=True) as fake:
            server = Server(Access(fake.url, namespace="team"))
            server.start(package, {}, "captioner", "Tuesday")
            assert fake.posted("experiments") == {"display_name": "captioner", "namespace": "team"}
            assert fake.posted("pipelines") == {"display_name": "captioner", "namespace": "team"}
            asked = [each for each in fake.sent if each.method == "GET" and "filter" in each.query]
            assert {each.query.get("namespace") for each in asked if "versions" not in each.path} == {"team"}

    def test_several_users_need_a_namespace(self):
        with serving(multi_user=True) as fake, pytest.raises(UserError, match="whose namespace"):
            Server(Access(fake.url))

    def test_one_user_has_none(self, fake: FakeKfp):
        with pytest.raises(UserError, match="leave out --namespace team"):
            Server(Access(fake.url, namespace="team"))

    def test_nothing_is_left_in_the_home_folder(self, tmp_path: pathlib.Path):
        with serving(multi_user=True) as fake:
            Server(Access(fake.url, namespace="team"))
        assert not (tmp_path / "home").exists()


class TestWhoAsks:
    def test_the_token_is_shown_with_every_request(self, package: Package, tmp_path: pathlib.Path):
        (tmp_path / "token").write_text("secret\n")
        with serving(authorization="Bearer secret") as fake:
            server = Server(Access(fake.url, token_file=str(tmp_path / "token")))
            server.start(package, {}, "captioner", "Tuesday")
            assert {each.headers["Authorization"] for each in fake.sent} == {"Bearer secret"}

    def test_so_are_cookies(self, package: Package):
        with serving(cookie="authservice_session=abc") as fake:
            server = Server(Access(fake.url, cookies="authservice_session=abc"))
            server.schedule(package, {}, "weekly", "monday", WEEKLY)
            assert {each.headers["Cookie"] for each in fake.sent} == {"authservice_session=abc"}

    def test_so_is_the_token_of_the_pod(
        self, package: Package, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ):
        token = tmp_path / "token"
        token.write_text("of the pod")
        monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token))
        with serving(authorization="Bearer of the pod") as fake:
            server = Server(Access(fake.url, in_cluster=True))
            token.write_text("renewed by the kubelet")
            fake.authorization = "Bearer renewed by the kubelet"
            server.start(package, {}, "captioner", "Tuesday")

    def test_a_pod_without_one_asks_without(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "none"))
        with serving() as fake:
            Server(Access(fake.url, in_cluster=True))
            assert all("Authorization" not in each.headers for each in fake.sent)

    def test_a_client_id_of_the_proxy_gets_a_token(self, monkeypatch: pytest.MonkeyPatch):
        from kfp.client import auth

        monkeypatch.setattr(auth, "get_auth_token", lambda client_id, *_: (f"token for {client_id}", False))
        with serving(authorization="Bearer token for app.example") as fake:
            Server(Access(fake.url, iap_client_id="app.example"))
            assert len(fake.sent) > 0

    def test_without_google_credentials_the_remedy_is_named(self, monkeypatch: pytest.MonkeyPatch):
        import google.auth
        import google.auth.exceptions

        def none_found(**_: Any) -> None:
            raise google.auth.exceptions.DefaultCredentialsError("not found")

        monkeypatch.setattr(google.auth, "default", none_found)
        with serving() as fake, pytest.raises(UserError, match="gcloud auth application-default login"):
            Server(Access(fake.url, iap_client_id="app.example"))

    def test_the_file_of_the_authority_is_trusted(self, package: Package, tmp_path: pathlib.Path):
        authority = Authority(tmp_path)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*authority.sign("server"))
        with serving(tls=tls) as fake:
            Server(Access(fake.url, ssl_ca_cert=str(authority.file))).upload(package)
            with pytest.raises(ServerError, match=r"is not trusted .* --ssl-ca-cert"):
                Server(Access(fake.url))

    def test_an_empty_token_is_no_token(self, fake: FakeKfp, tmp_path: pathlib.Path):
        (tmp_path / "token").write_text("\n")
        with pytest.raises(UserError, match=r"expected a bearer token in .*; the file is empty"):
            Server(Access(fake.url, token_file=str(tmp_path / "token")))

    @pytest.mark.parametrize("option", ["token_file", "ssl_ca_cert"])
    def test_a_file_that_is_not_there_is_named(self, fake: FakeKfp, option: str):
        with pytest.raises(UserError, match=r"cannot read /no/such/file"):
            Server(Access(fake.url, **{option: "/no/such/file"}))
