"""An audio processor in Python: python processor.py [PORT [DELAY_MS [FFMPEG_AUDIO_FILTER]]]"""
import asyncio, subprocess, sys, time
import socketio
from aiohttp import web

PORT, DELAY_MS, FILTER = sys.argv[1:] + ["5000", "100", ""][len(sys.argv) - 1 :]
sio = socketio.AsyncServer(async_mode="aiohttp", max_http_buffer_size=64 * 1024 * 1024)


def process_audio(data):
    """Fragmented MP4 in, MP4 out: through FFmpeg where there is a filter, otherwise the sound as it came."""
    time.sleep(int(DELAY_MS) / 1000)  # work that takes its time
    output = ["-c:a", "aac", "-f", "mp4", "-movflags", "frag_keyframe+delay_moov", "pipe:1"]
    command = ["ffmpeg", "-v", "error", "-i", "pipe:0", "-af", FILTER, *output]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout if FILTER else data


@sio.on("fragment:data")
async def fragment_data(sid, message):
    fragment, began = message["fragment"], time.monotonic()
    await sio.emit("fragment:ack", {"fragment": {"id": fragment["id"]}, "status": "queued"}, to=sid)
    try:
        answer = {"fragment": fragment, "data": await asyncio.to_thread(process_audio, message["data"])}
        answer["metadata"] = {"processingTime": time.monotonic() - began}
        await sio.emit("fragment:processed", answer, to=sid)
    except Exception as error:
        failure = {"fragment": fragment, "error": str(error), "code": "PROCESSING_FAILED"}
        await sio.emit("fragment:error", failure, to=sid)


async def main():
    sio.attach(app := web.Application())
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(PORT)).start()
    print("listening", runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
