#!/usr/bin/env python3
"""CPU time and peak memory of overdub and FFmpeg at the same work, alternately in one run.

    cargo build --release && scripts/compare-ffmpeg.py [--runs 7] [--dir DIR]

Makes a transport stream of ten minutes, 720p H.264 with AAC, some 245 MB, in DIR (a temporary folder by
default) with ffmpeg, and prints a Markdown table: medians over the runs, user and system time together.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FRAGMENTED = ["-movflags", "frag_keyframe+empty_moov+delay_moov"]


def make_source(path):
    """A minute of moving noise, ten times over."""
    minute = path + ".minute.ts"
    picture = "testsrc2=size=1280x720:rate=30:duration=60"
    sound = "aevalsrc=0.3*sin(880*PI*t)+0.1*random(0):s=48000:d=60"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
        + ["-vf", "noise=alls=12:allf=t", "-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "60"]
        + ["-b:v", "2990k", "-maxrate", "3090k", "-bufsize", "3090k", "-x264-params", "nal-hrd=cbr"]
        + ["-c:a", "aac", "-b:a", "128k", "-ac", "2", minute],
        check=True,
    )
    looped = ["-stream_loop", "9", "-i", minute, "-c", "copy", "-f", "mpegts", path]
    subprocess.run(["ffmpeg", "-v", "error", "-y"] + looped, check=True)
    os.remove(minute)


def run(command):
    """CPU seconds and peak memory in MB of one run."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--runs", type=int, default=7)
    arguments.add_argument("--dir", help="where the files go; the source there is used again")
    arguments.add_argument("--overdub", default=os.path.join(ROOT, "target/release/overdub"))
    options = arguments.parse_args()
    if shutil.which("ffmpeg") is None:
        sys.exit("ffmpeg is missing: apt-get install ffmpeg")
    if not os.path.exists(options.overdub):
        sys.exit("build it first: cargo build --release")
    folder = options.dir or tempfile.mkdtemp(prefix="overdub-compare-")
    os.makedirs(folder, exist_ok=True)

    def at(name):
        return os.path.join(folder, name)

    source = at("ten-minutes.ts")
    if not os.path.exists(source):
        make_source(source)
    ffmpeg = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
    jobs = [
        (
            "`demux` to two fMP4 files",
            [options.overdub, "demux", source, "--video", at("o.video.mp4"), "--audio", at("o.audio.mp4")],
            ffmpeg + ["-i", source]
            + ["-map", "0:v", "-c", "copy"] + FRAGMENTED + [at("f.video.mp4")]
            + ["-map", "0:a", "-c", "copy", "-bsf:a", "aac_adtstoasc"] + FRAGMENTED + [at("f.audio.mp4")],
        ),
        (
            "`remux` of these two",
            [options.overdub, "remux", at("o.video.mp4"), at("o.audio.mp4"), at("o.mp4")],
            ffmpeg + ["-i", at("o.video.mp4"), "-i", at("o.audio.mp4"), "-c", "copy"] + FRAGMENTED + [at("f.mp4")],
        ),
        (
            "TS to samples (`probe`; `-c copy -f null`)",
            [options.overdub, "probe", source],
            ffmpeg + ["-i", source, "-map", "0", "-c", "copy", "-f", "null", "-"],
        ),
    ]
    print(f"{os.path.getsize(source) / 1e6:.0f} MB, {options.runs} runs each, alternately; medians")
    print("| work | overdub CPU | FFmpeg CPU | ratio | overdub memory | FFmpeg memory | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, ours, theirs in jobs:
        pairs = [(run(ours), run(theirs)) for _ in range(options.runs)]
        median = [[statistics.median(pair[who][what] for pair in pairs) for what in (0, 1)] for who in (0, 1)]
        (cpu, memory), (their_cpu, their_memory) = median
        print(
            f"| {name} | {cpu:.2f} s | {their_cpu:.2f} s | {cpu / their_cpu:.2f} "
            f"| {memory:.0f} MB | {their_memory:.0f} MB | {memory / their_memory:.2f} |",
            flush=True,
        )
    if options.dir is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
