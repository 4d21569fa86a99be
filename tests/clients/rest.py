"""The REST side of the control port, as independent clients see it.

    rest.py CLIENT ADDRESS TOKEN_FILE CERTIFICATE_FILE

CLIENT is one of requests, httpx, httpx2, curl, curl2; those with a 2 speak HTTP/2. The same table of questions
and exact answers goes through each. Ends with code 0 when every answer is the expected one.
"""

import hashlib
import json
import re
import socket
import ssl
import subprocess
import sys
import zipfile
from urllib.parse import quote

CLIENT, ADDRESS, TOKEN_FILE, CERTIFICATE_FILE = sys.argv[1:5]
TOKEN = open(TOKEN_FILE, encoding="ascii").read()
BASE = "https://" + ADDRESS
PLAIN = "text/plain; charset=utf-8"
JSON = "application/json"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TIMEOUT = 30


class Answer:
    """Status, headers with lower-case names, body."""

    def __init__(self, status, headers, body, version):
        self.status, self.body, self.version = status, body, version
        self.headers = {name.lower(): value for name, value in headers}

    def json(self):
        return json.loads(self.body)


class Requests:
    """HTTP/1.1. Shows the certificate, as the Agent's clients do."""

    version = "1.1"

    def __init__(self, trust):
        import requests

        self.session = requests.Session()
        self.session.verify = trust
        self.session.cert = CERTIFICATE_FILE
        self.session.trust_env = False

    def ask(self, method, path, headers, body):
        answer = self.session.request(
            method, BASE + path, headers=headers, data=body, allow_redirects=False, timeout=TIMEOUT
        )
        return Answer(answer.status_code, answer.headers.items(), answer.content, "1.1")


class Httpx:
    """HTTP/1.1 or HTTP/2, without a certificate of its own."""

    version = "1.1"

    def __init__(self, trust):
        import httpx

        context = ssl.create_default_context(cafile=trust) if isinstance(trust, str) else trust
        is_2 = self.version == "2"
        self.client = httpx.Client(verify=context, http1=not is_2, http2=is_2, trust_env=False, timeout=TIMEOUT)

    def ask(self, method, path, headers, body):
        answer = self.client.request(method, BASE + path, headers=headers, content=body)
        version = answer.http_version.removeprefix("HTTP/")
        return Answer(answer.status_code, answer.headers.items(), answer.content, version)


class Httpx2(Httpx):
    version = "2"


class Curl:
    """A process for each question."""

    version = "1.1"

    def __init__(self, trust):
        self.trust = ["--cacert", trust] if isinstance(trust, str) else []

    def ask(self, method, path, headers, body):
        command = ["curl", "-sS", "-i", "--path-as-is", "--max-time", str(TIMEOUT), "-w", "\n%{http_version}"]
        command += ["--http2" if self.version == "2" else "--http1.1", *self.trust]
        command += ["-I"] if method == "HEAD" else ["-X", method]
        for name, value in headers.items():
            command += ["-H", f"{name}: {value}"]
        if body is not None:
            command += ["--data-binary", "@-"]
        done = subprocess.run([*command, BASE + path], input=body, capture_output=True, timeout=2 * TIMEOUT)
        assert done.returncode == 0, done.stderr
        answer, version = done.stdout.rsplit(b"\n", 1)
        head, body = answer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [tuple(line.split(": ", 1)) for line in lines]
        return Answer(int(first.split(" ")[1]), pairs, body, version.decode())


class Curl2(Curl):
    version = "2"


Client = {"requests": Requests, "httpx": Httpx, "httpx2": Httpx2, "curl": Curl, "curl2": Curl2}[CLIENT]
client = Client(CERTIFICATE_FILE)


def ask(method, path, body=None, headers=None, authorization="Bearer " + TOKEN):
    headers = dict(headers or {})
    if authorization is not None:
        headers["Authorization"] = authorization
    answer = client.ask(method, path, headers, body)
    assert answer.version == client.version, answer.version
    return answer


def check(answer, status, content_type, body=None, why=""):
    said = f"{why}: {answer.status} {answer.headers} {answer.body[:300]!r}"
    assert answer.status == status, said
    assert answer.headers.get("content-type") == content_type, said
    # Refusals are not to be taken for pages.
    assert status < 400 or content_type is None or answer.headers.get("x-content-type-options") == "nosniff", said
    if body is not None:
        assert answer.body == body, said
    return answer


