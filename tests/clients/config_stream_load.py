"""Many subscribers of the config stream at once, on connections whose frames are read by hand.

    config_stream_load.py STUBS ADDRESS SOCKET TOKEN_FILE CERTIFICATE_FILE PID SUBSCRIBERS STALLED UPDATES

Some come over TLS, most over the Unix socket, where a test reads faster. All take the first snapshot, then STALLED of them take nothing until everybody else is done. Ends with code 0
when each, the stalled ones at last, has exactly the settings of a snapshot taken afterwards, over numbers that
only rise. Prints figures as one JSON object.
"""

import json
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time

STUBS, ADDRESS, SOCKET, TOKEN_FILE, CERTIFICATE_FILE, PID = sys.argv[1:7]
SUBSCRIBERS, STALLED, UPDATES = map(int, sys.argv[7:10])
sys.path.insert(0, STUBS)

import grpc  # noqa: E402
from datadog.api.v1 import api_pb2_grpc  # noqa: E402
from datadog.model.v1 import model_pb2  # noqa: E402
from datadog.remoteagent import remoteagent_pb2  # noqa: E402

TOKEN = open(TOKEN_FILE, encoding="ascii").read()
HOST, _, PORT = ADDRESS.rpartition(":")
PER_CONNECTION = 60
OVER_TLS = 20
PATIENCE = 60
# Less than the server keeps: nobody who reads falls off its log.
AHEAD_MAX = 800
WINDOW_MAX = 2**31 - 1
WINDOW_DEFAULT = 65_535
LEVELS = ["warn", "error"]


