import { state, issues } from "../core/health";
import * as format from "../core/format";
import { href } from "../core/route";
import { type Stream, overview } from "../core/streams";
import { BatchStrip } from "../parts/BatchStrip";
import { EmptyIcon } from "../parts/Icons";
import { Issues } from "../parts/Issues";
import { State } from "../parts/Sign";
import { link, listed, streams } from "../shell/store";

/** All streams at a glance. */
export function Streams() {
  const all = [...streams.value.values()];
  const none = listed.value && all.length === 0;
  return (
    <>
      <div class="head">
        <div>
          <h1>Streams</h1>
          <p class="lead">{listed.value ? overview(all.map((stream) => stream.status)) : waiting()}</p>
        </div>
        {!none && (
          <div class="actions">
            <a class="button main" href={href({ view: "start" })}>
              Start a stream
            </a>
          </div>
        )}
      </div>
      {none ? <Nothing /> : <List all={all} />}
    </>
  );
}

const waiting = (): string => (link.value === "lost" ? "The service does not answer" : "Reading the list…");

function Nothing() {
  return (
    <div class="panel empty">
      <EmptyIcon />
      <h2>Nothing is running</h2>
      <p>
        Give Overdub a live HLS source, a processor for its sound and an RTMP address to publish to. What it does with
        them is shown here.
      </p>
      <a class="button main" href={href({ view: "start" })}>
        Start the first stream
      </a>
    </div>
  );
}

function List({ all }: { all: readonly Stream[] }) {
  return (
    <ul class="list" aria-label="Streams">
      {all.map((stream) => (
        <StreamRow key={stream.status.streamId} stream={stream} />
      ))}
    </ul>
  );
}

function StreamRow({ stream: { status } }: { stream: Stream }) {
  const { stats, modules } = status;
  const shown = state(status);
  return (
    <li>
      <div class="who">
        <a href={href({ view: "stream", id: status.streamId })}>{status.streamId}</a>
        <p>
          <State {...shown} />
          <span class="break">{format.host(status.sourceUrl)}</span>
        </p>
      </div>
      <div class="recent">
        <BatchStrip batches={status.batches} most={20} />
      </div>
      <Measure value={format.duration(stats.lagSeconds)} name="behind the source" />
      <Measure value={format.milliseconds(modules.audioProcessor.lastLatencyMs)} name="processor" />
      <Measure value={status.isRunning ? format.bitrate(stats.bitrate) : format.UNKNOWN} name="out" />
      <Measure value={format.duration(status.uptime)} name={status.isRunning ? "up" : "ran"} />
      <Issues issues={issues(status)} />
    </li>
  );
}

function Measure({ value, name }: { value: string; name: string }) {
  return (
    <div class="measure">
      <b class="num">{value}</b>
      <span>{name}</span>
    </div>
  );
}
