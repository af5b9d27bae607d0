/** The live log: what is kept, what is shown, and what waits while it is paused. */

import * as format from "./format";
import type { Level, LogLine } from "./types";

/** Lines kept: what a person scrolls through, and a few megabytes. */
export const KEPT = 2_000;

export const LEVELS: readonly Level[] = ["trace", "debug", "info", "warn", "error"];

/** A line with a number of its own, for lists. */
export interface Line extends LogLine {
  key: number;
}

export interface Log {
  lines: readonly Line[];
  /** Those that came while the log was paused. */
  held: readonly Line[];
  paused: boolean;
  next: number;
  /** Lines that the service dropped because this page was too slow. */
  missed: number;
}

export interface Filter {
  level: Level;
  /** Empty: all. */
  modules: readonly string[];
  streamId: string | null;
  search: string;
}

export const EMPTY: Log = { lines: [], held: [], paused: false, next: 0, missed: 0 };

export const ALL: Filter = { level: "info", modules: [], streamId: null, search: "" };

export function append(log: Log, fresh: readonly LogLine[]): Log {
  if (fresh.length === 0) return log;
  const keyed = fresh.map((line, index) => ({ ...line, key: log.next + index }));
  const next = log.next + fresh.length;
  return log.paused
    ? { ...log, next, held: [...log.held, ...keyed].slice(-KEPT) }
    : { ...log, next, lines: [...log.lines, ...keyed].slice(-KEPT) };
}

/** What the service replays when a page connects or changes its filter: it takes the place of what was there. */
export function replay(log: Log, lines: readonly LogLine[]): Log {
  const fresh = append({ ...log, lines: [], held: [], paused: false }, lines);
  return log.paused ? { ...fresh, lines: log.lines, held: log.held, paused: true } : fresh;
}

export function pause(log: Log): Log {
  return { ...log, paused: true };
}

export function resume(log: Log): Log {
  return { ...log, paused: false, held: [], lines: [...log.lines, ...log.held].slice(-KEPT) };
}

export function clear(log: Log): Log {
  return { ...log, lines: [], held: [], missed: 0 };
}

export function missed(log: Log, count: number): Log {
  return { ...log, missed: log.missed + count };
}

export function shown(log: Log, filter: Filter): Line[] {
  return log.lines.filter((line) => matches(line, filter));
}

export function matches(line: LogLine, filter: Filter): boolean {
  if (LEVELS.indexOf(line.level) < LEVELS.indexOf(filter.level)) return false;
  if (filter.modules.length > 0 && !filter.modules.includes(line.module)) return false;
  if (filter.streamId !== null && line.streamId !== filter.streamId) return false;
  const words = filter.search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = searchable(line).toLowerCase();
  return words.every((word) => text.includes(word));
}

function searchable(line: LogLine): string {
  return `${line.level} ${line.module} ${line.streamId ?? ""} ${line.message} ${fields(line)
    .map(({ name, value }) => `${name}=${value}`)
    .join(" ")}`;
}

export function fields(line: LogLine): { name: string; value: string }[] {
  return Object.entries(line.fields ?? {}).map(([name, value]) => ({
    name,
    value: typeof value === "string" ? value : JSON.stringify(value),
  }));
}

/** A line as text, as it is saved to a file. */
export function text(line: LogLine): string {
  const tail = fields(line).map(({ name, value }) => ` ${name}=${value}`);
  const stream = line.streamId === null || line.streamId === undefined ? "" : ` [${line.streamId}]`;
  return `${line.timestamp} ${line.level.toUpperCase().padEnd(5)} ${line.module}${stream} ${line.message}${tail.join("")}`;
}

/** The wall clock of a line; the text itself where it is no date. */
export function time(line: LogLine, zone: number): string {
  const at = Date.parse(line.timestamp);
  return Number.isNaN(at) ? line.timestamp : format.clockMs(at, zone);
}

/** Reads what came over the wire; what is no line is `null`. */
export function parse(value: unknown): LogLine | null {
  if (typeof value !== "object" || value === null) return null;
  const { timestamp, level, module, streamId, message, fields: extra } = value as Record<string, unknown>;
  if (typeof timestamp !== "string" || typeof message !== "string") return null;
  const known = typeof level === "string" ? LEVELS.find((name) => name === level.toLowerCase()) : undefined;
  return {
    timestamp,
    level: known ?? "info",
    module: typeof module === "string" ? module : "",
    streamId: typeof streamId === "string" ? streamId : null,
    message,
    fields: typeof extra === "object" && extra !== null ? (extra as Record<string, unknown>) : null,
  };
}
