"""What a person sees while an experiment runs: a live table on a terminal, a line for each change elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tests.demo.experiment import Experiment
from tests.demo.follow import Seen
from tests.load import Report

COLOURS = {"Succeeded": "green", "RolledBack": "red", "Failed": "red", "RollingBack": "red", "Holding": "yellow"}
VERDICTS = {"Healthy": "green", "Warning": "yellow", "Failing": "red"}
QUIET_SECONDS = 15.0


class View:
    """Shows one experiment; a context manager."""

    def __init__(self, console: Console, experiment: Experiment, report: Report) -> None:
        self._console, self._experiment, self._report = console, experiment, report
        self._began, self._last, self._said = time.monotonic(), "", 0.0
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        """Take the terminal, if there is one."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back; the last table stays."""
        if self._live is not None:
            self._live.stop()

    async def show(self, seen: Seen) -> None:
        """Show what was just read."""
        if self._live is not None:
            self._live.update(Group(self._experiments(seen), self._services(seen)), refresh=True)
            return
        status = seen.status
        state = (
            f"{seen.phase:<12} {status.get('stage', ''):<7} {status.get('weight', 0):>3}%  {status.get('verdict', '')}"
        )
        if state == self._last and time.monotonic() - self._said < QUIET_SECONDS:
            return
        self._last, self._said = state, time.monotonic()
        rates = "  ".join(
            f"{row.service[:3]}/{row.variant} {row.answered / 10:.0f}/s" for row in self._report.window(10)
        )
        self._console.print(
            f"{self._seconds():4.0f}s  {state}  {status.get('message', '')}  [{rates};"
            f" failed: {self._report.injected} on purpose, {self._report.own_failures} otherwise]",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _experiments(self, seen: Seen) -> Table:
        status = seen.status
        table = Table(title=f"{self._experiment.title}, {self._seconds():.0f} s", title_justify="left", expand=True)
        for heading in ("PHASE", "STAGE", "WEIGHT", "VERDICT"):
            table.add_column(heading, no_wrap=True)
        table.add_column("MESSAGE", ratio=1)
        verdict = status.get("verdict", "")
        table.add_row(
            Text(seen.phase or "-", style=COLOURS.get(seen.phase, "")),
            status.get("stage", ""),
            str(status.get("weight", 0)),
            Text(verdict, style=VERDICTS.get(verdict, "")),
            Text(status.get("message", "")),
        )
        return table

    def _services(self, seen: Seen) -> Table:
        table = Table(expand=True)
        for heading in ("SERVICE", "VARIANT", "READY"):
            table.add_column(heading, no_wrap=True)
        for heading in ("REQUESTS/S", "P95", "FAILED", "ON PURPOSE"):
            table.add_column(heading, justify="right")
        ready = {service["name"]: service.get("ready", "") for service in seen.status.get("services", [])}
        recent = {(row.service, row.variant): row for row in self._report.window(10)}
        for service, variant, series in self._report.rows():
            row = recent.get((service, variant))
            injected = series.failed["injected"]
            table.add_row(
                service,
                variant,
                next((part for part in ready.get(service, "").split(", ") if part.startswith(variant)), ""),
                f"{row.answered / 10:.1f}" if row else "0",
                f"{row.p95 * 1000:.0f} ms" if row and row.p95 is not None else "-",
                str(series.failed.total() - injected),
                str(injected),
            )
        return table
