"""An audio processor in Python: python processor.py PORT [DELAY_MS [FFMPEG_AUDIO_FILTER]]"""
import asyncio, sys, time

import socketio
from aiohttp import web

PORT, DELAY_MS, FILTER = (sys.argv[1:] + ["0", "100", ""][len(sys.argv) - 1 :])[:3]
sio = socketio.AsyncServer(async_mode="aiohttp", max_http_buffer_size=64 * 1024 * 1024)


async def process_audio(data):
    """Fragmented MP4 in, anything that docs/processor.md lists out. Here: FFmpeg, or the sound as it came."""
    if not FILTER:
        return data
    output = ["-c:a", "aac", "-movflags", "frag_keyframe+delay_moov", "-f", "mp4", "pipe:1"]
    command = ["ffmpeg", "-v", "error", "-i", "pipe:0", "-af", FILTER, *output]
    pipe = asyncio.subprocess.PIPE
    ffmpeg = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    processed, _ = await ffmpeg.communicate(data)
    if ffmpeg.returncode:
        raise RuntimeError(f"ffmpeg: {ffmpeg.returncode}")
    return processed


@sio.on("fragment:data")
async def fragment_data(sid, message):
    fragment, began = message["fragment"], time.monotonic()
    await sio.emit("fragment:ack", {"fragment": {"id": fragment["id"]}, "status": "queued"}, to=sid)
    try:
        processed, _ = await asyncio.gather(process_audio(message["data"]), asyncio.sleep(int(DELAY_MS) / 1000))
    except Exception as error:
        return await sio.emit("fragment:error", {"fragment": fragment, "error": str(error), "code": "PROCESSING_FAILED"}, to=sid)
    metadata = {"processingTime": time.monotonic() - began}
    await sio.emit("fragment:processed", {"fragment": fragment, "data": processed, "metadata": metadata}, to=sid)


async def main():
    app = web.Application()
    sio.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", int(PORT))
    await site.start()
    print(f"listening {site._server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
