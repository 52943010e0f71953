"""What a schedule may be asked for."""

import pytest

from pipeline.continuous.config import NotifyConfig, RetryConfig, TriggerConfig

SECRET = "T0KEN"


@pytest.mark.parametrize(
    ("kind", "values", "complaint"),
    [
        (TriggerConfig, {"missed": "twice"}, "missed must be one of once, skip; got 'twice'"),
        (TriggerConfig, {"min_new_spans": 0}, "min_new_spans must be at least 1; got 0"),
        (TriggerConfig, {"min_new_images": 0}, "min_new_images must be at least 1; got 0"),
        (TriggerConfig, {"poll_s": 0.5}, "poll_s must be at least 1 second; got 0.5"),
        (RetryConfig, {"most": -1}, "retries must be 0"),
        (RetryConfig, {"first_s": 0}, "the first wait must be above 0"),
        (RetryConfig, {"first_s": 100, "longest_s": 99}, "not above the longest; got 100 s and 99 s"),
        (RetryConfig, {"jitter": 2}, "jitter must be from 0 to 1; got 2"),
        (NotifyConfig, {"on": ("pushed", "lost")}, "interrupted; got 'lost'"),
        (NotifyConfig, {"timeout_s": 0}, "the timeout must be above 0 seconds"),
        (NotifyConfig, {"attempts": 0}, "attempts must be at least 1"),
        (NotifyConfig, {"webhook": f"http://chat.example/{SECRET}"}, "got http://chat.example"),
        (NotifyConfig, {"webhook": SECRET}, "got no scheme://"),
    ],
)
def test_what_cannot_be_is_refused_without_telling_secrets(kind, values, complaint):
    with pytest.raises(ValueError, match=r"must|webhook") as raised:
        kind(**values)
    assert complaint in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["https://chat.example/x", "http://localhost:8080/x", "http://[::1]/", "env:HOOK"]
)
def test_webhooks_are_encrypted_unless_they_stay_on_the_machine(url: str):
    assert NotifyConfig(webhook=url).webhook == url


def test_a_webhook_is_not_shown():
    assert SECRET not in repr(NotifyConfig(webhook=f"https://chat.example/{SECRET}"))


def test_no_trigger_is_no_schedule():
    assert not TriggerConfig().any
    assert TriggerConfig(on_drift=True).any
