"""The server of the page. It listens on this computer alone, and answers no page but its own.

Another page in the same browser can send requests here, too. Its requests have another ``Origin``, or none of the
token that only the page holds; and a name of its own that leads here (DNS rebinding) is another ``Host``.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from seqlm_core.errors import UsageError
from seqlm_core.play.requests import LONGEST_TEXT, MARK, QUESTIONS, Answer, Player
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.settings.decoding_rules import DecodingRules
from seqlm_core.views.page import page_of, script

LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost")
TOKEN = "x-seqlm-token"
LARGEST_BODY = 8 * LONGEST_TEXT
"""In bytes; a character takes at most four, and more where JSON spells it."""


def listening_socket(port: int) -> socket.socket:
    """Return a socket that listens on this computer alone.

    Args:
        port: the port; 0 takes a free one.

    Raises:
        UsageError: the port is in use, or may not be used.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
        listening.listen()  # so that a request waits until the server is there
    except OSError as error:
        listening.close()
        raise UsageError(f"port {port} cannot be used: {error.strerror}; `port` 0 takes a free one") from error
    return listening


def make_server(run: LanguageRun, listening: socket.socket) -> Callable[[], None]:
    """Return a function that serves the page on a socket until the process is asked to end.

    Raises:
        UsageError: a package is missing that only this needs.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise _missing("uvicorn") from error
    application = make_application(run, listening.getsockname()[1])
    config = uvicorn.Config(application, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    return functools.partial(uvicorn.Server(config).run, sockets=[listening])


def make_application(run: LanguageRun, port: int) -> Any:
    """Return the ASGI application.

    Args:
        run: the run of a language model.
        port: the port on which it is served, which its own requests name.

    Raises:
        UsageError: a package is missing that only this needs.
    """
    try:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request
        from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
        from starlette.routing import Route
    except ImportError as error:
        raise _missing("starlette") from error
    player, token = Player(run), secrets.token_urlsafe(32)
    hosts = {f"{name}:{port}" for name in NAMES}
    origins = {f"http://{host}" for host in hosts}

    def is_ours(request: Request) -> bool:
        return request.headers.get("host", "") in hosts

    async def page(request: Request) -> Response:
        if not is_ours(request):
            return PlainTextResponse("this is not the address of the page", 403)
        text = await run_in_threadpool(_page, run, token)
        headers = {
            "Cache-Control": "no-store",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
        return HTMLResponse(text, headers=headers)

    async def ask(request: Request) -> Response:
        sent = request.headers.get(TOKEN, "")
        if not is_ours(request) or request.headers.get("origin") not in origins:
            return PlainTextResponse("only the page itself may ask", 403)
        if not secrets.compare_digest(sent.encode(), token.encode()):
            return PlainTextResponse("the page is of an earlier server: load it again", 403)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_BODY:
                return PlainTextResponse("the request is too long", 413)
        try:
            values = json.loads(bytes(body))
        except ValueError:
            values = None
        if not isinstance(values, dict):
            return PlainTextResponse("the request is not a JSON object", 400)
        question = request.path_params["question"]
        if question not in QUESTIONS:
            return PlainTextResponse("there is no such question", 404)
        answer = player.answer(question, values)
        headers = {"Cache-Control": "no-store"}
        return StreamingResponse(lines(request, answer), media_type="application/x-ndjson", headers=headers)

    async def lines(request: Request, answer: Answer) -> AsyncIterator[bytes]:
        """Yield the parts of an answer, each as a line, for as long as the page is there to read them."""
        try:
            while (part := await run_in_threadpool(next, answer, None)) is not None:
                yield json.dumps(part).encode() + b"\n"
                if await request.is_disconnected():
                    break
        finally:
            answer.close()

    return Starlette(routes=[Route("/", page), Route("/{question}", ask, methods=["POST"])])


def _page(run: LanguageRun, token: str) -> str:
    rules = [
        {"name": field.name, "default": field.default, "help": field.metadata["help"]}
        for field in dataclasses.fields(DecodingRules)
    ]
    data = {"token": token, "rules": rules, "mark": MARK, "fills": run.architecture.bidirectional}
    about = f"{run.settings.cell}, {run.settings.units} units, {run.settings.tokenizer} tokens; run {run.path}"
    scripts = [script("play.js")]
    return page_of(
        "play.html", f"Play with {run.path.resolve().name}", data, scripts, "'self'", about=about, fills=data["fills"]
    )


def _missing(package: str) -> UsageError:
    return UsageError(f"playing needs the package {package}, which is not installed: pip install 'seqlm[play]'")
