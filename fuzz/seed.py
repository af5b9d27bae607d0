#!/usr/bin/env python3
"""Fills fuzz/corpus/TARGET from a folder of real streams: seed.py SOURCE DESTINATION

SOURCE holds ts/, fmp4/, hls/, playlists/ and fuzz/ (inputs that other projects' fuzzers kept), each as far as
it is there. Each seed is in its target's input format, and of a size that a fuzzer gets through quickly.
"""

import hashlib
import itertools
import struct
import sys
from pathlib import Path

PACKET = 188
# A transport stream: its tables and the first pictures; a movie: its moov and its first fragment.
TS_BYTES = 64 * 1024
ELEMENTARY_BYTES = 4 * 1024 - 16
MP4_BYTES = 24 * 1024
PLAYLIST_BYTES = 16 * 1024
# The control bytes of the codec targets: unbounded PES packets of 1 KB with PTS and DTS, nothing lost.
ELEMENTARY_HEAD = bytes([0, 127, 0, 0b10101010, 0, 0, 0, 0, 200])

source, destination = Path(sys.argv[1]), Path(sys.argv[2])
counts = {}


def seed(target, data):
    folder = destination / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)
    counts[target] = counts.get(target, 0) + 1


def files(folder, *endings):
    found = (source / folder).rglob("*") if (source / folder).is_dir() else []
    return sorted(path for path in found if path.is_file() and path.suffix in endings)


# Which target and which choice of parser take a stream_type (ISO/IEC 13818-1 table 2-34).
CODECS = {0x1B: ("ts_h264", b""), 0x24: ("ts_hevc", b""), 0x0F: ("ts_audio", b"\x00"), 0x11: ("ts_audio", b"\x01"),
          0x03: ("ts_audio", b"\x02"), 0x04: ("ts_audio", b"\x02"), 0x81: ("ts_audio", b"\x03"),
          0x87: ("ts_audio", b"\x04"), 0x15: ("ts_audio", b"\x06")}


def codec(stream_type, descriptors):
    if stream_type == 0x06 and b"Opus" in descriptors:
        return "ts_audio", b"\x15"  # two channels
    if stream_type == 0x06 and descriptors[:1] == b"\x6a":
        return "ts_audio", b"\x03"
    if stream_type == 0x06 and descriptors[:1] == b"\x7a":
        return "ts_audio", b"\x04"
    return CODECS.get(stream_type)


def payloads(data):
    """(PID, payload_unit_start_indicator, payload) of each packet."""
    for at in range(0, len(data) - PACKET + 1, PACKET):
        packet = data[at:at + PACKET]
        if packet[0] != 0x47 or not packet[3] & 0x10:
            continue
        begin = 5 + packet[4] if packet[3] & 0x20 else 4
        if begin < PACKET:
            yield (packet[1] & 0x1F) << 8 | packet[2], bool(packet[1] & 0x40), packet[begin:]


def section(payload):
    """The first section that begins in a payload, from its table id to before its CRC."""
    body = payload[1 + payload[0]:]
    length = (body[1] & 0x0F) << 8 | body[2] if len(body) > 2 else 0
    return body[:length - 1] if 12 <= length <= len(body) - 3 else b""


def record(what, body):
    """One of ts_psi's records."""
    return bytes([what, len(body)]) + body


def transport_stream(data):
    if data[:1] != b"\x47" or data[PACKET:PACKET + 1] != b"\x47":
        return
    streams, tables, maps = {}, {}, set()
    for pid, start, payload in payloads(data):
        if not start or not (pid == 0 or pid in maps):
            continue
        found = section(payload)
        if pid == 0 and found[:1] == b"\x00":
            body = found[8:]
            tables.setdefault((0, body), record(0, body[:255]))
            maps |= {(body[n + 2] & 0x1F) << 8 | body[n + 3] for n in range(0, len(body) - 3, 4)}
        elif found[:1] == b"\x02":
            body = found[8:]
            tables.setdefault((pid, body), record(0x11, body[:255]))
            at = 4 + ((body[2] & 0x0F) << 8 | body[3])
            while at + 5 <= len(body):
                length = (body[at + 3] & 0x0F) << 8 | body[at + 4]
                streams[(body[at + 1] & 0x1F) << 8 | body[at + 2]] = (body[at], body[at + 5:at + 5 + length])
                at += 5 + length
    if tables:
        # The same map again where the targets' own PAT points to it.
        own = record(0, bytes([0, 1, 0xF0, 1]))
        seed("ts_psi", bytes([3, 255]) + own + b"".join(tables.values()))
    for wanted, (stream_type, descriptors) in streams.items():
        target = codec(stream_type, descriptors)
        if stream_type == 0x86:
            found = [section(payload) for pid, start, payload in payloads(data) if pid == wanted and start]
            for splice in sorted(set(found))[:3]:
                pmt = record(0x11, bytes([0xE1, 0, 0xF0, 0, 0x86, 0xE1, 1, 0xF0, 0]))
                seed("ts_psi", bytes([3, 255]) + record(0, bytes([0, 1, 0xF0, 1])) + pmt + record(0x15, splice[3:258]))
        if not target:
            continue
        elementary = b""
        for pid, start, payload in payloads(data):
            if pid != wanted or not (elementary or start):
                continue
            if start and len(payload) > 9:
                payload = payload[9 + payload[8]:]
            elementary += payload
            if len(elementary) >= ELEMENTARY_BYTES:
                break
        name, choice = target
        if elementary:
            seed(name, choice + ELEMENTARY_HEAD + elementary[:ELEMENTARY_BYTES])
        if choice == b"\x00" and elementary:
            seed(name, b"\x07" + elementary[:ELEMENTARY_BYTES])


