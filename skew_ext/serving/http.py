"""Request ids over HTTP: what a client sends as `x-request-id` is what its lookups are logged under.

For a stock `feast serve`, a file `static_artifacts.py` beside feature_store.yaml that says

    from skew_ext.serving.http import load_artifacts

is enough: Feast calls that function once its application is up. Any other ASGI application takes `RequestIds` as
middleware.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from skew_ext.serving.context import new_request_id, request_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Message, Receive, Send], Awaitable[None]]

HEADER = "x-request-id"
_FIT = re.compile(rb"[\x21-\x7e]{1,200}")
"""What is taken for a request id: a header comes from anybody, and goes into the log and back out."""


class RequestIds:
    """ASGI middleware: the lookups of an HTTP request are logged under its `x-request-id`, and the response carries it.

    Where the header is missing, or is no printable ASCII of at most 200 characters, an id is made (UUIDv7).
    """

    def __init__(self, app: Application, header: str = HEADER) -> None:
        self._app = app
        self._header = header.lower().encode("ascii")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name.lower() == self._header), b"")
        request_id = given if _FIT.fullmatch(given) else new_request_id().encode()

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [pair for pair in message.get("headers", ()) if pair[0].lower() != self._header]
                message = {**message, "headers": [*headers, (self._header, request_id)]}
            await send(message)

        with request_context(request_id=request_id.decode()):
            await self._app(scope, receive, tell)


def load_artifacts(app: Any) -> None:
    """Put `RequestIds` around Feast's feature server: the function that Feast looks for in static_artifacts.py."""
    # The application is running by now, and takes no middleware the usual way any more.
    app.middleware_stack = RequestIds(app.middleware_stack or app.build_middleware_stack())
