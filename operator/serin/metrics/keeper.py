"""Keeps credentials for a minute, so that a look costs no call for them, and a new token needs no restart.

The operator may not list or watch Secrets: somebody has to give it `get` on the very Secret that an experiment names.
So each is asked for by name, and what is missing or forbidden is said with the command that corrects it.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final

from serin.kube.errors import Forbidden, KubeError, NotFound
from serin.metrics.credentials import NONE, Access, Credentials, CredentialsError, credentials

ReadSecret = Callable[[str, str], dict[str, Any]]
"""Given namespace and name, the Secret; blocks, and raises KubeError."""

KEPT_SECONDS: Final = 60.0
_REFUSED_SECONDS: Final = 5.0
"""For how long a refusal is remembered: the queries of one look need not each ask again."""
_MOST: Final = 256
_ACCOUNT: Final = re.compile(r'User "system:serviceaccount:([a-z0-9-]+:[a-z0-9.-]+)"')


@dataclass(frozen=True, slots=True)
class _Kept:
    secret: dict[str, Any] | CredentialsError
    at: float


class Keeper:
    """Credentials by Access.

    Args:
        read: reads a Secret; None where there are none to read.
        executor: threads to read in.
        seconds: for how long a Secret is not read again.
    """

    def __init__(self, read: ReadSecret | None, executor: Executor, seconds: float = KEPT_SECONDS) -> None:
        self._read = read
        self._executor = executor
        self._seconds = seconds
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._made: OrderedDict[Access, tuple[dict[str, dict[str, Any]], Credentials]] = OrderedDict()
        self._reading: dict[tuple[str, str], asyncio.Task[_Kept]] = {}

    async def credentials(self, access: Access) -> Credentials:
        """What `access` is asked with now.

        Raises:
            CredentialsError: a Secret can't be read, or does not hold what it should.
        """
        if not access.keys:
            return NONE
        names = sorted({ref.name for _, ref in access.keys})
        found = {name: await self._secret(access.namespace, name) for name in names}
        made = self._made.get(access)
        if made is None or any(made[0][name] is not found[name] for name in names):
            made = self._made[access] = found, credentials(access, found)
            while len(self._made) > _MOST:
                self._made.popitem(last=False)
        return made[1]

    def doubt(self, access: Access) -> None:
        """Told that Prometheus refused them: they are read anew, unless that was this moment."""
        old = time.monotonic() - _REFUSED_SECONDS
        for _, ref in access.keys:
            kept = self._kept.get((access.namespace, ref.name))
            if kept is not None and kept.at < old:
                del self._kept[access.namespace, ref.name]

    async def _secret(self, namespace: str, name: str) -> dict[str, Any]:
        key = namespace, name
        kept = self._kept.get(key)
        if kept is None or time.monotonic() - kept.at >= self._lasts(kept):
            task = self._reading.get(key)
            if task is None:
                task = self._reading[key] = asyncio.create_task(self._fetch(key, kept))
                task.add_done_callback(lambda _: self._reading.pop(key, None))
            # One caller that is cancelled must not take the answer away from the others.
            kept = await asyncio.shield(task)
        if isinstance(kept.secret, CredentialsError):
            raise CredentialsError(str(kept.secret))
        return kept.secret

    def _lasts(self, kept: _Kept) -> float:
        refused = isinstance(kept.secret, CredentialsError)
        return min(_REFUSED_SECONDS, self._seconds) if refused else self._seconds

    async def _fetch(self, key: tuple[str, str], before: _Kept | None) -> _Kept:
        now = time.monotonic()
        found: dict[str, Any] | CredentialsError
        if self._read is None:
            found = CredentialsError(f"Secret {key[0]}/{key[1]} is read by the operator alone, in the cluster")
        else:
            try:
                found = await asyncio.get_running_loop().run_in_executor(self._executor, self._read, *key)
            except (Forbidden, NotFound) as error:
                found = CredentialsError(sentence(*key, error))
            except KubeError as error:
                # The API server is away: what was known stays good, and Prometheus says if it is not.
                known = before is not None and not isinstance(before.secret, CredentialsError)
                found = before.secret if before and known else CredentialsError(sentence(*key, error))
        self._kept[key] = kept = _Kept(found, now)
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return kept


def sentence(namespace: str, name: str, error: KubeError) -> str:
    """Why a Secret can't be read, with what to apply or to write."""
    if isinstance(error, NotFound):
        hint = "create it there, or correct the name in prometheus"
        return f"there is no Secret {name} in namespace {namespace}: {hint}"
    if not isinstance(error, Forbidden):
        return f"Secret {namespace}/{name} can't be read: {error}"
    account = _ACCOUNT.search(str(error))
    who, role = account[1] if account else "serin-system:serin", f"serin-reads-{name}"
    return (
        f"the operator may not read Secret {name} in namespace {namespace}; whoever may grant it writes:"
        f" kubectl -n {namespace} create role {role} --verb=get --resource=secrets --resource-name={name}"
        f" && kubectl -n {namespace} create rolebinding {role} --role={role} --serviceaccount={who}"
    )
