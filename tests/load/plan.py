"""What is to be sent, where, how fast and for how long."""

from dataclasses import dataclass
from typing import Literal

Service = Literal["recommendation", "conversation"]
Arrivals = Literal["poisson", "fixed"]
Connections = Literal["fresh", "keep"]

MOST_REQUESTS_PER_SECOND = 2000.0
LONGEST_SECONDS = 86400.0
MOST_SKEW = 3.0


@dataclass(frozen=True, slots=True)
class Target:
    """One service.

    Attributes:
        service: Which API is spoken.
        urls: Base addresses; one is drawn for each request.
        rate: Requests per second.
    """

    service: Service
    urls: tuple[str, ...]
    rate: float

    def __post_init__(self) -> None:
        """Refuse what can't be sent."""
        if not self.urls or not all(url.startswith(("http://", "https://")) for url in self.urls):
            raise ValueError(f"{self.service}: give an address such as http://127.0.0.1:30081")
        if not 0 < self.rate <= MOST_REQUESTS_PER_SECOND:
            raise ValueError(f"{self.service}: the rate must be above 0 and at most {MOST_REQUESTS_PER_SECOND:g}/s")


@dataclass(frozen=True, slots=True)
class Plan:
    """One load.

    Attributes:
        targets: The services.
        duration: Seconds after which no request is sent any more.
        users: Size of the pool of users, u-0000 and so on; the services know the first 2,000.
        skew: How unequal users are: the k-th most active of them sends in proportion to 1 / k ** skew. 0 makes all
            alike; about 1 is what activity of people on the web looks like.
        asks: Rankings that a user asks for in one visit, on average.
        arrivals: `poisson` (independent users) or `fixed` (equal gaps).
        connections: `fresh` opens one for each request. kube-proxy chooses a pod for each connection, so only fresh
            ones give the canary its share of requests; `keep` reuses them, as a proxy or a browser does.
        turns: Messages of a conversation before its user begins another.
        timeout: Seconds after which a request has failed.
        attempts: How often a request is sent while it is answered 503 with Retry-After, as a polite client does; the
            wait is part of its latency.
        max_inflight: Requests in flight at most; what is due beyond them is reported as unsent.
        seed: Draws users, texts and Poisson gaps.
    """

    targets: tuple[Target, ...]
    duration: float
    users: int = 2000
    skew: float = 0.0
    asks: float = 1.0
    arrivals: Arrivals = "poisson"
    connections: Connections = "fresh"
    turns: int = 5
    timeout: float = 10.0
    attempts: int = 1
    max_inflight: int = 500
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse a load without an end or without a target."""
        if not self.targets:
            raise ValueError("give at least one target")
        if not 0 < self.duration <= LONGEST_SECONDS:
            raise ValueError(f"the duration must be above 0 and at most {LONGEST_SECONDS:g} s")
        if not 0 <= self.skew <= MOST_SKEW:
            raise ValueError(f"the skew must be between 0 and {MOST_SKEW:g}")
        if self.asks < 1:
            raise ValueError("a visit has at least one request")
        if min(self.users, self.turns, self.attempts, self.max_inflight) < 1 or self.timeout <= 0:
            raise ValueError("users, turns, attempts, requests in flight and the timeout must be positive")
