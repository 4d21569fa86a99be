"""The control port over gRPC, as an independent client sees it.

    grpc_client.py STUBS ADDRESS TOKEN_FILE CERTIFICATE_FILE CHECK [arguments]

STUBS is a folder of modules generated from our .proto files. Each check ends with code 0 when all it says
about the server is true. `raw` uses no generated code at all: its messages are bytes written by hand.
"""

import sys
import threading
import urllib.parse

import grpc

STUBS, ADDRESS, TOKEN_FILE, CERTIFICATE_FILE, CHECK = sys.argv[1:6]
sys.path.insert(0, STUBS)

from datadog.api.v1 import api_pb2_grpc  # noqa: E402
from datadog.model.v1 import model_pb2  # noqa: E402
from datadog.remoteagent import remoteagent_pb2, remoteagent_pb2_grpc  # noqa: E402
from datadog.workloadmeta import workloadmeta_pb2  # noqa: E402
from google.protobuf import empty_pb2  # noqa: E402

MUST = "remote agent must register with RAR before subscribing to config stream"
PATIENCE = 30

TOKEN = open(TOKEN_FILE).read()
PEM = open(CERTIFICATE_FILE, "rb").read()
SPLIT = PEM.index(b"-----BEGIN EC PRIVATE KEY-----")
CERTIFICATE, KEY = PEM[:SPLIT], PEM[SPLIT:]
BEARER = ("authorization", "Bearer " + TOKEN)


def channel():
    credentials = grpc.ssl_channel_credentials(
        root_certificates=CERTIFICATE, private_key=KEY, certificate_chain=CERTIFICATE
    )
    return grpc.secure_channel(ADDRESS, credentials, options=[("grpc.ssl_target_name_override", "localhost")])


def refused(call, code, text=None):
    try:
        answer = call()
        if hasattr(answer, "__iter__"):
            answer = list(answer)
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), error.details())
        assert text is None or error.details() == text, error.details()
        return
    raise AssertionError(f"not refused: {answer}")


class Stream:
    """A config stream that checks its numbers and keeps the settings."""

    def __init__(self, secure, session, name="python"):
        self.call = secure.StreamConfigEvents(
            model_pb2.ConfigStreamRequest(name=name), metadata=[BEARER, ("session_id", session)]
        )
        self.last, self.settings, self.snapshots, self.updates = None, {}, 0, 0

    def next(self):
        event = next(self.call)
        if event.WhichOneof("event") == "snapshot":
            snapshot = event.snapshot
            assert snapshot.sequence_id > (self.last or 0), "numbers rise, and are never 0"
            self.last = snapshot.sequence_id
            self.snapshots += 1
            self.settings = {s.key: (s.source, s.value) for s in snapshot.settings}
            return snapshot
        update = event.update
        assert update.sequence_id == self.last + 1, (self.last, update.sequence_id)
        self.last = update.sequence_id
        self.updates += 1
        self.settings[update.setting.key] = (update.setting.source, update.setting.value)
        return update


def register(stub, **fields):
    request = remoteagent_pb2.RegisterRemoteAgentRequest(
        pid="1", flavor="python", display_name="Python Test", api_endpoint_uri="localhost:50051", **fields
    )
    return stub.RegisterRemoteAgent(request, metadata=[BEARER])


