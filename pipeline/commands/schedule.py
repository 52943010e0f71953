"""`captioner schedule`: runs at set times, in a cluster or on this machine."""

import argparse
import dataclasses
from typing import Any

from pipeline import kfp_arguments
from pipeline.commands.run import add_overrides
from pipeline.continuous import arguments as local_arguments

_ON_A_SERVER = (kfp_arguments.add_job, kfp_arguments.add_serving, kfp_arguments.add_access)

HELP = "run the pipeline at set times, or as data arrives, on Kubeflow Pipelines or on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = (
        "Makes a schedule. With --endpoint, a recurring run of Kubeflow Pipelines, from what 'captioner "
        "compile' wrote: one run at a time, and of missed times only the last is made up for. With --local, "
        "a scheduler that goes on in this process until it is stopped."
    )
    parser.add_argument(
        "--cron",
        metavar="FIELDS",
        help="minute, hour, day of month, month and day of week: '0 3 * * 1' is Mondays at 3:00, in the "
        "cluster's time zone (UTC, unless it was installed with another) or in that of --timezone",
    )
    parser.add_argument("--local", action="store_true", help="schedule here, and not on Kubeflow Pipelines")
    parser.add_argument(
        "--config", metavar="NAME", help="demo, flickr8k, flickr30k or coco; on Kubeflow: if not as compiled"
    )
    parser.add_argument(
        "--data", metavar="DIR", help="what 'captioner import' wrote; on Kubeflow: if not as compiled"
    )
    parser.add_argument("--root", metavar="DIR", help="where results go; on Kubeflow: if not as compiled")
    add_overrides(parser)
    cluster = parser.add_argument_group("on Kubeflow Pipelines")
    for declare in _ON_A_SERVER:
        declare(cluster)
    local_arguments.add_arguments(parser)
    actions = parser.add_subparsers(dest="action", metavar="[ACTION]", title="with a schedule there is")
    for name, what in (
        ("list", "show them"),
        ("pause", "start no runs until it is resumed"),
        ("resume", "start runs again"),
        ("delete", "remove it; a run that it has started goes on"),
    ):
        action = actions.add_parser(name, help=what, description=what.capitalize() + ".")
        if name == "list":
            action.add_argument("--json", action="store_true", help="print one JSON object a schedule")
        else:
            action.add_argument("which", nargs="?", metavar="NAME", help="its name or ID; with --local, none")
        # Not given here, they are as they stand before the action.
        unset = argparse.SUPPRESS
        action.add_argument("--local", action="store_true", default=unset, help="the one in --root")
        action.add_argument("--root", default=unset, metavar="DIR", help="with --local")
        kfp_arguments.add_access(action, unset)
        action.add_argument("--verbose", action="store_true", default=unset, help="show log lines, too")


def run(args: argparse.Namespace) -> int:
    """Makes a schedule, or does something with those there are."""
    from pipeline.errors import UserError

    if args.local:
        if odd := kfp_arguments.given(args, *_ON_A_SERVER):
            raise UserError(f"{odd}: not for a schedule on this machine; leave that out, or --local")
        return _local(args)
    if odd := kfp_arguments.given(args, local_arguments.add_arguments):
        raise UserError(f"{odd}: not for a schedule on Kubeflow Pipelines; leave that out, or add --local")
    return _kubeflow(args)


def _kubeflow(args: argparse.Namespace) -> int:
    from pipeline.kfp_client import Server

    if args.action is None:
        return _create(args)
    server = Server(kfp_arguments.access(args))
    experiment = kfp_arguments.experiment(args)
    if args.action == "list":
        return _list(server.schedules(experiment), experiment, args.json)
    schedule = _find(server.schedules(experiment), args.which, args.action, experiment)
    act, done = {
        "pause": (server.pause, "is paused: it starts no runs until 'captioner schedule resume'"),
        "resume": (server.resume, "starts runs again"),
        "delete": (server.delete, "is deleted; a run that it has started goes on"),
    }[args.action]
    act(schedule.id)
    print(f"The schedule {schedule.name} ({schedule.id}) {done}.")
    return 0


def _create(args: argparse.Namespace) -> int:
    from pipeline import cron
    from pipeline.errors import UserError
    from pipeline.kfp_client import Server
    from pipeline.kfp_package import Package

    for option in ("cron", "pipeline"):
        if not getattr(args, option):
            raise UserError(f"a schedule on Kubeflow Pipelines needs --{option}; on this machine: --local")
    times = cron.with_seconds(args.cron)
    package = Package.read(args.pipeline)
    values = kfp_arguments.pipeline_arguments(args, package)
    server = Server(kfp_arguments.access(args))
    experiment, name = kfp_arguments.experiment(args), args.name or package.name
    # The server takes a second one of the same name, and then both train.
    for schedule in server.schedules(experiment):
        if schedule.name == name:
            raise UserError(
                f"there is a schedule {name} already ({schedule.id}, {cron.without_seconds(schedule.cron)}); "
                f"remove it with 'captioner schedule delete {name}', or give another --name"
            )
    made = server.schedule(package, values, experiment, name, times, args.service_account)
    print(f"The schedule {name} ({made}) runs {package.path} at {cron.check(args.cron)}, the cluster's time.")
    return 0


def _find(schedules: list[Any], which: str | None, action: str, experiment: str) -> Any:
    from pipeline.errors import UserError

    there = ", ".join(f"{each.name} ({each.id})" for each in schedules) or "none"
    found = [each for each in schedules if which in (each.id, each.name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"several schedules are called {which}; give the ID of one: {there}")
    wrong = f"there is no schedule {which}" if which else f"say which schedule to {action}"
    raise UserError(f"{wrong} in the experiment {experiment}; there are: {there}")


def _list(schedules: list[Any], experiment: str, as_json: bool) -> int:
    from pipeline import cron, plain_json, tables

    if as_json:
        for each in schedules:
            print(plain_json.dumps(dataclasses.asdict(each)))
        return 0
    if not schedules:
        print(f"No schedule in the experiment {experiment}: 'captioner schedule --cron ...' makes one.")
        return 0
    rows = [
        [
            each.name,
            "on" if each.enabled else "paused",
            cron.without_seconds(each.cron),
            each.created[:16].replace("T", " "),
            each.id,
            each.error,
        ]
        for each in schedules
    ]
    tables.show(["name", "state", "times", "made (UTC)", "ID", ""], rows)
    return 0


def _local(args: argparse.Namespace) -> int:
    from pipeline import plain_json
    from pipeline.continuous import daemon
    from pipeline.errors import UserError

    needed = ("root",) if args.action else ("config", "data", "root")
    if missing := [f"--{option}" for option in needed if not getattr(args, option)]:
        raise UserError(f"a schedule on this machine needs {', '.join(missing)}")
    if getattr(args, "which", None):
        raise UserError(f"a root has one schedule, named by --root alone; got {args.which!r} as well")
    if args.action is None:
        options = local_arguments.options_from(args)
        if args.systemd:
            print(daemon.systemd_unit(options), end="")
            return 0
        return daemon.run(options)
    if args.action == "list":
        lines = [plain_json.dumps(daemon.describe(args.root))] if args.json else daemon.list_lines(args.root)
        print("\n".join(lines))
        return 0
    print({"pause": daemon.pause, "resume": daemon.resume, "delete": daemon.delete}[args.action](args.root))
    return 0
