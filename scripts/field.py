#!/usr/bin/env python3
"""Runs the cases of a folder of field reports against a binary: scripts/field.py --folder FOLDER --binary BINARY [--long]

The folder has three sets, and each that is missing is said to be: `ingest/field.py` (HLS as users of other projects met
it), `publish/field.py` (servers, processors, the page), and `demux/*.ts` (transport streams with what FFmpeg says of
each in `NAME.ts.truth.json`). A line for each case: `ok NAME` or `FAIL NAME: seen ..., expected ...`; figures at the end;
exit 0 when all are right. Without the folder nothing is run, which is said in one line, and no fault.

Cases wait for streams in real time most of the while, so that several run side by side (--jobs). Without --long, those
that take longer than the others of their set are left out: the list is LONG below. A case that is in no list runs.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

# What takes longer than 15 s alone, and is watched for that long on purpose. In `ingest` each case plays a clip of 24 s,
# most of it waiting, so that what helps there is running more of them side by side.
LONG = {
    "ingest": (),
    "publish": ("acknowledges-each-2500000-bytes", "acknowledges-increments", "first-media-within-10-s"),
}
# Nothing may hang. The longest set takes five minutes with two cases at a time.
LIMIT = 20 * 60
# FFmpeg's readers round to their time base, 1/90000 s in a transport stream; a millisecond is a hundred times that.
TOLERANCE = 0.001


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, type=pathlib.Path)
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    parser.add_argument("--long", action="store_true", help="every case")
    parser.add_argument("--jobs", type=int, default=3, help="processes for each set, of two cases at a time (%(default)s)")
    parser.add_argument("--cache", type=pathlib.Path, help="where inputs are kept between runs")
    options = parser.parse_args()
    if not options.folder.is_dir():
        print(f"field: NOT RUN, there is no folder {options.folder} (FIELD=FOLDER names another)")
        return 0
    options.binary = options.binary.resolve()
    if not options.binary.is_file():
        parser.error(f"there is no {options.binary}")
    began, work = time.monotonic(), []
    for name in ("ingest", "publish"):
        script = options.folder / name / "field.py"
        if not script.is_file():
            print(f"field: {name} NOT RUN, there is no {script}")
            continue
        cases = [case for case in listed(script) if options.long or case not in LONG[name]]
        # Dealt out in turn: neighbours in a list are alike, and so take alike.
        work += [(name, script, number, cases[number::options.jobs]) for number in range(min(options.jobs, len(cases)))]
    streams = sorted((options.folder / "demux").glob("*.ts"))
    if not streams:
        print(f"field: demux NOT RUN, there is no stream in {options.folder / 'demux'}")
    figures = {}
    with tempfile.TemporaryDirectory(prefix="overdub-field-") as temporary, \
            concurrent.futures.ThreadPoolExecutor(len(work) + 1) as pool:
        # Absolute: the scripts hand it on to programs that run elsewhere.
        cache = (options.cache or pathlib.Path(temporary)).resolve()
        running = [pool.submit(run, options.binary, cache, *part) for part in work]
        running.append(pool.submit(demuxed, options.binary, pathlib.Path(temporary), streams))
        for one in concurrent.futures.as_completed(running):
            name, passed, failed = one.result()
            before = figures.get(name, (0, 0))
            figures[name] = before[0] + passed, before[1] + failed
    for name, (passed, failed) in sorted(figures.items()):
        print(f"field: {name} {passed} ok, {failed} failed")
    failed = sum(failed for _, failed in figures.values())
    print(f"field: {'all right' if not failed else f'{failed} FAILED'} in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def listed(script):
    """The names of the cases of a set, by the script itself or, where it cannot list them, by its table."""
    done = subprocess.run([sys.executable, script, "--binary", "/bin/true", "--list"], capture_output=True, text=True)
    if done.returncode == 0:
        return [line.partition(":")[0] for line in done.stdout.splitlines() if ":" in line]
    table = (script.parent / "README.md").read_text()
    rows = re.findall(r"^\| `?([\w-]+)`? \|", table, re.M)
    return [row for row in rows if row != "case"]


def run(binary, cache, name, script, number, cases):
    """Runs a part of a set; prints its lines as they come. Gives (set, passed, failed)."""
    # Inputs are made on first use, and two processes may not make the same ones.
    inputs = cache / f"{name}-{number}"
    inputs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-u", script, "--binary", binary]
    for case in cases:
        command += ["--case", case]
    environment = {**os.environ, "FIELD_CACHE": str(inputs)}
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=environment)
    said = {"ok": 0, "FAIL": 0}
    rest = []
    timer = threading.Timer(LIMIT, process.terminate)
    timer.start()
    for line in process.stdout:
        kind = line.split(" ", 1)[0]
        if kind in said:
            said[kind] += 1
            say(line.rstrip())
        else:
            rest.append(line.rstrip())
    process.wait()
    timer.cancel()
    missing = len(cases) - sum(said.values())
    if missing:
        say(f"FAIL {name}: {missing} cases without a verdict; it ended with {process.returncode} and said: {' '.join(rest)[-300:]}")
    return name, said["ok"], said["FAIL"] + missing


def say(line):
    print(line, flush=True)


def demuxed(binary, folder, streams):
    """`overdub demux` on each stream. Gives ("demux", passed, failed)."""
    wrong = 0
    for stream in streams:
        try:
            fault = fault_of(binary, folder, stream)
        except (subprocess.SubprocessError, OSError, ValueError, KeyError) as error:
            fault = f"{type(error).__name__}: {error}"
        wrong += fault is not None
        say(f"ok {stream.name}" if fault is None else f"FAIL {stream.name}: {fault}")
    return "demux", len(streams) - wrong, wrong


def fault_of(binary, folder, stream):
    """What is wrong with what `overdub demux` makes of a stream; None when nothing is."""
    truth = json.loads((stream.parent / f"{stream.name}.truth.json").read_text())
    files = {"video": folder / "video.mp4", "audio": folder / "audio.mp4"}
    for file in files.values():
        file.unlink(missing_ok=True)
    done = subprocess.run([binary, "demux", stream, "--video", files["video"], "--audio", files["audio"]],
                          capture_output=True, text=True, timeout=60)
    if done.returncode:
        return f"seen exit code {done.returncode}: {done.stderr.strip()[-200:]}, expected two files"
    starts = {}
    for kind, file in files.items():
        # The first of a kind in the order of the PMT, which is the order of FFmpeg's streams.
        streams = [one for one in truth["ffprobe"]["streams"] if one["codec_type"] == kind and one["packets"]]
        if not streams:
            continue
        if not file.exists():
            return f"seen no {kind}, expected {streams[0]['packets']} packets"
        packets = [(float(packet["pts_time"]), float(packet["dts_time"])) for packet in
                   probe("-show_entries", "packet=pts_time,dts_time", file)["packets"]]
        back = [number for number in range(1, len(packets)) if packets[number][1] <= packets[number - 1][1]]
        if back:
            return f"seen decode times of {kind} that do not rise at {back[:3]}, expected them to rise"
        early = [number for number, (pts, dts) in enumerate(packets) if pts < dts - TOLERANCE]
        if early:
            return f"seen {kind} presented before it is decoded at {early[:3]}, expected PTS >= DTS"
        ours, theirs = decoded(file), decoded(stream, f"{kind[0]}:0")
        if ours < theirs:
            return f"seen {ours} frames of {kind} decode, expected the {theirs} that FFmpeg decodes from the stream itself"
        starts[kind] = min(pts for pts, _ in packets), streams[0]["min_pts"] / 90_000
    if len(starts) == 2:
        apart = [starts["audio"][side] - starts["video"][side] for side in (0, 1)]
        if abs(apart[0] - apart[1]) > TOLERANCE:
            return f"seen audio {apart[0] * 1e3:.1f} ms after video, expected {apart[1] * 1e3:.1f} ms"
    return None


def decoded(file, stream="0"):
    """How many frames FFmpeg decodes; it says nothing, or N/A, of none."""
    streams = probe("-count_frames", "-select_streams", stream, "-show_entries", "stream=nb_read_frames", file)["streams"]
    count = streams[0].get("nb_read_frames", "0") if streams else "0"
    return int(count) if count.isdigit() else 0


def probe(*arguments):
    done = subprocess.run(["ffprobe", "-v", "error", "-of", "json", *map(str, arguments)], capture_output=True, text=True,
                          timeout=60)
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
