import { describe, expect, it } from "vitest";

import { batches } from "../e2e/fixtures";
import { axis, describe as words, layout, outcome, reason } from "../src/core/timeline";
import type { BatchStatus } from "../src/core/types";

const NOW = Date.parse("2026-11-25T12:00:00Z");
const view = { now: NOW, rows: 8, zone: 0, ticks: 8 };

function batch(more: Partial<BatchStatus>): BatchStatus {
  return { number: 1, state: "published", outcome: null, reason: null, durationMs: 30_000, latencyMs: null, ...more };
}

describe("the batch timeline", () => {
  it("shows the newest rows first, all inside the plot", () => {
    const line = layout(batches(NOW, 20, 9), view);
    expect(line.rows.map((row) => row.batch.number)).toEqual([431, 430, 429, 428, 427, 426, 425, 424]);
    for (const row of line.rows) {
      for (const bar of row.bars) {
        expect(bar.from).toBeGreaterThanOrEqual(0);
        expect(bar.to).toBeLessThanOrEqual(1);
        expect(bar.to).toBeGreaterThan(bar.from);
      }
      expect(row.deadline).not.toBeNull();
    }
  });

  it("follows a batch from capture to playout without a gap", () => {
    const line = layout(batches(NOW, 8, 100), view);
    const row = line.rows[2];
    expect(row?.bars.map((bar) => bar.part)).toEqual(["capture", "queue", "work", "wait", "play"]);
    for (const [index, bar] of (row?.bars ?? []).entries()) {
      const next = row?.bars[index + 1];
      if (next !== undefined) expect(next.from).toBeCloseTo(bar.to, 9);
    }
    expect(row?.answered).toBeCloseTo(row?.bars[2]?.to ?? -1, 9);
    expect(row?.fate).toBe("processed");
  });

  it("lets the work of an unanswered batch grow to now, never past its deadline", () => {
    const open = batch({ state: "processing", capturedAt: NOW - 4_000, sentAt: NOW - 3_900, deadlineAt: NOW + 7_500, playsAt: NOW + 8_000 });
    const of = (now: number) => {
      const line = layout([open], { ...view, now });
      const work = line.rows[0]?.bars.find((bar) => bar.part === "work");
      return work === undefined ? null : Math.round(line.from + work.to * (line.to - line.from));
    };
    expect(of(NOW)).toBe(NOW);
    expect(of(NOW + 60_000)).toBe(NOW + 7_500);
  });

  it("marks a fallback in words, whatever its colour", () => {
    const line = layout([batch({ outcome: "fallback", reason: "no connection to the processor at the deadline", failure: "disconnected", sound: "original", capturedAt: NOW - 20_000, deadlineAt: NOW - 8_500, playsAt: NOW - 8_000 })], view);
    expect(line.rows[0]).toMatchObject({ fate: "fallback", note: "fallback: disconnected" });
    expect(line.rows[0]?.bars.map((bar) => bar.part)).toEqual(["capture", "queue", "wait", "play"]);
    // A name that this page does not know yet is told in the service's words.
    expect(reason(batch({ outcome: "fallback", reason: "something new happened", failure: "somethingNew" }))).toBe("something new happened");
    expect(outcome(batch({ outcome: "fallback", reason: "never sent", failure: "notSent", sound: "silence" }))).toBe("silence: never sent");
  });

  it("draws no bar where the service tells no instants, and takes none as epoch", () => {
    const line = layout([batch({ outcome: "processed", latencyMs: 120 })], view);
    expect(line.rows[0]).toMatchObject({ bars: [], note: "answered in 120 ms", deadline: null });
    expect(line.from).toBe(NOW - 10_000);
  });

  it("labels round instants, no more than fit", () => {
    const ticks = axis(NOW + 700, NOW + 240_700, 60, 8);
    expect(ticks.length).toBeLessThanOrEqual(8);
    expect(ticks[0]).toEqual({ at: NOW + 30_000, label: "13:00:30" });
    expect(axis(NOW, NOW + 864_000_000, 0, 3).length).toBeLessThan(200);
    expect(axis(NOW, NOW + 600_000, 0, 5)[0]?.label).toBe("12:00");
  });

  it("tells a batch in words", () => {
    const [, newest] = batches(NOW, 2, 413).reverse();
    expect(newest && words(newest, 0)).toEqual([
      { name: "plays", value: "30 s" },
      { name: "captured", value: "11:59:26.000" },
      { name: "sent", value: "11:59:26.040 (0.04 s later)" },
      expect.objectContaining({ name: "answered" }),
      { name: "deadline", value: "11:59:37.500" },
      { name: "on air", value: "11:59:38.000" },
      { name: "sound", value: "processed" },
      expect.objectContaining({ name: "fit" }),
    ]);
  });
});
