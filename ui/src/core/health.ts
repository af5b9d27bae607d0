/** What is the matter with a stream, in sentences a person can act on, and its state at a glance. */

import { count, duration, host, plural } from "./format";
import { reason, sound } from "./timeline";
import type { BatchStatus, Processor, Srs, StreamStatus } from "./types";

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
      title: "Viewers see a stand-in: the source has nothing for them",
      detail:
        hold.withoutPicture === true
          ? "There is no picture that can be repeated: they get silence only. The connection stays up until the source is back."
          : hold.slateUnfit === true
            ? "The slate has other codecs than the stream, so the last picture fills the hole. Connection and delay stay as they are until the source is back."
            : "The last picture, or the slate, fills the hole. Connection and delay stay as they are until the source is back.",
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
        // The service says why, when it tries again, and what viewers hear.
        detail: because(processor.lastError, "Check that it runs and that this machine reaches it; Overdub goes on trying."),
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
  const why = reason(last);
  return [
    {
      key: "fallback",
      tone: "warn",
      title: `Batch ${count(last.number)} got no usable answer from the processor${why === null ? "" : ` (${why})`}`,
      detail: because(last.reason, `Viewers get ${HEARD[sound(last.sound)] ?? "the fallback sound"} for it. ${advice(last, processor)}`),
    },
  ];
}

const HEARD: Record<string, string> = { "original sound": "the original sound", silence: "silence", "no sound": "no sound" };

/** What can be done about an answer that was missing. */
function advice(batch: BatchStatus, processor: Processor): string {
  const needed = processor.budgetNeeded;
  switch (batch.failure) {
    case "noAnswer":
      return needed === null
        ? "It has not answered any batch yet: see what it says itself."
        : `With a processing budget of ${duration(Math.ceil(needed))} every answer so far would have been in time.`;
    case "notSent":
      return "The processor is slower than the stream: it needs more power, or more batches at once.";
    case "tooLarge":
      return "Raise the limit, or make batches shorter.";
    case "disconnected":
      return "The connection is back; the next batches go to the processor again.";
    case "processorError":
    case "badAnswer":
      return "See what the processor says itself.";
    default:
      return "";
  }
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
        `${occupant(output.srs?.ghost ?? null)}Overdub reconnects by itself and goes on at the next picture that stands alone${
          output.dropped > 0 ? `; ${plural(output.dropped, "packet")} lost so far` : ""
        }.`,
      ),
    }));
}

/** Who has the output's name at SRS, as a sentence with a space behind it. */
function occupant(ghost: Srs["ghost"]): string {
  if (ghost === null || ghost === undefined) return "";
  const who = ghost.own ? "this output's former connection" : `a publisher from ${ghost.ip}`;
  const life = `connected for ${duration(ghost.aliveSeconds)}, silent for ${duration(ghost.silentSeconds)}`;
  return `SRS still has ${who} under its name (${life}). `;
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
  return (error === null || error === "" ? then : `${sentence(error)}. ${then}`).trim();
}

/** Begins with a capital letter unless it begins with an address or a path, and ends without a full stop. */
export function sentence(text: string): string {
  const trimmed = text.trim().replace(/\.$/, "");
  if (/^\S*\//.test(trimmed)) return trimmed;
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
