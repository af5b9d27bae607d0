/** Numbers as a person reads them. Unknown is an en dash everywhere. */

export const UNKNOWN = "–";

const missing = (value: number | null | undefined): value is null | undefined =>
  value === null || value === undefined || !Number.isFinite(value);

/** `0.13 s`, `4.2 s`, `47 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(seconds: number | null | undefined): string {
  if (missing(seconds)) return UNKNOWN;
  const sign = seconds < 0 ? "−" : "";
  const s = Math.abs(seconds);
  if (s < 0.995) return `${sign}${s.toFixed(2)} s`;
  if (s < 9.95) return `${sign}${s.toFixed(1)} s`;
  const whole = Math.round(s);
  if (whole < 60) return `${sign}${whole} s`;
  const [days, hours, minutes, rest] = split(whole);
  if (days > 0) return `${sign}${pair(days, "d", hours, "h")}`;
  if (hours > 0) return `${sign}${pair(hours, "h", minutes, "min")}`;
  return `${sign}${pair(minutes, "min", rest, "s")}`;
}

function split(whole: number): [number, number, number, number] {
  return [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3_600) % 24,
    Math.floor(whole / 60) % 60,
    whole % 60,
  ];
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** `128 ms`, from a second on as a duration. */
export function milliseconds(ms: number | null | undefined): string {
  if (missing(ms)) return UNKNOWN;
  return Math.abs(ms) < 1_000 ? `${minus(rounded(ms))} ms` : duration(ms / 1_000);
}

/** `+0.7 ms`: an offset, whose sign matters. */
export function offset(ms: number | null | undefined): string {
  if (missing(ms)) return UNKNOWN;
  const text = Math.abs(ms) < 100 ? Math.abs(ms).toFixed(1) : Math.abs(ms).toFixed(0);
  if (Number(text) === 0) return "0.0 ms";
  return `${ms < 0 ? "−" : "+"}${text} ms`;
}

/** Bits per second: `3.1 Mbit/s`. */
export function bitrate(bits: number | null | undefined): string {
  if (missing(bits)) return UNKNOWN;
  if (bits < 1_000) return `${Math.round(bits)} bit/s`;
  if (bits < 999_500) return `${Math.round(bits / 1_000)} kbit/s`;
  return `${(bits / 1e6).toFixed(bits < 99.5e6 ? 1 : 0)} Mbit/s`;
}

/** Decimal units, as disks are sold and df -H counts: `1.4 GB`. */
export function bytes(count: number | null | undefined): string {
  if (missing(count)) return UNKNOWN;
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = Math.abs(count);
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  const text = unit === 0 || value >= 99.5 ? String(Math.round(value)) : value.toFixed(1);
  return `${count < 0 ? "−" : ""}${text} ${units[unit] ?? ""}`;
}

/** `12,345`. */
export function count(value: number | null | undefined): string {
  if (missing(value)) return UNKNOWN;
  return minus(Math.round(value).toString().replace(/\B(?=(\d{3})+(?!\d))/g, ","));
}

/** `1 batch`, `2 batches`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** The wall clock's time of an instant, to the second: `14:03:09`. `zoneMinutes` is east of Greenwich. */
export function clock(epochMs: number | null | undefined, zoneMinutes: number): string {
  if (missing(epochMs)) return UNKNOWN;
  return shifted(epochMs, zoneMinutes).slice(11, 19);
}

/** With milliseconds, as log lines need it: `14:03:09.128`. */
export function clockMs(epochMs: number | null | undefined, zoneMinutes: number): string {
  if (missing(epochMs)) return UNKNOWN;
  return shifted(epochMs, zoneMinutes).slice(11, 23);
}

/** `2026-11-25 14:03:09`. */
export function dateTime(epochMs: number | null | undefined, zoneMinutes: number): string {
  if (missing(epochMs)) return UNKNOWN;
  return shifted(epochMs, zoneMinutes).slice(0, 19).replace("T", " ");
}

function shifted(epochMs: number, zoneMinutes: number): string {
  // The largest instant that a date can be is 8.64e15 ms from the epoch.
  const limit = 8.64e15 - 86_400_000;
  const safe = Math.min(Math.max(epochMs, -limit), limit);
  return new Date(safe + zoneMinutes * 60_000).toISOString().padStart(24, "0");
}

/** The host of an address, with its port; the text itself where it is no address. */
export function host(url: string): string {
  const match = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/@?#]*@)?([^/?#]+)/i.exec(url);
  return match?.[1] ?? url;
}

/** `1280×720`. */
export function size(width: number | null | undefined, height: number | null | undefined): string {
  return missing(width) || missing(height) ? UNKNOWN : `${width}×${height}`;
}

/** The name of a codec string (RFC 6381) that people use: `avc1.64001f` is `H.264`. */
export function codec(text: string | null | undefined): string {
  if (text === null || text === undefined || text === "") return UNKNOWN;
  const kind = text.toLowerCase().split(".")[0] ?? "";
  return CODECS[kind] ?? text;
}

const CODECS: Record<string, string> = {
  avc1: "H.264",
  avc3: "H.264",
  h264: "H.264",
  hvc1: "HEVC",
  hev1: "HEVC",
  hevc: "HEVC",
  mp4a: "AAC",
  aac: "AAC",
  "ac-3": "AC-3",
  "ec-3": "E-AC-3",
  opus: "Opus",
};

function rounded(ms: number): string {
  return Math.abs(ms) < 9.95 ? ms.toFixed(1) : ms.toFixed(0);
}

function minus(text: string): string {
  return text.replace("-", "−");
}
