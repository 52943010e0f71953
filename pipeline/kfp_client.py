"""A server of Kubeflow Pipelines: pipelines uploaded, runs started and followed, recurring runs kept.

A thin layer over the kfp client, in which every error is a sentence; see `kfp_connection`.
"""

import contextlib
import dataclasses
import io
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline import kfp_errors
from pipeline.errors import UserError
from pipeline.kfp_connection import Access, connect
from pipeline.kfp_package import Package

_PAGE_SIZE = 100
_PAGES = "KF_PIPELINES_UI_ENDPOINT"


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A recurring run.

    Attributes:
      id, name: its identity, and what people call it.
      enabled: whether it starts runs; else it is paused.
      cron: six fields, seconds first; empty where it goes by an interval.
      created: ISO 8601.
      arguments: of the pipeline, where they differ from its defaults.
      error: what went wrong with it.
    """

    id: str
    name: str
    enabled: bool
    cron: str
    created: str = ""
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    error: str = ""


class Server:
    """A connection. All methods raise ServerError when the server refuses, fails or does not answer."""

    def __init__(self, access: Access) -> None:
        """Connects, and asks the server how it is.

        Raises:
          UserError: the kfp client is not installed, or something in `access` cannot be right.
          ServerError: nothing that answers as Kubeflow Pipelines does is there, or it does not know who asks.
        """
        self._access = access
        self.endpoint = access.url
        self._client: Any = None
        self.reconnect()

    def reconnect(self) -> None:
        """Connects anew, with a token that is fresh where there is a way to get one."""
        with kfp_errors.in_words(self.endpoint, "the connection"):
            self._client = connect(self._access)
            several_users = bool(self._client.get_kfp_healthz().multi_user)
        if self._access.namespace and not several_users:
            raise UserError(
                f"{self.endpoint} has one user and no namespaces of users; leave out --namespace "
                f"{self._access.namespace}"
            )
        namespace = self._access.namespace or self._client.get_user_namespace()
        if several_users and not namespace:
            raise UserError(f"{self.endpoint} has several users: say whose namespace with --namespace")
        self._client.set_user_namespace(namespace if several_users else "")

    def page(self, run_id: str) -> str:
        """The address of a run's page, which the kfp client's own variable may put elsewhere."""
        return f"{os.environ.get(_PAGES) or self.endpoint}/#/runs/details/{run_id}"

    def upload(self, package: Package) -> tuple[str, str]:
        """Uploads a file unless a version has its content; returns identities of pipeline and version."""
        with self._asking("the pipeline"):
            found = self._client.list_pipelines(filter=_named(package.name), namespace=self._namespace)
            if found.pipelines:
                pipeline = found.pipelines[0]
            else:
                # Empty at first: a version that came with it would be named after it, not after its content.
                pipeline = self._client.pipelines.pipeline_service_create_pipeline(
                    self._client.api_models.V2beta1Pipeline(
                        display_name=package.name, namespace=self._namespace
                    )
                )
            versions = self._client.list_pipeline_versions(
                pipeline.pipeline_id, filter=_named(package.version)
            ).pipeline_versions
            version = (
                versions[0]
                if versions
                else self._client.upload_pipeline_version(
                    package.path, package.version, pipeline_id=pipeline.pipeline_id
                )
            )
        return pipeline.pipeline_id, version.pipeline_version_id

    def start(
        self,
        package: Package,
        arguments: Mapping[str, Any],
        experiment: str,
        name: str,
        service_account: str = "",
    ) -> str:
        """Starts a run of a version with this content; returns the run's identity."""
        pipeline_id, version_id = self.upload(package)
        experiment_id = self._experiment(experiment, create=True)
        with self._asking("the run"):
            return self._client.run_pipeline(
                experiment_id=experiment_id,
                job_name=name,
                params=dict(arguments),
                pipeline_id=pipeline_id,
                version_id=version_id,
                service_account=service_account or None,
            ).run_id

    def run(self, run_id: str) -> Any:
        """Returns a run as it is now, a `V2beta1Run`."""
        with self._asking("the state of the run"):
            return self._client.get_run(run_id)

    def schedule(
        self,
        package: Package,
        arguments: Mapping[str, Any],
        experiment: str,
        name: str,
        cron: str,
        service_account: str = "",
    ) -> str:
        """Makes a recurring run; returns its identity.

        One run at a time. Of the times missed while it was paused only the last is made up for. Nothing is
        taken from the cache: new data is found by looking, which a cached step does not do.

        Args:
          cron: six fields, seconds first.
        """
        experiment_id = self._experiment(experiment, create=True)
        with self._asking("the schedule"):
            return self._client.create_recurring_run(
                experiment_id=experiment_id,
                job_name=name,
                cron_expression=cron,
                max_concurrency=1,
                no_catchup=True,
                params=dict(arguments),
                # The pipeline itself: of an uploaded version the client ignores `enable_caching`.
                pipeline_package_path=package.path,
                enable_caching=False,
                service_account=service_account or None,
            ).recurring_run_id

    def schedules(self, experiment: str) -> list[Schedule]:
        """Returns the recurring runs of an experiment, the oldest first."""
        experiment_id = self._experiment(experiment, create=False)
        if not experiment_id:
            return []
        found: list[Any] = []
        page = ""
        while True:
            with self._asking("the list of schedules"):
                answer = self._client.list_recurring_runs(
                    page_token=page, page_size=_PAGE_SIZE, experiment_id=experiment_id
                )
            found += answer.recurring_runs or []
            page = answer.next_page_token
            if not page:
                break
        return sorted((_schedule(each) for each in found), key=lambda each: (each.created, each.id))

    def pause(self, schedule_id: str) -> None:
        """Lets a recurring run start no run until `resume`."""
        with self._asking("the pause"):
            self._client.disable_recurring_run(schedule_id)

    def resume(self, schedule_id: str) -> None:
        """Lets a recurring run start runs again."""
        with self._asking("to resume"):
            self._client.enable_recurring_run(schedule_id)

    def delete(self, schedule_id: str) -> None:
        """Deletes a recurring run. A run that it has started goes on."""
        with self._asking("the deletion"):
            self._client.delete_recurring_run(schedule_id)

    @property
    def _namespace(self) -> str | None:
        return self._client.get_user_namespace() or None

    def _experiment(self, name: str, create: bool) -> str:
        """The identity of an experiment; empty when there is none and none is to be made."""
        with self._asking("the experiment"):
            try:
                if create:
                    return self._client.create_experiment(name, namespace=self._namespace).experiment_id
                return self._client.get_experiment(
                    experiment_name=name, namespace=self._namespace
                ).experiment_id
            except ValueError as error:
                if str(error).startswith("No experiment"):
                    return ""
                raise UserError(
                    f"{error} Rename or archive the others, or give another --experiment"
                ) from error

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        # The client prints links as it goes; the commands print their own.
        with kfp_errors.in_words(self.endpoint, what), contextlib.redirect_stdout(io.StringIO()):
            yield


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def _schedule(answer: Any) -> Schedule:
    cron = answer.trigger.cron_schedule if answer.trigger else None
    return Schedule(
        id=answer.recurring_run_id,
        name=answer.display_name,
        # Older servers give the mode that was asked for and no status.
        enabled=answer.status == "ENABLED" if answer.status else answer.mode == "ENABLE",
        cron=cron.cron if cron else "",
        created=answer.created_at.isoformat() if answer.created_at else "",
        arguments=(answer.runtime_config.parameters if answer.runtime_config else None) or {},
        error=answer.error.message or "" if answer.error else "",
    )
