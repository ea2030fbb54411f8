"""Measures the memory of a server per idle stream on HTTP/2.

    python3 bench/http2_idle.py target/release/tidings
    python3 bench/http2_idle.py --server-pid PID 'http://127.0.0.1:4000/topics/{topic}'

Opens connections whose streams have a topic each, one after the other as a browser does, and reads the
server's memory before and after. One connection is opened before the first reading, so that one-time costs
of the server are not counted. The first form starts a hub and prints the result in words. The second form
measures a running server that speaks HTTP/2 in clear text, and prints the result like `tidings bench idle
--json`.
"""

import argparse
import json
import socket
import struct
import subprocess
import sys
import time
from urllib.parse import urlsplit

# Frame types and flags of RFC 9113, section 6.
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
ACK, END_STREAM, END_HEADERS = 1, 1, 4
# In a field block (RFC 7541): `:status: 200` of the static table, and the prefix of a dynamic table size update.
STATUS_200, SIZE_UPDATE, SIZE_UPDATE_MASK = 0x88, 0x20, 0xE0
# Longer than any server takes to respond.
TIMEOUT_SECONDS = 30


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def field(name, value):
    """A header field as a literal that is not indexed (RFC 7541, section 6.2.2), below 127 bytes each."""
    return b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in (name, value))


def is_200(block):
    """Whether a field block begins with status 200, as it does in every encoder's output that has it."""
    while block and block[0] & SIZE_UPDATE_MASK == SIZE_UPDATE:
        block = block[1:]
    return block[:1] == bytes([STATUS_200])


class Connection:
    def __init__(self, url):
        self.url = urlsplit(url)
        address = (self.url.hostname, self.url.port)
        self.socket = socket.create_connection(address, timeout=TIMEOUT_SECONDS)
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
        self.file = self.socket.makefile("rb")

    def open(self, stream, topic):
        """Opens a stream and waits for the head of its response."""
        fields = {":method": "GET", ":scheme": "http", ":authority": self.url.netloc}
        path = self.url.path.replace("{topic}", topic)
        fields |= {":path": path, "accept": "text/event-stream", "cache-control": "no-cache"}
        block = b"".join(field(name, value) for name, value in fields.items())
        self.socket.sendall(frame(HEADERS, END_STREAM | END_HEADERS, stream, block))
        flags, answer = self.wait(HEADERS, stream)
        if flags & END_STREAM or not is_200(answer):
            sys.exit(f"the server refused a stream of topic {topic}")

    def settle(self):
        """Waits until the server has handled everything it was sent."""
        self.socket.sendall(frame(PING, 0, 0, bytes(8)))
        self.wait(PING, 0)

    def wait(self, wanted, on):
        while True:
            head = self.file.read(9)
            payload = self.file.read(int.from_bytes(head[:3], "big"))
            if len(head) < 9:
                sys.exit("the server closed a connection")
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind in (RST_STREAM, GOAWAY):
                sys.exit("the server ended a stream or a connection")
            if kind == SETTINGS and not flags & ACK:
                self.socket.sendall(frame(SETTINGS, ACK, 0))
            if (kind, stream) == (wanted, on):
                return flags, payload


def connect(url, number, streams):
    connection = Connection(url)
    for stream in range(streams):
        connection.open(1 + 2 * stream, f"idle-{number}-{stream}" if "{topic}" in url else "")
    connection.settle()
    return connection


def memory(pid):
    """Returns the resident and the anonymous memory, in bytes."""
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in lines if line.rstrip().endswith(" kB")}
    return sizes["Rss:"], sizes["Anonymous:"]


def measure(url, pid, subscribers, streams):
    """Returns the memory before and with all streams, and how long opening them took."""
    connections = [connect(url, 0, streams)]
    before = memory(pid)
    began = time.monotonic()
    connections += [connect(url, number, streams) for number in range(1, subscribers // streams + 1)]
    return before, memory(pid), time.monotonic() - began


def report(url, arguments):
    """Returns the result in the format of `tidings bench idle --json`."""
    pid, subscribers = arguments.server_pid, arguments.subscribers
    before, connected, seconds = measure(url, pid, subscribers, arguments.streams)
    server = {"rss_before": before[0], "rss_connected": connected[0]}
    server["rss_per_subscriber"] = (connected[0] - before[0]) // subscribers
    about = {"scenario": "http2-idle", "url": url, "subscribers": subscribers, "streams": arguments.streams}
    print(json.dumps(about | {"connected": subscribers, "connect_seconds": seconds, "server": server}))


def start(program, arguments):
    """Measures a hub that is started for this run."""
    command = [program, "serve", "--memory", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hub:
        try:
            # The first address in the output is the one the hub listens on.
            line = next(line for line in hub.stdout if "127.0.0.1:" in line)
            port = int("".join(c for c in line.split("127.0.0.1:")[1][:5] if c.isdigit()))
            url = f"http://127.0.0.1:{port}/topics/{{topic}}"
            subscribers, streams = arguments.subscribers, arguments.streams
            (_, before), (_, connected), _ = measure(url, hub.pid, subscribers, streams)
            each = (connected - before) / subscribers
            print(f"{each:.0f} bytes for each of {subscribers // streams} x {streams} streams")
        finally:
            hub.terminate()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("server", help="URL of a server, with {topic}, or a hub's program to start")
    parser.add_argument("--server-pid", type=int, metavar="PID", help="process of the server with that URL")
    parser.add_argument("--subscribers", type=int, default=2000, metavar="N", help="streams to open [2000]")
    parser.add_argument("--streams", type=int, default=100, metavar="N", help="streams of each connection [100]")
    arguments = parser.parse_args()
    if not 0 < arguments.streams <= arguments.subscribers or arguments.subscribers % arguments.streams:
        parser.error("--subscribers has to be a multiple of --streams")
    if not arguments.server.startswith("http://"):
        start(arguments.server, arguments)
    elif arguments.server_pid is None:
        parser.error("a URL needs the --server-pid of its server")
    else:
        report(arguments.server, arguments)


main()
