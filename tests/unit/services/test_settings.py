"""Settings come from the environment, and a wrong one stops the process with a sentence."""

import pytest
from pydantic import ValidationError

from serin_services.settings import ServiceSettings


@pytest.mark.parametrize(
    ("text", "seconds"), [("60ms", 0.06), ("5s", 5.0), ("2m", 120.0), ("1h", 3600.0), ("0.25", 0.25), ("1.5s", 1.5)]
)
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """SERIN_FAULT_LATENCY=60ms is 0.06 s; a number without a unit is seconds."""
    monkeypatch.setenv("SERIN_FAULT_LATENCY", text)
    assert ServiceSettings().fault_latency == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERIN_FAULT_LATENCY", "60 parsecs"),
        ("SERIN_FAULT_LATENCY", "-5s"),
        ("SERIN_FAULT_ERROR_SHARE", "5"),
        ("SERIN_FAULT_ERROR_SHARE", "-0.1"),
        ("SERIN_ENGINE", "phase5"),
        ("SERIN_MAX_INFLIGHT", "0"),
        ("SERIN_PORT", "tcp://10.0.0.1:80"),
    ],
)
def test_a_wrong_setting_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that makes no sense stops the process and names the field."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name.removeprefix("SERIN_").lower()):
        ServiceSettings()


def test_nothing_is_bad_by_default() -> None:
    """A release without fault settings injects nothing, and control's engine is the legacy."""
    settings = ServiceSettings()
    assert (settings.fault_error_share, settings.fault_latency, settings.engine) == (0.0, 0.0, "phase3")
