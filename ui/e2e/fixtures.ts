/** Statuses as the service sends them, for the views that a live stream shows only by chance. */

import type { BatchStatus, LogLine, StreamStatus } from "../src/core/types";

/** 30 s batches with an answer after some seconds; every `fallbackEvery`th goes out with the fallback. */
export function batches(now: number, count: number, fallbackEvery: number): BatchStatus[] {
  const length = 30_000;
  return Array.from({ length: count }, (_, index): BatchStatus => {
    const number = 412 + index;
    // The newest was captured four seconds ago.
    const capturedAt = now - 4_000 - (count - 1 - index) * length;
    const playsAt = capturedAt + 12_000;
    const deadlineAt = playsAt - 500;
    const fallback = number % fallbackEvery === 0;
    const newest = index === count - 1;
    const latencyMs = 2_400 + ((number * 7_919) % 5_200);
    const sentAt = capturedAt + 40;
    const over = playsAt + length < now;
    const base = { number, durationMs: length, capturedAt, sentAt, deadlineAt, playsAt, publishedAt: playsAt < now ? playsAt : null };
    if (newest) return { ...base, state: "processing", outcome: null, reason: null, latencyMs: null, answeredAt: null, fit: null };
    const state = over ? "published" : playsAt < now ? "publishing" : "ready";
    return fallback
      ? { ...base, state, outcome: "fallback", reason: "no answer before the deadline, 11.5 s after sending", failure: "noAnswer", sound: "original", latencyMs: null, answeredAt: null, fit: null }
      : {
          ...base,
          state,
          outcome: "processed",
          reason: null,
          failure: null,
          sound: "processed",
          latencyMs,
          answeredAt: sentAt + latencyMs,
          fit: { priming: 1, trimmed: number % 3, padded: number % 4 === 1 ? 1 : 0, errorMs: ((number % 7) - 3) * 1.5 },
        };
  });
}

/** Four hours before these lines were first read. */
const startTime = Date.now() - 15_130_000;

export function running(now: number, streamId = "news-en"): StreamStatus {
  return {
    isRunning: true,
    phase: "publishing",
    streamId,
    sourceUrl: `https://cdn.example.com/live/${streamId}/master.m3u8`,
    startTime: new Date(startTime).toISOString(),
    uptime: (now - startTime) / 1_000,
    lastError: null,
    stats: {
      segmentsCaptured: 2_521,
      bytesCaptured: 5_812_331_008,
      batchesCaptured: 432,
      batchesProcessed: 411,
      batchesFallback: 20,
      fallbackReasons: { noAnswer: 20 },
      publishedSeconds: 15_086,
      bytesPublished: 5_790_112_000,
      bitrate: 3_110_000 + Math.sin(now / 9_000) * 240_000,
      lagSeconds: 46.2,
      latenessMs: 1.2,
      maxLatenessMs: 88,
      gaps: 0,
      storage: { files: 4_102, bytes: 11_204_991_213, dropped: 0, failed: 0, alarm: false, lastError: null },
      avOffsetMs: 0.7 + Math.sin(now / 5_000) * 2,
      hold: { active: false, count: 0, seconds: 0, withoutPicture: false },
      playoutRatePpm: 12.4,
      slackSeconds: 11.2,
    },
    modules: {
      streamFetcher: {
        state: "live",
        mediaSequence: 88_214,
        targetDuration: 6,
        variant: "1280x720, 3.1 Mbit/s, avc1.64001f,mp4a.40.2",
        audioRendition: null,
        behindEdge: 0,
        fetchRatio: 0.08,
        segments: 2_521,
        bytes: 5_812_331_008,
        retries: 3,
        gaps: 0,
        gapSeconds: 0,
        discontinuities: 0,
        lastSegmentAge: (now % 6_000) / 1_000,
        lastError: null,
      },
      audioProcessor: {
        url: "http://dub.internal:5000/",
        connected: true,
        inFlight: 1,
        queued: 0,
        sent: 432,
        answered: 411,
        errors: 0,
        late: 20,
        reconnects: 0,
        breakerOpen: false,
        lastLatencyMs: 4_330,
        avgLatencyMs: 5_020,
        maxLatencyMs: 14_900,
        budgetNeeded: 15.4,
        lastError: null,
      },
      remuxer: {
        batches: 431,
        videoCodec: "avc1.64001f",
        audioCodec: "mp4a.40.2",
        width: 1_280,
        height: 720,
        sampleRate: 48_000,
        channels: 2,
        silentFrames: 3,
        trimmedFrames: 402,
        dropped: 0,
        configurationChanges: 0,
        cues: 0,
        lastCue: null,
        lastError: null,
      },
      streamPublisher: {
        connected: true,
        outputs: [
          {
            url: `rtmp://srs.example.com/live/${streamId.slice(0, 2)}…`,
            state: "publishing",
            connected: true,
            bytes: 5_790_112_000,
            publishedSeconds: 15_086,
            reconnects: 0,
            dropped: 0,
            latenessMs: 1.2,
            lastError: null,
          },
        ],
        lastError: null,
      },
    },
    batches: batches(now, 20, 9),
  };
}

