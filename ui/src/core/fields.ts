/** The settings of a stream: what a person reads of each, and what each takes. */

import { STREAM_ID } from "./route";

export type Kind = "text" | "url" | "number" | "duration" | "choice" | "lines" | "secret" | "flag";

export interface Field {
  name: string;
  label: string;
  kind: Kind;
  section: Section;
  /** One sentence below the field. */
  hint: string;
  /** What the service takes where nothing is given, as a person reads it. */
  standard?: string;
  placeholder?: string;
  options?: readonly { value: string; label: string }[];
  required?: boolean;
  /** Never remembered by the browser. */
  secret?: boolean;
  check?: (text: string) => string | null;
}

export type Section = "stream" | "timing" | "access" | "choice" | "processor" | "output";

export const SECTIONS: readonly { key: Section; title: string; hint: string; folded: boolean }[] = [
  { key: "stream", title: "Stream", hint: "Where the picture and the sound come from, who makes the new sound, and where it goes.", folded: false },
  { key: "timing", title: "Timing", hint: "How much is sent to the processor at once, and how long it may take.", folded: false },
  { key: "access", title: "Access to the source", hint: "Keys, headers and ways that the source asks for.", folded: true },
  { key: "choice", title: "What is taken of the source", hint: "Variant, language and where to begin.", folded: true },
  { key: "processor", title: "Processor", hint: "How fragments are sent and answers are read.", folded: true },
  { key: "output", title: "Output and storage", hint: "What happens in holes and changes, and what is written to disk.", folded: true },
];

