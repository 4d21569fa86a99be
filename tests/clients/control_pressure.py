"""Keeps a control port as busy as one process can: every kind of flood, over and over.

    control_pressure.py ADDRESS TOKEN_FILE

Begins at each odd line of its standard input, and says `on` once each kind has hit the port; stops at each even
line, and says `off` when nothing is under way any more. At the end of input it prints what came of it, as JSON:
connections, those the server ended, requests answered and refused.
"""

import json
import socket
import ssl
import struct
import sys
import threading

ADDRESS, TOKEN_FILE = sys.argv[1:3]
TOKEN = open(TOKEN_FILE, encoding="ascii").read()
HOST, _, PORT = ADDRESS.rpartition(":")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Of the present flood.
done, streams = threading.Event(), set()
own = threading.local()
counts = {"connections": 0, "ended": 0, "answers": 0, "refusals": 0}


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


HEAD = b"".join(
    literal(*field)
    for field in [(":method", "GET"), (":scheme", "https"), (":path", "/agent/version"), (":authority", "x")]
)
RESETS = b"".join(
    frame(1, 0x5, stream, HEAD) + frame(3, 0, stream, struct.pack(">I", 8)) for stream in range(1, 2001, 2)
)
PINGS = frame(6, 0, 0, b"greyhund") * 2000
SETTINGS = frame(4, 0, 0, struct.pack(">HI", 4, 65535)) * 2000


def connect(protocol):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    stream = context.wrap_socket(socket.create_connection((HOST, int(PORT)), 10))
    counts["connections"] += 1
    streams.add(stream)
    own.first.set()
    return stream


def frames(burst):
    """Frames until the server has enough of them."""
    with connect("h2") as stream:
        try:
            stream.sendall(PREFACE + frame(4, 0, 0, b""))
            while not done.is_set():
                stream.sendall(burst)
        except OSError:
            counts["ended"] += 1
        finally:
            streams.discard(stream)


def requests(token, counted):
    """Requests, one behind the other."""
    head = f"GET /agent/status?format=json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    with connect("http/1.1") as stream:
        for _ in range(30):
            stream.sendall(head)
            if done.is_set() or not stream.recv(1 << 20).startswith(b"HTTP/1.1 "):
                break
            counts[counted] += 1
        streams.discard(stream)


KINDS = [
    lambda: frames(RESETS),
    lambda: frames(PINGS),
    lambda: frames(SETTINGS),
    lambda: requests(TOKEN, "answers"),
    lambda: requests("0" * 64, "refusals"),
]


def again(kind, first):
    own.first = first
    while not done.is_set():
        try:
            kind()
        except OSError:
            # Turned away, which is an answer, too.
            counts["ended"] += 1


def main():
    while sys.stdin.readline():
        done.clear()
        firsts = [threading.Event() for _ in KINDS]
        threads = [threading.Thread(target=again, args=pair, daemon=True) for pair in zip(KINDS, firsts)]
        for thread in threads:
            thread.start()
        for first in firsts:
            assert first.wait(30), "a kind of flood never ended"
        print("on", flush=True)
        if not sys.stdin.readline():
            break
        done.set()
        for stream in list(streams):
            try:
                # Wakes whoever waits for an answer.
                socket.socket.shutdown(stream, socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive(), "a kind of flood never ended"
        streams.clear()
        print("off", flush=True)
    print(json.dumps(counts), flush=True)


main()
