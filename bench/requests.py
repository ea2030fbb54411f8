#!/usr/bin/env python3
"""Instructions that a server in memory executes for each event and each connection, counted by Valgrind.

    python3 bench/requests.py PROGRAM...

Each PROGRAM is a `tidings`: `target/release/tidings`, or one of the profile `profiling`, whose functions
`callgrind_annotate` can then name in the files that are left in the folder given by --out. The requests are the
same bytes each time and the server has one core, so that counts repeat within two percent, those of connections
within five. The instructions of the kernel are not among them.
"""

import argparse
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

DATA = b"x" * 100
BATCH = 64
HEAD_END = b"\r\n\r\n"


class Server:
    """A server under Valgrind, with options for both."""

    def __init__(self, program, folder, valgrind=(), serve=()):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.prefix, self.counts = folder / pathlib.Path(program).name, 0
        command = ["taskset", "-c", "0", "valgrind", "--tool=callgrind", f"--callgrind-out-file={self.prefix}.out"]
        command += [*valgrind, program, "serve", "--memory", "--listen", f"127.0.0.1:{self.port}", *serve]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while self.process.poll() is None:
            try:
                return self.connect().close()
            except ConnectionRefusedError:
                time.sleep(0.1)
        sys.exit(f"{program} has ended: is Valgrind there?")

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def request(self, line, fields="", body=None):
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        head = f"{line} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{fields}{length}\r\n"
        return head.encode() + (body or b"")

    def count(self):
        """What was counted since the last count, by Valgrind's names: `Ir` are instructions."""
        self.counts += 1
        file = pathlib.Path(f"{self.prefix}.out.{self.counts}")
        dump = ["callgrind_control", "--dump", str(self.process.pid)]
        subprocess.run(dump, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        totals = []
        # The file may come after the command that asks for it has ended.
        while not totals:
            text = file.read_text(errors="replace") if file.exists() else ""
            totals = re.findall(r"^(?:summary|totals): ([\d ]+)$", text, re.MULTILINE)
        names = re.search(r"^events: (.*)$", text, re.MULTILINE).group(1).split()
        return dict(zip(names, map(int, totals[-1].split())))

    def end(self):
        self.process.terminate()
        self.process.wait()


def receive(connection, answers):
    """Receives so many answers, all of which must be 201."""
    received = b""
    while answers:
        end = received.find(HEAD_END)
        length = re.search(rb"content-length: (\d+)", received[: max(end, 0)], re.IGNORECASE)
        whole = end + len(HEAD_END) + int(length.group(1)) if length else None
        if whole is None or len(received) < whole:
            more = connection.recv(1 << 16)
            if not more:
                sys.exit(f"the server has closed after {received!r}")
            received += more
            continue
        if not received.startswith(b"HTTP/1.1 201"):
            sys.exit(f"refused: {received!r}")
        received, answers = received[whole:], answers - 1


def exchange(server, request, times, answers=1):
    with server.connect() as connection:
        for _ in range(times):
            connection.sendall(request)
            receive(connection, answers)


def one(server, events):
    exchange(server, server.request("POST /topics/x", body=DATA), events)


def pipelined(server, events):
    request = server.request("POST /topics/x", body=DATA) * BATCH
    exchange(server, request, events // BATCH, BATCH)


def posted(server, events, path, content_type, body):
    request = server.request(f"POST {path}", f"Content-Type: {content_type}\r\n", body)
    exchange(server, request, events // BATCH)


OBJECT = b'{"topic":"x","data":"' + DATA + b'"}'


def lines(server, events):
    posted(server, events, "/events", "application/x-ndjson", (OBJECT + b"\n") * BATCH)


def array(server, events):
    posted(server, events, "/events", "application/json", b"[" + b",".join([OBJECT] * BATCH) + b"]")


def stream(server, events):
    posted(server, events, "/events?topic=x", "text/event-stream", (b"data: " + DATA + b"\n\n") * BATCH)


def churn(server, connections):
    for number in range(connections):
        with server.connect() as connection:
            connection.sendall(server.request(f"GET /topics/y{number}", "Accept: text/event-stream\r\n"))
            if not connection.recv(1 << 16).startswith(b"HTTP/1.1 200"):
                sys.exit("a stream is refused")


ROWS = [
    ("an event alone", one, 1280),
    ("pipelined, 64 deep", pipelined, 6400),
    ("64 objects as lines", lines, 12800),
    ("64 objects in an array", array, 12800),
    ("an event stream of 64", stream, 12800),
    ("a stream opened and closed", churn, 600),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+", metavar="PROGRAM")
    parser.add_argument("--out", type=pathlib.Path, help="folder for Valgrind's files, which are otherwise removed")
    options = parser.parse_args()
    print("| program | " + " | ".join(name for name, _, _ in ROWS) + " |")
    print("| --- |" + " ---: |" * len(ROWS))
    for program in options.programs:
        with tempfile.TemporaryDirectory() as folder:
            server = Server(program, options.out or pathlib.Path(folder))
            counts = []
            for name, load, number in ROWS:
                load(server, number // 4)
                server.count()
                load(server, number)
                counts.append(server.count()["Ir"] / number)
            server.end()
        print(f"| {program} | " + " | ".join(f"{count:,.0f}" for count in counts) + " |", flush=True)


if __name__ == "__main__":
    main()
