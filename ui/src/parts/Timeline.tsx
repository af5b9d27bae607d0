import { useState } from "preact/hooks";

import { type Row, describe, layout, outcome } from "../core/timeline";
import type { Stream } from "../core/streams";
import { now, zone } from "../shell/store";
import { useNarrow } from "./hooks";
import { Panel } from "./Panel";
import { Scroll } from "./Scroll";

/** Rows shown at first: four minutes of 30 s batches. */
const FEW = 8;

export function Timeline({ stream }: { stream: Stream }) {
  const [all, setAll] = useState(false);
  const [chosen, setChosen] = useState<number | null>(null);
  const narrow = useNarrow();
  const { batches } = stream.status;
  const clock = stream.status.isRunning ? now.value + stream.skew : (stream.history.at.at(-1) ?? now.value);
  const line = layout(batches, { now: clock, rows: all ? batches.length : FEW, zone: zone.value, ticks: narrow ? 3 : 8 });
  const picked = batches.find((batch) => batch.number === chosen);
  const tools = batches.length > FEW && (
    <button
      type="button"
      class="button slim"
      aria-pressed={all}
      onClick={() => {
        setAll(!all);
      }}
    >
      {all ? "Show fewer" : `Show all ${batches.length}`}
    </button>
  );
  if (batches.length === 0) {
    return (
      <Panel title="Batches">
        <p class="quiet">The first batch is still being captured. It appears here as soon as it is cut.</p>
      </Panel>
    );
  }
  return (
    <Panel title="Batches" tools={tools}>
      <div class="timeline">
        <div class="axis" aria-hidden="true">
          {line.ticks.map((tick) => (
            <span key={tick.at} class={tick.at > 0.93 ? "last" : ""} style={{ left: `${tick.at * 100}%` }}>
              {tick.label}
            </span>
          ))}
        </div>
        <ol>
          {line.rows.map((row) => (
            <BatchRow
              key={row.batch.number}
              row={row}
              now={line.now}
              chosen={row.batch.number === chosen}
              onChoose={() => {
                setChosen(row.batch.number === chosen ? null : row.batch.number);
              }}
            />
          ))}
        </ol>
      </div>
      {picked !== undefined && (
        <dl class="facts picked" aria-label={`Batch ${picked.number}`}>
          <div>
            <dt>batch</dt>
            <dd>#{picked.number}</dd>
          </div>
          {describe(picked, zone.value).map((fact) => (
            <div key={fact.name}>
              <dt>{fact.name}</dt>
              <dd>{fact.value}</dd>
            </div>
          ))}
        </dl>
      )}
      <Legend />
      <TableOfBatches stream={stream} />
    </Panel>
  );
}

interface RowProps {
  row: Row;
  now: number;
  chosen: boolean;
  onChoose: () => void;
}

function BatchRow({ row, now, chosen, onChoose }: RowProps) {
  const { batch, fate } = row;
  const percent = (at: number): string => `${at * 100}%`;
  return (
    <li>
      <button
        type="button"
        class={`batch ${fate}`}
        aria-pressed={chosen}
        onClick={onChoose}
      >
        <span class="no num">
          <span class="unseen">Batch </span>#{batch.number}
        </span>
        <span class="track">
          {row.bars.map((bar) => (
            <i
              key={bar.part}
              class={`bar ${bar.part}`}
              style={{ left: percent(bar.from), width: percent(Math.max(0, bar.to - bar.from)) }}
            />
          ))}
          {row.deadline !== null && <i class="deadline" style={{ left: percent(row.deadline) }} />}
          {row.answered !== null && <i class="answered" style={{ left: percent(row.answered) }} />}
          <i class="now" style={{ left: percent(now) }} />
        </span>
        <span class="note">
          {row.note}
          {fate !== "fallback" && <span class="unseen">, {outcome(batch)}</span>}
        </span>
      </button>
    </li>
  );
}

function Legend() {
  return (
    <ul class="legend" aria-label="Legend">
      <li>
        <i class="bar capture" /> captured
      </li>
      <li>
        <i class="bar work" /> at the processor
      </li>
      <li>
        <i class="answered" /> answered
      </li>
      <li>
        <i class="deadline" /> deadline
      </li>
      <li class="processed">
        <i class="bar play" /> on air, processed
      </li>
      <li class="fallback">
        <i class="bar play" /> on air, fallback
      </li>
      <li>
        <i class="now" /> now
      </li>
    </ul>
  );
}

function TableOfBatches({ stream }: { stream: Stream }) {
  const [open, setOpen] = useState(false);
  return (
    <details
      onToggle={(event) => {
        setOpen(event.currentTarget.open);
      }}
    >
      <summary>
        As a table<span class="unseen">: batches</span>
      </summary>
      {open && (
        <Scroll label="Batches as a table">
          <table class="instants">
            <thead>
              <tr>
                <th scope="col">batch</th>
                {["plays", "captured", "sent", "answered", "deadline", "on air", "sound"].map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {stream.status.batches.toReversed().map((batch) => (
                <tr key={batch.number}>
                  <th scope="row" class="num">
                    #{batch.number}
                  </th>
                  {describe(batch, zone.value)
                    .filter((fact) => fact.name !== "fit")
                    .map((fact) => (
                      <td key={fact.name}>{fact.value}</td>
                    ))}
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </details>
  );
}