def boxes(data):
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if size == 1 and at + 16 <= len(data):
            size = struct.unpack(">Q", data[at + 8:at + 16])[0]
        if size < 8:
            return
        yield kind, data[at:at + size]
        at += size


def movie(data):
    """The moov and the first fragment; payloads are cut short, as tables of a plain file then point behind."""
    head, behind = b"", b""
    for kind, body in boxes(data):
        if kind in (b"ftyp", b"moov", b"moof", b"sidx", b"styp", b"emsg", b"prft", b"uuid"):
            head += body
        elif kind == b"mdat":
            head += body[:8 * 1024]
            if b"moof" in head:
                break
        if len(head) > MP4_BYTES:
            break
    if not head:
        return
    seed("fmp4_read", head[:MP4_BYTES] + b"\x00")
    if head[4:8] != b"ftyp" or b"moof" in head:
        fragment = head[head.find(b"moof") - 4:] if b"moof" in head else head
        seed("fmp4_read", fragment[:MP4_BYTES] + b"\x01")


def utf16(text):
    return struct.pack(">H", len(text)) + text


def rtmp_session():
    """connect, createStream, publish, metadata, one video and one audio tag, as chunks of one piece each."""
    def chunk(stream, kind, body, message_stream=0):
        out = bytes([stream]) + b"\0\0\0" + struct.pack(">I", len(body))[1:] + bytes([kind])
        out += struct.pack("<I", message_stream)
        parts = [body[at:at + 128] for at in range(0, len(body), 128)] or [b""]
        return out + bytes([0xC0 | stream]).join(parts)

    def string(text):
        return b"\x02" + utf16(text)

    def number(value):
        return b"\x00" + struct.pack(">d", value)

    def thing(pairs):
        return b"\x03" + b"".join(utf16(key) + value for key, value in pairs) + b"\0\0\x09"

    connect = string(b"connect") + number(1) + thing([
        (b"app", string(b"live")), (b"type", string(b"nonprivate")), (b"flashVer", string(b"FMLE/3.0")),
        (b"tcUrl", string(b"rtmp://h/live")),
        (b"fourCcList", b"\x0a" + struct.pack(">I", 2) + string(b"hvc1") + string(b"avc1"))])
    create = string(b"createStream") + number(4) + b"\x05"
    publish = string(b"publish") + number(5) + b"\x05" + string(b"key") + string(b"live")
    meta = string(b"@setDataFrame") + string(b"onMetaData") + b"\x08\0\0\0\1" + thing([(b"width", number(640))])[1:]
    avcc = bytes.fromhex("17000000000164001fffe1000467640000010004 68ee3c80")
    session = [chunk(3, 20, connect), chunk(2, 1, struct.pack(">I", 4096)), chunk(3, 20, create),
               chunk(3, 20, publish, 1), chunk(4, 18, meta[:120], 1), chunk(6, 9, avcc, 1),
               chunk(4, 8, bytes.fromhex("af001190"), 1), chunk(6, 9, b"\x17\x01\0\0\0\0\0\0\x01\x65", 1),
               chunk(3, 20, string(b"FCUnpublish") + number(6) + b"\x05" + string(b"key"))]
    for end in range(1, len(session) + 1):
        seed("rtmp_server", b"\x10" + b"".join(session[:end]))
    seed("rtmp_server", b"\x00" + session[0])
    seed("rtmp_server", b"\xff" + b"\x03" + bytes(3072) + session[0])
    # The reader alone: chunks of 128 bytes, 16 MiB at most, pieces of 7 bytes.
    for end in range(1, len(session) + 1):
        seed("rtmp_chunks", b"\x02\x03\x06" + b"".join(session[:end]))
    seed("rtmp_chunks", b"\x00\x03\x00" + bytes.fromhex("03ffffff000003080100000001000000aac301000000bbc301000000cc"))
    seed("rtmp_chunks", b"\x02\x02\x03" + bytes.fromhex("000500000000000208000000004343c30002000000000004020000000000000005"))
    for body in (connect, create, publish, meta):
        seed("rtmp_amf0", body)
    seed("rtmp_amf0", b"\x0a\0\0\0\1" * 20 + b"\x05")
    seed("rtmp_amf0", b"\x0c\0\0\0\3abc\x0b" + bytes(10) + b"\x10\0\1c\0\1x\x01\1\0\0\x09\x06")