/** The processor is away, and an output too. */
export function inTrouble(now: number, streamId = "sports-de"): StreamStatus {
  const status = running(now, streamId);
  const { modules } = status;
  return {
    ...status,
    lastError: "processor at http://dub.internal:5001 refused the connection; retrying in 4 s; output runs on original audio",
    stats: { ...status.stats, batchesFallback: 44 },
    modules: {
      ...modules,
      audioProcessor: {
        ...modules.audioProcessor,
        url: "http://dub.internal:5001/",
        connected: false,
        inFlight: 0,
        reconnects: 4,
        lastError: "processor at http://dub.internal:5001 refused the connection; retrying in 4 s; output runs on original audio",
      },
      streamPublisher: {
        connected: true,
        lastError: "server closed the connection; retrying in 8 s",
        outputs: [
          ...modules.streamPublisher.outputs,
          {
            url: "rtmps://backup.example.net/app/spo…",
            state: "waiting",
            connected: false,
            bytes: 12_000_000,
            publishedSeconds: 120,
            reconnects: 7,
            dropped: 5_210,
            latenessMs: 0,
            lastError: "server closed the connection; retrying in 8 s",
          },
        ],
      },
    },
    batches: batches(now, 20, 9).map((batch, index, all) =>
      index >= all.length - 6 && batch.outcome !== null
        ? { ...batch, outcome: "fallback", reason: "no connection to the processor at the deadline", failure: "disconnected", sound: "original", answeredAt: null, sentAt: null, latencyMs: null, fit: null }
        : batch,
    ),
  };
}

export function stopped(now: number, streamId = "weather"): StreamStatus {
  const status = running(now, streamId);
  return { ...status, isRunning: false, phase: "idle", stats: { ...status.stats, bitrate: 0, lagSeconds: null } };
}

/** Just asked for: nothing is known yet. */
export function starting(now: number, streamId = "concert"): StreamStatus {
  const status = running(now, streamId);
  return {
    ...status,
    phase: "fetching",
    startTime: new Date(now - 3_000).toISOString(),
    uptime: 3,
    stats: {
      ...status.stats,
      batchesCaptured: 0,
      batchesProcessed: 0,
      batchesFallback: 0,
      bytesPublished: 0,
      bitrate: 0,
      lagSeconds: null,
      avOffsetMs: null,
    },
    modules: {
      ...status.modules,
      audioProcessor: { ...status.modules.audioProcessor, inFlight: 0, sent: 0, answered: 0, late: 0, lastLatencyMs: null, avgLatencyMs: null, maxLatencyMs: null },
      remuxer: { ...status.modules.remuxer, batches: 0, videoCodec: null, audioCodec: null },
      streamPublisher: { connected: false, outputs: [], lastError: null },
    },
    batches: [],
  };
}

/** The source's server is away; what was captured has been played, and the last picture is held. */
export function sourceAway(now: number, streamId = "parliament"): StreamStatus {
  const status = running(now, streamId);
  const { modules } = status;
  const silentSince = startTime + 15_040_000;
  return {
    ...status,
    lastError: "https://cdn.example.com/live/parliament/720p.m3u8 answered HTTP 503",
    stats: { ...status.stats, bitrate: 96_000, hold: { active: true, count: 1, seconds: 31.5, withoutPicture: false } },
    modules: {
      ...modules,
      streamFetcher: {
        ...modules.streamFetcher,
        state: "stalled",
        retries: 38,
        lastSegmentAge: Math.max(0, (now - silentSince) / 1_000),
        lastError: "https://cdn.example.com/live/parliament/720p.m3u8 answered HTTP 503",
      },
      audioProcessor: { ...modules.audioProcessor, inFlight: 0 },
    },
    batches: batches(silentSince, 20, 50),
  };
}

/** Answers come, and too late; and the disk is full. */
export function slowProcessor(now: number, streamId = "talk-fr"): StreamStatus {
  const status = running(now, streamId);
  const { modules, stats } = status;
  return {
    ...status,
    stats: {
      ...stats,
      batchesProcessed: 380,
      batchesFallback: 51,
      storage: { ...stats.storage, alarm: true, dropped: 214, lastError: "storage/original_stream/talk-fr/segment-2521.ts: No space left on device (os error 28)" },
    },
    modules: { ...modules, audioProcessor: { ...modules.audioProcessor, late: 51, lastLatencyMs: 14_200, avgLatencyMs: 10_400, maxLatencyMs: 14_900 } },
    batches: batches(now, 20, 3),
  };
}