def check_start():
    """The calls a data plane makes when it starts."""
    with channel() as c:
        hostname = api_pb2_grpc.AgentStub(c).GetHostname(model_pb2.HostnameRequest())
        assert hostname.hostname == "test-host", hostname
        secure = api_pb2_grpc.AgentSecureStub(c)
        probe = model_pb2.FetchEntityRequest(id=model_pb2.EntityId(prefix="container_id", uid="nonexistent"))
        refused(lambda: secure.TaggerFetchEntity(probe), grpc.StatusCode.UNAUTHENTICATED,
                "Request unauthenticated with Bearer")
        wrong = [("authorization", "Bearer " + "0" * 64)]
        refused(lambda: secure.TaggerFetchEntity(probe, metadata=wrong), grpc.StatusCode.UNAUTHENTICATED)
        answer = secure.TaggerFetchEntity(probe, metadata=[BEARER])
        assert answer.id == probe.id and not answer.tags
        refused(lambda: secure.TaggerFetchEntity(model_pb2.FetchEntityRequest(), metadata=[BEARER]),
                grpc.StatusCode.INVALID_ARGUMENT, 'missing "id" parameter')
        secure.GetHostTags(model_pb2.HostTagRequest(), metadata=[BEARER])
        tags = secure.TaggerStreamEntities(model_pb2.StreamTagsRequest(), metadata=[BEARER])
        checks = secure.AutodiscoveryStreamConfig(empty_pb2.Empty(), metadata=[BEARER])
        for silent in (tags, checks):
            # Headers come at once, with no message to carry them.
            assert silent.initial_metadata() is not None
        workloads = secure.WorkloadmetaStreamEntities(
            workloadmeta_pb2.WorkloadmetaStreamRequest(), metadata=[BEARER])
        assert next(workloads).initial_snapshot_complete
        refused(lambda: secure.DogstatsdCaptureTrigger(model_pb2.CaptureTriggerRequest(), metadata=[BEARER]),
                grpc.StatusCode.UNIMPLEMENTED)
        refused(lambda: secure.GetConfigState(empty_pb2.Empty(), metadata=[BEARER]),
                grpc.StatusCode.UNIMPLEMENTED, "remote configuration service not initialized")


def check_sessions():
    """Who may open the stream, and in which words others are refused."""
    with channel() as c:
        secure = api_pb2_grpc.AgentSecureStub(c)
        newest = remoteagent_pb2_grpc.RemoteAgentStub(c)

        def opened(*metadata):
            return lambda: secure.StreamConfigEvents(
                model_pb2.ConfigStreamRequest(name="x"), metadata=[BEARER, *metadata])

        refused(opened(), grpc.StatusCode.UNAUTHENTICATED, f"session_id required in metadata: {MUST}")
        refused(opened(("session_id", "")), grpc.StatusCode.UNAUTHENTICATED, f"session_id cannot be empty: {MUST}")
        refused(opened(("session_id", "x")), grpc.StatusCode.PERMISSION_DENIED,
                f"session_id 'x' not found: {MUST}")
        refused(lambda: newest.RefreshRemoteAgent(
            remoteagent_pb2.RefreshRemoteAgentRequest(session_id="x"), metadata=[BEARER]),
            grpc.StatusCode.NOT_FOUND, "no remote agent found with session ID")
        one, two = register(secure), register(newest)
        assert one.session_id != two.session_id
        assert one.recommended_refresh_interval_secs == 10
        report = remoteagent_pb2.ReportRemoteAgentEventRequest(session_id=one.session_id)
        report.events.add(message="invalid key").invalid_api_key.SetInParent()
        newest.ReportRemoteAgentEvent(report, metadata=[BEARER])
        for session in (one, two):
            secure.RefreshRemoteAgent(
                remoteagent_pb2.RefreshRemoteAgentRequest(session_id=session.session_id), metadata=[BEARER])
            Stream(secure, session.session_id).next()


def check_expiry():
    """A session that is not refreshed ends, and its stream with it; one that is lives on."""
    with channel() as c:
        secure = api_pb2_grpc.AgentSecureStub(c)
        silent, alive = register(secure), register(secure)
        ending, living = Stream(secure, silent.session_id), Stream(secure, alive.session_id)
        ending.next()
        living.next()
        done = threading.Event()

        def refresh():
            while not done.wait(0.5):
                secure.RefreshRemoteAgent(
                    remoteagent_pb2.RefreshRemoteAgentRequest(session_id=alive.session_id), metadata=[BEARER])

        refreshing = threading.Thread(target=refresh)
        refreshing.start()
        refused(lambda: ending.next(), grpc.StatusCode.PERMISSION_DENIED,
                f"session_id '{silent.session_id}' not found: {MUST}")
        assert living.call.is_active(), "the refreshed one lives"
        done.set()
        refreshing.join()


