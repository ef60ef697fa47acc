"""What is kept of things that anybody may ask for."""

from serin.metrics.latest import Latest


def test_the_ones_that_were_asked_for_last_are_kept() -> None:
    """Preview namespaces with a Prometheus each come and go for ever."""
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([])
        return made[-1]

    latest = Latest[str, list[int]](make, most=2)
    one = latest.of("one")
    latest.of("two")
    assert latest.of("one") is one
    latest.of("three")
    assert latest.of("one") is one
    assert latest.of("two") is not made[1], "it was made anew"
    assert len(made) == 4