/** Ended by an error that no retry mends. */
export function failed(now: number, streamId = "chess"): StreamStatus {
  const status = stopped(now, streamId);
  const lastError = "https://cdn.example.com/live/chess/master.m3u8: every variant is encrypted with SAMPLE-AES, which cannot be read";
  return { ...status, phase: "error", lastError, modules: { ...status.modules, streamFetcher: { ...status.modules.streamFetcher, state: "failed", lastError } } };
}

/** As long as names, addresses and numbers get. */
export function longNames(now: number): StreamStatus {
  const streamId = "the-very-long-name-of-a-stream.that-takes-all-of-its-64-letters_";
  const status = running(now, streamId);
  const { modules } = status;
  return {
    ...status,
    sourceUrl: `https://a-rather-long-host-name.of-a-content-delivery-network.example.com:8443/live/${streamId}/with/a/deep/path/master-playlist-of-the-evening.m3u8`,
    stats: { ...status.stats, bitrate: 148_300_000, lagSeconds: 4_210, bytesPublished: 91_790_112_000_000 },
    modules: {
      ...modules,
      streamFetcher: { ...modules.streamFetcher, variant: "3840x2160, 24.8 Mbit/s, hvc1.2.4.L153.B0,mp4a.40.2, named the-highest-of-all-variants", segments: 123_456_789 },
      audioProcessor: { ...modules.audioProcessor, url: "http://processor-with-a-long-name.in-a-long-domain.internal:5000/", sent: 1_234_567, answered: 1_234_560 },
      streamPublisher: {
        ...modules.streamPublisher,
        outputs: Array.from({ length: 6 }, (_, index) => ({
          ...(modules.streamPublisher.outputs[0] ?? { state: "publishing", connected: true, bytes: 0, publishedSeconds: 0, reconnects: 0, dropped: 0, latenessMs: 0, lastError: null }),
          url: `rtmps://ingest-${index}.a-rather-long-host-name.of-a-content-delivery-network.example.com/live/the…`,
        })),
      },
    },
  };
}

/** Eight streams, each in a state of its own. */
export const EVERY = (now: number): StreamStatus[] => [
  running(now),
  inTrouble(now),
  slowProcessor(now),
  sourceAway(now),
  failed(now),
  stopped(now),
  starting(now),
  longNames(now),
];

export const ONE = (now: number): StreamStatus[] => [running(now)];

/** Lines of every level. */
export function lines(now: number): LogLine[] {
  const texts: [LogLine["level"], string, string | null, string, Record<string, unknown>][] = [
    ["info", "control", null, "serves the page", { listen: "127.0.0.1:3000" }],
    ["info", "source", "news-en", "follows", { variant: "1280x720, 3.1 Mbit/s, avc1.64001f,mp4a.40.2" }],
    ["info", "processor", "news-en", "connected to the processor", { processor: "http://dub.internal:5000/", max_payload: 1_000_000 }],
    ["info", "publish", "news-en", "publishing", { url: "rtmp://srs.example.com/live/ne…", reconnects: 0 }],
    ["debug", "batch", "news-en", "cut", { batch: 430, segments: 5, duration_ms: 30_000 }],
    ["debug", "processor", "news-en", "answered", { batch: 430, latency_ms: 6_810 }],
    ["warn", "processor", "sports-de", "no connection to the processor", { processor: "http://dub.internal:5001/", error: "refused the connection", retry_in_ms: 4_000 }],
    ["warn", "source", "parliament", "a request is tried again", { url: "https://cdn.example.com/live/parliament/720p.m3u8", error: "HTTP 503", attempt: 7 }],
    ["error", "source", "chess", "the source cannot be read", { error: "every variant is encrypted with SAMPLE-AES, which cannot be read" }],
    ["warn", "storage", "talk-fr", "files are lost", { error: "storage/original_stream/talk-fr/segment-2521.ts: No space left on device (os error 28)" }],
    ["info", "publish", "sports-de", "reconnected", { url: "rtmps://backup.example.net/app/spo…", reconnects: 7 }],
  ];
  return Array.from({ length: 44 }, (_, index): LogLine => {
    const [level, module, streamId, message, fields] = texts[index % texts.length] ?? ["info", "cli", null, "", {}];
    return { timestamp: new Date(now - (44 - index) * 1_310).toISOString(), level, module, streamId, message, fields };
  });
}

export const storage = {
  originalStreamSize: 5_812_331_008,
  processedFragmentsSize: 5_392_660_205,
  totalSize: 11_204_991_213,
  availableSpace: 48_120_000_000,
  breakdown: [
    { streamId: "news-en", originalStreamSize: 3_812_331_008, processedFragmentsSize: 3_392_660_205, totalSize: 7_204_991_213, oldestBatch: 212, newestBatch: 431 },
    { streamId: "sports-de", originalStreamSize: 2_000_000_000, processedFragmentsSize: 2_000_000_000, totalSize: 4_000_000_000, oldestBatch: 12, newestBatch: 431 },
  ],
};
