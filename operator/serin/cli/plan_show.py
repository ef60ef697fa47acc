"""A plan as tables: what people look at first comes last, beside the prompt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table

from serin.cli.plan_delay import FAULTS, canary_percent
from serin.engine.goals.schedule import schedule
from serin.engine.goals.wording import number
from serin.engine.wording import length, milliseconds, share

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from serin.api.spec import Spec
    from serin.cli.plan_delay import Delay
    from serin.cli.plan_figures import Figures
    from serin.cli.plan_goals import GoalPlan

UNKNOWN = "?"


def show(
    console: Console,
    spec: Spec,
    known: Figures,
    goals: Sequence[GoalPlan],
    delays: Mapping[tuple[str, str, str], Delay | None],
    warnings: Sequence[str],
    options: argparse.Namespace,
) -> None:
    """Prints the plan."""
    _traffic(console, known)
    if goals:
        _goals(console, spec, goals, options.power)
    _delays(console, spec, known, delays, options)
    for note in known.notes:
        console.print(f"note: {note}", markup=False, style="dim", soft_wrap=True)
    for warning in warnings:
        console.print(f"warning: {warning}", markup=False, style="yellow", soft_wrap=True)
    if not warnings:
        console.print("the plan can answer its questions", style="green")


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False, header_style="bold")


def _traffic(console: Console, known: Figures) -> None:
    table = _table("SERVICE", "REQUESTS/S", "ERRORS", "P95", "TRAFFIC", "NOISE")
    for name, each in known.services.items():
        rate = UNKNOWN if each.rate is None else number(each.rate)
        late = next((edge for edge, part in zip(each.edges, each.within, strict=True) if part >= 0.95), None)  # noqa: PLR2004 - P95
        p95 = UNKNOWN if late is None else f"at most {milliseconds(late)}"
        table.add_row(name, rate, share(each.errors), p95, each.source, each.history)
    console.print(table)
    console.print()


def _goals(console: Console, spec: Spec, goals: Sequence[GoalPlan], power: float) -> None:
    plan = schedule(spec)
    assert plan is not None
    table = _table("GOAL", "ASKS FOR", "NEEDS/VARIANT", "STAGE BRINGS", "DAYS", "SMALLEST EFFECT")
    for each in goals:
        smallest = UNKNOWN if each.smallest_sd is None else f"{number(each.smallest_sd)} sd"
        if each.smallest is not None:
            smallest = f"{number(each.smallest)} = {smallest}"
        table.add_row(
            each.name,
            each.asks,
            UNKNOWN if each.need is None else f"{each.need:,} users",
            UNKNOWN if each.stage_users is None else f"{each.stage_users:,} users",
            UNKNOWN if each.days is None else "never" if math.isinf(each.days) else f"{each.days:g}",
            smallest,
        )
    console.print(table)
    looks = "1 look" if plan.looks == 1 else f"{plan.looks} looks"
    samples = f", minSamples {plan.stage.min_samples:,}" if plan.stage.min_samples is not None else ""
    console.print(
        f"stage {plan.stage.name}, {plan.stage.weight}% for {plan.stage.duration}{samples}; {looks}, two-sided level"
        f" {spec.analysis.alpha:g}, power {power:g}; users of the smaller variant",
        markup=False,
        style="dim",
        soft_wrap=True,
    )
    console.print()


def _delays(
    console: Console,
    spec: Spec,
    known: Figures,
    delays: Mapping[tuple[str, str, str], Delay | None],
    options: argparse.Namespace,
) -> None:
    stages = [stage for stage in spec.stages if stage.weight < 100]  # noqa: PLR2004 - percent
    table = _table(
        "SERVICE",
        "ROLLED BACK AFTER",
        *(f"{stage.name} {canary_percent(stage)}%{' copied' if stage.mirror else ''}" for stage in stages),
    )
    for name in known.services:
        for fault in FAULTS:
            cells = [_cell(delays.get((name, stage.name, fault.name))) for stage in stages]
            table.add_row(name, fault.name, *cells)
    console.print(table)
    console.print(
        f"median / 95th percentile of {options.runs} generated experiments (seed {options.seed}), fault from the start"
        " of the stage",
        markup=False,
        style="dim",
        soft_wrap=True,
    )
    console.print()


def _cell(each: Delay | None) -> str:
    if each is None:
        return UNKNOWN
    if each.median is None:
        return f"missed ({each.found} of {each.runs} found)"
    late = "missed" if each.late is None else length(each.late)
    return f"{length(each.median)} / {late}"
