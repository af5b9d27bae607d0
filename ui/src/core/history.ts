/** What a stream's numbers were: one sample a second at most, so that charts have something to draw. */

import type { BatchStatus, StreamStatus } from "./types";

/** A quarter of an hour: long enough to see a trend, and a few hundred kilobytes with a hundred streams. */
export const KEPT_SECONDS = 900;

/** Columns of equal length; `null` where nothing was known. */
export interface History {
  /** Epoch milliseconds by the service's clock. */
  at: number[];
  lag: (number | null)[];
  bitrate: (number | null)[];
  avOffset: (number | null)[];
  /** By number, so that batches which the status has forgotten are still drawn. */
  batches: Map<number, BatchStatus>;
}

export const empty = (): History => ({ at: [], lag: [], bitrate: [], avOffset: [], batches: new Map() });

/** The service's clock as a status tells it, or `fallback` where it does not. */
export function serverNow(status: StreamStatus, fallback: number): number {
  if (!status.isRunning || status.startTime === null) return fallback;
  const start = Date.parse(status.startTime);
  return Number.isNaN(start) ? fallback : start + status.uptime * 1_000;
}

/** Adds what `status` says at `now`. A stream that began anew begins its history anew. */
export function record(history: History, status: StreamStatus, now: number): History {
  const last = history.at.at(-1);
  if (last !== undefined && now < last - 1_000) return record(empty(), status, now);
  const batches = new Map(history.batches);
  for (const batch of status.batches) batches.set(batch.number, batch);
  for (const number of [...batches.keys()].sort((a, b) => a - b).slice(0, Math.max(0, batches.size - KEPT_BATCHES))) {
    batches.delete(number);
  }
  // Two statuses of the same second are one sample.
  if (last !== undefined && now - last < 500) return { ...history, batches };
  const from = history.at.findIndex((at) => at > now - KEPT_SECONDS * 1_000);
  const keep = <T>(column: T[], value: T): T[] => [...(from < 0 ? [] : column.slice(from)), value];
  const running = status.isRunning;
  return {
    at: keep(history.at, now),
    lag: keep(history.lag, running ? status.stats.lagSeconds : null),
    bitrate: keep(history.bitrate, running ? status.stats.bitrate : null),
    avOffset: keep(history.avOffset, running ? (status.stats.avOffsetMs ?? null) : null),
    batches,
  };
}

/** A quarter of an hour of 4 s batches, the shortest that make sense. */
const KEPT_BATCHES = 240;

/** Smallest, mean, largest and newest of a column. */
export interface Summary {
  least: number;
  mean: number;
  most: number;
  now: number;
}

export function summary(column: readonly (number | null)[]): Summary | null {
  const known = column.filter((value): value is number => value !== null);
  const now = known.at(-1);
  if (now === undefined) return null;
  let least = Infinity;
  let most = -Infinity;
  let sum = 0;
  for (const value of known) {
    least = Math.min(least, value);
    most = Math.max(most, value);
    sum += value;
  }
  return { least, mean: sum / known.length, most, now };
}

/** At most `rows` samples evenly spread over the history, the newest last: what a table shows. */
export function thinned<T>(column: readonly T[], rows: number): T[] {
  if (column.length <= rows) return [...column];
  const step = (column.length - 1) / (rows - 1);
  return Array.from({ length: rows }, (_, row) => column[Math.round(row * step)] as T);
}
