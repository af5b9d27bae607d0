/**
 * The batch timeline: where on a time axis each batch was captured, sent, answered and played.
 *
 * Pure geometry in fractions of the width, 0 the left edge of the plot and 1 its right one, so that a drawing of
 * any size follows from it.
 */

import * as format from "./format";
import type { BatchStatus } from "./types";

/** A stretch of a batch's life. */
export type Part = "capture" | "queue" | "work" | "wait" | "play";

/** Which sound a batch goes out with: decides colour, pattern and label. */
export type Fate = "processed" | "fallback" | "open" | "dropped";

export interface Bar {
  part: Part;
  from: number;
  to: number;
}

export interface Row {
  batch: BatchStatus;
  fate: Fate;
  /** What the row says in words beside its number. */
  note: string;
  bars: Bar[];
  /** Instants, where they lie in the plot. */
  deadline: number | null;
  answered: number | null;
  published: number | null;
}

export interface Tick {
  at: number;
  label: string;
}

export interface Timeline {
  /** Newest first. */
  rows: Row[];
  ticks: Tick[];
  now: number;
  /** Epoch milliseconds at the edges. */
  from: number;
  to: number;
}

export interface View {
  /** The service's clock. */
  now: number;
  rows: number;
  /** Minutes east of Greenwich. */
  zone: number;
  /** How many labels fit on the axis. */
  ticks: number;
}

export function layout(batches: readonly BatchStatus[], view: View): Timeline {
  const shown = [...batches].sort((a, b) => a.number - b.number).slice(-view.rows);
  const spans = shown.map((batch) => stretches(batch, view.now));
  const instants = spans.flat().flatMap((span) => [span.from, span.to]);
  const deadlines = shown.map((batch) => batch.deadlineAt ?? null).filter((at) => at !== null);
  // A margin on the right keeps "now" off the edge while nothing lies in the future yet.
  const first = instants.reduce((least, at) => Math.min(least, at), view.now - 10_000);
  const last = [...instants, ...deadlines].reduce((most, at) => Math.max(most, at), view.now);
  const from = first;
  const to = last + Math.max(1_000, (last - first) * 0.02);
  const place = (at: number): number => Math.min(1, Math.max(0, (at - from) / (to - from)));
  const inside = (at: number | null | undefined): number | null =>
    at === null || at === undefined || at < from || at > to ? null : place(at);
  const rows = shown.map((batch, index): Row => {
    const bars = (spans[index] ?? []).map((span) => ({ part: span.part, from: place(span.from), to: place(span.to) }));
    return {
      batch,
      fate: fate(batch),
      note: note(batch),
      bars,
      deadline: inside(batch.deadlineAt),
      answered: inside(batch.answeredAt),
      published: inside(batch.publishedAt),
    };
  });
  return {
    rows: rows.reverse(),
    ticks: axis(from, to, view.zone, view.ticks).map((tick) => ({ ...tick, at: place(tick.at) })),
    now: place(view.now),
    from,
    to,
  };
}

export function fate(batch: BatchStatus): Fate {
  if (batch.state === "dropped") return "dropped";
  return batch.outcome ?? "open";
}

interface Span {
  part: Part;
  from: number;
  to: number;
}

/** The life of a batch as stretches of time; empty ones are left out. */
function stretches(batch: BatchStatus, now: number): Span[] {
  const captured = batch.capturedAt ?? null;
  if (captured === null) return [];
  const spans: Span[] = [{ part: "capture", from: captured - batch.durationMs, to: captured }];
  const plays = batch.playsAt ?? batch.publishedAt ?? null;
  const deadline = batch.deadlineAt ?? null;
  const sent = batch.sentAt ?? null;
  const answered = batch.answeredAt ?? null;
  // What is not decided grows with the clock, and never past its deadline.
  const decided = answered ?? (batch.outcome === null ? null : Math.min(deadline ?? now, now));
  const open = Math.min(now, deadline ?? plays ?? now);
  if (sent === null) {
    spans.push({ part: "queue", from: captured, to: decided ?? open });
  } else {
    spans.push({ part: "queue", from: captured, to: sent });
    spans.push({ part: "work", from: sent, to: decided ?? Math.max(sent, open) });
  }
  if (plays !== null) {
    if (decided !== null) spans.push({ part: "wait", from: decided, to: plays });
    spans.push({ part: "play", from: plays, to: plays + batch.durationMs });
  }
  return spans.filter((span) => span.to > span.from);
}

