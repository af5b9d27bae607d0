import { describe, expect, it } from "vitest";

import * as format from "../src/core/format";

describe("format", () => {
  it("says durations as precisely as they matter", () => {
    const cases: [number | null, string][] = [
      [null, "–"],
      [Number.NaN, "–"],
      [0, "0.00 s"],
      [0.128, "0.13 s"],
      [0.996, "1.0 s"],
      [4.24, "4.2 s"],
      [9.96, "10 s"],
      [59.4, "59 s"],
      [59.6, "1 min"],
      [200, "3 min 20 s"],
      [7_500, "2 h 5 min"],
      [3_600, "1 h"],
      [273_600, "3 d 4 h"],
      [-4.2, "−4.2 s"],
    ];
    for (const [seconds, text] of cases) expect(format.duration(seconds)).toBe(text);
  });

  it("keeps the sign of an offset, and none of nothing", () => {
    expect([0.7, -0.04, 0, -12.34, 250.4, null].map(format.offset)).toEqual([
      "+0.7 ms",
      "0.0 ms",
      "0.0 ms",
      "−12.3 ms",
      "+250 ms",
      "–",
    ]);
  });

  it("counts bytes and bits in decimal units", () => {
    expect([0, 999, 1_000, 99_499, 999_600, 5_812_331_008].map(format.bytes)).toEqual([
      "0 B",
      "999 B",
      "1.0 kB",
      "99.5 kB",
      "1.0 MB",
      "5.8 GB",
    ]);
    expect([0, 180_400, 999_600, 3_110_000].map(format.bitrate)).toEqual(["0 bit/s", "180 kbit/s", "1.0 Mbit/s", "3.1 Mbit/s"]);
  });

  it("tells the wall clock of a zone, also of instants that no calendar has", () => {
    const at = Date.parse("2026-11-25T23:59:30.128Z");
    expect(format.clock(at, 0)).toBe("23:59:30");
    expect(format.clock(at, 60)).toBe("00:59:30");
    expect(format.clockMs(at, -300)).toBe("18:59:30.128");
    expect(format.dateTime(at, 60)).toBe("2026-11-26 00:59:30");
    expect(() => format.clock(1e300, 840)).not.toThrow();
  });

  it("names hosts and codecs as people do", () => {
    expect(format.host("https://user:pw@h.example:8080/live/a.m3u8?key=1")).toBe("h.example:8080");
    expect(format.host("rtmp://srs/live/x")).toBe("srs");
    expect(format.host("no address")).toBe("no address");
    expect([format.codec("avc1.64001f"), format.codec("mp4a.40.2"), format.codec("dtsc"), format.codec(null)]).toEqual([
      "H.264",
      "AAC",
      "dtsc",
      "–",
    ]);
  });

  it("groups thousands and knows one from many", () => {
    expect([0, 999, 1_000, 1_234_567, -4_000].map(format.count)).toEqual(["0", "999", "1,000", "1,234,567", "−4,000"]);
    expect([format.plural(1, "batch", "batches"), format.plural(2, "batch", "batches")]).toEqual(["1 batch", "2 batches"]);
  });
});
