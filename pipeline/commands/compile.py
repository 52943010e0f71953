"""`captioner compile`: the pipeline as a file that Kubeflow Pipelines runs."""

import argparse
import sys

HELP = "compile the pipeline for Kubeflow Pipelines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    from pipeline.commands.run import add_overrides

    parser.description = (
        "Writes the pipeline as one YAML file for the open-source backend of Kubeflow Pipelines. Config, "
        "data and folders become defaults, in place of which a run may be given others. 'captioner run "
        "--kubeflow-local FILE' runs the same file on this machine."
    )
    parser.add_argument(
        "--config", required=True, metavar="NAME", help="demo, flickr8k, flickr30k or coco (pipeline/configs)"
    )
    parser.add_argument(
        "--image", required=True, metavar="REPO/IMAGE:TAG", help="of every task; see kubeflow/README.md"
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="a .yaml file")
    parser.add_argument(
        "--cluster",
        metavar="FILE",
        help="YAML: the Trainer's CPU, memory and GPUs, volumes, secrets, retries",
    )
    parser.add_argument(
        "--data", metavar="URI", default="/mnt/captioner/data", help="folder of the spans; %(default)s"
    )
    parser.add_argument(
        "--root",
        metavar="URI",
        default="/mnt/captioner",
        help="features, checkpoints and pushed models, kept between runs; %(default)s",
    )
    parser.add_argument(
        "--serving", metavar="URI", default="", help="pushed models; serving/captioner in --root"
    )
    add_overrides(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the file."""
    from pipeline import configs_by_name
    from pipeline.config import override
    from pipeline.errors import UserError
    from pipeline.kubeflow_config import KubeflowConfig

    if not args.output.endswith((".yaml", ".yml")):
        raise UserError(f"--output must end in .yaml, as Kubeflow Pipelines takes it; got {args.output}")
    if not {":", "@"} & set(args.image.rpartition("/")[2]):
        raise UserError(
            f"--image needs a tag or a digest, or a task may run other code than the next; got {args.image}"
        )
    config = override(configs_by_name.load(args.config), args.assignments)
    cluster = KubeflowConfig.read(args.cluster) if args.cluster else KubeflowConfig()
    print("loading TFX (about half a minute)", file=sys.stderr, flush=True)
    try:
        from pipeline import kubeflow_compile
    except ImportError as error:
        raise UserError(
            f"compiling needs the kfp package ({error}): pip install 'tfx-captioner[kfp]'"
        ) from error
    kubeflow_compile.compile_pipeline(
        config, args.image, args.output, cluster, args.data, args.serving, args.root
    )
    print(f"Written: {args.output}")
    for place in cluster.unmounted(args.data, args.root, args.serving):
        print(
            f"In a cluster no task will see {place}: no volume is mounted there. Name one in --cluster FILE, "
            "such as 'volumes: {captioner: /mnt/captioner}'; see kubeflow/README.md",
            file=sys.stderr,
        )
    print(f"On this machine: captioner run --kubeflow-local {args.output} --data ... --root ...")
    return 0
