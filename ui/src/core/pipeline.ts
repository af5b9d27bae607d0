/** The drawn pipeline: what each of its five stages says. */

import * as format from "./format";
import type { Tone } from "./health";
import type { StreamStatus } from "./types";

export interface Fact {
  name: string;
  value: string;
}

export interface Stage {
  key: "fetch" | "batch" | "processor" | "remux" | "publish";
  title: string;
  tone: Tone;
  /** The state in a word or two. */
  state: string;
  /** The one number that matters most, and what it is. */
  main: Fact;
  facts: Fact[];
}

export interface Lane {
  label: string;
  detail: string;
  active: boolean;
  /** What is out of the ordinary about it, in a few words. */
  note: string | null;
}

export interface Drawing {
  fetch: Stage;
  batch: Stage;
  processor: Stage;
  remux: Stage;
  publish: Stage;
  /** The processor's sound is what goes out. */
  dubbed: Lane;
  /** The fallback sound, which goes round the processor. */
  bypass: Lane;
  video: Lane;
}

export function draw(status: StreamStatus): Drawing {
  const running = status.isRunning;
  const stage = (made: Stage): Stage => (running ? made : { ...made, tone: "off" });
  // What goes out now; before the first batch plays, what the last decided one got.
  const sounding =
    status.batches.findLast((batch) => batch.state === "publishing") ??
    status.batches.findLast((batch) => batch.outcome !== null);
  const { remuxer } = status.modules;
  // A picture that is held has silence with it, whatever became of the batches.
  const held = running && status.stats.hold?.active === true;
  const sounds = (outcome: "processed" | "fallback"): boolean => running && !held && sounding?.outcome === outcome;
  return {
    fetch: stage(fetch(status)),
    batch: stage(batch(status)),
    processor: stage(processor(status)),
    remux: stage(remux(status)),
    publish: stage(publish(status)),
    dubbed: {
      label: "sound",
      detail: sounding?.outcome === "processed" ? "processed sound on air" : "",
      active: sounds("processed"),
      note: null,
    },
    bypass: {
      label: "fallback",
      detail: format.plural(status.stats.batchesFallback, "batch", "batches"),
      active: sounds("fallback"),
      note: sounds("fallback") ? "on air" : null,
    },
    video: {
      label: held ? "picture" : "picture, untouched",
      detail: held || remuxer.videoCodec === null ? "" : picture(remuxer),
      active: running && !held && status.modules.streamFetcher.segments > 0,
      // What stands in for it: the last picture or a clip.
      note: !held ? null : status.stats.hold?.withoutPicture === true ? "none, silence on air" : "held, stand-in on air",
    },
  };
}

const FETCHER: Record<string, [Tone, string]> = {
  connecting: ["busy", "Connecting"],
  live: ["good", "Live"],
  vod: ["good", "On demand"],
  stalled: ["bad", "Stalled"],
  ended: ["off", "Ended"],
  failed: ["bad", "Failed"],
};

function fetch(status: StreamStatus): Stage {
  const fetcher = status.modules.streamFetcher;
  const [tone, state] = FETCHER[fetcher.state] ?? (["off", fetcher.state === "" ? "Waiting" : fetcher.state] as const);
  const facts = [
    { name: "segments", value: format.count(fetcher.segments) },
    { name: "captured", value: format.bytes(fetcher.bytes) },
    { name: "behind edge", value: format.duration(fetcher.behindEdge) },
  ];
  if (fetcher.gaps > 0) {
    facts.push({ name: "holes", value: `${format.count(fetcher.gaps)} (${format.duration(fetcher.gapSeconds)})` });
  }
  if (fetcher.retries > 0) facts.push({ name: "retries", value: format.count(fetcher.retries) });
  return {
    key: "fetch",
    title: "Fetch",
    tone: tone === "good" && fetcher.fetchRatio !== null && fetcher.fetchRatio > 1 ? "warn" : tone,
    state,
    main: { name: "since a segment", value: format.duration(fetcher.lastSegmentAge) },
    facts,
  };
}

function batch(status: StreamStatus): Stage {
  const { stats } = status;
  const last = status.batches.at(-1);
  return {
    key: "batch",
    title: "Batch",
    tone: stats.batchesCaptured > 0 ? "good" : "busy",
    state: stats.batchesCaptured > 0 ? "Cutting" : "Filling",
    main: { name: "batches cut", value: format.count(stats.batchesCaptured) },
    facts: [
      { name: "newest", value: last === undefined ? format.UNKNOWN : `#${format.count(last.number)}` },
      { name: "its length", value: format.duration(last === undefined ? null : last.durationMs / 1_000) },
    ],
  };
}

