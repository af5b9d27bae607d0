import { type Lane, type Stage, draw } from "../core/pipeline";
import type { StreamStatus } from "../core/types";
import { State } from "./Sign";

/** The path of the data: the picture goes straight, the sound by way of the processor or round it. */
export function Pipeline({ status }: { status: StreamStatus }) {
  const drawing = draw(status);
  const flows = status.isRunning;
  return (
    <ol class="pipeline" aria-label="Pipeline">
      <Node stage={drawing.fetch} />
      <Wire active={flows && status.modules.streamFetcher.segments > 0} />
      <Node stage={drawing.batch} />
      <li class="lanes">
        <div class="lane via">
          <Line active={drawing.dubbed.active} kind="dubbed" />
          <Node stage={drawing.processor} as="div" />
          <Line active={drawing.dubbed.active} kind="dubbed" />
        </div>
        <LaneRow lane={drawing.bypass} kind="bypass" />
        <LaneRow lane={drawing.video} kind="video" />
      </li>
      <Node stage={drawing.remux} />
      <Wire active={flows && status.phase === "publishing"} />
      <Node stage={drawing.publish} />
    </ol>
  );
}

function Node({ stage, as: Tag = "li" }: { stage: Stage; as?: "li" | "div" }) {
  return (
    <Tag class={`node ${stage.tone}`} data-stage={stage.key}>
      <div class="top">
        <h3>{stage.title}</h3>
        <State tone={stage.tone} label={stage.state} />
      </div>
      <p class="mainfact">
        <b class="num">{stage.main.value}</b> <span>{stage.main.name}</span>
      </p>
      <dl>
        {stage.facts.map((fact) => (
          <div key={fact.name}>
            <dt>{fact.name}</dt>
            <dd class="num">{fact.value}</dd>
          </div>
        ))}
      </dl>
    </Tag>
  );
}

function Wire({ active }: { active: boolean }) {
  return (
    <li class="wire" aria-hidden="true">
      <Line active={active} kind="video" />
    </li>
  );
}

function Line({ active, kind }: { active: boolean; kind: string }) {
  return <span class={`line ${kind}${active ? " active" : ""}`} aria-hidden="true" />;
}

function LaneRow({ lane, kind }: { lane: Lane; kind: string }) {
  return (
    <div class={`lane ${kind}${lane.active ? " active" : ""}`}>
      <Line active={lane.active} kind={kind} />
      <p>
        <span>{lane.label}</span> {lane.detail !== "" && <b class="num">{lane.detail}</b>}
        {lane.note !== null && <em>{lane.note}</em>}
      </p>
      <Line active={lane.active} kind={kind} />
    </div>
  );
}
