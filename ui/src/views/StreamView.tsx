import { useState } from "preact/hooks";

import * as format from "../core/format";
import { issues, state } from "../core/health";
import { href } from "../core/route";
import type { Stream } from "../core/streams";
import type { Resumed, SourceAudio, Srs, StreamStatus } from "../core/types";
import { Charts } from "../parts/Charts";
import { Confirm } from "../parts/Dialog";
import { useTask } from "../parts/hooks";
import { EmptyIcon } from "../parts/Icons";
import { Issues } from "../parts/Issues";
import { LogView } from "../parts/LogView";
import { Panel } from "../parts/Panel";
import { Pipeline } from "../parts/Pipeline";
import { Players } from "../parts/Players";
import { Scroll } from "../parts/Scroll";
import { State } from "../parts/Sign";
import { Timeline } from "../parts/Timeline";
import { api, ask, go, listed, speak, streams, zone } from "../shell/store";

/** One stream with everything about it. */
export function StreamView({ id }: { id: string }) {
  const stream = streams.value.get(id);
  if (stream === undefined) return listed.value ? <Unknown id={id} /> : <p class="quiet">Reading the list…</p>;
  const { status } = stream;
  return (
    <div class="stack">
      <Head status={status} />
      <Issues issues={issues(status)} />
      <Panel title="Pipeline">
        <Pipeline status={status} />
      </Panel>
      <Timeline stream={stream} />
      <Players status={status} />
      <Charts stream={stream} />
      <Panel
        title="Log of this stream"
        tools={
          <a class="small" href={href({ view: "log", stream: id })}>
            Whole log
          </a>
        }
      >
        <LogView streamId={id} />
      </Panel>
      <Details stream={stream} />
    </div>
  );
}

function Unknown({ id }: { id: string }) {
  return (
    <div class="panel empty">
      <EmptyIcon />
      <h1>There is no stream called {id}</h1>
      <p>It was removed, or the service was started anew without it.</p>
      <a class="button" href={href({ view: "streams" })}>
        All streams
      </a>
    </div>
  );
}

function Head({ status }: { status: StreamStatus }) {
  const since = status.startTime === null ? null : Date.parse(status.startTime);
  return (
    <div class="head">
      <div>
        <div class="title">
          <h1>{status.streamId}</h1>
          <State {...state(status)} />
        </div>
        <p class="lead break">
          {status.sourceUrl} · {status.isRunning ? "up" : "ran"} {format.duration(status.uptime)}
          {since !== null && !Number.isNaN(since) && `, since ${format.dateTime(since, zone.value)}`}
        </p>
      </div>
      <Actions status={status} />
    </div>
  );
}

type Asked = "stop" | "restart" | "remove";

function Actions({ status }: { status: StreamStatus }) {
  const [asked, setAsked] = useState<Asked | null>(null);
  const task = useTask();
  const id = status.streamId;
  const close = (): void => {
    setAsked(null);
    task.clear();
  };
  const act = (what: Asked) => {
    task.run(async () => {
      if (what === "remove") {
        await api.remove(id);
        close();
        speak(`${id} was removed`);
        go({ view: "streams" });
      } else {
        const done = await (what === "stop" ? api.stop(id) : api.restart(id));
        close();
        speak(`${id}: ${done.message}`);
      }
      await ask();
    });
  };
  const ask_ = (what: Asked) => () => {
    setAsked(what);
  };
  return (
    <div class="actions">
      <a class="button" href={href({ view: "start", from: id })}>
        Settings
      </a>
      <button type="button" class="button" onClick={ask_("restart")}>
        {status.isRunning ? "Restart" : "Start again"}
      </button>
      {status.isRunning ? (
        <button type="button" class="button danger" onClick={ask_("stop")}>
          Stop
        </button>
      ) : (
        <button type="button" class="button danger" onClick={ask_("remove")}>
          Remove
        </button>
      )}
      {asked !== null && (
        <Confirm
          {...QUESTIONS[asked](id)}
          danger={asked !== "restart"}
          busy={task.busy}
          error={task.error}
          onClose={close}
          onConfirm={() => {
            act(asked);
          }}
        >
          <p>{QUESTIONS[asked](id).text}</p>
        </Confirm>
      )}
    </div>
  );
}

function resumed(it: Resumed | null): string {
  if (it === null) return "no";
  const lost = it.lost === null ? "" : `; lost: ${it.lost}`;
  return `after ${format.duration(it.awaySeconds)}, ${format.plural(it.segments, "segment")} read back${lost}`;
}

/** What the SRS behind an output says. */
function viewers(srs: Srs | null): string {
  if (srs === null) return format.UNKNOWN;
  if (!srs.reachable) return srs.lastError ?? "not reachable";
  if (srs.stream === null) return "unknown there";
  const viewers = format.plural(srs.stream.viewers, "viewer");
  return srs.hls === null || srs.hls === undefined ? viewers : `${viewers}, ${srs.hls.available ? "HLS plays" : "no HLS"}`;
}

