/** The storage as the service counts it, by stream. */

import type { StorageStats } from "./types";

export interface Share {
  streamId: string;
  segments: number;
  fragments: number;
  total: number;
  /** The numbers of the batches on disk, where the service tells them. */
  oldest: number | null;
  newest: number | null;
}

/** Reads `breakdown`, a list or a map by stream; what is not understood is left out. Largest first. */
export function shares(stats: StorageStats): Share[] {
  const { breakdown } = stats;
  const entries: [string, unknown][] = Array.isArray(breakdown)
    ? breakdown.map((entry): [string, unknown] => [text((entry as Record<string, unknown> | null)?.["streamId"]), entry])
    : typeof breakdown === "object" && breakdown !== null
      ? Object.entries(breakdown)
      : [];
  return entries
    .filter(([id, entry]) => id !== "" && typeof entry === "object" && entry !== null)
    .map(([streamId, entry]) => share(streamId, entry as Record<string, unknown>))
    .sort((a, b) => b.total - a.total || (a.streamId < b.streamId ? -1 : 1));
}

function share(streamId: string, entry: Record<string, unknown>): Share {
  const segments = number(entry["originalStreamSize"]) ?? 0;
  const fragments = number(entry["processedFragmentsSize"]) ?? 0;
  return {
    streamId,
    segments,
    fragments,
    total: number(entry["totalSize"]) ?? segments + fragments,
    oldest: batch(entry["oldestBatch"]),
    newest: batch(entry["newestBatch"]),
  };
}

/** A number, or an object that has one. */
function batch(value: unknown): number | null {
  if (typeof value === "object" && value !== null) {
    const named = value as Record<string, unknown>;
    return number(named["batchNumber"]) ?? number(named["number"]);
  }
  return number(value);
}

const number = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);
const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** The share of the disk that Overdub's files take of what could be theirs, 0 to 1. */
export function used(stats: StorageStats): number | null {
  const { totalSize, availableSpace } = stats;
  if (availableSpace === null || totalSize + availableSpace <= 0) return null;
  return totalSize / (totalSize + availableSpace);
}

/** How many batches are kept, as typed: empty means none. */
export function keepLast(typed: string): { value: number } | { wrong: string } {
  const trimmed = typed.trim();
  if (trimmed === "") return { value: 0 };
  return /^\d{1,9}$/.test(trimmed) ? { value: Number(trimmed) } : { wrong: "Must be a whole number from 0." };
}
