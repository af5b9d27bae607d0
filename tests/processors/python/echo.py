"""Answers every fragment unchanged, with python-socketio: python echo.py PORT [DELAY_MS]"""

import asyncio
import sys

import socketio
from aiohttp import web

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 0
DELAY_MS = int(sys.argv[2]) if len(sys.argv) > 2 else 100

sio = socketio.AsyncServer(async_mode="aiohttp", max_http_buffer_size=64 * 1024 * 1024)


@sio.on("fragment:data")
async def fragment_data(sid, message):
    fragment = message["fragment"]
    await sio.emit("fragment:ack", {"fragment": {"id": fragment["id"]}, "status": "queued"}, to=sid)
    await asyncio.sleep(DELAY_MS / 1000)
    answer = {
        "fragment": fragment,
        "data": message["data"],
        "metadata": {"processingTime": DELAY_MS / 1000},
    }
    await sio.emit("fragment:processed", answer, to=sid)


async def main():
    app = web.Application()
    sio.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", PORT)
    await site.start()
    print(f"listening {site._server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
