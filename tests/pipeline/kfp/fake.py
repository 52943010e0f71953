"""A server of Kubeflow Pipelines in a thread: the REST routes that the kfp client asks, and nothing behind.

It keeps what it is sent, and refuses what the real one refuses: namespaces where there is one user, names
that are taken, and things that do not exist. Errors have the form that its gRPC gateway gives them.
"""

import contextlib
import dataclasses
import http.server
import json
import pathlib
import re
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

import yaml

from models.config import TrainConfig
from pipeline import kubeflow_parameters
from pipeline.config import PipelineConfig

# What the pipeline is compiled with.
DEFAULTS = PipelineConfig(train=TrainConfig(epochs=2))

# Two tasks, both of which may be taken from the cache, and a second document for the platform.
_PIPELINE = """\
pipelineInfo: {name: captioner}
schemaVersion: 2.1.0
sdkVersion: tfx-1.21.0
deploymentSpec:
  executors:
    featurize-executor: {container: {image: "registry/captioner:1", command: [python], args: ["{{$}}"]}}
    trainer-executor: {container: {image: "registry/captioner:1", command: [python], args: ["{{$}}"]}}
components:
  featurize: {executorLabel: featurize-executor}
  trainer: {executorLabel: trainer-executor}
root:
  inputDefinitions: {parameters: {}}
  dag:
    tasks:
      ImageFeaturizer:
        cachingOptions: {enableCache: true}
        componentRef: {name: featurize}
        taskInfo: {name: ImageFeaturizer}
      Trainer:
        cachingOptions: {enableCache: true}
        componentRef: {name: trainer}
        dependentTasks: [ImageFeaturizer]
        taskInfo: {name: Trainer}
---
platforms:
  kubernetes:
    deploymentSpec:
      executors:
        trainer-executor: {nodeSelector: {labels: {gpu: "yes"}}}
"""


def _with_parameters(text: str) -> str:
    """The pipeline with the parameters and defaults that `captioner compile` gives it."""
    spec, platform = yaml.safe_load_all(text)
    defaults = kubeflow_parameters.arguments(DEFAULTS, "/mnt/data", "", "/mnt", max_steps=0)
    spec["root"]["inputDefinitions"]["parameters"] = {
        name: {
            "parameterType": "NUMBER_INTEGER" if isinstance(value, int) else "STRING",
            "defaultValue": value,
        }
        for name, value in defaults.items()
    }
    return yaml.safe_dump_all([spec, platform])


PIPELINE = _with_parameters(_PIPELINE)


def write_pipeline(folder: pathlib.Path, text: str = PIPELINE) -> str:
    """Writes the compiled pipeline; returns its path."""
    path = folder / "pipeline.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@dataclasses.dataclass(frozen=True)
class Sent:
    """One request: `body` is the JSON that was sent, or the text of an uploaded file."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclasses.dataclass(frozen=True)
class Answer:
    """What to answer instead, to a request whose path has `path` in it; a status of 0 leaves it waiting."""

    path: str
    status: int
    body: str
    content_type: str = "application/json"


class Refused(Exception):
    """An error as the server has it."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": message}
        inner = f"Failed to do it: {message}: error deep inside"
        self.body = {"error": inner, "code": code, "message": inner, "details": [detail]}