def change(key, value):
    """POST /agent/config/{key}, as the Agent's own command does it."""
    import http.client
    import ssl

    context = ssl.create_default_context(cadata=CERTIFICATE.decode())
    context.load_cert_chain(CERTIFICATE_FILE)
    context.check_hostname = False
    host, port = ADDRESS.rsplit(":", 1)
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=PATIENCE)
    body = urllib.parse.urlencode({"value": value})
    headers = {"Authorization": BEARER[1], "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", f"/agent/config/{key}", body, headers)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, (answer.status, text)
    connection.close()


def check_stream():
    """A snapshot, then every change of a live setting, to all subscribers; a stalled one is set right."""
    count, changes = int(sys.argv[6]), int(sys.argv[7])
    with channel() as c:
        secure = api_pb2_grpc.AgentSecureStub(c)
        session = register(secure).session_id
        streams = [Stream(secure, session, f"python {n}") for n in range(count)]
        for stream in streams:
            stream.next()
            assert stream.settings["log_level"][0] != "cli"
        moving, stalled = streams[: count // 2], streams[count // 2:]
        last = moving[0].last + changes
        levels = ["debug", "info", "warn", "error"]
        readers = []
        for stream in moving:
            def read(stream=stream):
                while stream.last < last:
                    stream.next()
            readers.append(threading.Thread(target=read))
            readers[-1].start()
        for n in range(changes):
            change("log_level", levels[n % len(levels)])
        for reader in readers:
            reader.join(PATIENCE)
            assert not reader.is_alive(), "an update never came"
        for stream in stalled:
            while stream.last < last:
                stream.next()
        truth = ("cli", levels[(changes - 1) % len(levels)])
        for stream in streams:
            source, value = stream.settings["log_level"]
            assert (source, value.string_value) == truth, (source, value)
            assert stream.last == last


def check_raw():
    """Field numbers, without generated code: what is sent and what comes are bytes."""
    def unary(c, path, message, metadata=()):
        call = c.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
        return call(message, metadata=[BEARER, *metadata])

    with channel() as c:
        assert unary(c, "/datadog.api.v1.Agent/GetHostname", b"") == b"\x0a\x09test-host"
        entity = b"\x0a\x10\x0a\x0ccontainer_id\x12\x00"
        fetched = unary(c, "/datadog.api.v1.AgentSecure/TaggerFetchEntity", entity)
        assert fetched == b"\x0a\x0e\x0a\x0ccontainer_id", fetched
        # pid, flavor, display name, endpoint, two services, and a field nobody knows.
        request = b"\x0a\x011\x12\x01f\x1a\x01d\x22\x0blocalhost:1\x2a\x01s\x2a\x01t\xf8\x07\x01"
        answer = unary(c, "/datadog.api.v1.AgentSecure/RegisterRemoteAgent", request)
        assert answer[:2] == b"\x0a\x24" and answer[38:] == b"\x10\x0a", answer
        session = answer[2:38]
        assert unary(c, "/datadog.remoteagent.v1.RemoteAgent/RefreshRemoteAgent", b"\x0a\x24" + session) == b""
        events = c.unary_stream("/datadog.api.v1.AgentSecure/StreamConfigEvents",
                                request_serializer=bytes, response_deserializer=bytes)
        first = next(events(b"\x0a\x03raw", metadata=[BEARER, ("session_id", session.decode())]))
        # A snapshot; its origin; its number; settings of source, key and value.
        assert first[0] == 0x0A, first[:8]
        at = 1
        while first[at] & 0x80:
            at += 1
        snapshot = first[at + 1:]
        origin = b"\x0a\x0egreyhound.yaml\x10"
        assert snapshot.startswith(origin), snapshot[:40]
        assert b"\x12\x09log_level\x1a" in snapshot
        assert b"\x0a\x07default\x12" in snapshot and b"\x0a\x04file\x12" in snapshot


{
    "start": check_start,
    "sessions": check_sessions,
    "expiry": check_expiry,
    "stream": check_stream,
    "raw": check_raw,
}[CHECK]()
print("ok")
