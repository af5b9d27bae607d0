import { describe, expect, it } from "vitest";

import * as form from "../src/core/form";

const good = { sourceUrl: "https://h/live.m3u8", streamId: "news" };

describe("the start form", () => {
  it("needs a source and a name, and nothing else", () => {
    expect(form.validate(good)).toEqual({});
    expect(Object.keys(form.validate({}))).toEqual(["sourceUrl", "streamId"]);
    expect(form.request(good)).toEqual(good);
  });

  it("sends only what was given, in the types that the service reads", () => {
    const values = {
      ...good,
      streamId: "  news ",
      audioProcessorUrl: "",
      srsRtmpUrl: "rtmp://a/live/x\n\n rtmp://b/live/x ",
      bufferDuration: "500ms",
      processingBudget: "2m",
      maxConcurrentBatches: "4",
      startOffset: "-12.5",
      fallback: "silence",
      sourceHeaders: "x-key: a:b\naccept: */*",
      sourceAllowedHosts: "*.cdn.example\n10.0.0.0/8",
    };
    expect(form.request(values)).toEqual({
      ...good,
      srsRtmpUrl: ["rtmp://a/live/x", "rtmp://b/live/x"],
      bufferDuration: 0.5,
      processingBudget: 120,
      maxConcurrentBatches: 4,
      startOffset: -12.5,
      fallback: "silence",
      sourceHeaders: { "x-key": "a:b", accept: "*/*" },
      sourceAllowedHosts: ["*.cdn.example", "10.0.0.0/8"],
    });
    expect(form.request({ ...good, srsRtmpUrl: "rtmp://a/live/{streamId}" })["srsRtmpUrl"]).toBe("rtmp://a/live/{streamId}");
  });

  it("refuses what the service would refuse, by the field", () => {
    const wrong: [string, string][] = [
      ["sourceUrl", "live.m3u8"],
      ["sourceUrl", "ftp://h/x"],
      ["sourceUrl", `https://h/${"x".repeat(4_096)}`],
      ["streamId", "../x"],
      ["streamId", ".x"],
      ["streamId", "a b"],
      ["streamId", "%2e%2e"],
      ["streamId", "x".repeat(65)],
      ["audioProcessorUrl", "127.0.0.1:5000"],
      ["srsRtmpUrl", "http://h/live/x"],
      ["srsRtmpUrl", "rtmp://h/"],
      ["srsRtmpUrl", "rtmp:///live/x"],
      ["srsRtmpUrl", "rtmp://h/live/x\nrtmp://h/live/x"],
      ["srsRtmpUrl", Array.from({ length: 9 }, (_, n) => `rtmp://h/live/${n}`).join("\n")],
      ["bufferDuration", "0.5"],
      ["bufferDuration", "301"],
      ["bufferDuration", "soon"],
      ["processingBudget", "11m"],
      ["maxConcurrentBatches", "0"],
      ["maxConcurrentBatches", "2.5"],
      ["startOffset", "604801"],
      ["processorMaxMessage", "1"],
      ["sourceAuth", "basic nobody"],
      ["sourceAuth", "digest a:b"],
      ["sourceHeaders", "no colon"],
      ["sourceProxy", "somewhere"],
      ["sourceVariant", "x".repeat(257)],
    ];
    for (const [name, text] of wrong) {
      expect(Object.keys(form.validate({ ...good, [name]: text })), `${name}: ${text.slice(0, 40)}`).toEqual([name]);
    }
  });

  it("takes what the service takes", () => {
    const right: [string, string][] = [
      ["streamId", "A.b_c-9"],
      ["streamId", "_x"],
      ["srsRtmpUrl", "rtmps://u:p@h:443/app/{streamId}?key=1"],
      ["bufferDuration", "1"],
      ["bufferDuration", "5m"],
      ["sourceAuth", "Basic user:"],
      ["sourceAuth", "bearer abc.def="],
      ["sourceProxy", "none"],
      ["startOffset", "-30"],
    ];
    for (const [name, text] of right) expect(form.validate({ ...good, [name]: text }), `${name}: ${text}`).toEqual({});
  });

  it("remembers no secret", () => {
    const kept = form.memorable({ ...good, sourceAuth: "bearer x", sourceHeaders: "x-key: y", fallback: "silence" });
    expect(kept).toEqual({ ...good, fallback: "silence" });
  });

  it("is filled from settings, without what the service hid", () => {
    expect(
      form.fromSettings({
        ...good,
        srsRtmpUrl: ["rtmp://a/live/x", "rtmp://b/live/x"],
        bufferDuration: 30,
        sourceAuth: "…",
        audioProcessorUrl: "http://h/?key=…",
        maxConcurrentBatches: null,
        unknown: 1,
      }),
    ).toEqual({ ...good, srsRtmpUrl: "rtmp://a/live/x\nrtmp://b/live/x", bufferDuration: "30" });
  });

  it("says how far behind viewers will be", () => {
    expect(form.expectedDelay({})).toEqual({ least: 42, most: 52 });
    expect(form.expectedDelay({ bufferDuration: "4", processingBudget: "2s" })).toEqual({ least: 6, most: 16 });
    expect(form.expectedDelay({ bufferDuration: "?" })).toBeNull();
  });

  it("counts what is set in a folded section", () => {
    expect(form.filled({ sourceAuth: "bearer x", sourceProxy: " " }, "access")).toBe(1);
  });
});

