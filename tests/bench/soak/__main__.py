"""`python -m tests.bench.soak weeks|hour`: simulated weeks through `decide`, or a real hour of the real operator."""

from tests.bench.commands import parsed
from tests.bench.soak import hour, weeks

BENCHES = {"weeks": weeks, "hour": hour}


def main(arguments: list[str] | None = None) -> int:
    """Run a bench and return its exit code."""
    options, console = parsed("python -m tests.bench.soak", __doc__, BENCHES, arguments)
    return BENCHES[options.bench].main(options, console)


if __name__ == "__main__":
    raise SystemExit(main())