def check_tokens():
    """Section 4 of the facts: who is let in, and in which words others are not."""
    challenge = 'Bearer realm="Datadog Agent"'
    global client
    for path in ["/agent/version", "/agent/config/log_level", "/agent/none", "/"]:
        # A connection is ended after many refusals.
        client = Client(CERTIFICATE_FILE)
        for authorization, status, body in [
            (None, 401, b"no session token provided\n"),
            ("bearer " + TOKEN, 401, b"unsupported authorization scheme: bearer\n"),
            ("Basic dTpw", 401, b"unsupported authorization scheme: Basic\n"),
            ("Bearer", 403, b"invalid session token\n"),
            ("Bearer  " + TOKEN, 403, b"invalid session token\n"),
            ("Bearer " + "0" * 64, 403, b"invalid session token\n"),
            ("Bearer " + TOKEN[:-1], 403, b"invalid session token\n"),
            ("Bearer " + TOKEN + "0", 403, b"invalid session token\n"),
        ]:
            answer = ask("GET", path, authorization=authorization)
            check(answer, status, PLAIN, body, f"{path} {authorization}")
            expected = challenge if status == 401 else None
            assert answer.headers.get("www-authenticate") == expected, answer.headers
            assert TOKEN not in str(answer.headers)
    # A word behind the token is passed over; a token alone is a scheme nobody knows, and is not repeated.
    check(ask("GET", "/agent/version", authorization=f"Bearer {TOKEN} more"), 200, JSON)
    for bare in [TOKEN, "Bearer\t" + TOKEN]:
        answer = ask("GET", "/agent/version", authorization=bare)
        assert answer.status == 401, answer.status
        assert TOKEN.encode() not in answer.body, "the token comes back"


def check_paths():
    """Behind the token, paths are those of the Agent's router."""
    for method, path, status, content_type, body in [
        ("GET", "/agent/none", 404, PLAIN, b"404 page not found\n"),
        ("GET", "/agent/version/", 404, PLAIN, b"404 page not found\n"),
        ("GET", "/agent/config/a%2Fb", 404, PLAIN, b"404 page not found\n"),
        ("GET", "/none", 404, PLAIN, b"404 page not found\n"),
        ("DELETE", "/agent/version", 405, None, b""),
        ("PUT", "/agent/config/log_level", 405, None, b""),
        ("GET", "/agent/stop", 405, None, b""),
        ("HEAD", "/agent/version", 405, None, b""),
    ]:
        check(ask(method, path), status, content_type, body, f"{method} {path}")
    moved = ask("GET", "/agent")
    check(moved, 301, "text/html; charset=utf-8", b'<a href="/agent/">Moved Permanently</a>.\n\n')
    assert moved.headers["location"] == "/agent/"
    moved = ask("GET", "/agent//version")
    assert (moved.status, moved.headers["location"]) == (301, "/agent/version")


