"""Experiments in the middle of a stage that did not begin by themselves: copies of one that did.

On the way into a stage each experiment asks Prometheus for a day of history and more, some forty thousand queries for
four thousand of them; on two cores that takes longer than all that is measured. What it takes is known from the
experiments that did begin. A copy has the objects and the status that it would have come to, with its own names, hashes
and times, so that the operator finds it as after a restart.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec

from serin.api.names import API_VERSION, PLURAL
from serin.api.spec import Spec, parse_spec
from serin.api.status import Status, parse_status, status_to_json
from serin.controller.observe import Observer, slot_of
from serin.controller.store import Key, Store
from serin.engine import run
from serin.engine.parts import parts_of
from serin.engine.wording import timestamp
from serin.kube.deployments import Deployments, template_hash
from serin.traffic.router import Routers
from tests.bench.scale.api import Api, all_of, path
from tests.bench.scale.shop import APPS, Made, experiment_name, namespace, parts

_LONG_AGO: Final = 1.0
"""Unix time before any look: an observation at that time measures nothing."""


class Copies:
    """Makes experiments that are like one that is in its stage.

    Args:
        api: an administrator's.
        like: the number of the one that they are like.
        experiment: makes the experiment of a number.
    """

    def __init__(self, api: Api, like: int, experiment: Callable[[int], Made]) -> None:
        self._api, self._like, self._experiment = api, like, experiment

    async def make(self, numbers: Sequence[int]) -> None:
        """Make all of them; the operator must not run, or it would begin them."""
        where = path(API_VERSION, PLURAL, namespace(self._like), experiment_name(self._like))
        model = await self._api.get(where)
        await all_of(self._api, await self._parts(numbers))
        finalizers = model["metadata"]["finalizers"]
        await all_of(self._api, (_with(self._experiment(number), finalizers) for number in numbers))
        store = Store()
        await self._listed(store)
        with ThreadPoolExecutor() as executor:
            # Nothing of it is called: the split of Replicas is read from Deployments, and nothing is measured.
            nobody: Any = None
            observer = Observer(store, Deployments(nobody), Routers(nobody), nobody, executor)
            now = time.time()
            async with asyncio.TaskGroup() as group:
                for number in numbers:
                    obj = store.experiments.get(Key(namespace(number), experiment_name(number)))
                    assert obj is not None
                    status = await _status(observer, obj, self._renamed(model["status"], number), now)
                    name = path(API_VERSION, PLURAL, namespace(number), experiment_name(number))
                    group.create_task(self._api.patch(f"{name}/status", {"status": status_to_json(status)}))

    async def _parts(self, numbers: Sequence[int]) -> list[Made]:
        """Deployments of the size that the split has given them, and Services."""
        sizes: dict[str, int] = {}
        for made in parts(self._like):
            if made.plural == "deployments":
                name = made.body["metadata"]["name"]
                found = await self._api.get(path(APPS, "deployments", made.namespace, name))
                sizes[name] = found["spec"]["replicas"]
        return list(_sized(self._like, sizes, numbers))

    async def _listed(self, store: Store) -> None:
        for objects, where in (
            (store.deployments, path(APPS, "deployments", None)),
            (store.experiments, path(API_VERSION, PLURAL, None)),
        ):
            async for page in self._api.pages(where):
                for obj in page["items"]:
                    objects.put(obj)

    def _renamed(self, status: dict[str, Any], number: int) -> Status:
        """The model's status with the names of another experiment."""
        text = json.dumps(status)
        for old, new in (
            (f"shop-{self._like:04d}", f"shop-{number:04d}"),
            (experiment_name(self._like), experiment_name(number)),
            (namespace(self._like), namespace(number)),
        ):
            text = text.replace(old, new)
        return parse_status(json.loads(text))


async def _status(observer: Observer, obj: dict[str, Any], status: Status, now: float) -> Status:
    """The record of a run of its own: hashes of its own Deployments, looks counted until its own slot."""
    where = obj["metadata"]["namespace"]
    spec: Spec = parse_spec(obj["spec"])
    interval, shifted = slot_of(obj, spec)
    # A minute ahead, as at the beginning of a stage: until all are made and the operator runs, that long has passed.
    last = math.floor((now + 2 * interval - shifted) / interval) * interval + shifted
    services = []
    for each in status.services:
        control = observer.store.deployments.get(Key(where, each.control))
        assert control is not None
        services.append(msgspec.structs.replace(each, control_template=template_hash(control["spec"]["template"])))
    status = msgspec.structs.replace(
        status,
        services=tuple(services),
        counted_until=timestamp(last),
        observed_generation=obj["metadata"]["generation"],
    )
    seen = await observer.observe(obj, spec, status, _LONG_AGO, asked=True)
    tokens = (
        msgspec.structs.replace(each, route_token=seen.service(each.name).route.token) for each in status.services
    )
    status = msgspec.structs.replace(status, services=tuple(tokens), run_parts=parts_of(spec, seen))
    return msgspec.structs.replace(status, run_id=run.run_id(spec, status, seen))


def _sized(like: int, sizes: dict[str, int], numbers: Sequence[int]) -> Iterator[Made]:
    for number in numbers:
        for made in parts(number):
            if made.plural == "deployments":
                name = made.body["metadata"]["name"].replace(f"shop-{number:04d}", f"shop-{like:04d}")
                made.body["spec"]["replicas"] = sizes[name]
            yield made


def _with(made: Made, finalizers: list[str]) -> Made:
    made.body["metadata"]["finalizers"] = finalizers
    return made
