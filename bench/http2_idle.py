"""What an idle stream on HTTP/2 takes of a hub's memory.

    python3 bench/http2_idle.py target/release/tidings

Starts the hub, opens connections with streams of a topic each, one after the other as a browser does,
and reads the hub's own (anonymous) memory before and after. One connection is opened before the first
reading, so that what a hub takes once is not counted.
"""

import socket
import struct
import subprocess
import sys

CONNECTIONS, STREAMS = 20, 100
# Frame types and flags of RFC 9113, section 6.
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
ACK, END_STREAM, END_HEADERS = 1, 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def field(name, value):
    """A header field as a literal that is not indexed (RFC 7541, section 6.2.2), below 127 bytes each."""
    return b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in (name, value))


class Connection:
    def __init__(self, port):
        self.authority = f"127.0.0.1:{port}"
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
        self.file = self.socket.makefile("rb")

    def open(self, stream, topic):
        """Opens a stream and waits for its first piece."""
        fields = {":method": "GET", ":scheme": "http", ":authority": self.authority}
        fields |= {":path": f"/topics/{topic}", "accept": "text/event-stream", "cache-control": "no-cache"}
        block = b"".join(field(name, value) for name, value in fields.items())
        self.socket.sendall(frame(HEADERS, END_STREAM | END_HEADERS, stream, block))
        while True:
            head = self.file.read(9)
            self.file.read(int.from_bytes(head[:3], "big"))
            kind, flags = head[3], head[4]
            if kind in (RST_STREAM, GOAWAY):
                sys.exit(f"the hub refused a stream of topic {topic}")
            if kind == SETTINGS and not flags & ACK:
                self.socket.sendall(frame(SETTINGS, ACK, 0))
            if kind == DATA:
                return


def connect(port, number):
    connection = Connection(port)
    for stream in range(STREAMS):
        connection.open(1 + 2 * stream, f"idle/{number}/{stream}")
    return connection


def anonymous_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


def main():
    command = [sys.argv[1], "serve", "--memory", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hub:
        try:
            # The first address it prints is the one it listens on.
            line = next(line for line in hub.stdout if "127.0.0.1:" in line)
            port = int("".join(c for c in line.split("127.0.0.1:")[1][:5] if c.isdigit()))
            connections = [connect(port, 0)]
            before = anonymous_bytes(hub.pid)
            connections += [connect(port, number) for number in range(1, CONNECTIONS + 1)]
            each = (anonymous_bytes(hub.pid) - before) / (CONNECTIONS * STREAMS)
            print(f"{each:.0f} bytes for each of {CONNECTIONS} x {STREAMS} streams")
        finally:
            hub.terminate()


main()
