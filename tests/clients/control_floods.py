"""Floods of the control port, in frames written by hand. Prints one JSON line per flood.

usage: control_floods.py host:port path-of-the-certificate flood...

Each flood goes on until the server ends the connection, or for ten seconds. What is printed: how much was
sent, how long it took, whether the server ended it, and whether a request with the right token was answered
meanwhile, and how fast.
"""

import json
import os
import socket
import ssl
import struct
import sys
import threading
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SECONDS = 10


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field of HPACK without indexing and without Huffman codes."""
    name, value = name.encode(), value.encode()
    assert len(name) < 127 and len(value) < 127
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def head(path="/agent/version"):
    fields = [(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", "localhost")]
    return b"".join(literal(*field) for field in fields)


def connect(address, protocols):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    plain = socket.create_connection(address, timeout=SECONDS)
    return context.wrap_socket(plain, server_hostname="localhost")


def h2(address):
    stream = connect(address, ["h2"])
    assert stream.selected_alpn_protocol() == "h2"
    stream.sendall(PREFACE + frame(4, 0, 0, b""))
    return stream


def drain(stream):
    """Reads what comes, so that the server is never held up by us."""
    try:
        while stream.recv(65536):
            pass
    except (OSError, ValueError):
        pass


def pour(address, pieces):
    """Sends pieces over one HTTP/2 connection until it is ended. Bytes sent, and whether it was ended."""
    stream = h2(address)
    reader = threading.Thread(target=drain, args=(stream,), daemon=True)
    reader.start()
    sent, deadline = 0, time.monotonic() + SECONDS
    try:
        for piece in pieces:
            if time.monotonic() > deadline:
                return sent, False
            stream.sendall(piece)
            sent += len(piece)
    except OSError:
        return sent, True
    reader.join(timeout=max(0.0, deadline - time.monotonic()))
    return sent, not reader.is_alive()


def rapid_reset(address):
    def pieces():
        for number in range(1, 200_000, 64):
            batch = b""
            for stream in range(number, number + 64, 2):
                batch += frame(1, 0x5, stream, head()) + frame(3, 0, stream, struct.pack(">I", 8))
            yield batch

    return pour(address, pieces())


def settings(address):
    batch = frame(4, 0, 0, struct.pack(">HI", 4, 65535)) * 500
    return pour(address, (batch for _ in range(100_000)))


def ping(address):
    batch = frame(6, 0, 0, b"greyhund") * 500
    return pour(address, (batch for _ in range(100_000)))


def continuation(address):
    yield_first = frame(1, 0x1, 1, head())
    more = frame(9, 0, 1, literal("x", "y" * 100) * 100)

    def pieces():
        yield yield_first
        for _ in range(100_000):
            yield more

    return pour(address, pieces())


def empty_data(address):
    def pieces():
        yield frame(1, 0x4, 1, head())
        for _ in range(100_000):
            yield frame(0, 0, 1, b"") * 1000

    return pour(address, pieces())


def malformed(address):
    """Requests that the server itself has to reset."""

    def pieces():
        bad = literal(":method", "GET") + literal("Upper", "case")
        for number in range(1, 200_000, 64):
            yield b"".join(frame(1, 0x5, stream, bad) for stream in range(number, number + 64, 2))

    return pour(address, pieces())


def slow_head(address):
    stream = connect(address, ["http/1.1"])
    sent, deadline = 0, time.monotonic() + 2 * SECONDS
    stream.settimeout(1)
    try:
        while time.monotonic() < deadline:
            stream.sendall(b"G" if sent == 0 else b"E")
            sent += 1
            try:
                if not stream.recv(1):
                    return sent, True
            except TimeoutError:
                continue
    except OSError:
        return sent, True
    return sent, False


def long_head(address):
    stream = connect(address, ["http/1.1"])
    sent = 0
    try:
        stream.sendall(b"GET /agent/version HTTP/1.1\r\nHost: x\r\n")
        for _ in range(10_000):
            line = b"X: " + b"y" * 1000 + b"\r\n"
            stream.sendall(line)
            sent += len(line)
    except OSError:
        return sent, True
    return sent, not stream.recv(65536).startswith(b"HTTP/1.1 2")


def idle(address):
    """Ten thousand connections that say nothing."""
    held, ended = [], 0
    for _ in range(10_000):
        try:
            one = socket.create_connection(address, timeout=SECONDS)
            one.setblocking(False)
            held.append(one)
        except OSError:
            ended += 1
        if len(held) >= 400:
            # Those the server dropped make room for us, too.
            kept = []
            for one in held:
                try:
                    gone = one.recv(1) == b""
                except BlockingIOError:
                    gone = False
                except OSError:
                    gone = True
                if gone:
                    one.close()
                    ended += 1
                else:
                    kept.append(one)
            held = kept
    return len(held) + ended, ended > 5_000


FLOODS = {
    name: flood
    for name, flood in list(globals().items())
    if callable(flood)
    and name
    in "rapid_reset settings ping continuation empty_data malformed slow_head long_head idle".split()
}


def ask(address, token):
    """One request with the right token. Seconds it took, or what went wrong."""
    began = time.monotonic()
    try:
        stream = connect(address, ["http/1.1"])
        request = f"GET /agent/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        stream.sendall(request.encode())
        answer = b""
        while piece := stream.recv(65536):
            answer += piece
    except OSError as error:
        return str(error)
    if not answer.startswith(b"HTTP/1.1 200 "):
        return answer[:80].decode(errors="replace")
    return time.monotonic() - began


def main():
    host, _, port = sys.argv[1].rpartition(":")
    address = (host, int(port))
    with open(os.path.join(os.path.dirname(sys.argv[2]), "auth_token"), encoding="ascii") as file:
        token = file.read()
    for name in sys.argv[3:]:
        answers, done = [], threading.Event()

        def keep_asking():
            while not done.is_set():
                answers.append(ask(address, token))
                done.wait(0.1)

        asker = threading.Thread(target=keep_asking)
        asker.start()
        began = time.monotonic()
        sent, ended = FLOODS[name](address)
        seconds = time.monotonic() - began
        done.set()
        asker.join()
        bad = [answer for answer in answers if not isinstance(answer, float)]
        slowest = max((answer for answer in answers if isinstance(answer, float)), default=None)
        print(
            json.dumps(
                {
                    "flood": name,
                    "sent": sent,
                    "seconds": seconds,
                    "ended": ended,
                    "answers": len(answers) - len(bad),
                    "bad": bad[:5],
                    "slowest": slowest,
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
