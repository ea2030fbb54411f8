#!/usr/bin/env python3
"""Memory that a server in memory takes for each further idle reader, apart from what it takes once.

    python3 bench/idle_parts.py PROGRAM...

Readers are opened in portions. Resident memory is read from `/proc` after each: what the program has allocated, and
the pages of its own file, which come into memory as its code is first run.
"""

import resource
import socket
import subprocess
import sys
import time

PORTIONS = [1_000, 4_000, 10_000]
SETTLE_SECONDS = 0.3
KINDS = ["RssAnon", "RssFile"]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def memory(process):
    with open(f"/proc/{process.pid}/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return [int(lines[kind].split()[0]) * 1024 for kind in KINDS]


def connect(port):
    connection = socket.socket()
    connection.connect(("127.0.0.1", port))
    return connection


def start(program, port):
    command = ["taskset", "-c", "0", program, "serve", "--memory", "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            connect(port).close()
            return process
        except ConnectionRefusedError:
            time.sleep(0.05)
    sys.exit(f"{program} has ended")


def subscribe(port, topic):
    connection = connect(port)
    head = f"GET /topics/{topic} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n"
    connection.sendall(head.encode())
    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
        sys.exit("a stream is refused")
    return connection


def measure(program, topic_of):
    port = free_port()
    process = start(program, port)
    readers, cells, before = [], [], memory(process)
    for portion in PORTIONS:
        readers += [subscribe(port, topic_of(len(readers) + number)) for number in range(portion)]
        time.sleep(SETTLE_SECONDS)
        now = memory(process)
        cells += [f"{(one - other) / portion:,.0f}" for one, other in zip(now, before)]
        before = now
    process.terminate()
    process.wait()
    return cells


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    heads = [f"{kind} each of {portion:,}" for portion in PORTIONS for kind in KINDS]
    print("| program | topics | " + " | ".join(heads) + " |")
    print("| --- | --- |" + " ---: |" * len(heads))
    for program in sys.argv[1:]:
        for topics, topic_of in [("one", lambda _: "x"), ("own", "x{}".format)]:
            print(f"| {program} | {topics} | " + " | ".join(measure(program, topic_of)) + " |", flush=True)


if __name__ == "__main__":
    main()
