/** uPlot, set up for one of our charts. Loaded only where a chart is shown. */

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { clock } from "../core/format";
import { COLOURS, type Chart, type Series } from "../core/charts";

export interface Plot {
  update(chart: Chart, from: number, to: number): void;
  resize(width: number): void;
  destroy(): void;
}

export interface Setting {
  width: number;
  height: number;
  zone: number;
  /** Called with what is under the pointer, or with null. */
  onPoint: (text: string | null) => void;
}

type Colours = Record<Series["colour"] | "band" | "grid" | "label", string>;

export function plot(element: HTMLElement, first: Chart, from: number, to: number, setting: Setting): Plot {
  let chart = first;
  let [least, most] = [from, to];
  let colours = read(element);
  const drawn = new uPlot(
    {
      width: setting.width,
      height: setting.height,
      legend: { show: false },
      padding: [6, 4, 0, 0],
      cursor: {
        // Charts may begin at different times: what is under the pointer is the same instant in all.
        sync: { key: "overdub", scales: ["x", null] },
        drag: { x: false, y: false, setScale: false },
        points: { size: 6 },
        y: false,
      },
      scales: {
        x: { time: true, range: () => [least, most] },
        y: { range: (_, low, high) => range(chart, low, high) },
      },
      axes: [
        axis(() => colours, {
          size: 22,
          space: 56,
          incrs: [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800],
          values: (self, values) => {
            const letters = most - least > 240 ? 5 : 8;
            return values.map((value) => (fits(self, value, letters) ? clock(value * 1_000, setting.zone).slice(0, letters) : null));
          },
        }),
        axis(() => colours, { size: room, space: 28, incrs: chart.steps, values: (_, values) => values.map((value) => short(chart, value)) }),
      ],
      series: [{}, ...chart.series.map((series) => look(series, () => colours))],
      hooks: {
        drawClear: [
          (self) => {
            if (chart.band !== null) band(self, chart.band, colours.band);
          },
        ],
        setCursor: [
          (self) => {
            const { idx } = self.cursor;
            setting.onPoint(idx === null || idx === undefined ? null : under(chart, idx, setting.zone));
          },
        ],
      },
    },
    columns(chart),
    element,
  );
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const repaint = (): void => {
    colours = read(element);
    drawn.redraw(false, true);
  };
  scheme.addEventListener("change", repaint);
  const chosen = new MutationObserver(repaint);
  chosen.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return {
    update(next, nextFrom, nextTo) {
      chart = next;
      [least, most] = [nextFrom, nextTo];
      drawn.setData(columns(next));
    },
    resize(width) {
      drawn.setSize({ width, height: setting.height });
    },
    destroy() {
      scheme.removeEventListener("change", repaint);
      chosen.disconnect();
      drawn.destroy();
    },
  };
}

function columns(chart: Chart): uPlot.AlignedData {
  return [chart.at, ...chart.series.map((series) => series.values)];
}

function range(chart: Chart, low: number | null, high: number | null): [number, number] {
  const [least, most] = chart.range;
  const bottom = Math.min(low ?? 0, least ?? Infinity);
  const top = Math.max(high ?? 1, most ?? -Infinity, bottom + 1e-3);
  const margin = (top - bottom) * 0.12;
  return [least === 0 && bottom >= 0 ? 0 : bottom - margin, top + margin];
}

/** A curve needs two samples; a single one is a point. */
const ALONE: uPlot.Series.Points = { show: (self, index) => (self.data[index] ?? []).filter((value) => value !== null && value !== undefined).length === 1, size: 4 };

