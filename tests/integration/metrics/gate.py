"""What stands before a Prometheus that wants to see a token: it knows passwords and certificates alone."""

from aiohttp import web

from tests.integration.proxy import Forward


class Gate:
    """Lets those pass who show the token that is right now, and says to the others what they showed.

    Args:
        right: the token.
    """

    def __init__(self, right: str) -> None:
        self.right = right
        self.shown: list[str] = []

    async def __call__(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        """Answer one request."""
        self.shown.append(request.headers.get("Authorization", ""))
        if self.shown[-1] == f"Bearer {self.right}":
            return await forward()
        said = {"status": "error", "error": f"I do not know {self.shown[-1]} ({'x' * 220}{self.shown[-1]})"}
        return web.json_response(said, status=401)