const QUESTIONS: Record<Asked, (id: string) => { title: string; text: string; action: string }> = {
  stop: (id) => ({
    title: `Stop ${id}?`,
    text: "Capture ends, and the outputs are closed within seconds. Viewers see the stream end. The files stay.",
    action: "Stop the stream",
  }),
  restart: (id) => ({
    title: `Start ${id} again?`,
    text: "It is stopped where it runs, and started anew with the same settings. The output is away until the first batch has been captured and processed.",
    action: "Start again",
  }),
  remove: (id) => ({
    title: `Remove ${id} from the list?`,
    text: "The service forgets what this stream did. Its files stay in the storage.",
    action: "Remove",
  }),
};

/** Characters of a fact that go well into one column of the details, and into two. */
const [ONE_COLUMN, TWO_COLUMNS] = [24, 60];

/** `258 eng main (taken), 259 eng visual-impaired`. */
function audioStreams(streams: readonly SourceAudio[]): string {
  const one = (stream: SourceAudio) =>
    [stream.pid, stream.language ?? "", stream.audioType, stream.selected ? "(taken)" : ""].filter((word) => word !== "").join(" ");
  return streams.length === 0 ? format.UNKNOWN : streams.map(one).join(", ");
}

/** What the stream holds, and what it may. */
function memory(held: StreamStatus["memory"]): string {
  if (held === undefined) return format.UNKNOWN;
  return held.limit === null ? format.bytes(held.bytes) : `${format.bytes(held.bytes)} of ${format.bytes(held.limit)}`;
}

function Details({ stream: { status } }: { stream: Stream }) {
  const { streamFetcher: fetcher, remuxer, streamPublisher } = status.modules;
  const { stats } = status;
  const facts: [string, string][] = [
    ["variant", fetcher.variant ?? format.UNKNOWN],
    ["sound of the source", fetcher.audioRendition ?? "inside"],
    ["audio streams", audioStreams(remuxer.audioStreams ?? [])],
    ["target duration", format.duration(fetcher.targetDuration)],
    ["media sequence", format.count(fetcher.mediaSequence)],
    ["discontinuities", format.count(fetcher.discontinuities)],
    ["channels", format.count(remuxer.channels)],
    ["configuration changes", format.count(remuxer.configurationChanges)],
    ["published", format.duration(stats.publishedSeconds)],
    ["held", stats.hold === undefined || stats.hold === null ? format.UNKNOWN : `${format.plural(stats.hold.count, "time")}, ${format.duration(stats.hold.seconds)}`],
    ["clock against ours", typeof stats.playoutRatePpm === "number" ? `${stats.playoutRatePpm.toFixed(0)} ppm` : format.UNKNOWN],
    ["slack", format.duration(stats.slackSeconds)],
    ["last cue", remuxer.lastCue ?? "none"],
    ["resumed", resumed(status.resumed ?? null)],
    ["started again", format.plural(status.restarts ?? 0, "time")],
    ["reason for the restart", status.restartReason ?? "none"],
    ["memory", memory(status.memory)],
    ["last error", status.lastError ?? "none"],
  ];
  const asked = streamPublisher.outputs.some((output) => output.srs !== null && output.srs !== undefined);
  return (
    <Panel title="Details">
      <dl class="facts grid small">
        {facts.map(([name, value]) => (
          <div key={name} class={value.length <= ONE_COLUMN ? "" : value.length <= TWO_COLUMNS ? "wide" : "whole"}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {streamPublisher.outputs.length > 0 && (
        <Scroll label="Outputs">
          <table class="outputs">
            <thead>
              <tr>
                <th scope="col">output</th>
                <th scope="col">state</th>
                <th scope="col" class="num">
                  sent
                </th>
                <th scope="col" class="num">
                  reconnects
                </th>
                <th scope="col" class="num">
                  lost
                </th>
                <th scope="col" class="num">
                  late by
                </th>
                {asked && <th scope="col">SRS</th>}
              </tr>
            </thead>
            <tbody>
              {streamPublisher.outputs.map((output) => (
                <tr key={output.url}>
                  <td class="address">{output.url}</td>
                  <td>
                    <State
                      tone={output.connected ? "good" : output.state === "ended" ? "off" : output.lastError === null ? "busy" : "bad"}
                      label={output.state}
                    />
                  </td>
                  <td class="num">{format.bytes(output.bytes)}</td>
                  <td class="num">{format.count(output.reconnects)}</td>
                  <td class="num">{format.count(output.dropped)}</td>
                  <td class="num">{format.milliseconds(output.latenessMs)}</td>
                  {asked && <td>{viewers(output.srs ?? null)}</td>}
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Panel>
  );
}
