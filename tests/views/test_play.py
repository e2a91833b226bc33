"""The page on which one plays with a model: what it answers, and whom."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from seqlm_core.play.requests import Player
from seqlm_core.play.server import listening_socket, make_application

pytest.importorskip("starlette")
PORT = 8765
OWN = {"host": f"127.0.0.1:{PORT}", "origin": f"http://127.0.0.1:{PORT}"}


class Response:
    """What an application has answered."""

    def __init__(self, messages):
        start, *parts = messages
        self.status_code = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.text = b"".join(part.get("body", b"") for part in parts).decode()


class Client:
    """Calls an ASGI application, as a server does."""

    def __init__(self, application):
        self.application = application

    def get(self, path, headers=None):
        return self.send("GET", path, b"", headers or {"host": OWN["host"]})

    def post(self, path, json=None, content=None, headers=None):
        return self.send("POST", path, as_json(json) if content is None else content, headers)

    def send(self, method, path, body, headers):
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
            "headers": [(name.encode(), as_bytes(value)) for name, value in headers.items()],
        }  # fmt: skip
        sent, answered = [{"type": "http.request", "body": body, "more_body": False}], []

        async def receive():
            return sent.pop() if sent else await asyncio.Event().wait()  # nobody goes away

        async def send(message):
            answered.append(message)

        # In a thread of its own, since a browser's driver may run a loop in this one.
        with concurrent.futures.ThreadPoolExecutor(1) as other:
            other.submit(lambda: asyncio.run(self.application(scope, receive, send))).result()
        return Response(answered)


def as_bytes(value):
    return value if isinstance(value, bytes) else value.encode()


def as_json(values):
    return json.dumps(values).encode()


@pytest.fixture
def client(two_sided_run):
    """Sends requests to the application, without a server."""
    return Client(make_application(two_sided_run, PORT))


def token_in(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])["token"]


@pytest.fixture
def token(client):
    return token_in(client.get("/").text)


def lines(response):
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_a_continuation_is_that_of_the_run(client, token, two_sided_run):
    asked = {"prompt": "The ", "length": 60, "seed": 3, "temperature": 0.8, "top_k": 5}
    answered = lines(client.post("/continue", json=asked, headers={**OWN, "x-seqlm-token": token}))
    (expected,) = two_sided_run.generate("The ", length=60, seed=3, temperature=0.8, top_k=5)
    assert "".join(part["text"] for part in answered) == expected.text


def test_a_continuation_comes_in_pieces(two_sided_run):
    answer = Player(two_sided_run).answer("continue", {"prompt": "The ", "length": 5000, "seed": 1})
    first = next(answer)["text"]
    answer.close()
    assert 0 < len(first) < 1000
    assert next(Player(two_sided_run).answer("continue", {"length": 5, "seed": 1}))["text"]


def test_a_text_is_told_with_its_surprisal(client, token, two_sided_run):
    asked = {"text": "The rain"}
    answered = lines(client.post("/surprisal", json=asked, headers={**OWN, "x-seqlm-token": token}))
    scored = two_sided_run.score_text("The rain", per="token")
    assert [part["bits"] for part in answered] == [s.bits if s.bits is None else round(s.bits, 3) for s in scored]


def test_gaps_are_filled(client, token, two_sided_run):
    answered = lines(client.post("/fill", json={"text": "The _ain", "gap": 1}, headers={**OWN, "x-seqlm-token": token}))
    assert [part["text"] for part in answered] == [f.text for f in two_sided_run.infill("The _ain", gap=1, count=5)]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"prompt": 3}, "prompt must be a text"),
        ({"length": 0}, "length must be a whole number"),
        ({"length": 10**9}, "length must be a whole number"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"prompt": "x" * 20_001}, "at most 20,000 characters"),
    ],
)
def test_what_is_wrong_with_a_question_is_told(client, token, asked, message):
    (part,) = lines(client.post("/continue", json=asked, headers={**OWN, "x-seqlm-token": token}))
    assert message in part["error"]


def test_a_model_of_one_direction_tells_that_it_fills_no_gaps(language_run):
    (part,) = Player(language_run).answer("fill", {"text": "The _ain"})
    assert "reads from the left only" in part["error"]


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"http://127.0.0.1:{PORT + 1}"},
        {"origin": f"https://127.0.0.1:{PORT}"},
        {"host": "evil.example"},  # a name of its own that leads here
        {"host": f"evil.example:{PORT}"},
        {"x-seqlm-token": "guessed"},
        {"x-seqlm-token": ""},
        {"x-seqlm-token": "\u00e9".encode()},
    ],
)
def test_another_page_gets_no_answer(client, token, changed):
    response = client.post("/continue", json={"length": 5}, headers={**OWN, "x-seqlm-token": token, **changed})
    assert response.status_code == 403


def test_a_request_without_an_origin_gets_no_answer(client, token):
    response = client.post("/continue", json={"length": 5}, headers={"host": OWN["host"], "x-seqlm-token": token})
    assert response.status_code == 403


def test_the_page_is_not_given_to_another_host(client):
    assert client.get("/", headers={"host": f"evil.example:{PORT}"}).status_code == 403


def test_the_page_can_be_framed_and_read_by_no_other(client):
    headers = client.get("/").headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(("body", "status"), [(b"[1]", 400), (b"{", 400), (b"\xff", 400), (b" " * 200_000, 413)])
def test_a_request_that_is_none_is_refused(client, token, body, status):
    assert client.post("/continue", content=body, headers={**OWN, "x-seqlm-token": token}).status_code == status


def test_an_unknown_question_is_refused(client, token):
    assert client.post("/else", json={}, headers={**OWN, "x-seqlm-token": token}).status_code == 404


def test_only_this_computer_is_listened_to():
    with listening_socket(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


class Served:
    """``seqlm play`` in a process of its own."""

    def __init__(self, run, *arguments):
        command = [sys.executable, "-m", "seqlm_core.command_line.main", "play", str(run.path), *arguments]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=run.path.parent,  # not where the sources are, which have no native libraries
        )
        self.address = self.process.stdout.readline().partition(" ")[0]


@pytest.fixture
def served(two_sided_run):
    started = Served(two_sided_run, "--port", "0")
    yield started
    if started.process.poll() is None:
        started.process.kill()
    started.process.communicate()


def wait_for(address):
    for _ in range(200):
        try:
            return urllib.request.urlopen(address).read().decode()
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{address} does not answer")


def test_ctrl_c_is_the_usual_end(served):
    assert "Continue the text" in wait_for(served.address)
    served.process.send_signal(signal.SIGINT)
    _, errors = served.process.communicate(timeout=30)
    assert (served.process.returncode, errors) == (0, "")


def test_a_port_in_use_is_told(two_sided_run):
    with listening_socket(0) as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        started = Served(two_sided_run, "--port", port)
        _, errors = started.process.communicate(timeout=60)
    assert started.process.returncode == 2
    assert re.fullmatch(rf"seqlm: error: port {port} cannot be used: .*; --port 0 takes a free one\n", errors)


def test_a_page_that_goes_away_leaves_the_server_free(served):
    token, port = token_in(wait_for(served.address)), int(served.address.rsplit(":", 1)[1].strip("/"))
    body = json.dumps({"prompt": "The ", "length": 20_000})
    request = (
        f"POST /continue HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
        f"X-Seqlm-Token: {token}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request.encode())
        connection.recv(300)
    again = urllib.request.Request(
        served.address + "continue",
        json.dumps({"length": 5}).encode(),
        {"Origin": served.address.rstrip("/"), "X-Seqlm-Token": token},
    )
    assert b"text" in urllib.request.urlopen(again, timeout=30).read()


def test_one_can_play_in_a_browser(served, browser):
    wait_for(served.address)
    problems = []
    page = browser.new_context().new_page()
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(served.address)
    page.get_by_label("Beginning").fill("The </textarea><script>alert(1)</script>")
    page.get_by_label("length (tokens)").fill("20000")
    page.evaluate(
        "() => { const count = new MutationObserver(() => { window.pieces += 1; });"
        " count.observe(document.getElementById('answer'), { childList: true }); }"
    )
    for _ in range(4):  # a browser that is busy may get a text in one piece
        page.evaluate("() => { window.pieces = 0; document.getElementById('told').textContent = ''; }")
        page.get_by_role("button", name="Continue the text").click()
        page.locator("#told", has_text="characters in").wait_for()
        if page.evaluate("window.pieces") > 2:
            break
    else:
        raise AssertionError("the text does not stream")
    page.get_by_label("length (tokens)").fill("40")
    page.get_by_role("button", name="Continue the text").click()
    page.locator("#told", has_text=re.compile(r"^[34]?\d characters in")).wait_for()
    assert page.locator("#answer").text_content().startswith("The </textarea><script>alert(1)</script>")
    page.get_by_role("button", name="Go on from the answer").click()
    assert len(page.get_by_label("Beginning").input_value()) > 60
    page.get_by_role("button", name="Show the surprisal").click()
    page.locator("#told", has_text="bits per token").wait_for()
    page.get_by_label("Beginning").fill("The _ of")
    page.get_by_role("button", name="Fill the gaps").click()
    page.locator("#told", has_text="fillings").wait_for()
    assert page.locator("#answer p").count() > 1
    page.get_by_label("temperature").fill("-1")
    page.get_by_role("button", name="Continue the text").click()
    page.wait_for_selector("#told.error")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    assert [found["id"] for found in axe.Axe().run(page).response["violations"]] == []
    assert problems == []
    page.context.close()


def test_an_answer_that_takes_long_can_be_stopped(served, browser):
    wait_for(served.address)
    page = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark").new_page()
    page.route("**/continue", lambda route: None)  # no answer comes
    page.goto(served.address)
    page.get_by_role("button", name="Continue the text").click()
    page.get_by_role("button", name="Stop").click()
    page.locator("#told", has_text="stopped").wait_for()
    page.get_by_label("Beginning").fill("The rain")
    page.get_by_role("button", name="Show the surprisal").click()
    page.locator("#told", has_text="bits per token").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.context.close()


def test_a_hostile_page_in_the_same_browser_cannot_use_it(served, browser, tmp_path):
    """It may send what a form can send, and must get neither an answer nor the page."""
    wait_for(served.address)
    hostile = tmp_path / "hostile.html"
    hostile.write_text(
        f"""<script>
        window.got = [];
        const tell = (what) => (answer) => window.got.push(what + (answer instanceof Error ? " failed" : " " + answer));
        fetch("{served.address}").then((r) => r.text()).then(tell("page"), tell("page"));
        fetch("{served.address}continue", {{method: "POST", body: '{{"length": 5}}'}})
            .then((r) => r.text()).then(tell("answer"), tell("answer"));
        </script>"""
    )
    page = browser.new_context().new_page()
    page.goto(hostile.as_uri())
    page.wait_for_function("window.got.length === 2")
    assert sorted(page.evaluate("window.got")) == ["answer failed", "page failed"]
    page.context.close()
