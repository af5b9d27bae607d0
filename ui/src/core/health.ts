/** What is the matter with a stream, in sentences a person can act on, and its state at a glance. */

import { count, duration, host, plural } from "./format";
import { reason } from "./timeline";
import type { StreamStatus } from "./types";

/** How a thing looks: each has a colour and a sign of its own. */
export type Tone = "good" | "busy" | "warn" | "bad" | "off";

export interface State {
  tone: Tone;
  /** One or two words. */
  label: string;
}

export interface Issue {
  /** Stays the same while the same thing is the matter: what is announced once. */
  key: string;
  tone: "warn" | "bad";
  /** What is the matter. */
  title: string;
  /** What it means, and what can be done. */
  detail: string;
}

/** The state of a stream at a glance. */
export function state(status: StreamStatus): State {
  if (!status.isRunning) {
    return status.phase === "error" ? { tone: "bad", label: "Failed" } : { tone: "off", label: "Stopped" };
  }
  const worst = issues(status).reduce<Tone | null>(
    (tone, issue) => (issue.tone === "bad" || tone === null ? issue.tone : tone),
    null,
  );
  switch (status.phase) {
    case "error":
      return { tone: "bad", label: "In trouble" };
    case "fetching":
      return { tone: worst ?? "busy", label: "Capturing" };
    case "processing":
      return { tone: worst ?? "busy", label: "Filling up" };
    case "publishing":
      return worst === null
        ? { tone: "good", label: "On air" }
        : { tone: worst, label: worst === "bad" ? "In trouble" : "On air, degraded" };
    case "idle":
      return { tone: "off", label: "Idle" };
  }
}

/** Everything that is the matter now, the worst first. A past fault that is over is none. */
export function issues(status: StreamStatus): Issue[] {
  const found: Issue[] = status.isRunning
    ? [...source(status), ...processor(status), ...outputs(status), ...disk(status)]
    : ended(status);
  return found.sort((a, b) => rank(a) - rank(b));
}

const rank = (issue: Issue): number => (issue.tone === "bad" ? 0 : 1);

function ended(status: StreamStatus): Issue[] {
  if (status.phase !== "error") return [];
  const detail = "The stream has ended. Start it again once the cause is mended.";
  return [{ key: "ended", tone: "bad", title: sentence(status.lastError ?? "the stream ended with an error"), detail }];
}

function source(status: StreamStatus): Issue[] {
  const fetcher = status.modules.streamFetcher;
  const at = host(status.sourceUrl);
  const found: Issue[] = [];
  if (fetcher.state === "stalled") {
    const since = fetcher.lastSegmentAge;
    const age = since === null ? "" : `: no new segment for ${duration(since)}`;
    found.push({
      key: "source",
      tone: "bad",
      title: `The source at ${at} stands still${age}`,
      detail: because(fetcher.lastError, "Its playlist does not move. Overdub keeps asking; what was captured plays on."),
    });
  } else if (fetcher.state === "failed") {
    found.push({
      key: "source",
      tone: "bad",
      title: `The source at ${at} cannot be read`,
      detail: because(fetcher.lastError, "Check the address and what the source allows."),
    });
  } else if (fetcher.state === "connecting" && fetcher.lastError !== null) {
    found.push({
      key: "source",
      tone: "bad",
      title: `The source at ${at} does not answer`,
      detail: because(fetcher.lastError, "Overdub keeps trying."),
    });
  } else if (fetcher.fetchRatio !== null && fetcher.fetchRatio > 1) {
    found.push({
      key: "source-slow",
      tone: "warn",
      title: `The source at ${at} is slower than real time`,
      detail: `The last segment took ${fetcher.fetchRatio.toFixed(1)} times as long to fetch as it plays. Choose a smaller variant or a nearer server.`,
    });
  }
  const hold = status.stats.hold;
  if (hold?.active === true) {
    found.push({
      key: "hold",
      tone: "warn",
      title: "The output holds the last picture",
      detail:
        hold.withoutPicture === true
          ? "What is due was never captured, and there is no picture to hold: viewers get silence only."
          : "What is due was never captured. Picture and connection stay up until the source is back.",
    });
  }
  return found;
}

/** The sound that viewers hear while the processor's is missing. */
function processor(status: StreamStatus): Issue[] {
  const processor = status.modules.audioProcessor;
  const at = host(processor.url);
  if (processor.url === "") return [];
  if (!processor.connected) {
    const began = processor.sent > 0 || processor.lastError !== null || status.uptime > 5;
    if (!began) return [];
    return [
      {
        key: "processor",
        tone: "bad",
        title: `No connection to the processor at ${at}`,
        detail: because(processor.lastError, "Overdub keeps trying. Until it is back, the output runs on the fallback sound."),
      },
    ];
  }
  if (processor.breakerOpen) {
    return [
      {
        key: "breaker",
        tone: "bad",
        title: `The processor at ${at} failed five times in a row`,
        detail: because(
          processor.lastError,
          "One batch every 30 s tries it again; all others go straight to the fallback sound.",
        ),
      },
    ];
  }
  const last = status.batches.findLast((batch) => batch.outcome !== null);
  if (last?.outcome !== "fallback") return [];
  const needed = processor.budgetNeeded;
  const advice =
    (last.reason === "late" || last.reason === "noAnswer") && needed !== null
      ? `It is too slow for the budget: with a processing budget of ${duration(Math.ceil(needed))} every answer so far would have been in time.`
      : "That batch goes out with the fallback sound.";
  return [
    {
      key: "fallback",
      tone: "warn",
      title: `Batch ${count(last.number)} got no usable answer from the processor${last.reason === null ? "" : ` (${reason(last.reason)})`}`,
      detail: because(processor.lastError, advice),
    },
  ];
}

function outputs(status: StreamStatus): Issue[] {
  const { outputs } = status.modules.streamPublisher;
  // Before the first batch is due nothing is sent, and nothing is wrong with that.
  return outputs
    .filter((output) => !output.connected && output.state !== "ended" && output.lastError !== null)
    .map((output) => ({
      key: `output ${output.url}`,
      tone: "bad" as const,
      title: `The output ${output.url} is not connected`,
      detail: because(
        output.lastError,
        `Overdub reconnects by itself and goes on at the next picture that stands alone${
          output.dropped > 0 ? `; ${plural(output.dropped, "packet")} lost so far` : ""
        }.`,
      ),
    }));
}

function disk(status: StreamStatus): Issue[] {
  const storage = status.stats.storage;
  if (storage?.alarm !== true) return [];
  return [
    {
      key: "storage",
      tone: "warn",
      title: "Files are being lost: the disk does not take them",
      detail: because(storage.lastError ?? null, "The stream itself goes on. Free some space or clean the storage."),
    },
  ];
}

/** A fault as the service words it, and then what follows from it. */
function because(error: string | null, then: string): string {
  return error === null || error === "" ? then : `${sentence(error)}. ${then}`;
}

/** Begins with a capital letter unless it begins with an address, and ends without a full stop. */
export function sentence(text: string): string {
  const trimmed = text.trim().replace(/\.$/, "");
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed)) return trimmed;
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
}

/** What to say aloud when `next` follows `previous`: changes only, one sentence. */
export function announcement(previous: StreamStatus | undefined, next: StreamStatus): string | null {
  if (previous === undefined) return null;
  const known = new Set(issues(previous).map((issue) => issue.key));
  const fresh = issues(next).find((issue) => !known.has(issue.key));
  if (fresh !== undefined) return `${next.streamId}: ${fresh.title}`;
  const [before, after] = [state(previous).label, state(next).label];
  return before === after ? null : `${next.streamId}: ${after}`;
}