def rtmp_publishing():
    """Operations of rtmp_client.rs: a handshake, the answers that lead to publishing, tags, writes, the end."""
    on = bytes([1, 0, 0, 0, 0, 0, 255])  # chunk stream 3, time, message stream, one piece
    nothing = bytes([4])  # a null where a number could be
    way = [bytes([1, 8, 255]),
           bytes([0, 0, 4, 0]) + nothing + nothing + on,  # connect is answered
           bytes([0, 1, 5, 1]) + on,  # createStream is answered with 1
           bytes([0, 2, 0, 0]) + nothing + nothing + on,  # NetStream.Publish.Start
           bytes([7, 0, 0, 0, 40, 1, 0, 3, 0, 0, 0, 40, 255]),  # a tag
           bytes([9, 255, 255, 255]),  # a write
           bytes([0, 7, 200, 128]) + on, bytes([0, 9, 200, 100]) + on, bytes([0, 11, 0, 0, 0, 9]) + on,
           bytes([4, 3, 0, 0, 0, 1, 0, 20, 0, 4]) + b"\x02\0\x07c" + b"\xff",  # begun
           bytes([5, 3, 4]) + b"lose" + b"\xff",  # gone on with
           bytes([0, 8, 3]) + on,  # aborted
           bytes([0, 6, 30]) + on, bytes([0, 12, 200, 7]) + on, bytes([8, 255]), bytes([10, 255])]
    for end in range(1, len(way) + 1):
        seed("rtmp_client", b"".join(way[:end]))
    seed("rtmp_client", b"".join(way[:3]) + bytes([0, 2, 1, 1]) + nothing + nothing + on)  # BadName


for path in files("ts", ".ts", ".m2ts") + files("hls", ".ts")[:40] + files("fuzz/mpegts", ".bin"):
    data = path.read_bytes()
    seed("ts_demux", data[:TS_BYTES] + b"\x05")
    transport_stream(data[:16 * TS_BYTES])
for path in itertools.chain(files("fmp4", ".mp4", ".m4s", ".m4v", ".m4a", ".cmfv", ".cmfa", ".init"),
                            files("hls", ".mp4", ".m4s")[:40], files("fuzz/fmp4-init", ".bin"),
                            files("fuzz/fmp4-parts", ".bin")):
    movie(path.read_bytes())
for path in files("fuzz/adts", ".bin"):
    data = path.read_bytes()
    seed("ts_audio", b"\x00" + ELEMENTARY_HEAD + data)
    seed("ts_audio", b"\x07" + data)
for kind, target in [("h264", "ts_h264"), ("h265", "ts_hevc")]:
    for path in files(f"fuzz/{kind}-sps", ".bin"):
        seed(target, ELEMENTARY_HEAD + b"\0\0\0\1" + path.read_bytes() + b"\0\0\0\1")
for path in files("playlists", ".m3u8", ".m3u") + files("hls", ".m3u8", ".m3u") + files("fuzz/playlist", ".m3u8"):
    seed("playlist", path.read_bytes()[:PLAYLIST_BYTES])
# What makes as much as it can of each byte.
for unit in (b"\xff\xf1\x4c\x80\x01\x1f\xfc\x21", b"\xff", b"\xff\xf1\x4c\x80\0\0"):
    seed("ts_audio", b"\x00" + ELEMENTARY_HEAD + unit * (ELEMENTARY_BYTES // len(unit)))
for unit in (b"\0\0\1", b"\0\0\1\x41", b"\0\0\1\6\5"):
    for target in ("ts_h264", "ts_hevc"):
        seed(target, ELEMENTARY_HEAD + unit * (ELEMENTARY_BYTES // len(unit)))
for entry in (b"#EXTINF:2,\na\n", b"#EXT-X-KEY:METHOD=AES-128,URI=k\n", b"#EXT-X-DATERANGE:ID=a\n",
              b"#EXTINF:2,\n{$a}\n", b"#EXT-X-DEFINE:NAME=a,VALUE={$a}{$a}\n"):
    head = b"#EXTM3U\n#EXT-X-DEFINE:NAME=a,VALUE=bb\n#EXTINF:2,\na\n"
    seed("playlist", head + entry * ((PLAYLIST_BYTES - len(head)) // len(entry)))
rtmp_session()
rtmp_publishing()
print("seeds: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
