"""Imports go one way, so that the model serves without the pipeline and the server without the model.

Read from the source with `ast`: nothing is imported.
"""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("models", "components", "serving", "pipeline")

# What a package may import of the others: a module with all that is below it.
BETWEEN_PACKAGES = {
    "models": (),
    "components": ("models",),
    "components.caption_meter": ("models", "serving"),
    "components.serving_validator": ("models", "serving"),
    "serving": ("models.features",),
    "pipeline": (
        "components",
        "serving",
        "models.config",
        "models.features",
        "models.metrics",
        "models.settings",
    ),
}

# What the parts of `models` may import of each other; every part may import itself and these:
CONTRACTS = ("models.config", "models.features", "models.stop_words")
WITHIN_MODELS = {
    "models.layers": (),
    "models.representations": (),
    "models.metrics": (),
    "models.generation": ("models.decoders.base",),
    "models.decoders": ("models.layers",),
    "models.captioner": ("models.decoders", "models.representations"),
}
# What puts the parts together: imported by nothing below it.
ON_TOP = (
    "models.export",
    "models.projector",
    "models.self_critical",
    "models.trainer",
    "models.training",
    "models.training_log",
    "models.warm_start",
)

# The dictionaries that say which classes there are.
REGISTRIES = ("models/decoders/__init__.py", "models/representations/__init__.py")


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def module_of(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_of(path): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if "__pycache__" not in path.parts
}


def imports_of(module: str) -> set[str]:
    """Our own modules that a module imports, anywhere in its file."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import; write the whole name"
            # A name may be a module or something in it.
            names = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in FILES else str(node.module) for name in names}
    return {name for name in found if name.split(".")[0] in PACKAGES}


def breaches(module: str, allowed: tuple[str, ...], judged: tuple[str, ...] = PACKAGES) -> set[str]:
    """Imports of `module`, among those in `judged`, that are not in `allowed`."""
    return {
        name
        for name in imports_of(module)
        if any(is_in(name, package) for package in judged)
        and not any(is_in(name, package) for package in allowed)
    }


def rule_of(module: str, rules: dict[str, tuple[str, ...]]) -> str | None:
    """The most particular rule for a module."""
    return max((package for package in rules if is_in(module, package)), key=len, default=None)


@pytest.mark.parametrize("module", FILES)
def test_packages_import_one_way(module: str):
    own = module.split(".")[0]
    rule = rule_of(module, BETWEEN_PACKAGES)
    assert rule is not None
    assert not breaches(module, (own, *BETWEEN_PACKAGES[rule]))


@pytest.mark.parametrize("module", [module for module in FILES if rule_of(module, WITHIN_MODELS)])
def test_the_parts_of_the_model_import_one_way(module: str):
    rule = rule_of(module, WITHIN_MODELS)
    assert rule is not None
    assert not breaches(module, (rule, *WITHIN_MODELS[rule], *CONTRACTS))


@pytest.mark.parametrize("module", [m for m in FILES if is_in(m, "models")])
def test_nothing_below_imports_what_puts_the_parts_together(module: str):
    if module in ON_TOP:
        return
    assert not {name for name in imports_of(module) if name in ON_TOP}


def test_only_the_package_of_decoders_names_a_concrete_one():
    """Search, captioner and the rest reach a decoder through the dictionary alone."""
    concrete = {module for module in FILES if is_in(module, "models.decoders") and module.count(".") == 2} - {
        "models.decoders.base"
    }
    assert concrete
    for module in FILES:
        if not is_in(module, "models.decoders"):
            assert not imports_of(module) & concrete, module


@pytest.mark.parametrize(
    "path", [path for path in FILES.values() if path.name == "__init__.py"], ids=lambda p: module_of(p)
)
def test_packages_are_empty_but_for_the_registries(path: pathlib.Path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    if path.relative_to(ROOT).as_posix() in REGISTRIES:
        kinds = (ast.Expr, ast.ImportFrom, ast.Assign)
        assert all(isinstance(node, kinds) for node in body), "imports and one dictionary"
    else:
        assert not body


@pytest.mark.parametrize("module", FILES)
def test_keras_is_never_reached_through_tensorflow(module: str):
    """Importing TFT turns `tf.keras` into Keras 2."""
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        assert not (
            isinstance(node, ast.Attribute)
            and node.attr == "keras"
            and isinstance(node.value, ast.Name)
            and node.value.id in ("tf", "tensorflow")
        ), f"line {getattr(node, 'lineno', 0)}"


@pytest.mark.parametrize("module", [m for m in FILES if is_in(m, "components")])
def test_components_have_real_annotations(module: str):
    """TFX's `@component` reads the annotations of the function itself, not their text."""
    source = FILES[module].read_text(encoding="utf-8")
    decorated = any(
        isinstance(node, ast.FunctionDef) and any("component" in ast.unparse(d) for d in node.decorator_list)
        for node in ast.walk(ast.parse(source))
    )
    assert not (decorated and "from __future__ import annotations" in source)