export const FIELDS: readonly Field[] = [
  {
    name: "sourceUrl",
    label: "Source",
    kind: "url",
    section: "stream",
    hint: "The HLS playlist, media or master, or a film in one MP4 file.",
    placeholder: "https://example.com/live/master.m3u8",
    required: true,
    check: (text) => address(text, ["http:", "https:"], "an http:// or https:// address"),
  },
  {
    name: "streamId",
    label: "Name of the stream",
    kind: "text",
    section: "stream",
    hint: "Letters, digits, dot, dash and underscore; also the folder in the storage.",
    placeholder: "news",
    required: true,
    check: (text) =>
      STREAM_ID.test(text) ? null : "Must be 1 to 64 letters, digits, dots, dashes or underscores, not beginning with a dot.",
  },
  {
    name: "audioProcessorUrl",
    label: "Audio processor",
    kind: "url",
    section: "stream",
    hint: "The Socket.IO server that answers with the new sound.",
    standard: "http://127.0.0.1:5000",
    check: (text) => address(text, ["http:", "https:", "ws:", "wss:"], "an http://, https://, ws:// or wss:// address"),
  },
  {
    name: "srsRtmpUrl",
    label: "Outputs",
    kind: "lines",
    section: "stream",
    hint: "RTMP addresses, one a line, at most eight. {streamId} stands for the name.",
    standard: "rtmp://127.0.0.1/live/{streamId}",
    check: outputs,
  },
  {
    name: "bufferDuration",
    label: "Length of a batch",
    kind: "duration",
    section: "timing",
    hint: "At least this much goes to the processor at once: context for it, delay for viewers.",
    standard: "30 s",
    check: (text) => span(text, 1, 300),
  },
  {
    name: "processingBudget",
    label: "Processing budget",
    kind: "duration",
    section: "timing",
    hint: "How long after its capture a batch is played. Answers must be there half a second before.",
    standard: "12 s",
    check: (text) => span(text, 1, 600),
  },
  {
    name: "fallback",
    label: "When an answer is missing",
    kind: "choice",
    section: "timing",
    hint: "What viewers hear instead; the picture never stops.",
    standard: "the original sound",
    options: [
      { value: "original", label: "the original sound" },
      { value: "silence", label: "silence" },
      { value: "drop-audio", label: "no sound track" },
    ],
  },
  {
    name: "sourceAuth",
    label: "Authorisation",
    kind: "secret",
    section: "access",
    hint: "basic USER:PASSWORD or bearer TOKEN; only the source's own server is told. Not remembered.",
    secret: true,
    check: (text) =>
      /^(basic [^:\s][^:]*:.*|bearer [A-Za-z0-9\-._~+/=]+)$/i.test(text.trim())
        ? null
        : "Must be “basic USER:PASSWORD” or “bearer TOKEN”.",
  },
  {
    name: "sourceHeaders",
    label: "Headers",
    kind: "lines",
    section: "access",
    hint: "Name: value, one a line, sent with every request. Not remembered.",
    placeholder: "x-api-key: …",
    secret: true,
    check: headers,
  },
  {
    name: "sourceUserAgent",
    label: "User agent",
    kind: "text",
    section: "access",
    hint: "What Overdub calls itself to the source.",
    standard: "overdub and its version",
  },
  {
    name: "sourceProxy",
    label: "Proxy",
    kind: "text",
    section: "access",
    hint: "An address, or none; otherwise what the service's environment says.",
    placeholder: "http://proxy:3128",
    check: (text) => (text.trim().toLowerCase() === "none" ? null : address(text, ["http:", "https:"], "an http:// or https:// address, or none")),
  },
  {
    name: "sourceAllowedHosts",
    label: "Allowed hosts",
    kind: "lines",
    section: "access",
    hint: "Names, *.names, addresses and networks that playlists and redirects may lead to, one a line.",
    check: (text) => each(text, 64, (line) => (/\s/.test(line) ? "Each line must be one name, address or network." : null)),
  },
  {
    name: "sourceVariant",
    label: "Variant",
    kind: "text",
    section: "choice",
    hint: "highest, lowest, a number from 0, a name, a size (720p) or a part of the address.",
    standard: "highest",
    check: shortText,
  },
  {
    name: "sourceMaxHeight",
    label: "At most this high",
    kind: "number",
    section: "choice",
    hint: "Pixels; higher variants are not considered.",
    check: (text) => whole(text, 1, 65_535),
  },
  {
    name: "sourceMaxBandwidth",
    label: "At most this bit rate",
    kind: "number",
    section: "choice",
    hint: "Bits per second; larger variants are not considered.",
    check: (text) => whole(text, 1, 1e12),
  },
  { name: "sourceAudioLanguage", label: "Language of the sound", kind: "text", section: "choice", hint: "Where the source has several: en, de, ...", check: shortText },
  { name: "sourceAudioName", label: "Name of the sound", kind: "text", section: "choice", hint: "The NAME of an audio rendition.", check: shortText },
  { name: "sourceAudioPid", label: "PID of the audio", kind: "number", section: "choice", hint: "Where a transport stream has several; overdub probe lists them.", check: (text) => whole(text, 16, 8_190) },
  {
    name: "startOffset",
    label: "Begin at",
    kind: "number",
    section: "choice",
    hint: "Seconds from the beginning of the first playlist, or, negative, from its end.",
    check: (text) => decimal(text, -604_800, 604_800),
  },
  {
    name: "liveStartSegments",
    label: "Begin this far from the live end",
    kind: "number",
    section: "choice",
    hint: "Segments.",
    standard: "3",
    check: (text) => whole(text, 1, 100),
  },
  {
    name: "maxConcurrentBatches",
    label: "Batches at the processor",
    kind: "number",
    section: "processor",
    hint: "Unanswered at once, at most; the others queue within their own deadlines.",
    standard: "3",
    check: (text) => whole(text, 1, 32),
  },
  {
    name: "processorPriming",
    label: "Undeclared priming",
    kind: "number",
    section: "processor",
    hint: "Samples that the processor's encoder puts before the sound without saying so.",
    standard: "0",
    check: (text) => whole(text, 0, 96_000),
  },
  {
    name: "processorMaxMessage",
    label: "Largest message",
    kind: "number",
    section: "processor",
    hint: "Bytes; the smaller of this and what the processor itself takes.",
    standard: "67108864 (64 MiB)",
    check: (text) => whole(text, 65_536, 1_073_741_824),
  },
  {
    name: "contextFrames",
    label: "Context",
    kind: "number",
    section: "processor",
    hint: "Audio frames of the neighbours that go with each batch on either side, so that separately encoded answers join without a click.",
    standard: "0",
    check: (text) => whole(text, 0, MAX_CONTEXT),
  },
  {
    name: "audioProcessorPath",
    label: "Engine.IO path",
    kind: "text",
    section: "processor",
    hint: "What Socket.IO's clients call path. The path of the processor's address is the namespace.",
    standard: "/socket.io",
    check: (text) => (/[?#\\]|\/\/|\.\./.test(text) ? "Must be a path such as /socket.io, without a query." : null),
  },
  {
    name: "audioProcessorAuth",
    label: "Credentials",
    kind: "secret",
    section: "processor",
    hint: "A token, or a JSON object, as the processor's Socket.IO wants it. Not remembered.",
    secret: true,
  },
  {
    name: "audioProcessorHeaders",
    label: "Headers",
    kind: "lines",
    section: "processor",
    hint: "Name: value, one a line, of the WebSocket's handshake. Not remembered.",
    placeholder: "x-api-key: …",
    secret: true,
    check: headers,
  },
  {
    name: "configurationChange",
    label: "When the fallback sounds differently",
    kind: "choice",
    section: "output",
    hint: "The original may have another sample rate or codec than the processed sound.",
    standard: "change the configuration",
    options: [
      { value: "allow", label: "change the configuration" },
      { value: "silence", label: "play silence instead" },
    ],
  },
  {
    name: "onGap",
    label: "When the source has nothing",
    kind: "choice",
    section: "output",
    hint: "What viewers get until it is back, with sound and picture in step.",
    standard: "the last picture, and silence",
    options: [
      { value: "hold", label: "the last picture, and silence" },
      { value: "skip", label: "nothing: the output waits" },
      { value: "slate", label: "the slate" },
    ],
  },
  {
    name: "slate",
    label: "Slate",
    kind: "text",
    section: "output",
    hint: "A clip on the service's machine, an MP4 file or a transport stream with the codecs of the stream.",
    placeholder: "/var/lib/overdub/slate.mp4",
    check: shortText,
  },
  {
    name: "outputAudio",
    label: "Sound codecs",
    kind: "choice",
    section: "output",
    hint: "What goes out untouched. Opus, AC-3 and E-AC-3 need Enhanced RTMP, which SRS does not take.",
    standard: "AAC and MP3",
    options: [
      { value: "basic", label: "AAC and MP3" },
      { value: "enhanced", label: "Opus, AC-3 and E-AC-3 too" },
    ],
  },
  {
    name: "publishTimeout",
    label: "Publish timeout",
    kind: "duration",
    section: "output",
    hint: "How long a server may take to answer publish. Its hooks may be slow.",
    standard: "20 s",
    check: (text) => span(text, 1, 120),
  },
  {
    name: "caFile",
    label: "Certificate authorities",
    kind: "text",
    section: "output",
    hint: "A PEM file where the service runs, trusted beside the system's: for the source, the processor and rtmps outputs.",
    placeholder: "/etc/ssl/our-ca.pem",
  },
  {
    name: "srsHttpApi",
    label: "SRS's HTTP API",
    kind: "lines",
    section: "output",
    hint: "One for all outputs, or one a line for each; none leaves one out. Its viewers are then shown.",
    placeholder: "http://127.0.0.1:1985",
    check: (text) => each(text, 8, (line) => (line.toLowerCase() === "none" ? null : address(line, ["http:", "https:"], "http:// or https:// addresses, or none"))),
  },
  {
    name: "srsHlsUrl",
    label: "SRS's HLS",
    kind: "lines",
    section: "output",
    hint: "The playlist likewise; {app} and {stream} stand for the output's names.",
    check: (text) => each(text, 8, (line) => (line.toLowerCase() === "none" ? null : address(line, ["http:", "https:"], "http:// or https:// addresses, or none"))),
  },
  {
    name: "srsKickGhost",
    label: "Publishers that are in the way at SRS",
    kind: "choice",
    section: "output",
    hint: "SRS keeps a dead connection for some seconds, and refuses the next one meanwhile.",
    standard: "cut off this output's own former one",
    options: [
      { value: "own", label: "cut off this output's own former one" },
      { value: "dead", label: "cut off any from which nothing comes" },
      { value: "off", label: "wait" },
    ],
  },
  {
    name: "artifacts",
    label: "Written to disk",
    kind: "choice",
    section: "output",
    hint: "Beside the stream, never in its way. Resuming after a restart needs the segments.",
    standard: "everything",
    options: [
      { value: "all", label: "everything" },
      { value: "segments", label: "captured segments only" },
      { value: "output", label: "what was published only" },
      { value: "none", label: "nothing" },
    ],
  },
  {
    name: "retainBatches",
    label: "Keep this many batches",
    kind: "number",
    section: "output",
    hint: "Older files are deleted.",
    standard: "any number",
    check: (text) => whole(text, 0, 1e12),
  },
  {
    name: "retainAge",
    label: "Keep files this long",
    kind: "duration",
    section: "output",
    hint: "Such as 30m or 24h.",
    standard: "24 h",
    check: (text) => (seconds(text) === null ? "Must be a duration, such as 30m or 24h." : null),
  },
  {
    name: "retainBytes",
    label: "Keep at most this size",
    kind: "text",
    section: "output",
    hint: "Bytes, or a number with a unit: 500MB, 10GB, 2GiB.",
    standard: "20 GB",
    check: (text) => (/^\d+ ?(B|[kK]B|[MGT]B|[KMGT]iB)?$/.test(text.trim()) ? null : "Must be a size in whole numbers, such as 500MB, 10GB or 2GiB."),
  },
];

/** As the service has it: a second of AAC at 48 kHz. */
const MAX_CONTEXT = 47;

/** Reads `30`, `0.5`, `100ms`, `30s`, `2m`, `1h`, `1d`. */
export function seconds(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h|d)?\s*$/.exec(text);
  if (match === null) return null;
  const scale = { ms: 0.001, s: 1, m: 60, h: 3_600, d: 86_400 }[match[2] ?? "s"] ?? 1;
  return Number(match[1]) * scale;
}

/** Without empty ones. */
export const lines = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

function address(text: string, schemes: readonly string[], wanted: string): string | null {
  if (text.length > 4_096) return "Is longer than 4096 characters.";
  if (!URL.canParse(text)) return `Must be ${wanted}.`;
  const url = new URL(text);
  if (!schemes.includes(url.protocol)) return `Must be ${wanted}.`;
  // Browsers accept `rtmp:host` without a host.
  return /^[a-z]+:\/\/[^/?#]+/i.test(text) ? null : "Has no host.";
}

function outputs(text: string): string | null {
  const all = lines(text);
  if (new Set(all).size < all.length) return "Names the same address twice.";
  return each(text, 8, (line) => {
    const wrong = address(line, ["rtmp:", "rtmps:"], "rtmp:// or rtmps:// addresses, one a line");
    if (wrong !== null) return wrong;
    const path = line.replace(/^[a-z]+:\/\/[^/]*/i, "").replace(/[?#].*$/s, "");
    // One part alone is an application without a key, as MediaMTX has it.
    return path.split("/").some(Boolean) ? null : "Must name an application and a stream: rtmp://host/app/stream.";
  });
}

function headers(text: string): string | null {
  return each(text, 32, (line) => (/^[A-Za-z0-9!#$%&'*+\-.^_`|~]+\s*:\s*\S/.test(line) ? null : "Each line must be “Name: value”."));
}

function each(text: string, most: number, check: (line: string) => string | null): string | null {
  const all = lines(text);
  if (all.length > most) return `Must have at most ${most} lines.`;
  for (const line of all) {
    const wrong = check(line);
    if (wrong !== null) return wrong;
  }
  return null;
}

function whole(text: string, least: number, most: number): string | null {
  return /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most
    ? null
    : `Must be a whole number from ${least} to ${most}.`;
}

function decimal(text: string, least: number, most: number): string | null {
  const value = Number(text);
  return Number.isFinite(value) && value >= least && value <= most ? null : `Must be a number from ${least} to ${most}.`;
}

function span(text: string, least: number, most: number): string | null {
  const value = seconds(text);
  return value !== null && value >= least && value <= most
    ? null
    : `Must be ${least} to ${most} seconds, such as 30, 500ms, 30s or 2m.`;
}

function shortText(text: string): string | null {
  return text.length <= 256 ? null : "Must have at most 256 characters.";
}
