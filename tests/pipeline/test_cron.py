"""What a person may write after `--cron`."""

import pytest

from pipeline import cron
from pipeline.errors import UserError


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("0 3 * * 1", "0 0 3 * * 1"),
        ("  */15  0-6/2 1,15 JAN-Mar mon ", "0 */15 0-6/2 1,15 JAN-Mar mon"),
        ("5/10 * * * *", "0 5/10 * * * *"),
        ("0 0 29 2 *", "0 0 0 29 2 *"),
        ("0 0 1 * 5,*", "0 0 0 1 * 5,*"),
        ("0 0 31 2 fri", "0 0 0 31 2 fri"),
    ],
)
def test_kubeflow_is_sent_the_seconds_too(written: str, sent: str):
    assert cron.with_seconds(written) == sent
    assert cron.without_seconds(sent) == " ".join(written.split())


@pytest.mark.parametrize(
    ("written", "sent"),
    [("7", "0"), ("1/3", "1/3"), ("5-7", "0,5,6"), ("1,7", "0,1"), ("0-7", "0,1,2,3,4,5,6")],
)
def test_sunday_is_7_to_people_and_0_to_kubeflow(written: str, sent: str):
    assert cron.with_seconds(f"0 3 * * {written}") == f"0 0 3 * * {sent}"


@pytest.mark.parametrize("expression", ["30 0 3 * * 1", "@every 1h", "0 0 3 * * ? *"])
def test_what_is_not_ours_is_shown_as_it_is(expression: str):
    assert cron.without_seconds(expression) == expression


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("", "takes five fields (minute, hour, day of month, month, day of week)"),
        ("0 3 * *", "got 4 in '0 3 * *'"),
        ("0 0 3 * * 1", "leave out the seconds"),
        ("60 3 * * 1", "minute: expected 0 to 59, got '60'"),
        ("0 24 * * 1", "hour: expected 0 to 23, got '24'"),
        ("0 3 0 * *", "day of month: expected 1 to 31, got '0'"),
        ("0 3 * foo *", "month: expected 1 to 12 or jan to dec, got 'foo'"),
        ("0 3 * * 8", "day of week: expected 0 to 7 or sun to sat, got '8'"),
        ("0 3 ? * 1", "day of month: expected 1 to 31, got '?'"),
        ("0 3 * * 5-1", "day of week: '5-1': the range ends before it begins"),
        ("*/60 3 * * 1", "minute: '*/60': the step is longer than the range; write 0"),
        ("0 18/6 * * 1", "hour: '18/6': the step is longer than the range; write 18"),
        ("*/٣ 3 * * 1", "minute: '*/٣': a step is a number of at least 1"),
        ("*/0 3 * * 1", "minute: '*/0': a step is a number of at least 1"),
        ("*/x 3 * * 1", "minute: '*/x': a step is a number of at least 1"),
        ("1,,2 3 * * 1", "minute: expected 0 to 59, got ''"),
        ("٣ 3 * * 1", "minute: expected 0 to 59, got '٣'"),
        ("0 0 31 2,4 *", "no month in it has a day 31, so it would never run"),
    ],
)
def test_what_cannot_be_is_said_with_the_field(expression: str, complaint: str):
    with pytest.raises(UserError) as raised:
        cron.check(expression)
    assert complaint in str(raised.value)