function look(series: Series, colours: () => Colours): uPlot.Series {
  const stroke = (): string => colours()[series.colour];
  switch (series.look) {
    case "line":
      return { label: series.label, stroke, width: 1.5, points: ALONE };
    case "area":
      return { label: series.label, stroke, width: 1.5, fill: () => `color-mix(in srgb, ${stroke()} 20%, transparent)`, points: ALONE };
    case "limit":
      return { label: series.label, stroke, width: 1, dash: [5, 4], points: { show: false }, spanGaps: true };
    case "dots":
      return { label: series.label, stroke, width: 0, paths: () => null, points: { show: true, size: 6, fill: stroke } };
    case "crosses":
      return { label: series.label, stroke, width: 2, paths: crosses, points: { show: false } };
    case "bars": {
      const bars = uPlot.paths.bars?.({ size: [0.6, 10] });
      return { label: series.label, stroke, fill: stroke, width: 0, points: { show: false }, ...(bars === undefined ? {} : { paths: bars }) };
    }
  }
}

/** A fallback is a cross, so that it differs from an answer without its colour. */
function crosses(self: uPlot, seriesIndex: number): uPlot.Series.Paths {
  const stroke = new Path2D();
  const size = 4 * devicePixelRatio;
  const [at, values] = [self.data[0], self.data[seriesIndex] ?? []];
  at.forEach((time, index) => {
    const value = values[index];
    if (value === null || value === undefined) return;
    const x = self.valToPos(time, "x", true);
    const y = self.valToPos(value, "y", true);
    stroke.moveTo(x - size, y - size);
    stroke.lineTo(x + size, y + size);
    stroke.moveTo(x - size, y + size);
    stroke.lineTo(x + size, y - size);
  });
  return { stroke };
}

function band(self: uPlot, [low, high]: [number, number], colour: string): void {
  const { ctx, bbox } = self;
  const top = Math.max(bbox.top, self.valToPos(high, "y", true));
  const bottom = Math.min(bbox.top + bbox.height, self.valToPos(low, "y", true));
  ctx.save();
  ctx.fillStyle = colour;
  ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
  ctx.restore();
}

function axis(colours: () => Colours, more: uPlot.Axis): uPlot.Axis {
  return {
    stroke: () => colours().label,
    grid: { stroke: () => colours().grid, width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
    gap: 4,
    ...more,
  };
}

/** A label in the middle below its instant would not be cut off at the chart's right edge. */
function fits(self: uPlot, at: number, letters: number): boolean {
  return self.width - (self.bbox.left / devicePixelRatio + self.valToPos(at, "x")) >= (letters * LETTER) / 2;
}

/** As wide as the longest label, and of one width in most charts, so that their times are one below the other. */
function room(_: uPlot, labels: string[] | null): number {
  const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
  return Math.max(58, 10 + longest * LETTER);
}

/** How wide a character of a label is, in pixels. */
const LETTER = 6.2;

/** Axis labels have less room than a sentence, and an axis without values has nothing to say. */
function short(chart: Chart, value: number): string {
  if (chart.at.length === 0 || chart.series.every((series) => series.values.every((it) => it === null || it === 0))) return "";
  return value === 0 && chart.key !== "av" ? "0" : chart.format(value);
}

function under(chart: Chart, index: number, zone: number): string | null {
  const at = chart.at[index];
  if (at === undefined) return null;
  const values = chart.series
    .map((series) => ({ label: series.label, value: series.values[index] }))
    .filter((entry): entry is { label: string; value: number } => entry.value !== null && entry.value !== undefined)
    .map(({ label, value }) => (chart.series.length > 1 ? `${label} ${chart.format(value)}` : chart.format(value)));
  return values.length === 0 ? null : `${values.join(", ")} at ${clock(at * 1_000, zone)}`;
}

/** Canvas needs plain colours; the browser works them out on an element of the page. */
function read(element: HTMLElement): Colours {
  const probe = document.createElement("span");
  probe.hidden = true;
  element.append(probe);
  const colour = (name: string): string => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const colours = {
    ink: colour(COLOURS.ink),
    good: colour(COLOURS.good),
    warn: colour(COLOURS.warn),
    bad: colour(COLOURS.bad),
    busy: colour(COLOURS.busy),
    band: colour("good-wash"),
    grid: colour("line"),
    label: colour("ink-3"),
  };
  probe.remove();
  return colours;
}