function note(batch: BatchStatus): string {
  const because = reason(batch);
  switch (fate(batch)) {
    case "processed":
      return `answered in ${format.milliseconds(batch.latencyMs)}`;
    case "fallback":
      return `fallback${because === null ? "" : `: ${because}`}`;
    case "dropped":
      return `dropped${because === null ? "" : `: ${because}`}`;
    case "open":
      if (batch.state !== "processing") return "captured";
      return batch.sentAt === null || batch.sentAt === undefined ? "waits for the processor" : "at the processor";
  }
}

/** Round instants by the wall clock, at most `most` of them, as far apart as they must be. */
export function axis(from: number, to: number, zone: number, most: number): Tick[] {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600].map((seconds) => seconds * 1_000);
  const step = steps.find((size) => (to - from) / size <= Math.max(1, most)) ?? 7_200_000;
  const ticks: Tick[] = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const label = format.clock(at, zone);
    ticks.push({ at, label: step >= 60_000 ? label.slice(0, 5) : label });
  }
  return ticks;
}

/** One batch in whole sentences: for the reader of a row and for a screen reader. */
export function describe(batch: BatchStatus, zone: number): { name: string; value: string }[] {
  const at = (instant: number | null | undefined): string => format.clockMs(instant, zone);
  const after = (instant: number | null | undefined, since: number | null | undefined): string =>
    instant === null || instant === undefined || since === null || since === undefined
      ? ""
      : ` (${format.duration((instant - since) / 1_000)} later)`;
  const lines = [
    { name: "plays", value: format.duration(batch.durationMs / 1_000) },
    { name: "captured", value: at(batch.capturedAt) },
    { name: "sent", value: at(batch.sentAt) + after(batch.sentAt, batch.capturedAt) },
    { name: "answered", value: at(batch.answeredAt) + after(batch.answeredAt, batch.sentAt) },
    { name: "deadline", value: at(batch.deadlineAt) },
    { name: "on air", value: at(batch.playsAt ?? batch.publishedAt) },
    { name: "sound", value: outcome(batch) },
  ];
  const { fit } = batch;
  if (fit !== null && fit !== undefined) {
    lines.push({
      name: "fit",
      value: `${format.plural(fit.priming, "frame")} of priming removed, ${format.count(fit.trimmed)} trimmed, ${format.count(
        fit.padded,
      )} padded, ${format.offset(fit.errorMs)} left`,
    });
  }
  return lines;
}

/** With which sound a batch goes out, and why where it is not the processor's. */
export function outcome(batch: BatchStatus): string {
  const because = batch.reason === null ? "" : `: ${batch.reason}`;
  switch (fate(batch)) {
    case "processed":
      return "processed";
    case "fallback":
      return `${sound(batch.sound)}${because}`;
    case "dropped":
      return `dropped${because}`;
    case "open":
      return "not decided yet";
  }
}

/** What viewers hear in place of the processor's sound. */
export function sound(name: string | null | undefined): string {
  switch (name) {
    case "original":
      return "original sound";
    case "silence":
      return "silence";
    case "none":
      return "no sound";
    default:
      return "fallback";
  }
}

/** Why a batch has no processed sound, in two or three words for a row or a list. */
export function reason(batch: BatchStatus): string | null {
  const { failure } = batch;
  return failure === null || failure === undefined ? batch.reason : (SHORT[failure] ?? batch.reason ?? failure);
}

const SHORT: Record<string, string> = {
  noAnswer: "no answer in time",
  notSent: "never sent",
  disconnected: "disconnected",
  processorError: "processor error",
  tooLarge: "too large",
  breakerOpen: "given up",
  badAnswer: "unusable answer",
  stopped: "stopped",
};
