/** What the charts draw, as plain columns, with the words and the table that say the same. */

import * as format from "./format";
import { type History, summary, thinned } from "./history";
import { fate } from "./timeline";

export type Look = "line" | "area" | "dots" | "crosses" | "limit" | "bars";

export interface Series {
  label: string;
  look: Look;
  colour: keyof typeof COLOURS;
  values: (number | null)[];
}

/** What the style sheet calls the colours of curves and marks. */
export const COLOURS = {
  ink: "ink",
  good: "good-fill",
  warn: "warn-fill",
  bad: "bad",
  busy: "busy-fill",
} as const;

export interface Chart {
  key: string;
  title: string;
  /** Epoch seconds, ascending: what uPlot takes. */
  at: number[];
  series: Series[];
  /** Between these all is well. */
  band: [number, number] | null;
  /** The axis holds at least these. */
  range: [number | null, number | null];
  /** How far apart the labels of the axis may be, ascending. */
  steps: number[];
  format: (value: number) => string;
  /** The newest value, large. */
  current: string;
  /** The rest in words. */
  summary: string;
}

export interface Table {
  columns: string[];
  rows: string[][];
}

/** A deviation of one frame of AAC at 48 kHz: what the output may differ from the source at most. */
const FRAME_MS = 21.3;

/** 1, 2, 2.5 and 5 times powers of ten. */
const DECIMAL = [-2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap((power) => [1, 2, 2.5, 5].map((digit) => digit * 10 ** power));
/** Seconds, minutes and hours. */
const TIMES = [0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400];

export function charts(history: History, since: number): Chart[] {
  const from = history.at.findIndex((at) => at >= since);
  const cut = <T>(column: T[]): T[] => (from < 0 ? [] : column.slice(from));
  const at = cut(history.at).map((ms) => ms / 1_000);
  const batches = [...history.batches.values()]
    .filter((batch) => (batch.answeredAt ?? batch.deadlineAt ?? batch.capturedAt ?? 0) >= since)
    .sort((a, b) => a.number - b.number);
  const lag = cut(history.lag);
  const rate = cut(history.bitrate);
  const av = cut(history.avOffset);
  // Batches may be answered out of order; time on the axis may not.
  const judged = batches
    .map((batch) => ({ batch, at: (batch.answeredAt ?? batch.deadlineAt ?? batch.capturedAt ?? 0) / 1_000 }))
    .filter(({ batch }) => fate(batch) === "processed" || fate(batch) === "fallback")
    .sort((a, b) => a.at - b.at);
  const latency = judged.map(({ batch }) => (fate(batch) === "processed" ? batch.latencyMs : null));
  const limit = judged.map(({ batch }) =>
    // A batch that was never sent had its whole life before the deadline.
    typeof batch.deadlineAt === "number" ? batch.deadlineAt - (batch.sentAt ?? batch.capturedAt ?? batch.deadlineAt) : null,
  );
  const missed = judged.map(({ batch }, index) =>
    fate(batch) === "fallback" ? (batch.latencyMs ?? limit[index] ?? 0) : null,
  );
  const fitted = judged.filter(({ batch }) => batch.fit !== null && batch.fit !== undefined);
  const padded = fitted.map(({ batch }) => batch.fit?.padded ?? null);
  const trimmed = fitted.map(({ batch }) => (batch.fit === null || batch.fit === undefined ? null : -batch.fit.trimmed));
  return [
    {
      key: "lag",
      title: "Behind the source",
      at,
      series: [{ label: "lag", look: "line", colour: "ink", values: lag }],
      band: null,
      range: [0, null],
      steps: TIMES,
      format: (value) => format.duration(value),
      ...words(lag, (value) => format.duration(value)),
    },
    {
      key: "latency",
      title: "Processor latency",
      at: judged.map((point) => point.at),
      series: [
        { label: "deadline", look: "limit", colour: "bad", values: limit },
        { label: "answered", look: "dots", colour: "good", values: latency },
        { label: "fallback", look: "crosses", colour: "warn", values: missed },
      ],
      band: null,
      range: [0, null],
      steps: TIMES.map((seconds) => seconds * 1_000),
      format: (value) => format.milliseconds(value),
      ...words(latency, (value) => format.milliseconds(value), missedWords(missed)),
    },
    {
      key: "bitrate",
      title: "Bit rate out",
      at,
      series: [{ label: "bit rate", look: "area", colour: "busy", values: rate }],
      band: null,
      range: [0, null],
      steps: DECIMAL,
      format: (value) => format.bitrate(value),
      ...words(rate, (value) => format.bitrate(value)),
    },
    {
      key: "av",
      title: "A/V offset",
      at,
      series: [{ label: "sound against picture", look: "line", colour: "ink", values: av }],
      band: [-FRAME_MS, FRAME_MS],
      range: [-30, 30],
      steps: DECIMAL,
      format: (value) => format.offset(value),
      ...words(av, (value) => format.offset(value)),
    },
    {
      key: "fit",
      title: "Fit of the answers",
      at: fitted.map((point) => point.at),
      series: [
        { label: "padded", look: "bars", colour: "busy", values: padded },
        { label: "trimmed", look: "bars", colour: "warn", values: trimmed },
      ],
      band: null,
      range: [-2, 2],
      steps: DECIMAL.filter((step) => Number.isInteger(step)),
      format: (value) => format.plural(Math.abs(value), "frame"),
      ...fitWords(padded, trimmed),
    },
  ];
}

function words(
  column: readonly (number | null)[],
  say: (value: number) => string,
  more = "",
): { current: string; summary: string } {
  const known = summary(column);
  if (known === null) return { current: format.UNKNOWN, summary: more === "" ? "no values yet" : more };
  const [least, most] = [say(known.least), say(known.most)];
  const range = least === most ? `${least} throughout` : `${least} to ${most}, mean ${say(known.mean)}`;
  return { current: say(known.now), summary: more === "" ? range : `${range}; ${more}` };
}

function missedWords(missed: readonly (number | null)[]): string {
  const count = missed.filter((value) => value !== null).length;
  return count === 0 ? "" : format.plural(count, "fallback");
}

function fitWords(padded: (number | null)[], trimmed: (number | null)[]): { current: string; summary: string } {
  const sum = (column: (number | null)[]): number => column.reduce<number>((total, value) => total + Math.abs(value ?? 0), 0);
  if (padded.length === 0) return { current: format.UNKNOWN, summary: "no answers yet" };
  const last = Math.abs(padded.at(-1) ?? 0) + Math.abs(trimmed.at(-1) ?? 0);
  return {
    current: last === 0 ? "exact" : format.plural(last, "frame"),
    summary: `${format.plural(sum(padded), "frame")} padded, ${format.count(sum(trimmed))} trimmed, in ${format.plural(
      padded.length,
      "answer",
    )}`,
  };
}

/** The chart as a table of at most `most` rows, the newest first. */
export function table(chart: Chart, zone: number, most: number): Table {
  const indices = thinned(
    chart.at.map((_, index) => index),
    most,
  ).reverse();
  return {
    columns: ["time", ...chart.series.map((series) => series.label)],
    rows: indices.map((index) => [
      format.clock((chart.at[index] ?? 0) * 1_000, zone),
      ...chart.series.map((series) => {
        const value = series.values[index];
        return value === null || value === undefined ? format.UNKNOWN : chart.format(value);
      }),
    ]),
  };
}
