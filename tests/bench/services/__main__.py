"""`python -m tests.bench.services latency|memory|indexes|sessions`: the benches of the services as programs."""

import sys

from tests.bench.commands import parsed
from tests.bench.services import indexes, latency, memory, session_memory
from tests.bench.services.processes import NoPostgresError

BENCHES = {"latency": latency, "memory": memory, "indexes": indexes, "sessions": session_memory}


def main(arguments: list[str] | None = None) -> int:
    """Run a bench and return its exit code."""
    options, console = parsed("python -m tests.bench.services", __doc__, BENCHES, arguments)
    try:
        return BENCHES[options.bench].main(options, console)
    except (NoPostgresError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
