"""Metrics for Prometheus: TensorFlow Serving's names where it has them, `captioner_...` for the rest."""

from collections.abc import Iterator
from typing import Final

import prometheus_client
from aiohttp import web
from prometheus_client import metrics_core

from models import features
from serving.calls import Call
from serving.model_set import ModelSet
from serving.request_log import RequestLog
from serving.scheduling import BatchRun, Scheduler

prometheus_client.disable_created_metrics()  # a second series for each, which TensorFlow Serving has not

_REQUEST_COUNT: Final = ":tensorflow:serving:request_count"
_MICROSECONDS: Final = tuple(10 * 1.8**i for i in range(33))  # TensorFlow Serving's buckets
_QUEUE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128)
_OTHER_STATUS: Final = (
    "refused"  # of an image; the reason's words are for people and would be labels without end
)
_STOP_S: Final = 1.0  # what who reads slowly gets at the end


class Metrics:
    """Counts what a server does. One a server, so that several in one process do not mix."""

    def __init__(self, models: ModelSet, scheduler: Scheduler, request_log: RequestLog | None = None):
        self.registry = prometheus_client.CollectorRegistry()
        self._models = models
        self._scheduler = scheduler
        self._request_log = request_log
        self._requests: dict[tuple[str, str], int] = {}
        self.registry.register(self)
        prometheus_client.ProcessCollector(registry=self.registry)

        def histogram(name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]):
            return prometheus_client.Histogram(name, text, labels, buckets=buckets, registry=self.registry)

        self._latency = histogram(
            ":tensorflow:serving:request_latency",
            "Microseconds from the start of a call that succeeded to its end.",
            ("model_name", "API", "entrypoint"),
            _MICROSECONDS,
        )
        self._runtime = histogram(
            ":tensorflow:serving:runtime_latency",
            "Microseconds that TensorFlow took for a batch.",
            ("model_name", "API", "runtime"),
            _MICROSECONDS,
        )
        self._queue = histogram(
            "captioner_queue_seconds", "Seconds that a request waited.", ("model_name",), _QUEUE_SECONDS
        )
        self._batch = histogram("captioner_batch_rows", "Images run together.", ("model_name",), _ROWS)
        self._padding = prometheus_client.Counter(
            "captioner_padded_rows", "Rows that filled batches up.", ("model_name",), registry=self.registry
        )
        self._images = prometheus_client.Counter(
            "captioner_images", "Images answered.", ("model_name", "status"), registry=self.registry
        )

    def count_call(self, call: Call) -> None:
        """Counts a call that has ended."""
        key = call.model, call.code
        self._requests[key] = self._requests.get(key, 0) + 1
        if call.code == "OK":
            self._latency.labels(call.model, call.method, "GRPC").observe(1e6 * call.seconds)
        for status, count in call.statuses.items():
            shown = status if status == features.STATUS_OK else _OTHER_STATUS
            self._images.labels(call.model, shown).inc(count)

    def count_batch(self, run: BatchRun) -> None:
        """Counts a batch that has run."""
        self._runtime.labels(run.model, "Predict", "TF1").observe(1e6 * run.seconds)
        self._batch.labels(run.model).observe(run.rows)
        if run.size > run.rows:
            self._padding.labels(run.model).inc(run.size - run.rows)
        for wait in run.waits:
            self._queue.labels(run.model).observe(wait)

    def collect(self) -> Iterator[metrics_core.Metric]:
        """Yields what is read when Prometheus asks."""
        # Not a Counter: the library would add "_total" to TensorFlow Serving's name.
        requests = metrics_core.Metric(_REQUEST_COUNT, "Calls by their gRPC status.", "unknown")
        for (model, code), count in self._requests.items():
            requests.add_sample(_REQUEST_COUNT, {"model_name": model, "status": code}, count)
        yield requests
        yield metrics_core.GaugeMetricFamily(
            "captioner_queued_rows", "Images admitted and not yet answered.", self._scheduler.queued
        )
        versions = metrics_core.GaugeMetricFamily(
            "captioner_version_state",
            "State of each version: 10 start, 20 loading, 30 available, 40 unloading, 50 end.",
            labels=("model_name", "version"),
        )
        failed = metrics_core.GaugeMetricFamily(
            "captioner_versions_failed",
            "Versions that are there and could not be loaded.",
            labels=("model_name",),
        )
        for manager in self._models:
            for status in manager.statuses():
                versions.add_metric((manager.name, str(status.version)), int(status.state))
            failed.add_metric((manager.name,), manager.failed)
        yield versions
        yield failed
        if self._request_log is not None:
            logged = metrics_core.CounterMetricFamily(
                "captioner_request_log_rows",
                "Images of the request log's sample: written, or lost because the queue was full or the file "
                "could not be written.",
                labels=("result",),
            )
            for result, count in self._request_log.counts.items():
                logged.add_metric((result,), count)
            yield logged


async def serve_http(metrics: Metrics, models: ModelSet, host: str, port: int, path: str) -> web.AppRunner:
    """Serves the metrics at `path` and readiness at `/healthz`; returns what `cleanup` ends.

    Raises OSError if the port is taken.
    """

    async def show(request: web.Request) -> web.Response:
        text = prometheus_client.generate_latest(metrics.registry)
        return web.Response(body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})

    async def health(request: web.Request) -> web.Response:
        return web.Response(text="ok\n") if models.ready else web.Response(status=503, text="not ready\n")

    app = web.Application()
    app.add_routes([web.get(path, show), web.get("/healthz", health)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
