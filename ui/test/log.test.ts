import { describe, expect, it } from "vitest";

import * as log from "../src/core/log";
import type { LogLine } from "../src/core/types";

const line = (message: string, more: Partial<LogLine> = {}): LogLine => ({
  timestamp: "2026-11-25T12:00:00.128Z",
  level: "info",
  module: "source",
  message,
  ...more,
});

const messages = (it: log.Log): string[] => it.lines.map((entry) => entry.message);

describe("the live log", () => {
  it("keeps the newest lines, each with a key of its own", () => {
    let it_ = log.EMPTY;
    for (let n = 0; n < log.KEPT + 10; n += 500) it_ = log.append(it_, Array.from({ length: 500 }, (_, i) => line(`${n + i}`)));
    expect(it_.lines).toHaveLength(log.KEPT);
    expect(new Set(it_.lines.map((entry) => entry.key)).size).toBe(log.KEPT);
    expect(it_.lines.at(-1)?.message).toBe("2499");
  });

  it("holds lines back while it is paused, and gives them all on going on", () => {
    let it_ = log.append(log.EMPTY, [line("a")]);
    it_ = log.append(log.pause(it_), [line("b"), line("c")]);
    expect(messages(it_)).toEqual(["a"]);
    expect(it_.held).toHaveLength(2);
    it_ = log.resume(it_);
    expect(messages(it_)).toEqual(["a", "b", "c"]);
    expect(it_.held).toHaveLength(0);
  });

  it("replaces everything by a replay, but not under a reader who paused", () => {
    const before = log.append(log.EMPTY, [line("old")]);
    expect(messages(log.replay(before, [line("x"), line("y")]))).toEqual(["x", "y"]);
    expect(messages(log.replay(log.pause(before), [line("x")]))).toEqual(["old"]);
  });

  it("filters by level, module, stream and words", () => {
    const lines = [
      line("segment fetched", { level: "debug", streamId: "a", fields: { sequence: 12 } }),
      line("processor away", { level: "warn", module: "processor", streamId: "a" }),
      line("saved", { level: "error", module: "storage", streamId: "b" }),
    ];
    const all = log.append(log.EMPTY, lines);
    const of = (filter: Partial<log.Filter>) => log.shown(all, { ...log.ALL, ...filter }).map((entry) => entry.message);
    expect(of({})).toEqual(["processor away", "saved"]);
    expect(of({ level: "trace" })).toHaveLength(3);
    expect(of({ level: "error" })).toEqual(["saved"]);
    expect(of({ modules: ["processor", "batch"] })).toEqual(["processor away"]);
    expect(of({ streamId: "b" })).toEqual(["saved"]);
    expect(of({ level: "trace", search: "SEQUENCE=12  fetched" })).toEqual(["segment fetched"]);
    expect(of({ search: "storage b" })).toEqual(["saved"]);
    expect(of({ search: "nothing of it" })).toEqual([]);
  });

  it("takes only lines for lines", () => {
    expect(log.parse({ timestamp: "t", level: "WARN", module: "hls", message: "m" })).toMatchObject({ level: "warn" });
    expect(log.parse({ timestamp: "t", message: "m", level: 3 })).toMatchObject({ level: "info", module: "", streamId: null });
    for (const value of [null, "text", 3, {}, { timestamp: 1, message: "m" }]) expect(log.parse(value)).toBeNull();
  });

  it("writes a line as text", () => {
    expect(log.text(line("m", { level: "warn", streamId: "a", fields: { n: 1, what: "x y" } }))).toBe(
      "2026-11-25T12:00:00.128Z WARN  source [a] m n=1 what=x y",
    );
    expect(log.time(line("m"), 60)).toBe("13:00:00.128");
    expect(log.time(line("m", { timestamp: "never" }), 0)).toBe("never");
  });
});