function processor(status: StreamStatus): Stage {
  const it = status.modules.audioProcessor;
  const [tone, state]: [Tone, string] = it.breakerOpen
    ? ["bad", "Given up, probing"]
    : it.connected
      ? ["good", it.inFlight > 0 ? "Working" : "Ready"]
      : it.lastError === null && status.uptime < 5
        ? ["busy", "Connecting"]
        : ["bad", "Not connected"];
  const facts = [
    { name: "median / worst", value: `${format.milliseconds(it.avgLatencyMs)} / ${format.milliseconds(it.maxLatencyMs)}` },
    { name: "in work / queued", value: `${format.count(it.inFlight)} / ${format.count(it.queued)}` },
    { name: "answered", value: `${format.count(it.answered)} of ${format.count(it.sent)}` },
  ];
  if (it.late + it.errors > 0) {
    facts.push({ name: "late / failed", value: `${format.count(it.late)} / ${format.count(it.errors)}` });
  }
  return {
    key: "processor",
    title: "Processor",
    tone,
    state,
    main: { name: "last answer took", value: format.milliseconds(it.lastLatencyMs) },
    facts,
  };
}

function remux(status: StreamStatus): Stage {
  const it = status.modules.remuxer;
  const facts = [
    { name: "sound", value: sound(it) },
    { name: "A/V offset", value: format.offset(status.stats.avOffsetMs) },
    { name: "silent / cut", value: `${format.count(it.silentFrames)} / ${format.count(it.trimmedFrames)}` },
  ];
  if (it.dropped > 0) facts.push({ name: "damaged, dropped", value: format.count(it.dropped) });
  return {
    key: "remux",
    title: "Remux",
    tone: it.batches > 0 ? "good" : "busy",
    state: it.batches > 0 ? "Joining" : "Waiting",
    main: {
      name: "batches dubbed",
      value: `${format.count(status.stats.batchesProcessed)} of ${format.count(
        status.stats.batchesProcessed + status.stats.batchesFallback,
      )}`,
    },
    facts,
  };
}

function picture(remuxer: StreamStatus["modules"]["remuxer"]): string {
  const parts = [format.codec(remuxer.videoCodec), format.size(remuxer.width, remuxer.height)];
  return parts.filter((part) => part !== format.UNKNOWN).join(" ");
}

function sound(remuxer: StreamStatus["modules"]["remuxer"]): string {
  if (remuxer.audioCodec === null) return format.UNKNOWN;
  const rate = remuxer.sampleRate === null ? "" : ` ${(remuxer.sampleRate / 1_000).toFixed(1).replace(/\.0$/, "")} kHz`;
  return `${format.codec(remuxer.audioCodec)}${rate}`;
}

function publish(status: StreamStatus): Stage {
  const { outputs } = status.modules.streamPublisher;
  const connected = outputs.filter((output) => output.connected).length;
  const failing = outputs.some((output) => !output.connected && output.lastError !== null);
  const reconnects = outputs.reduce((sum, output) => sum + output.reconnects, 0);
  const dropped = outputs.reduce((sum, output) => sum + output.dropped, 0);
  const [tone, state]: [Tone, string] =
    outputs.length > 0 && connected === outputs.length
      ? ["good", status.phase === "publishing" ? "On air" : "Connected"]
      : failing
        ? ["bad", connected > 0 ? `${connected} of ${outputs.length} connected` : "Not connected"]
        : ["busy", "Waiting"];
  const facts = [
    { name: "behind source", value: format.duration(status.stats.lagSeconds) },
    { name: "sent", value: format.bytes(status.stats.bytesPublished) },
    { name: "worst late", value: format.milliseconds(status.stats.maxLatenessMs) },
  ];
  if (reconnects > 0) facts.push({ name: "reconnects", value: format.count(reconnects) });
  if (dropped > 0) facts.push({ name: "packets lost", value: format.count(dropped) });
  return {
    key: "publish",
    title: "Publish",
    tone,
    state,
    main: { name: outputs.length > 1 ? `now, to ${outputs.length} outputs` : "now", value: format.bitrate(status.stats.bitrate) },
    facts,
  };
}