def check_routes():
    """Section 7: every route with its content type and shape."""
    version = check(ask("GET", "/agent/version"), 200, JSON).json()
    assert [type(version[key]) for key in ("Major", "Minor", "Patch")] == [int] * 3, version
    assert [type(version[key]) for key in ("Pre", "Meta", "Commit")] == [str] * 3, version
    check(ask("GET", "/agent/hostname"), 200, JSON, b'"test-host"')

    sections = check(ask("GET", "/agent/status/sections"), 200, JSON).json()
    assert sections[0] == "header" and sections[1:] == sorted(sections[1:]), sections
    page = check(ask("GET", "/agent/status?format=json"), 200, JSON).json()
    assert {"header", "ledger", "listeners"} <= set(page), page.keys()
    for query in ["", "?format=text", "?format=html", "?verbose=true"]:
        text = check(ask("GET", "/agent/status" + query), 200, "text/plain").body
        assert b"\n======\nLedger\n======\n\n" in text, query
    one = check(ask("GET", "/agent/LEDGER/status?format=json"), 200, JSON).json()
    assert one["ledger"]["remainder"] == 0, one
    check(ask("GET", "/agent/header/status"), 200, "text/plain")
    unknown = f"unknown status section 'none', available sections are: [{' '.join(sections)}]"
    check(ask("GET", "/agent/none/status"), 500, PLAIN, f"{unknown}\n".encode())
    check(ask("GET", "/agent/none/status?format=json"), 500, PLAIN, f'{{"error":"{unknown}"}}\n'.encode())
    health = check(ask("GET", "/agent/status/health"), 200, JSON).json()
    assert "lanes" in health["Healthy"] and health["Unhealthy"] is None, health

    check(ask("GET", "/agent/config-check"), 200, JSON, b'{"configs":[]}')
    check(ask("GET", "/agent/tagger-list"), 200, JSON, b'{"entities":{}}')
    check(ask("GET", "/agent/workload-list?verbose=true"), 200, JSON, b'{"entities":{}}')
    secrets = check(ask("GET", "/agent/secrets"), 200, PLAIN).body
    assert b"secrets feature is not enabled" in secrets
    check(ask("GET", "/agent/secret/refresh"), 200, PLAIN)
    off = {"error": "Dogstatsd metrics stats not enabled in the Agent configuration", "error_type": "not enabled"}
    assert check(ask("GET", "/agent/dogstatsd-stats"), 400, PLAIN).json() == off
    runs = check(ask("POST", "/agent/diagnose", b"{}"), 200, JSON).json()["runs"]
    assert {"kernel", "control"} <= {run["suite_name"] for run in runs} and runs[0]["diagnoses"], runs
    for body in [b'{"num_metrics":0}', b'{"num":1}', b'{"source":"disk"}', b"[]", b"{"]:
        wrong = check(ask("POST", "/agent/dogstatsd-contexts-top", body), 400, PLAIN, why=str(body)).json()
        assert list(wrong) == ["error"], wrong
    long = check(ask("POST", "/agent/dogstatsd-contexts-top", b" " * 1025), 413, PLAIN).json()
    assert "1024" in long["error"], long

    ledger = check(ask("GET", "/agent/v1/ledger"), 200, JSON).json()
    assert ledger["remainder"] == 0 and ledger["received"] == 0, ledger
    for listing in ["listeners", "sinks", "limits", "config/generations", "config/settings", "config/schema"]:
        assert check(ask("GET", f"/agent/v1/{listing}"), 200, JSON).json(), listing
    counters = ask("GET", "/telemetry")
    assert counters.status == 200 and counters.headers["content-type"].startswith("text/plain")
    assert b"\n# TYPE api_server__request_duration_seconds histogram\n" in counters.body


