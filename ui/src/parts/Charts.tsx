import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { COLOURS, type Chart, type Look, charts, table } from "../core/charts";
import type { Stream } from "../core/streams";
import type { Plot } from "../shell/plot";
import { zone } from "../shell/store";
import { Choices, Panel } from "./Panel";
import { Scroll } from "./Scroll";

const SPANS = [
  { value: "120", label: "2 min" },
  { value: "300", label: "5 min" },
  { value: "900", label: "15 min" },
] as const;

type Seconds = (typeof SPANS)[number]["value"];

const HEIGHT = 148;
/** Rows of the table that says the same as a chart. */
const ROWS = 12;

export function Charts({ stream }: { stream: Stream }) {
  const [seconds, setSeconds] = useState<Seconds>("300");
  const to = (stream.history.at.at(-1) ?? 0) / 1_000;
  const from = to - Number(seconds);
  const all = useMemo(() => charts(stream.history, from * 1_000), [stream.history, from]);
  return (
    <Panel
      title="Measurements"
      tools={<Choices legend="Time shown" value={seconds} options={SPANS} onChange={setSeconds} />}
    >
      <div class="charts">
        {all.map((chart) => (
          <Figure key={chart.key} chart={chart} from={begin(chart, from, to)} to={to} />
        ))}
      </div>
      <p class="quiet small">Kept in this page since it was opened, a quarter of an hour at most.</p>
    </Panel>
  );
}

/** A chart is never emptier than it must be: it begins with its first value, and shows a minute at least. */
function begin(chart: Chart, from: number, to: number): number {
  return Math.max(from, Math.min(chart.at[0] ?? to, to - 60));
}

interface FigureProps {
  chart: Chart;
  from: number;
  to: number;
}

function Figure({ chart, from, to }: FigureProps) {
  const [point, setPoint] = useState<string | null>(null);
  const element = useRef<HTMLDivElement>(null);
  const drawn = useRef<Plot | null>(null);
  const newest = useRef({ chart, from, to });
  newest.current = { chart, from, to };

  useEffect(() => {
    const { current } = element;
    if (current === null) return;
    let gone = false;
    const size = new ResizeObserver(() => {
      if (current.clientWidth > 0) drawn.current?.resize(current.clientWidth);
    });
    void import("../shell/plot").then(({ plot }) => {
      if (gone) return;
      const { chart: first, from: least, to: most } = newest.current;
      drawn.current = plot(current, first, least, most, {
        width: current.clientWidth,
        height: HEIGHT,
        zone: zone.peek(),
        onPoint: setPoint,
      });
      size.observe(current);
    });
    return () => {
      gone = true;
      size.disconnect();
      drawn.current?.destroy();
      drawn.current = null;
    };
  }, []);

  useEffect(() => {
    drawn.current?.update(chart, from, to);
  }, [chart, from, to]);

  return (
    <figure class="chart">
      <figcaption>
        <h3>{chart.title}</h3>
        <b class="num">{chart.current}</b>
        <span class="quiet">{point ?? chart.summary}</span>
      </figcaption>
      <div class="canvas" ref={element} style={{ height: `${HEIGHT}px` }} aria-hidden="true" />
      {chart.series.length > 1 && <Keys chart={chart} />}
      <TableOf chart={chart} />
    </figure>
  );
}

/** What the marks of a chart with several mean. */
function Keys({ chart }: { chart: Chart }) {
  return (
    <ul class="keys" aria-hidden="true">
      {chart.series.map(({ label, look, colour }) => (
        <li key={label}>
          <svg viewBox="0 0 14 12" style={{ color: `var(--${COLOURS[colour]})` }}>
            {MARKS[look]}
          </svg>
          {label}
        </li>
      ))}
    </ul>
  );
}

const MARKS: Record<Look, ComponentChildren> = {
  line: <path d="M0 6H14" stroke="currentColor" stroke-width="1.5" />,
  area: <path d="M0 6H14" stroke="currentColor" stroke-width="1.5" />,
  limit: <path d="M0 6H14" stroke="currentColor" stroke-dasharray="5 4" />,
  dots: <circle cx="7" cy="6" r="3" fill="currentColor" />,
  crosses: <path d="M3 2 11 10M11 2 3 10" stroke="currentColor" stroke-width="2" />,
  bars: <path d="M4 1H10V11H4Z" fill="currentColor" />,
};

/** The same in numbers, for those who cannot see or do not trust a curve. */
function TableOf({ chart }: { chart: Chart }) {
  const [open, setOpen] = useState(false);
  return (
    <details
      onToggle={(event) => {
        setOpen(event.currentTarget.open);
      }}
    >
      <summary>
        As a table<span class="unseen">: {chart.title}</span>
      </summary>
      {open && <Rows chart={chart} />}
    </details>
  );
}

function Rows({ chart }: { chart: Chart }) {
  const { columns, rows } = table(chart, zone.value, ROWS);
  if (rows.length === 0) return <p class="quiet small">No values yet.</p>;
  return (
    <Scroll label={`${chart.title} as a table`}>
      <table>
        <thead>
          <tr>
            {columns.map((column, index) => (
              <th key={column} scope="col" class={index === 0 ? "" : "num"}>
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, column) => (
                <td key={column} class={column === 0 ? "" : "num"}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
