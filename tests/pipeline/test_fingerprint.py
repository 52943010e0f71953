"""Fingerprints: what a component runs, and nothing else, makes its cached outputs stale."""

from pipeline import fingerprint
from tests.test_import_rules import FILES, imports_of


def below(module: str) -> set[str]:
    """The modules of ours that `module` imports, and those that they import."""
    found, todo = set(), {module}
    while todo:
        found |= todo
        todo = {name for module in todo for name in imports_of(module) & FILES.keys()} - found
    return found


def test_the_trainers_is_of_all_that_training_runs(monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr(fingerprint, "of_sources", lambda paths: seen.extend(paths) or "")
    fingerprint.of_trainer()
    assert "models/metrics/cider_d.py" in seen, "the reward of self-critical training"
    for module in below("models.trainer"):
        assert str(FILES[module].relative_to(fingerprint._ROOT)) in seen
