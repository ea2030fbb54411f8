"""A hub as sse-starlette's documentation has it: a queue for each subscriber, its EventSourceResponse
on it, under uvicorn with uvloop and httptools."""

import asyncio
from collections import defaultdict

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

topics: dict[str, set[asyncio.Queue]] = defaultdict(set)


async def subscribe(request):
    return EventSourceResponse(events(request.path_params["topic"]))


async def events(topic):
    queue = asyncio.Queue()
    topics[topic].add(queue)
    try:
        while True:
            yield {"data": await queue.get()}
    finally:
        topics[topic].discard(queue)
        if not topics[topic]:
            del topics[topic]


async def publish(request):
    data = (await request.body()).decode()
    for queue in topics.get(request.path_params["topic"], ()):
        queue.put_nowait(data)
    return Response(status_code=204)


app = Starlette(
    routes=[
        Route("/topics/{topic}", subscribe, methods=["GET"]),
        Route("/topics/{topic}", publish, methods=["POST"]),
    ]
)