def check_settings():
    """Shown, changed, refused, taken back."""

    def value(key, query=""):
        return check(ask("GET", f"/agent/config/{key}{query}"), 200, PLAIN, why=key).json()

    def post(key, text, status=200, headers=FORM):
        answer = ask("POST", f"/agent/config/{key}", text.encode(), headers)
        return check(answer, status, None if status == 200 else PLAIN, why=text)

    for path in ["/agent/config", "/agent/config/without-defaults"]:
        text = check(ask("GET", path), 200, PLAIN).body.decode()
        assert 'hostname: "test-host"\n' in text, text[:200]
    layers = check(ask("GET", "/agent/config/by-source"), 200, PLAIN).json()
    assert layers["file"]["hostname"] == "test-host" and layers["cli"] == {}, layers.keys()
    listed = check(ask("GET", "/agent/config/list-runtime"), 200, PLAIN).json()
    assert {"Description", "Hidden"} == set(listed["log_level"]) and "dogstatsd_stats" in listed

    assert value("hostname") == {"value": "test-host"}
    before = value("statsd_metric_namespace", "?sources=true")
    sources = [entry["Source"] for entry in before["sources_value"]]
    assert (sources[0], sources[-1]) == ("default", "cli") and "environment-variable" in sources, sources
    assert post("statsd_metric_namespace", "value=one").body == b""
    assert value("statsd_metric_namespace") == {"value": "one"}
    after = value("statsd_metric_namespace", "?sources=true")["sources_value"]
    assert after[-1] == {"Source": "cli", "Value": "one"}, after
    assert after[:-1] == before["sources_value"][:-1]
    # By query, with entities as the Agent's command line writes them, and in a form without its type.
    check(ask("POST", "/agent/config/statsd_metric_namespace?value=two"), 200, None, b"")
    assert value("statsd_metric_namespace") == {"value": "two"}
    post("dogstatsd_tags", "value=" + quote("a:&lt;&#34;&amp;"))
    assert value("dogstatsd_tags") == {"value": ['a:<"&']}
    post("statsd_metric_namespace", "value=three", headers={"Content-Type": "text/plain"})
    assert value("statsd_metric_namespace") == {"value": ""}
    for key in ["statsd_metric_namespace", "dogstatsd_tags"]:
        check(ask("DELETE", f"/agent/config/{key}"), 200, None, b"")
        check(ask("DELETE", f"/agent/config/{key}"), 200, None, b"", "twice is no error")
    assert value("statsd_metric_namespace", "?sources=true") == before

    unknown = b'{"error":"setting none not found"}\n'
    check(ask("GET", "/agent/config/none"), 400, PLAIN, unknown)
    check(ask("POST", "/agent/config/none", b"value=1", FORM), 400, PLAIN, unknown)
    check(ask("DELETE", "/agent/config/none"), 400, PLAIN, unknown)
    for key, text in [("log_level", "value=loud"), ("hostname", "value=other"), ("greyhound.bucket_seconds", "value=x")]:
        refused = post(key, text, 500).json()
        assert list(refused) == ["error"] and key in refused["error"], refused
    assert value("hostname") == {"value": "test-host"}

    # Our own routes say what became of each key.
    changed = check(ask("POST", "/agent/v1/config/set", b'{"key":"log_level","value":"debug"}'), 200, JSON).json()
    assert changed["keys"] == [{"key": "log_level", "outcome": "applied"}], changed
    assert changed["cause"] and changed["generation"] > 1, changed
    back = check(ask("POST", "/agent/v1/config/unset", b'{"key":"log_level"}'), 200, JSON).json()
    assert back["generation"] == changed["generation"] + 1
    for body in [b"", b"{}", b"[]", b'{"key":"none","value":"1"}', b'{"key":"log_level","value":"loud"}']:
        refused = ask("POST", "/agent/v1/config/set", body)
        assert refused.status == 400 and refused.json()["error"], body
    refused = ask("POST", "/agent/v1/config/set", b'{"key":"cmd_port","value":"1"}')
    assert (refused.status, refused.json()["keys"][0]["outcome"]) == (409, "refused"), refused.body


def check_flare():
    """The path of an archive that is there and can be read; bad bodies in the Agent's manner."""
    for body in [b"[]", b'""', b'{"a":1}', b'{"a":"*"}', b"{"]:
        refused = check(ask("POST", "/agent/flare", body), 500, PLAIN, why=str(body))
        assert refused.body.endswith(b"\n") and not refused.body.startswith(b"{")
    made = check(ask("POST", "/agent/flare?provider_timeout=x", b'{"../up":"Zm9v"}'), 200, PLAIN).body.decode()
    assert re.fullmatch(r"/.*\.zip", made), made
    with zipfile.ZipFile(made) as archive:
        names = archive.namelist()
        assert archive.testzip() is None and not any(".." in name for name in names), names
        profile = [name for name in names if "/profiles/" in name]
        assert len(profile) == 1 and archive.read(profile[0]) == b"foo", profile


def check_certificate():
    """The server shows the very certificate of the file, and a client that trusts others refuses it."""
    pem = open(CERTIFICATE_FILE, encoding="ascii").read()
    end = "-----END CERTIFICATE-----"
    ours = ssl.PEM_cert_to_DER_cert(pem[: pem.index(end) + len(end)])
    host, _, port = ADDRESS.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(CERTIFICATE_FILE)
    with socket.create_connection((host, int(port)), TIMEOUT) as plain, context.wrap_socket(plain) as stream:
        shown = stream.getpeercert(binary_form=True)
    assert hashlib.sha256(shown).digest() == hashlib.sha256(ours).digest()
    stranger = Client(True)
    try:
        stranger.ask("GET", "/agent/version", {"Authorization": "Bearer " + TOKEN}, None)
    except Exception as error:  # each client has a class of its own
        assert "certificate" in str(error).lower(), error
    else:
        raise AssertionError("a certificate nobody vouches for was trusted")


check_tokens()
check_paths()
check_routes()
check_settings()
check_flare()
check_certificate()
print("ok")