@dataclasses.dataclass
class FakeKfp:
    """What the server is and has.

    Attributes:
      url: where it answers.
      multi_user: whether it has several users.
      authorization, cookie: headers without which it answers 401, unless empty.
      answers: answers instead of its own; each is given once, in this order.
      run_states: what a run looks like each time that it is asked for; the last one stays.
      sent: requests, the oldest first.
      things: by kind ("pipelines", "recurringruns" and so on) and identity.
    """

    url: str = ""
    multi_user: bool = False
    authorization: str = ""
    cookie: str = ""
    answers: list[Answer] = dataclasses.field(default_factory=list)
    run_states: list[dict[str, Any]] = dataclasses.field(default_factory=lambda: [{"state": "SUCCEEDED"}])
    sent: list[Sent] = dataclasses.field(default_factory=list)
    things: dict[str, dict[str, dict[str, Any]]] = dataclasses.field(default_factory=dict)

    def posted(self, kind: str) -> Any:
        """The body of the only POST to a collection."""
        (body,) = [
            each.body for each in self.sent if each.method == "POST" and each.path.endswith(f"/{kind}")
        ]
        return body

    def asked(self) -> list[str]:
        """What was asked, but how the server is."""
        return [f"{each.method} {each.path}" for each in self.sent if not each.path.endswith("/healthz")]

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Things of a kind."""
        return self.things.setdefault(kind, {})

    def answer(self, sent: Sent) -> dict[str, Any]:
        """The server's own answer. Raises Refused."""
        if self.authorization and sent.headers.get("Authorization") != self.authorization:
            raise Refused(401, 16, "Request header error: there is no user identity header.")
        if self.cookie and sent.headers.get("Cookie") != self.cookie:
            raise Refused(401, 16, "Request header error: there is no user identity header.")
        path = sent.path.removeprefix("/apis/v2beta1")
        if path == "/healthz":
            return {"multi_user": True} if self.multi_user else {}
        if not self.multi_user and sent.query.get("namespace"):
            raise Refused(400, 3, "In single-user mode, it cannot filter by namespace.")
        if path == "/pipelines/upload_version":
            folder = f"pipelines/{sent.query['pipelineid']}/versions"
            new = {"display_name": sent.query["name"], "pipeline_id": sent.query["pipelineid"]}
            return self._add(folder, "pipeline_version_id", new)
        if match := re.fullmatch(
            r"/(pipelines/[^/]+/versions|pipelines|experiments|recurringruns|runs)", path
        ):
            kind = match[1]
            if sent.method == "GET":
                return self._list(kind, sent)
            return self._add(kind, _identity(kind), sent.body)
        match = re.fullmatch(r"/(recurringruns|runs)/([^/:]+)(?::(\w+))?", path)
        if match is None:
            raise Refused(404, 5, "Not Found")
        kind, identity, verb = match.groups()
        if identity not in self.of(kind):
            raise Refused(404, 5, f"{kind} {identity} not found.")
        if sent.method == "DELETE":
            del self.of(kind)[identity]
            return {}
        if verb:
            self.of(kind)[identity]["status"] = {"enable": "ENABLED", "disable": "DISABLED"}[verb]
            return {}
        state = self.run_states.pop(0) if len(self.run_states) > 1 else self.run_states[0]
        return self.of(kind)[identity] | state

    def _add(self, kind: str, identity: str, new: dict[str, Any]) -> dict[str, Any]:
        taken = [each["display_name"] for each in self.of(kind).values()]
        if kind not in ("runs", "recurringruns") and new["display_name"] in taken:
            raise Refused(409, 6, f"The name {new['display_name']} already exist.")
        if kind == "experiments" and self.multi_user and not new.get("namespace"):
            raise Refused(400, 3, "In multi-user mode, the namespace is empty.")
        name = f"{kind.rpartition('/')[2]}-{len(self.of(kind)) + 1}"
        made = new | {identity: name, "created_at": f"2026-01-0{len(self.of(kind)) + 1}T03:00:00Z"}
        if kind == "recurringruns":
            made["status"] = "ENABLED"
        self.of(kind)[name] = made
        return made

    def _list(self, kind: str, sent: Sent) -> dict[str, Any]:
        found = list(self.of(kind).values())
        if sent.query.get("filter"):
            for predicate in json.loads(sent.query["filter"])["predicates"]:
                found = [each for each in found if each[predicate["key"]] == predicate["stringValue"]]
        for key in ("experiment_id", "namespace"):
            if sent.query.get(key):
                found = [each for each in found if each.get(key) == sent.query[key]]
        start, size = int(sent.query.get("page_token") or 0), int(sent.query.get("page_size") or 10)
        name = {"recurringruns": "recurringRuns"}.get(kind, kind)
        name = "pipeline_versions" if kind.endswith("versions") else name
        answer: dict[str, Any] = {name: found[start : start + size]} if found else {}
        if start + size < len(found):
            answer["next_page_token"] = str(start + size)
        return answer


def _identity(kind: str) -> str:
    if kind.endswith("versions"):
        return "pipeline_version_id"
    return {"recurringruns": "recurring_run_id"}.get(kind, f"{kind[:-1]}_id")


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[FakeKfp]:
    """A server that answers until the block ends; `options` are of FakeKfp."""
    fake, over = FakeKfp(**options), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _serve(self) -> None:
            parts = urllib.parse.urlsplit(self.path)
            query = {key: values[0] for key, values in urllib.parse.parse_qs(parts.query).items()}
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body: Any = None
            if "multipart" in self.headers.get("Content-Type", ""):
                body = data.split(b"\r\n\r\n", 1)[1].rpartition(b"\r\n--")[0].decode()
            elif data:
                body = json.loads(data)
            headers = {name.title(): value for name, value in self.headers.items()}
            sent = Sent(self.command, parts.path, query, headers, body)
            fake.sent.append(sent)
            own = [each for each in fake.answers if each.path in parts.path][:1]
            if own:
                fake.answers.remove(own[0])
                if not own[0].status:
                    over.wait()
                    return
                self._answer(own[0].status, own[0].body, own[0].content_type)
                return
            try:
                self._answer(200, json.dumps(fake.answer(sent)))
            except Refused as error:
                self._answer(error.status, json.dumps(error.body))

        def _answer(self, status: int, body: str, content_type: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = do_DELETE = _serve

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        fake.url = f"{'https' if tls else 'http'}://localhost:{server.server_port}"
        yield fake
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()
