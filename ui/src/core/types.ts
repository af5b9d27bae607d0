/** What the service tells, by the names of its API. Everything that an older service does not send is optional. */

export type Phase = "idle" | "fetching" | "processing" | "publishing" | "error";

export type Level = "trace" | "debug" | "info" | "warn" | "error";

/** The stages, as log lines name them, in the order of the data. */
export const MODULES = [
  "source",
  "demux",
  "batch",
  "processor",
  "remux",
  "publish",
  "preview",
  "storage",
  "control",
  "cli",
] as const;

export interface StreamStatus {
  isRunning: boolean;
  phase: Phase;
  streamId: string;
  /** Without user, password and query. */
  sourceUrl: string;
  /** ISO 8601. */
  startTime: string | null;
  /** Seconds. */
  uptime: number;
  /** How the stream went on after its process was gone. */
  resumed?: Resumed | null;
  /** How often the stream died and was started again. */
  restarts?: number;
  memoryRestarts?: number;
  restartReason?: string | null;
  memory?: { bytes: number; limit: number | null };
  lastError: string | null;
  stats: Stats;
  modules: Modules;
  /** Oldest first. */
  batches: BatchStatus[];
}

export interface Resumed {
  awaySeconds: number;
  segments: number;
  lost: string | null;
}

export interface Stats {
  segmentsCaptured: number;
  bytesCaptured: number;
  batchesCaptured: number;
  batchesProcessed: number;
  batchesFallback: number;
  fallbackReasons: Record<string, number>;
  publishedSeconds: number;
  bytesPublished: number;
  /** Bits per second, all outputs together. */
  bitrate: number;
  lagSeconds: number | null;
  latenessMs: number;
  maxLatenessMs: number;
  gaps: number;
  storage?: WriterStats;
  /** Audio minus video against the source's own offset. */
  avOffsetMs?: number | null;
  hold?: Hold | null;
  playoutRatePpm?: number | null;
  slackSeconds?: number | null;
}

export interface Hold {
  active: boolean;
  count: number;
  seconds: number;
  withoutPicture?: boolean;
  withoutSound?: boolean;
  slateUnfit?: boolean;
}

export interface WriterStats {
  alarm?: boolean | string | null;
  dropped?: number;
  lastError?: string | null;
  [name: string]: unknown;
}

export interface Modules {
  streamFetcher: Fetcher;
  audioProcessor: Processor;
  remuxer: Remuxer;
  streamPublisher: Publisher;
}

export interface Fetcher {
  /** `connecting`, `live`, `vod`, `stalled`, `ended` or `failed`. */
  state: string;
  mediaSequence: number | null;
  targetDuration: number | null;
  variant: string | null;
  audioRendition: string | null;
  behindEdge: number;
  fetchRatio: number | null;
  segments: number;
  bytes: number;
  retries: number;
  gaps: number;
  gapSeconds: number;
  discontinuities: number;
  lastSegmentAge: number | null;
  lastError: string | null;
}

export interface Processor {
  url: string;
  connected: boolean;
  inFlight: number;
  queued: number;
  sent: number;
  answered: number;
  errors: number;
  late: number;
  reconnects: number;
  breakerOpen: boolean;
  lastLatencyMs: number | null;
  avgLatencyMs: number | null;
  maxLatencyMs: number | null;
  budgetNeeded: number | null;
  lastError: string | null;
}

export interface SourceAudio {
  pid: number;
  codec: string;
  language: string | null;
  audioType: string;
  selected: boolean;
}

export interface Remuxer {
  batches: number;
  videoCodec: string | null;
  audioCodec: string | null;
  width: number | null;
  height: number | null;
  sampleRate: number | null;
  channels: number | null;
  audioStreams?: SourceAudio[];
  silentFrames: number;
  trimmedFrames: number;
  dropped: number;
  configurationChanges: number;
  randomAccess?: string | null;
  cues?: number;
  lastCue?: string | null;
  lastError: string | null;
}

export interface Publisher {
  connected: boolean;
  outputs: Output[];
  lastError: string | null;
}

export interface Output {
  url: string;
  /** `connecting`, `ready` (publishing begins with the media), `publishing`, `waiting` or `ended`. */
  state: string;
  connected: boolean;
  bytes: number;
  publishedSeconds: number;
  reconnects: number;
  dropped: number;
  latenessMs: number;
  /** What the SRS behind it says, where it is asked. */
  srs?: Srs | null;
  lastError: string | null;
}

export interface Srs {
  reachable: boolean;
  lastError: string | null;
  stream: { active: boolean; viewers: number } | null;
  hls?: { available: boolean } | null;
  /** Who publishes the stream while this output cannot. */
  ghost?: { ip: string; aliveSeconds: number; silentSeconds: number; own: boolean } | null;
}

export type BatchState = "captured" | "processing" | "ready" | "publishing" | "published" | "dropped";

/** Instants are epoch milliseconds by the service's clock, null or missing until they are known. */
export interface BatchStatus {
  number: number;
  state: BatchState;
  outcome: "processed" | "fallback" | null;
  /** Why the outcome is a fallback: a sentence, and the name by which it is counted. */
  reason: string | null;
  failure?: string | null;
  /** What is heard: `processed`, `original`, `silence` or `none`. */
  sound?: string | null;
  durationMs: number;
  latencyMs: number | null;
  capturedAt?: number | null;
  sentAt?: number | null;
  answeredAt?: number | null;
  deadlineAt?: number | null;
  playsAt?: number | null;
  publishedAt?: number | null;
  fit?: Fit | null;
}

/** How an answer was fitted into its slot: frames, and milliseconds of what is left. */
export interface Fit {
  priming: number;
  trimmed: number;
  padded: number;
  errorMs: number;
}

export interface LogLine {
  /** ISO 8601. */
  timestamp: string;
  level: Level;
  module: string;
  streamId?: string | null;
  message: string;
  fields?: Record<string, unknown> | null;
}

export interface StorageStats {
  originalStreamSize: number;
  processedFragmentsSize: number;
  totalSize: number;
  availableSpace: number | null;
  oldestBatch?: unknown;
  newestBatch?: unknown;
  breakdown?: unknown;
}

export interface Cleaned {
  success: boolean;
  deletedFiles: number;
  freedBytes: number;
}

export interface Done {
  success: boolean;
  message: string;
  streamId: string;
  alreadyRunning?: boolean;
}
