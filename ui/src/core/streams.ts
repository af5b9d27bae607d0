/** All streams as the page knows them. */

import { announcement, state } from "./health";
import { type History, empty, record, serverNow } from "./history";
import type { StreamStatus } from "./types";

export interface Stream {
  status: StreamStatus;
  history: History;
  /** The service's clock less the browser's, in milliseconds. */
  skew: number;
}

/** By id, in the order of the ids. */
export type Streams = ReadonlyMap<string, Stream>;

export type Event =
  | { kind: "listed"; statuses: StreamStatus[]; at: number }
  | { kind: "status"; status: StreamStatus; at: number }
  | { kind: "removed"; streamId: string };

export interface Change {
  streams: Streams;
  /** What a screen reader is to be told. */
  said: string[];
}

/** `at` is the browser's clock when the event came. */
export function reduce(streams: Streams, event: Event): Change {
  switch (event.kind) {
    case "listed": {
      // The list is whole: what it does not name is gone.
      const said: string[] = [];
      const next = event.statuses.map((status): [string, Stream] => {
        const before = streams.get(status.streamId);
        say(said, before, status);
        return [status.streamId, advance(before, status, event.at)];
      });
      return { streams: sorted(next), said };
    }
    case "status": {
      const { status } = event;
      const before = streams.get(status.streamId);
      const said: string[] = [];
      say(said, before, status);
      const after = advance(before, status, event.at);
      if (before === undefined) return { streams: sorted([...streams, [status.streamId, after]]), said };
      return { streams: new Map(streams).set(status.streamId, after), said };
    }
    case "removed": {
      if (!streams.has(event.streamId)) return { streams, said: [] };
      const next = new Map(streams);
      next.delete(event.streamId);
      return { streams: next, said: [`${event.streamId} was removed`] };
    }
  }
}

function say(said: string[], before: Stream | undefined, status: StreamStatus): void {
  const text = announcement(before?.status, status);
  if (text !== null) said.push(text);
}

function advance(before: Stream | undefined, status: StreamStatus, at: number): Stream {
  const now = serverNow(status, at + (before?.skew ?? 0));
  return {
    status,
    history: record(anew(before, status) ? empty() : (before?.history ?? empty()), status, now),
    skew: now - at,
  };
}

/** The stream of this name was started once more: its old numbers are another stream's. */
function anew(before: Stream | undefined, status: StreamStatus): boolean {
  const [then, now] = [before?.status.startTime ?? null, status.startTime];
  return then !== null && now !== null && then !== now;
}

function sorted(entries: [string, Stream][]): Streams {
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

/** How the whole stands, in one sentence: `3 running, 1 needs attention, 1 stopped`. */
export function overview(statuses: readonly StreamStatus[]): string {
  if (statuses.length === 0) return "No stream yet";
  const [running, stopped] = [statuses.filter((status) => status.isRunning), statuses.filter((status) => !status.isRunning)];
  const trouble = statuses.filter((status) => ["warn", "bad"].includes(state(status).tone)).length;
  const parts = [running.length === 0 ? "Nothing is running" : `${running.length} running`];
  if (trouble > 0) parts.push(`${trouble} ${trouble === 1 ? "needs" : "need"} attention`);
  if (stopped.length > 0) parts.push(`${stopped.length} stopped`);
  return parts.join(", ");
}
