"""What came of an experiment, said by numbers that the status and the load give, never by those that were set."""

from dataclasses import dataclass
from datetime import datetime

from tests.demo.experiment import Experiment
from tests.demo.follow import Seen, clock, fault_began
from tests.load import Report


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one experiment; times are Unix seconds or datetimes in UTC, None when there is none."""

    experiment: Experiment
    phase: str
    message: str
    fault_began: float | None
    first_bad_look: datetime | None
    found_at: datetime | None
    restored_at: datetime | None
    last_canary_answer: float | None
    decided: tuple[str, ...]
    own_failures: int
    injected: int
    sent: int
    sentence: str

    @property
    def as_it_should(self) -> bool:
        """Whether the experiment ended in the phase that it was made for."""
        return self.phase == self.experiment.ends

    def lines(self) -> list[str]:
        """The finding for people, a line each."""
        found = [f"{'✓' if self.as_it_should else '✗'} {self.experiment.title}: {self.phase or 'no phase'}"]
        if self.message:
            found.append(f"  {self.message}")
        if self.experiment.faults:
            found += [
                f"  fault served since  {clock(self.fault_began)}",
                f"  first bad look      {clock(self.first_bad_look)}",
                f"  found               {clock(self.found_at)}{self._after(self.found_at)}",
                f"  control at 100 %    {clock(self.restored_at)}{self._after(self.restored_at)}",
                f"  last canary answer  {clock(self.last_canary_answer)}",
            ]
        found += [f"  {'decided by' if self.experiment.faults else 'judged'}: {line}" for line in self.decided]
        found.append(
            f"  {self.sent:,} requests; failed because of the switching: {self.own_failures}"
            f"; failed on purpose: {self.injected}. {self.sentence}"
        )
        return found

    def _after(self, at: datetime | None) -> str:
        if at is None or self.fault_began is None:
            return ""
        return f"  ({at.timestamp() - self.fault_began:.0f} s after the fault began)"


def find(experiment: Experiment, seen: Seen, report: Report) -> Finding:
    """Put together what the status and the load say about an experiment."""
    guardrails = seen.guardrails("Failing") if experiment.faults else seen.guardrails()
    canaries = [series.last_at for (_, variant), series in report.series.items() if variant == "canary"]
    return Finding(
        experiment=experiment,
        phase=seen.phase,
        message=str(seen.status.get("message", "")),
        fault_began=fault_began(report),
        first_bad_look=seen.at("firstBadLook"),
        found_at=seen.at("foundAt"),
        restored_at=seen.at("restoredAt"),
        last_canary_answer=max((at for at in canaries if at), default=None),
        decided=tuple(f"{service} {guardrail['name']}: {guardrail['summary']}" for service, guardrail in guardrails),
        own_failures=report.own_failures,
        injected=report.injected,
        sent=report.sent.total(),
        sentence=report.sentence(),
    )