def cpu_seconds():
    """Of all its threads so far, by the nanosecond."""
    total = 0
    for thread in os.listdir(f"/proc/{PID}/task"):
        try:
            with open(f"/proc/{PID}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except FileNotFoundError:
            continue
    return total / 1e9


def memory_kb(name):
    with open(f"/proc/{PID}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))


def tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(socket.create_connection((HOST, int(PORT)), PATIENCE))


def unix():
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(SOCKET)
    return stream


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field of HPACK without indexing and without Huffman codes."""
    name, value = name.encode(), value.encode()
    assert len(name) < 127 and len(value) < 127
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Subscriber:
    """Everything one stream carried, and where its whole messages begin."""

    def __init__(self):
        self.data, self.begins, self.end = bytearray(), [], 0

    def take(self, piece):
        self.data += piece
        while len(self.data) >= self.end + 5:
            end = self.end + 5 + int.from_bytes(self.data[self.end + 1 : self.end + 5], "big")
            if len(self.data) < end:
                break
            self.begins.append(self.end)
            self.end = end

    def message(self, index):
        begin = self.begins[index]
        after = self.begins[index + 1] if index + 1 < len(self.begins) else self.end
        event = model_pb2.ConfigEvent.FromString(bytes(self.data[begin + 5 : after]))
        return event.WhichOneof("event"), getattr(event, event.WhichOneof("event"))

    def reached(self, sequence):
        return self.begins and self.message(len(self.begins) - 1)[1].sequence_id == sequence

    def replay(self):
        """Settings at the end, snapshots and updates on the way."""
        state, last, counts = {}, 0, {"snapshot": 0, "update": 0}
        for index in range(len(self.begins)):
            kind, event = self.message(index)
            counts[kind] += 1
            if kind == "snapshot":
                assert event.sequence_id > last, "a snapshot goes back"
                state = {s.key: (s.source, s.value.SerializeToString(deterministic=True)) for s in event.settings}
            else:
                assert event.sequence_id == last + 1, (last, event.sequence_id)
                setting = event.setting
                state[setting.key] = (setting.source, setting.value.SerializeToString(deterministic=True))
            last = event.sequence_id
        return state, last, counts


class Connection:
    """HTTP/2 with some streams on it. A stream stalls when the server has used up the room it was granted."""

    def __init__(self, session, count, window, stream):
        self.stream, self.buffer, self.subscribers = stream, bytearray(), {}
        out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, struct.pack(">HI", 4, WINDOW_MAX))
        if window > WINDOW_DEFAULT:
            out += frame(8, 0, 0, struct.pack(">I", window - WINDOW_DEFAULT))
        fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", "/datadog.api.v1.AgentSecure/StreamConfigEvents"),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("authorization", "Bearer " + TOKEN),
            ("session_id", session),
        ]
        head = b"".join(literal(*field) for field in fields)
        for number in range(count):
            stream = 2 * number + 1
            request = model_pb2.ConfigStreamRequest(name=f"load {number}").SerializeToString()
            out += frame(1, 0x4, stream, head)
            out += frame(0, 0x1, stream, b"\0" + struct.pack(">I", len(request)) + request)
            self.subscribers[stream] = Subscriber()
        self.stream.sendall(out)

    def grant(self, bytes_more):
        self.stream.sendall(frame(8, 0, 0, struct.pack(">I", bytes_more)))

    def read(self):
        """Takes what is there; waits for something."""
        piece = self.stream.recv(1 << 18)
        assert piece, "the server ended a connection"
        self.buffer += piece
        at, data = 0, self.buffer
        while len(data) >= at + 9:
            length, kind, flags = int.from_bytes(data[at : at + 3], "big"), data[at + 3], data[at + 4]
            if len(data) < at + 9 + length:
                break
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            payload = data[at + 9 : at + 9 + length]
            at += 9 + length
            if kind == 0:
                self.subscribers[stream].take(payload)
            elif kind == 6 and not flags & 1:
                self.stream.sendall(frame(6, 1, 0, payload))
            # Only data is of interest, but no stream may end.
            assert kind not in (3, 7) and not (kind in (0, 1) and flags & 1), (kind, flags, bytes(payload))
        del data[:at]


def read_until(connections, done):
    """Reads whatever comes on any of them until `done` says so."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        ready = [one for one in connections if isinstance(one.stream, ssl.SSLSocket) and one.stream.pending()]
        if not ready:
            sockets = {one.stream: one for one in connections}
            ready = [sockets[found] for found in select.select(list(sockets), [], [], 0.05)[0]]
        for one in ready:
            one.read()
        assert time.monotonic() < deadline, "subscribers wait in vain"


def rest():
    """A connection that speaks HTTP/1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection((HOST, int(PORT)), PATIENCE))


def last_sequence():
    """The number of the newest change."""
    with rest() as stream:
        path = "/agent/v1/config/generations"
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        stream.sendall(head.encode())
        answer = b""
        while piece := stream.recv(65536):
            answer += piece
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])["history"][-1]["sequence"]


def write(count, slowest=lambda: UPDATES):
    """Changes the log level so often, on a connection of its own. Never far ahead of the slowest reader."""
    stream = rest()
    for number in range(count):
        while number > slowest() + AHEAD_MAX:
            time.sleep(0.001)
        body = "value=" + LEVELS[number % 2]
        request = (
            f"POST /agent/config/log_level HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        stream.sendall(request.encode())
        answer = stream.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 "), answer


def everybody(connections):
    return [one for connection in connections for one in connection.subscribers.values()]


def main():
    pem = open(CERTIFICATE_FILE, "rb").read()
    channel = grpc.secure_channel(
        ADDRESS,
        grpc.ssl_channel_credentials(root_certificates=pem[: pem.index(b"-----BEGIN EC")]),
        options=[("grpc.ssl_target_name_override", "localhost")],
    )
    secure = api_pb2_grpc.AgentSecureStub(channel)
    bearer = [("authorization", "Bearer " + TOKEN)]
    session = secure.RegisterRemoteAgent(
        remoteagent_pb2.RegisterRemoteAgentRequest(
            pid="1", flavor="load", display_name="Load", api_endpoint_uri="localhost:1"
        ),
        metadata=bearer,
    ).session_id
    refreshing = threading.Event()

    def refresh():
        request = remoteagent_pb2.RefreshRemoteAgentRequest(session_id=session)
        while not refreshing.wait(5):
            secure.RefreshRemoteAgent(request, metadata=bearer)

    threading.Thread(target=refresh, daemon=True).start()

    # What an update costs with nobody there.
    began = cpu_seconds()
    alone = max(1, UPDATES // 5)
    write(alone)
    alone_cpu = (cpu_seconds() - began) / alone

    before_kb, before_cpu, began = memory_kb("VmRSS"), cpu_seconds(), time.monotonic()
    live = [Connection(session, OVER_TLS, WINDOW_MAX, tls())]
    for first in range(OVER_TLS, SUBSCRIBERS - STALLED, PER_CONNECTION):
        count = min(PER_CONNECTION, SUBSCRIBERS - STALLED - first)
        live.append(Connection(session, count, WINDOW_MAX, unix()))
    stalled = Connection(session, STALLED, WINDOW_DEFAULT, tls())
    have_first = lambda connections: all(one.begins for one in everybody(connections))  # noqa: E731
    read_until(live, lambda: have_first(live))
    snapshot_bytes = everybody(live)[0].end
    # Room for these snapshots only.
    stalled.grant(max(1, STALLED * snapshot_bytes - WINDOW_DEFAULT // 2))
    read_until([stalled], lambda: have_first([stalled]))
    opened_seconds, opened_cpu = time.monotonic() - began, cpu_seconds() - before_cpu
    opened_kb = memory_kb("VmRSS") - before_kb

    before_cpu, began = cpu_seconds(), time.monotonic()
    finished = threading.Event()

    def change():
        write(UPDATES, lambda: min(len(one.begins) for one in everybody(live)))
        finished.set()

    writer = threading.Thread(target=change, daemon=True)
    writer.start()
    read_until([*live, stalled], finished.is_set)
    last = last_sequence()
    read_until([*live, stalled], lambda: all(one.reached(last) for one in everybody(live)))
    seconds, cpu = time.monotonic() - began, cpu_seconds() - before_cpu
    peak_kb = memory_kb("VmHWM") - before_kb

    # One who comes only now has the truth.
    fresh = Connection(session, 1, WINDOW_MAX, tls())
    read_until([fresh, stalled], lambda: everybody([fresh])[0].reached(last))
    truth, _, _ = everybody([fresh])[0].replay()
    assert not any(one.reached(last) for one in everybody([stalled])), "nobody was stalled"
    stalled.grant(WINDOW_MAX - 2**24)
    read_until([stalled], lambda: all(one.reached(last) for one in everybody([stalled])))

    # Streams that carried the same bytes need one look.
    replayed, resynchronised, updates = {}, 0, 0
    for one in everybody([*live, stalled]):
        key = bytes(one.data)
        if key not in replayed:
            replayed[key] = one.replay()
        state, reached, counts = replayed[key]
        assert reached == last and state == truth, "a subscriber has other settings"
        resynchronised += counts["snapshot"] > 1
        updates += counts["update"]
    assert truth["log_level"][0] == "cli"
    for one in everybody([stalled]):
        assert replayed[bytes(one.data)][2]["snapshot"] > 1, "what was missed came without a snapshot"
    refreshing.set()

    print(
        json.dumps(
            {
                "settings": len(truth),
                "snapshot_bytes": snapshot_bytes,
                "open_milliseconds": round(1e3 * opened_seconds, 1),
                "open_cpu_microseconds_each": round(1e6 * opened_cpu / SUBSCRIBERS, 1),
                "memory_kb_each": round(opened_kb / SUBSCRIBERS, 1),
                "peak_kb_each": round(peak_kb / SUBSCRIBERS, 1),
                "updates": UPDATES,
                "seconds": round(seconds, 2),
                "cpu_microseconds_an_update_alone": round(1e6 * alone_cpu, 1),
                "cpu_microseconds_a_delivery": round(1e6 * (cpu - alone_cpu * UPDATES) / updates, 3),
                "resynchronised": resynchronised,
            }
        )
    )


main()
