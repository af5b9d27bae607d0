import { describe, expect, it } from "vitest";

import { failed, inTrouble, running, slowProcessor, sourceAway, starting, stopped } from "../e2e/fixtures";
import { charts, table } from "../src/core/charts";
import { KEPT_SECONDS, empty, record, serverNow, summary, thinned } from "../src/core/history";
import { draw } from "../src/core/pipeline";
import { type Streams, overview, reduce } from "../src/core/streams";
import type { StreamStatus } from "../src/core/types";

const NOW = Date.now();
const NONE: Streams = new Map();

describe("the streams", () => {
  it("come from the list and go with it", () => {
    const { streams } = reduce(NONE, { kind: "listed", statuses: [running(NOW, "b"), running(NOW, "a")], at: NOW });
    expect([...streams.keys()]).toEqual(["a", "b"]);
    const next = reduce(streams, { kind: "listed", statuses: [running(NOW, "b")], at: NOW });
    expect([...next.streams.keys()]).toEqual(["b"]);
  });

  it("take a status each, in order, also of one that was not known", () => {
    let streams = reduce(NONE, { kind: "status", status: running(NOW, "m"), at: NOW }).streams;
    streams = reduce(streams, { kind: "status", status: running(NOW, "c"), at: NOW }).streams;
    expect([...streams.keys()]).toEqual(["c", "m"]);
    streams = reduce(streams, { kind: "removed", streamId: "m" }).streams;
    expect([...streams.keys()]).toEqual(["c"]);
    expect(reduce(streams, { kind: "removed", streamId: "m" }).streams).toBe(streams);
  });

  it("say what changed for the worse", () => {
    const well = running(NOW, "s");
    const { streams } = reduce(NONE, { kind: "status", status: well, at: NOW });
    const change = reduce(streams, { kind: "status", status: inTrouble(NOW, "s"), at: NOW });
    expect(change.said).toHaveLength(1);
    expect(change.said[0]).toMatch(/^s: No connection to the processor/);
  });

  it("know the service's clock though the browser's is wrong", () => {
    const off = NOW - 3_600_000;
    const { streams } = reduce(NONE, { kind: "status", status: running(NOW, "s"), at: off });
    expect(streams.get("s")?.skew).toBeCloseTo(3_600_000, -1);
    expect(serverNow({ ...running(NOW), startTime: "never" }, 7)).toBe(7);
    expect(serverNow(stopped(NOW), 7)).toBe(7);
  });

  it("forget the numbers of a stream that began anew", () => {
    let streams: Streams = NONE;
    const first = running(NOW, "s");
    streams = reduce(streams, { kind: "status", status: first, at: NOW }).streams;
    const again: StreamStatus = { ...first, startTime: new Date(NOW).toISOString(), uptime: 1, batches: [] };
    streams = reduce(streams, { kind: "status", status: again, at: NOW + 1_000 }).streams;
    expect(streams.get("s")?.history.at).toHaveLength(1);
    expect(streams.get("s")?.history.batches.size).toBe(0);
  });

  it("are summed up in a sentence", () => {
    expect(overview([])).toBe("No stream yet");
    expect(overview([running(NOW), starting(NOW), inTrouble(NOW), stopped(NOW)])).toBe("3 running, 1 needs attention, 1 stopped");
    expect(overview([stopped(NOW)])).toBe("Nothing is running, 1 stopped");
    // One that ended by an error is not running, and needs attention all the same.
    expect(overview([inTrouble(NOW), slowProcessor(NOW), failed(NOW)])).toBe("2 running, 3 need attention, 1 stopped");
  });
});

describe("the history", () => {
  it("keeps a quarter of an hour, a sample a second at most", () => {
    let history = empty();
    for (let second = 0; second < KEPT_SECONDS + 100; second += 1) {
      history = record(history, running(NOW), NOW + second * 1_000);
      history = record(history, running(NOW), NOW + second * 1_000 + 100);
    }
    expect(history.at).toHaveLength(KEPT_SECONDS);
    expect(history.lag).toHaveLength(KEPT_SECONDS);
    expect(history.batches.size).toBe(20);
  });

  it("begins anew where the clock went back", () => {
    const history = record(record(empty(), running(NOW), NOW), running(NOW), NOW - 60_000);
    expect(history.at).toEqual([NOW - 60_000]);
  });

  it("is summed up without what is not known", () => {
    expect(summary([null, 2, 4, null])).toEqual({ least: 2, mean: 3, most: 4, now: 4 });
    expect(summary([null])).toBeNull();
    expect(thinned([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4)).toEqual([0, 3, 6, 9]);
  });
});

describe("the charts", () => {
  const history = record(record(empty(), running(NOW - 1_000), NOW - 1_000), running(NOW), NOW);
  const all = charts(history, NOW - 900_000);
  const of = (key: string) => all.find((chart) => chart.key === key);

  it("have columns of one length and times that rise", () => {
    for (const chart of all) {
      for (const series of chart.series) expect(series.values).toHaveLength(chart.at.length);
      expect([...chart.at].sort((a, b) => a - b)).toEqual(chart.at);
    }
  });

  it("draw each batch as answered or as a fallback, under its deadline", () => {
    const chart = of("latency");
    const [limit, answered, missed] = chart?.series ?? [];
    const count = (values: (number | null)[] | undefined) => values?.filter((value) => value !== null).length;
    expect([count(limit?.values), count(answered?.values), count(missed?.values)]).toEqual([19, 17, 2]);
    expect(chart?.summary).toContain("2 fallbacks");
  });

  it("say themselves in words and as a table", () => {
    expect(of("lag")?.summary).toBe("46 s throughout");
    expect(charts(empty(), 0).map((chart) => chart.current)).toEqual(["–", "–", "–", "–", "–"]);
    const chart = of("fit");
    const rows = chart === undefined ? null : table(chart, 0, 5);
    expect(rows?.columns).toEqual(["time", "padded", "trimmed"]);
    expect(rows?.rows).toHaveLength(5);
  });
});

describe("the pipeline", () => {
  it("shows which way the sound goes", () => {
    const well = draw(running(NOW));
    expect([well.dubbed.active, well.bypass.active, well.video.active]).toEqual([true, false, true]);
    const ill = draw(inTrouble(NOW));
    expect([ill.dubbed.active, ill.bypass.active, ill.video.active]).toEqual([false, true, true]);
    expect(ill.processor).toMatchObject({ tone: "bad", state: "Not connected" });
    expect(ill.publish.state).toBe("1 of 2 connected");
  });

  it("says that something stands in for the picture", () => {
    const held = draw(sourceAway(NOW));
    expect([held.dubbed.active, held.bypass.active, held.video.active]).toEqual([false, false, false]);
    expect(held.video).toMatchObject({ label: "picture", note: "held, stand-in on air" });
    expect([draw(running(NOW)).video.note, draw({ ...sourceAway(NOW), isRunning: false }).video.note]).toEqual([null, null]);
  });

  it("stands still when the stream does", () => {
    const drawing = draw(stopped(NOW));
    expect([drawing.dubbed.active, drawing.bypass.active, drawing.video.active]).toEqual([false, false, false]);
    expect(drawing.fetch.tone).toBe("off");
  });
});
