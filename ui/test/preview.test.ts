import { describe, expect, it } from "vitest";

import { storage as stats } from "../e2e/fixtures";
import { checkAddress, explain, latency } from "../src/core/preview";
import { keepLast, shares, used } from "../src/core/storage";

describe("a player's trouble", () => {
  it("is told by what can be done", () => {
    const output = (details: string, status: number | null, running = true) =>
      explain({ details, status }, "output", "http://127.0.0.1:3000/preview/a/index.m3u8", running);
    expect(output("manifestLoadError", 404)).toContain("begins with the first batch");
    expect(output("manifestLoadError", 404, false)).toContain("has ended");
    expect(output("levelLoadError", 401)).toContain("token");
    expect(output("fragLoadError", 503)).toContain("HTTP 503");
    expect(output("manifestIncompatibleCodecsError", null)).toContain("cannot decode");
    expect(output("somethingNew", null)).toContain("somethingNew");
  });

  it("tells a source that the browser may not read from one that refuses", () => {
    const source = (status: number) => explain({ details: "manifestLoadError", status }, "source", "https://cdn.example/x.m3u8", true);
    expect(source(0)).toContain("CORS");
    expect(explain({ details: "fragLoadError", status: 0 }, "source", "https://cdn.example/x.m3u8", true)).toContain("CORS");
    expect(source(403)).toBe("cdn.example answers with HTTP 403.");
  });

  it("checks an address before it is played", () => {
    expect(checkAddress(" http://srs:8080/live/a.m3u8 ")).toBeNull();
    for (const text of ["", "srs:8080/live", "rtmp://srs/live/a", "http://"]) expect(checkAddress(text), text).not.toBeNull();
  });

  it("tells a latency only where there is one", () => {
    expect([latency(6.12), latency(0), latency(null), latency(Number.NaN)]).toEqual(["6.1 s behind its live edge", "–", "–", "–"]);
  });
});

describe("the storage", () => {
  it("is read by stream, as a list or a map, largest first", () => {
    const list = shares(stats);
    expect(list.map((share) => [share.streamId, share.total, share.oldest])).toEqual([
      ["news-en", 7_204_991_213, 212],
      ["sports-de", 4_000_000_000, 12],
    ]);
    const map = shares({ ...stats, breakdown: { a: { originalStreamSize: 1, processedFragmentsSize: 2, newestBatch: { batchNumber: 9 } } } });
    expect(map).toEqual([{ streamId: "a", segments: 1, fragments: 2, total: 3, oldest: null, newest: 9 }]);
    for (const breakdown of [null, undefined, 3, [null], ["x"], [{ streamId: 3 }], { a: null }]) {
      expect(shares({ ...stats, breakdown })).toEqual([]);
    }
  });

  it("takes its share of what could be its own", () => {
    expect(used({ ...stats, totalSize: 1, availableSpace: 3 })).toBe(0.25);
    expect(used({ ...stats, availableSpace: null })).toBeNull();
    expect(used({ ...stats, totalSize: 0, availableSpace: 0 })).toBeNull();
  });

  it("keeps as many batches as a person types", () => {
    expect([keepLast(" 12 "), keepLast("")]).toEqual([{ value: 12 }, { value: 0 }]);
    expect(keepLast("-1")).toHaveProperty("wrong");
  });
});
