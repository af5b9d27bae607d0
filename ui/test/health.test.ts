import { describe, expect, it } from "vitest";

import { inTrouble, running, starting, stopped } from "../e2e/fixtures";
import { announcement, issues, sentence, state } from "../src/core/health";
import type { StreamStatus } from "../src/core/types";

const NOW = Date.parse("2026-11-25T12:00:00Z");

function changed(change: (status: StreamStatus) => void): StreamStatus {
  const status = structuredClone(running(NOW));
  status.batches = status.batches.filter((batch) => batch.outcome !== "fallback");
  change(status);
  return status;
}

const titles = (status: StreamStatus): string[] => issues(status).map((issue) => issue.title);

describe("the health of a stream", () => {
  it("is good when all is well, and then nothing is the matter", () => {
    const status = changed(() => undefined);
    expect(issues(status)).toEqual([]);
    expect(state(status)).toEqual({ tone: "good", label: "On air" });
  });

  it("is told by phase where nothing is the matter", () => {
    expect(state(starting(NOW))).toEqual({ tone: "busy", label: "Capturing" });
    expect(state(stopped(NOW))).toEqual({ tone: "off", label: "Stopped" });
    expect(state({ ...stopped(NOW), phase: "error" })).toEqual({ tone: "bad", label: "Failed" });
  });

  it("names a processor that is away, why, and what viewers hear", () => {
    const [processor, output] = issues(inTrouble(NOW));
    expect(processor?.title).toBe("No connection to the processor at dub.internal:5001");
    expect(processor?.detail).toMatch(/^Processor at http:\/\/dub.internal:5001 refused the connection; retrying in 4 s; output runs on original audio\. Check that it runs/);
    expect(output?.title).toContain("rtmps://backup.example.net/app/spo…");
    expect(state(inTrouble(NOW))).toEqual({ tone: "bad", label: "In trouble" });
  });

  it("does not complain of a processor in the first seconds", () => {
    const status = structuredClone(starting(NOW));
    status.modules.audioProcessor.connected = false;
    expect(issues(status)).toEqual([]);
  });

  it("says which budget would have been enough when answers are late", () => {
    const status = changed((it) => {
      const last = it.batches.findLast((batch) => batch.outcome !== null);
      if (last !== undefined) Object.assign(last, { outcome: "fallback", reason: "no answer before the deadline, 11.5 s after sending", failure: "noAnswer", sound: "original" });
    });
    const [issue] = issues(status);
    expect(issue?.tone).toBe("warn");
    expect(issue?.title).toMatch(/^Batch 430 got no usable answer from the processor \(no answer in time\)$/);
    expect(issue?.detail).toBe(
      "No answer before the deadline, 11.5 s after sending. Viewers get the original sound for it. With a processing budget of 16 s every answer so far would have been in time.",
    );
    expect(state(status)).toEqual({ tone: "warn", label: "On air, degraded" });
  });

  it("forgets a fallback once a later batch was processed", () => {
    const status = changed((it) => {
      const first = it.batches[0];
      if (first !== undefined) Object.assign(first, { outcome: "fallback", reason: "late", failure: "noAnswer" });
    });
    expect(issues(status)).toEqual([]);
  });

  it("tells an open breaker, a stalled or slow source, a held picture and a full disk", () => {
    expect(titles(changed((it) => (it.modules.audioProcessor.breakerOpen = true)))).toEqual([
      "The processor at dub.internal:5000 failed five times in a row",
    ]);
    expect(
      titles(
        changed((it) => {
          it.modules.streamFetcher.state = "stalled";
          it.modules.streamFetcher.lastSegmentAge = 22;
        }),
      ),
    ).toEqual(["The source at cdn.example.com stands still: no new segment for 22 s"]);
    expect(titles(changed((it) => (it.modules.streamFetcher.fetchRatio = 1.4)))).toEqual([
      "The source at cdn.example.com is slower than real time",
    ]);
    expect(titles(changed((it) => (it.stats.hold = { active: true, count: 1, seconds: 3 })))).toEqual([
      "Viewers see a stand-in: the source has nothing for them",
    ]);
    expect(titles(changed((it) => (it.stats.storage = { alarm: true, lastError: "no space left" })))).toEqual([
      "Files are being lost: the disk does not take them",
    ]);
  });

  it("says who is in an output's way at SRS", () => {
    const detail = (own: boolean): string | undefined =>
      issues(
        changed((status) => {
          const [output] = status.modules.streamPublisher.outputs;
          if (output === undefined) throw new Error("there is one");
          const ghost = { ip: "10.0.0.7", aliveSeconds: 95, silentSeconds: 8, own };
          Object.assign(output, { connected: false, lastError: "server closed the connection; retrying in 8 s" });
          output.srs = { reachable: true, lastError: null, stream: { active: true, viewers: 3 }, ghost };
        }),
      )[0]?.detail;
    expect(detail(false)).toContain("SRS still has a publisher from 10.0.0.7 under its name (connected for 1 min 35 s, silent for 8.0 s).");
    expect(detail(true)).toContain("SRS still has this output's former connection under its name");
  });

  it("puts the worst first", () => {
    const status = changed((it) => {
      it.stats.storage = { alarm: true };
      it.modules.streamFetcher.state = "failed";
    });
    expect(issues(status).map((issue) => issue.tone)).toEqual(["bad", "warn"]);
  });

  it("announces what is new, once, and nothing of a stream that was not known", () => {
    const well = changed(() => undefined);
    const ill = changed((it) => (it.modules.audioProcessor.connected = false));
    expect(announcement(undefined, ill)).toBeNull();
    expect(announcement(well, ill)).toBe("news-en: No connection to the processor at dub.internal:5000");
    expect(announcement(ill, ill)).toBeNull();
    expect(announcement(ill, well)).toBe("news-en: On air");
  });

  it("words the service's errors as sentences without spoiling addresses", () => {
    expect(sentence("server closed the connection.")).toBe("Server closed the connection");
    expect(sentence("http://h/a.m3u8 answered HTTP 404")).toBe("http://h/a.m3u8 answered HTTP 404");
    expect(sentence("storage/logs: no space left")).toBe("storage/logs: no space left");
  });
});
