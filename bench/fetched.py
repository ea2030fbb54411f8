#!/usr/bin/env python3
"""Lines that a server in memory fetches into its caches for each event for one reader, counted by Valgrind.

    python3 bench/fetched.py PROGRAM...

Each PROGRAM is a `tidings`, as for requests.py. Each event is for one of so many readers, in a random order that is the
same each time, and Valgrind simulates a cache of 32 KiB and one of 1 MiB with lines of 64 bytes. The memory of 500
readers fits the large one, that of 5,000 does not: by as much as more lines miss it then, one reader has its own. The
instructions and the lines of the kernel are not counted.
"""

import argparse
import pathlib
import random
import sys
import tempfile

from requests import DATA, Server, receive

CACHES = ["--cache-sim=yes", "--D1=32768,8,64", "--LL=1048576,16,64"]
# No heartbeats, of which there would be many: Valgrind makes a program fifty times slower.
QUIET = ["--heartbeat", "1h"]
SIZES = [500, 5000]
EVENTS = 5000

TEN = "&".join(f"topic=t{{n}}-{more}" for more in range(10))
# The streams and the topics of their events, as in compare/src/bin/views.
VIEWS = {
    "one topic": ("/topics/t{n}", "t{n}"),
    "two topics, one of them everybody's": ("/events?topic=t{n}&topic=everybody", "t{n}"),
    "ten topics of its own": (f"/events?{TEN}", "t{n}-0"),
    "a pattern of its own": ("/events?match=u/t{n}/*", "u/t{n}/1"),
}


def open_streams(server, stream, size):
    readers = []
    for n in range(size):
        reader = server.connect()
        reader.sendall(server.request(f"GET {stream.format(n=n)}", "Accept: text/event-stream\r\n"))
        readers.append(reader)
    for reader in readers:
        received = b""
        while b"\n\r\n" not in received.partition(b"\r\n\r\n")[2]:
            received += reader.recv(1 << 16)
        if not received.startswith(b"HTTP/1.1 200"):
            sys.exit(f"a stream is refused: {received!r}")
    return readers


def deliver(server, publisher, readers, topic, order):
    for n in order:
        publisher.sendall(server.request(f"POST /topics/{topic.format(n=n)}", body=DATA))
        receive(publisher, 1)
        received = b""
        while DATA not in received:
            more = readers[n].recv(1 << 16)
            if not more:
                sys.exit("a stream has ended")
            received += more


def counts(program, folder, view, size):
    """Instructions, and lines that miss the small cache and the large one, for each event."""
    stream, topic = VIEWS[view]
    server = Server(program, folder, CACHES, QUIET)
    readers = open_streams(server, stream, size)
    rng = random.Random(16)
    with server.connect() as publisher:
        # Two events each, so that each topic has its list of events.
        for _ in range(2):
            deliver(server, publisher, readers, topic, rng.sample(range(size), size))
        order = [n for _ in range(EVENTS // size) for n in rng.sample(range(size), size)]
        server.count()
        deliver(server, publisher, readers, topic, order)
        count = server.count()
    server.end()
    for reader in readers:
        reader.close()
    small, large = count["D1mr"] + count["D1mw"], count["DLmr"] + count["DLmw"]
    return [f"{number / EVENTS:,.{digits}f}" for number, digits in [(count["Ir"], 0), (small, 1), (large, 1)]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+", metavar="PROGRAM")
    parser.add_argument("--view", action="append", choices=VIEWS, help="only this view")
    parser.add_argument("--out", type=pathlib.Path, help="folder for Valgrind's files, which are otherwise removed")
    options = parser.parse_args()
    print("| program | view | readers | instructions | lines beyond 32 KiB | lines beyond 1 MiB |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for view in options.view or VIEWS:
        for size in SIZES:
            for program in options.programs:
                with tempfile.TemporaryDirectory() as folder:
                    folder = pathlib.Path(folder)
                    if options.out:
                        folder = options.out / f"{view.split()[0]}-{size}"
                        folder.mkdir(parents=True)
                    row = counts(program, folder, view, size)
                print(f"| {program} | {view} | {size:,} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