describe("the fields", () => {
  const valid: Record<string, string> = { sourceUrl: "http://h/a.m3u8", streamId: "a" };
  const check = (more: Record<string, string>) => form.validate({ ...valid, ...more });

  it("of the processor's access, of SRS and of what is kept take what the service takes", () => {
    const values = {
      ...valid,
      audioProcessorPath: "/custom",
      audioProcessorHeaders: "x-key: k",
      audioProcessorAuth: '{"token":"t"}',
      contextFrames: "3",
      srsHttpApi: "http://127.0.0.1:1985",
      srsHlsUrl: "http://127.0.0.1:8080/{app}/{stream}.m3u8\nnone",
      srsKickGhost: "dead",
      retainBatches: "10",
      retainAge: "24h",
      retainBytes: "10GB",
    };
    expect(form.validate(values)).toEqual({});
    expect(form.request(values)).toEqual({
      ...valid,
      audioProcessorPath: "/custom",
      audioProcessorHeaders: { "x-key": "k" },
      audioProcessorAuth: '{"token":"t"}',
      contextFrames: 3,
      srsHttpApi: "http://127.0.0.1:1985",
      srsHlsUrl: ["http://127.0.0.1:8080/{app}/{stream}.m3u8", "none"],
      srsKickGhost: "dead",
      retainBatches: 10,
      retainAge: 86_400,
      retainBytes: "10GB",
    });
    // Secrets are not kept by the browser.
    expect(Object.keys(form.memorable(values))).not.toContain("audioProcessorAuth");
    expect(Object.keys(form.memorable(values))).not.toContain("audioProcessorHeaders");
  });

  it("say what they want where it is something else", () => {
    expect(Object.keys(check({ contextFrames: "48", srsHttpApi: "127.0.0.1:1985", retainAge: "a day", retainBytes: "much" }))).toEqual([
      "contextFrames",
      "srsHttpApi",
      "retainAge",
      "retainBytes",
    ]);
  });

  it("says what an empty field means at this service", () => {
    const defaults = {
      bufferDuration: 10,
      fallback: "silence",
      srsRtmpUrl: ["rtmp://srs/live/{streamId}", "rtmp://b/live/{streamId}"],
      audioProcessorUrl: "http://p:5000/?…",
      sourceHeaders: { "x-key": "…" },
      retainBytes: 5_000_000_000,
    };
    const means = (name: string): string | undefined => {
      const field = form.field(name);
      return field === undefined ? undefined : form.standard(field, defaults);
    };
    expect(means("bufferDuration")).toBe("10 s");
    expect(means("processingBudget")).toBe("12 s");
    expect(means("fallback")).toBe("silence");
    expect(means("srsRtmpUrl")).toBe("rtmp://srs/live/{streamId}\nrtmp://b/live/{streamId}");
    expect(means("audioProcessorUrl")).toBe("as the service has it");
    expect(means("sourceHeaders")).toBe("as the service has it");
    expect(means("retainBytes")).toBe("5.0 GB");
    expect(means("sourceMaxHeight")).toBeUndefined();
    expect(form.expectedDelay(form.effective({ processingBudget: "5", bufferDuration: " " }, defaults))).toEqual({ least: 15, most: 25 });
  });

  it("reads durations and sizes as the service does", () => {
    expect(form.seconds("1d")).toBe(86_400);
    const check = (retainBytes: string) => form.validate({ ...good, retainBytes })["retainBytes"];
    expect(["1000", "500MB", "10 GB", "2GiB", "1kB"].filter((text) => check(text) !== undefined)).toEqual([]);
    expect(["1.5GB", "500m", "10gb", "GB"].filter((text) => check(text) === undefined)).toEqual([]);
  });
});
