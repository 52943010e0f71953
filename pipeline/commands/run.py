"""`captioner run`: the whole pipeline, on this machine or on Kubeflow Pipelines."""

import argparse
import os
import time
from typing import Any

from pipeline import kfp_arguments

HELP = "run the pipeline: validate, featurize, train, judge, push"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = (
        "Runs the TFX pipeline on imported data and pushes the model if it is good enough and not worse than "
        "the one in service. What is unchanged since an earlier run is not computed again; a killed run is "
        "gone on with. The exit status is 0 when the run reached its end, whether it pushed or not. With "
        "--kubeflow it starts a run of Kubeflow Pipelines instead, of what 'captioner compile' wrote; "
        "--config, --data and --root are then needed only where they are not as compiled."
    )
    parser.add_argument(
        "--config", metavar="NAME", help="demo, flickr8k, flickr30k or coco (pipeline/configs)"
    )
    parser.add_argument("--data", metavar="DIR", help="what 'captioner import' wrote")
    parser.add_argument("--root", metavar="DIR", help="metadata, artifacts, features and pushed models")
    add_overrides(parser)
    add_force_bless(parser)
    group = parser.add_argument_group("on Kubeflow Pipelines")
    how = group.add_mutually_exclusive_group()
    how.add_argument("--kubeflow", action="store_true", help="start a run of --pipeline on a server")
    how.add_argument(
        "--kubeflow-local",
        metavar="FILE",
        help="run a compiled pipeline on this machine, task by task as in a cluster, to find what is wrong",
    )
    kfp_arguments.add_serving(group)
    for declare in _ON_A_SERVER:
        declare(group)
    # For what argparse itself cannot say: which arguments are needed depends on where it runs.
    parser.set_defaults(refuse=parser.error)


def add_force_bless(parser: argparse.ArgumentParser) -> None:
    """Declares `--force-bless`."""
    parser.add_argument(
        "--force-bless",
        metavar="REASON",
        help="bless the model even if the gate refuses it, and push it even if it was rolled back; the "
        "reason is recorded and stands in the report. The ServingValidator may still refuse it",
    )


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Declares `--set`, kept as `assignments` for `pipeline.config.override`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="assignments",
        metavar="PART.OPTION=VALUE",
        help="override an option, e.g. --set train.epochs=5 --set encoder.layer=mixed8; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the pipeline and prints the verdict."""
    if args.kubeflow:
        return _run_on_kubeflow(args)
    if odd := kfp_arguments.given(args, *_ON_A_SERVER):
        args.refuse(f"{odd}: only with --kubeflow")
    if args.kubeflow_local:
        return _run_as_on_kubeflow(args)
    if odd := kfp_arguments.given(args, kfp_arguments.add_serving):
        args.refuse(f"{odd}: only with --kubeflow or --kubeflow-local")
    from pipeline import configs_by_name, run_pipeline
    from pipeline.config import override
    from pipeline.errors import UserError

    _need(args, "config", "data", "root")
    reason = "" if args.force_bless is None else args.force_bless.strip()
    if args.force_bless is not None and not reason:
        raise UserError("--force-bless takes a reason, which is recorded and shown; got an empty one")
    config = override(configs_by_name.load(args.config), args.assignments)
    run_pipeline.run(config, args.data, args.root, args.verbose, reason)
    return 0


def _run_on_kubeflow(args: argparse.Namespace) -> int:
    import rich.console

    from pipeline import kfp_wait
    from pipeline.kfp_client import Server
    from pipeline.kfp_package import Package

    _need(args, "pipeline")
    _refuse_force_bless(args)
    package = Package.read(args.pipeline)
    values = kfp_arguments.pipeline_arguments(args, package)
    server = Server(kfp_arguments.access(args))
    name = args.name or f"{package.name} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    run_id = server.start(package, values, kfp_arguments.experiment(args), name, args.service_account)
    print(f"Run {run_id} of {package.name}, version {package.version}: {server.page(run_id)}", flush=True)
    if args.wait:
        console = rich.console.Console(stderr=True, highlight=False)

        def tell(task: str, state: str) -> None:
            console.print(f"{time.strftime('%H:%M:%S')}  {state:9}  {task}", markup=False)

        kfp_wait.wait(server, run_id, package.tasks, tell)
        print("The run has succeeded; its AtomicPusher's log says what was pushed.")
    return 0


def _run_as_on_kubeflow(args: argparse.Namespace) -> int:
    from pipeline.kfp_package import Package

    _need(args, "data", "root")
    _refuse_force_bless(args)
    package = Package.read(args.kubeflow_local)
    for place in ("data", "root", "serving"):  # a task need not run in this folder
        if getattr(args, place):
            setattr(args, place, os.path.abspath(getattr(args, place)))
    values = kfp_arguments.pipeline_arguments(args, package)

    from pipeline import kubeflow_local

    kubeflow_local.run(package.path, values, args.root)
    return 0


def _refuse_force_bless(args: argparse.Namespace) -> None:
    if args.force_bless is not None:
        args.refuse("--force-bless: only for a run of --config on this machine")


def _add_wait(group: Any) -> None:
    group.add_argument("--wait", action="store_true", help="until the run has ended; fail if it does")


# Options that mean nothing without --kubeflow.
_ON_A_SERVER = (kfp_arguments.add_job, kfp_arguments.add_access, _add_wait)


def _need(args: argparse.Namespace, *names: str) -> None:
    missing = [f"--{name}" for name in names if getattr(args, name) is None]
    if missing:
        args.refuse(f"the following arguments are required: {', '.join(missing)}")
