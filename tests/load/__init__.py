"""An open-loop load for both services, as a program (`python -m tests.load --help`) and as a library.

Open loop: requests leave when they are due, whether or not earlier ones came back, and a latency counts from the
moment when the request was due. A closed loop slows down together with the service that it measures, and hides the
very delays that users would see.

    plan = Plan((Target("recommendation", ("http://127.0.0.1:30081",), rate=20),), duration=60)
    report = await run(plan)
"""

from tests.load.generator import Load, run
from tests.load.plan import Plan, Target
from tests.load.report import Failure, Report, RouteSeries, Series, Window

__all__ = ["Failure", "Load", "Plan", "Report", "RouteSeries", "Series", "Target", "Window", "run"]
