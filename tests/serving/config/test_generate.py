"""The generated files are for the machine and the model, and both servers read them."""

import pathlib
import re
import shlex
import stat

import pytest

from models import features, warmup
from pipeline import cli
from serving.config import container, generate, model_folder, read
from serving.config.machine import GIB, Machine
from serving.config.plan import make_plan
from tests.serving.support import jpeg

SIZES = [(features.SERVING_SIGNATURE, size) for size in (1, 2, 4, 8)] + [(features.BEAM_SIGNATURE, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Versions 3 and 12 (the newest, warmed up) and what else may lie beside them."""
    path = tmp_path_factory.mktemp("models")
    for version in (3, 12):
        (path / str(version)).mkdir()
        (path / str(version) / "saved_model.pb").write_bytes(b"x" * 1000)
    (path / "rolled_back").mkdir()
    warmup.write_warmup(str(path / "12"), warmup.image_requests(jpeg(), SIZES))
    return path


def model(size=100 << 20, batch_sizes=(1, 2, 4, 8)):
    return model_folder.ModelFolder("/models/captioner", 12, size, batch_sizes)


class TestModelFolder:
    def test_the_newest_version_and_its_warm_up_are_found(self, folder):
        found = model_folder.look(str(folder))
        files = [path for path in (folder / "12").rglob("*") if path.is_file()]
        assert len(files) == 2
        assert found == model_folder.ModelFolder(
            str(folder), 12, sum(path.stat().st_size for path in files), (1, 2, 4, 8), 2
        )

    def test_sizes_are_those_of_the_default_signature(self, tmp_path):
        version = tmp_path / "1"
        version.mkdir()
        (version / "saved_model.pb").touch()
        assert model_folder.look(str(tmp_path)).batch_sizes == ()
        sizes = [
            (features.SERVING_SIGNATURE, 4),
            (features.BEAM_SIGNATURE, 8),
            (features.SERVING_SIGNATURE, 2),
        ]
        warmup.write_warmup(str(version), warmup.image_requests(jpeg(), sizes))
        assert model_folder.look(str(tmp_path)).batch_sizes == (2, 4)

    def test_a_folder_without_versions_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="has none"):
            model_folder.look(str(tmp_path))
        (tmp_path / "7").mkdir()
        with pytest.raises(ValueError, match=r"no saved_model\.pb in 7"):
            model_folder.look(str(tmp_path))

    @pytest.mark.parametrize("content", [b"short", b"\xff" * 40, b"\x05" + b"\0" * 11 + b"\xff" * 9])
    def test_a_broken_warm_up_file_is_refused(self, tmp_path, content):
        (tmp_path / "1" / "assets.extra").mkdir(parents=True)
        (tmp_path / "1" / "saved_model.pb").touch()
        (tmp_path / "1" / model_folder.WARMUP).write_bytes(content)
        with pytest.raises(ValueError, match="not a file of warm-up requests"):
            model_folder.look(str(tmp_path))


class TestPlan:
    def test_threads_are_cores_and_sizes_those_of_the_warm_up(self):
        plan = make_plan(Machine(4, 16 * GIB), model())
        assert plan.batching == read.Batching(8, 0.005, 64, 4, (1, 2, 4, 8))
        assert plan.threads == 4
        assert plan.grpc_threads == (64 + 4) * 8

    def test_the_queue_is_shorter_where_memory_is_scarce(self):
        lengths = [
            make_plan(Machine(4, gib * GIB), model()).batching.max_enqueued_batches for gib in (3, 4, 5, 64)
        ]
        assert lengths == sorted(lengths)
        assert lengths[0] < lengths[1] < 64 == lengths[-1]
        assert "What memory allows" in make_plan(Machine(4, 3 * GIB), model()).why["max_enqueued_batches"]

    def test_a_queue_never_takes_more_memory_than_there_is(self):
        for cores in (1, 2, 8, 64):
            for gib in (2, 3, 8, 100):
                try:
                    plan = make_plan(Machine(cores, gib * GIB), model())
                except ValueError:
                    continue
                images = plan.batching.max_batch_size
                queued = plan.batching.max_enqueued_batches * images * (4 << 20)
                running = cores * images * (32 << 20)
                assert GIB + 2 * model().size + running + 2 * queued <= gib * GIB
                assert plan.grpc_threads <= 1024

    def test_too_small_a_machine_is_refused_with_the_size_it_takes(self):
        with pytest.raises(ValueError, match="got 2 GiB") as caught:
            make_plan(Machine(16, 2 * GIB), model())
        least = float(re.search(r"at least ([\d.]+) GiB", str(caught.value)).group(1))
        make_plan(Machine(16, int(least * GIB)), model())
        with pytest.raises(ValueError, match="at least"):
            make_plan(Machine(16, int((least - 0.2) * GIB)), model())

    def test_the_largest_sizes_are_left_out_where_there_is_no_room_for_them(self):
        large = model(batch_sizes=(1, 8, 64))
        assert make_plan(Machine(4, 64 * GIB), large).batching.max_batch_size == 64
        plan = make_plan(Machine(4, 4 * GIB), large)
        assert plan.batching.allowed_batch_sizes == (1, 8)
        assert "warmed up with and 4 GiB have room for" in plan.why["allowed_batch_sizes"]
        with pytest.raises(ValueError, match="batches of 64"):
            make_plan(Machine(4, 4 * GIB), large, [1, 8, 64])

    def test_a_queue_is_as_long_in_images_whatever_the_size_of_a_batch(self):
        for largest in (4, 16):
            batching = make_plan(Machine(2, 64 * GIB), model(batch_sizes=(largest,))).batching
            assert batching.max_enqueued_batches * largest == 2 * 128

    def test_sizes_asked_for_replace_those_of_the_warm_up(self):
        plan = make_plan(Machine(2, 8 * GIB), model(), [16, 2, 2])
        assert plan.batching.allowed_batch_sizes == (2, 16)
        assert plan.batching.max_batch_size == 16
        assert "Not warmed up: 16" in plan.why["allowed_batch_sizes"]

    def test_without_sizes_they_are_asked_for(self):
        with pytest.raises(ValueError, match="--batch 1 2 4 8"):
            make_plan(Machine(2, 8 * GIB), model(batch_sizes=()))
        with pytest.raises(ValueError, match="1 or more; got 0"):
            make_plan(Machine(2, 8 * GIB), model(), [0, 2])

    def test_each_number_has_its_reason(self):
        plan = make_plan(Machine(2, 8 * GIB), model())
        text = generate.files(request(), "/out")[container.BATCHING_FILE]
        lines = text.splitlines()
        fields = [index for index, line in enumerate(lines) if not line.startswith("#")]
        assert len(fields) == len(plan.why) == 5
        assert all(lines[index - 1].startswith("# ") for index in fields)


def request(**changes):
    return container.Request(
        **{"folder": model(), "machine": Machine(2, 8 * GIB), "name": "captioner", **changes}
    )


class TestDocker:
    def words(self, **changes):
        asked = request(**changes)
        command = container.docker_command(asked, make_plan(asked.machine, asked.folder), "/out dir")
        return shlex.split(command.replace("\\\n", " "))

    def test_files_and_model_are_mounted_where_the_flags_point(self):
        words = self.words()
        mounts = dict(re.findall(r"source=([^,]+),target=([^,]+),readonly", "\n".join(words)))
        assert mounts == {"/out dir": "/config", "/models/captioner": "/models/captioner"}
        files = generate.files(request(), "/out")
        for word in words:
            if "=/config/" in word:
                assert word.partition("=/config/")[2] in files
        assert words[:2] == ["docker", "run"]
        assert words.index(container.IMAGE) < min(
            i for i, w in enumerate(words) if w.startswith("--model_config")
        )

    def test_the_container_may_do_little(self, monkeypatch):
        monkeypatch.setattr("os.getuid", lambda: 0)
        words = self.words()
        assert words[words.index("--user") + 1] == "65534:65534"
        assert words[words.index("--cap-drop") + 1] == "ALL"
        assert words[words.index("--memory") + 1] == "8192m"
        assert {"--read-only", "no-new-privileges"} <= set(words)
        assert all(word.startswith("127.0.0.1:") for i, word in enumerate(words) if words[i - 1] == "-p")

    def test_a_bucket_is_not_mounted(self):
        words = self.words(base_path="gs://bucket/captioner")
        assert sum("target=" in word for word in words) == 1


# Flags of tensorflow_model_server, as its main.cc of April 2025 declares them.
FLAGS = {
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "file_system_poll_wait_seconds",
    "allow_version_labels_for_unavailable_models",
    "enable_batching",
    "batching_parameters_file",
    "monitoring_config_file",
    "tensorflow_intra_op_parallelism",
    "tensorflow_inter_op_parallelism",
    "grpc_max_threads",
    "ssl_config_file",
}


def test_only_flags_that_tensorflow_serving_has_are_used():
    asked = request(ssl=read.Ssl("k", "c"))
    flags = container.server_flags(asked, make_plan(asked.machine, asked.folder))
    assert {flag.removeprefix("--").partition("=")[0] for flag in flags} == FLAGS


class TestCommand:
    def run(self, folder, out, *more):
        arguments = ("--model-dir", str(folder), "--out", str(out), "--cores", "2", "--memory", "8", *more)
        return cli.main(["serving-config", *arguments])

    def test_the_files_are_read_by_our_readers(self, folder, tmp_path, capsys):
        assert self.run(folder, tmp_path / "out") == 0
        out = tmp_path / "out"
        assert read.read_models(str(out / "models.config")) == (
            read.ModelEntry("captioner", "/models/captioner"),
        )
        assert read.read_batching(str(out / "batching.config")) == read.Batching(
            8, 0.005, 32, 2, (1, 2, 4, 8)
        )
        assert read.read_monitoring(str(out / "monitoring.config")) == read.Monitoring(enabled=True)
        assert not (out / "ssl.config").exists()
        printed = capsys.readouterr().out
        readme = (out / "README.md").read_text()
        command = printed.partition("\n\n")[2].strip()
        assert command.startswith("docker run")
        assert command in readme

    def test_the_same_again_writes_the_same(self, folder, tmp_path):
        contents = []
        for _ in range(2):
            assert self.run(folder, tmp_path) == 0
            contents.append({path.name: path.read_text() for path in tmp_path.iterdir()})
        assert contents[0] == contents[1]
        assert set(contents[0]) == {
            "README.md",
            "batching.config",
            "models.config",
            "monitoring.config",
            "ssl.config.template",
        }

    def test_tls_from_pem_files(self, folder, tmp_path, pem, capsys):
        for name, text in pem.items():
            (tmp_path / name).write_text(text)
        out = tmp_path / "out"
        out.mkdir()
        (out / "ssl.config").write_text("old, readable by all")
        tls = [
            f"--tls-{name}={tmp_path / file}"
            for name, file in (("cert", "cert"), ("key", "key"), ("ca", "cert"))
        ]
        assert self.run(folder, out, *tls) == 0
        ssl = read.read_ssl(str(out / "ssl.config"))
        assert ssl == read.Ssl(pem["key"], pem["cert"], pem["cert"], client_verify=True)
        assert stat.S_IMODE((out / "ssl.config").stat().st_mode) == 0o600
        assert "--ssl_config_file=/config/ssl.config" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("more", "says"),
        [
            (["--tls-cert", "x"], "both --tls-cert and --tls-key"),
            (["--tls-ca", "x"], "both --tls-cert and --tls-key"),
            (["--tls-cert", "/none/c", "--tls-key", "/none/k"], "No such file"),
            (["--model", ""], "config[0].name"),
            (["--base-path", "models/captioner"], "config[0].base_path"),
            (["--memory", "0"], "above 0 GiB"),
            (["--cores", "0"], "1 or more"),
        ],
    )
    def test_what_the_user_can_put_right(self, folder, tmp_path, capsys, more, says):
        assert self.run(folder, tmp_path, *more) == 1
        assert says in capsys.readouterr().err

    def test_another_model_from_a_bucket(self, folder, tmp_path):
        assert (
            self.run(folder, tmp_path, "--model", "birds", "--base-path", "gs://b/birds", "--batch", "4") == 0
        )
        (entry,) = read.read_models(str(tmp_path / "models.config"))
        assert (entry.name, entry.base_path) == ("birds", "gs://b/birds")
        assert read.read_batching(str(tmp_path / "batching.config")).allowed_batch_sizes == (4,)
        assert "v1/models/birds:predict" in pathlib.Path(tmp_path / "README.md").read_text()
