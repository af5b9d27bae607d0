import { useEffect, useId, useRef, useState } from "preact/hooks";

import { duration, host } from "../core/format";
import { type Side, checkAddress, explain, latency } from "../core/preview";
import type { StreamStatus } from "../core/types";
import { address } from "../shell/address";
import { recallTexts, remember } from "../shell/memory";
import type { Playing } from "../shell/player";
import { api, now } from "../shell/store";
import { Panel } from "./Panel";

/** The output beside its source. Nothing is fetched before a person asks for it. */
export function Players({ status }: { status: StreamStatus }) {
  const [playing, setPlaying] = useState<Record<Side, boolean>>({ output: false, source: false });
  const set = (side: Side) => (on: boolean) => {
    setPlaying((before) => ({ ...before, [side]: on }));
  };
  const any = playing.output || playing.source;
  const tools = (
    <button
      type="button"
      class="button slim"
      onClick={() => {
        setPlaying({ output: !any, source: !any });
      }}
    >
      {any ? "Stop both" : "Play both"}
    </button>
  );
  return (
    <Panel title="Preview" tools={tools}>
      <div class="players">
        <Player status={status} side="output" playing={playing.output} onPlaying={set("output")} />
        <Player status={status} side="source" playing={playing.source} onPlaying={set("source")} />
      </div>
    </Panel>
  );
}

interface Props {
  status: StreamStatus;
  side: Side;
  playing: boolean;
  onPlaying: (on: boolean) => void;
}

function Player({ status, side, playing, onPlaying }: Props) {
  const own = side === "output" ? address(`preview/${encodeURIComponent(status.streamId)}/index.m3u8`) : status.sourceUrl;
  const memory = `preview.${side}`;
  const [other, setOther] = useState<string | null>(() => recallTexts(memory)[status.streamId] ?? null);
  const [fault, setFault] = useState<string | null>(null);
  const [moves, setMoves] = useState(false);
  const video = useRef<HTMLVideoElement>(null);
  const hls = useRef<Playing | null>(null);
  const url = other ?? own;
  const running = useRef(status.isRunning);
  running.current = status.isRunning;

  useEffect(() => {
    const { current } = video;
    if (!playing || current === null) return;
    let gone = false;
    let moved = false;
    setFault(null);
    setMoves(false);
    void import("../shell/player").then(({ play }) => {
      if (gone) return;
      hls.current = play(current, url, api.token, {
        onFault: (what, fatal) => {
          // A segment now and then may be missing; one that is missing before anything plays is the reason.
          if (fatal || !moved) setFault(explain(what, side, url, running.current));
          if (fatal) setMoves(false);
        },
        onPlaying: () => {
          moved = true;
          setFault(null);
          setMoves(true);
        },
      });
    });
    return () => {
      gone = true;
      hls.current?.stop();
      hls.current = null;
    };
  }, [playing, url, side]);

  return (
    <div class="player">
      <div class="caption">
        <h3>{side === "output" ? "Output" : "Source"}</h3>
        <span class="quiet small">
          {side === "output" && status.stats.lagSeconds !== null && `${duration(status.stats.lagSeconds)} behind the source`}
          {side === "source" && host(url)}
        </span>
      </div>
      <div class={`screen${playing ? " on" : ""}`}>
        {/* Live media has no captions of its own to offer. */}
        <video ref={video} muted controls={playing} playsInline aria-label={`${side === "output" ? "Output" : "Source"} of ${status.streamId}`} />
        {!playing && (
          <div class="cover">
            <button
              type="button"
              class="button"
              onClick={() => {
                onPlaying(true);
              }}
            >
              Play {side === "output" ? "the output" : "the source"}
            </button>
            {side === "source" && <span class="small">Your browser asks {host(url)} directly.</span>}
          </div>
        )}
        {playing && !moves && fault === null && <div class="cover small">Waiting for the first picture…</div>}
      </div>
      <Said side={side} fault={fault} hls={hls.current} moves={moves && playing} />
      <Other
        side={side}
        value={other}
        onChange={(address) => {
          setOther(address);
          const all = recallTexts(memory);
          if (address === null) Reflect.deleteProperty(all, status.streamId);
          else all[status.streamId] = address;
          remember(memory, all);
        }}
      />
    </div>
  );
}

function Said({ side, fault, hls, moves }: { side: Side; fault: string | null; hls: Playing | null; moves: boolean }) {
  if (fault !== null) return <p class="said wrong">{fault}</p>;
  if (!moves || hls === null) return <p class="said" />;
  const date = hls.date();
  const shows = date === null ? "" : `; shows what ${side === "output" ? "went out" : "was live"} ${duration((now.value - date) / 1_000)} ago`;
  return (
    <p class="said num" data-latency={hls.latency() ?? ""}>
      {latency(hls.latency())}
      {shows}
    </p>
  );
}

interface OtherProps {
  side: Side;
  value: string | null;
  onChange: (address: string | null) => void;
}

/** The same pictures from elsewhere: SRS's own HLS, or a source whose address has a key that the page is not told. */
function Other({ side, value, onChange }: OtherProps) {
  const [typed, setTyped] = useState(value ?? "");
  const [wrong, setWrong] = useState<string | null>(null);
  const id = useId();
  return (
    <details open={value !== null}>
      <summary>{side === "output" ? "Play it from the media server instead" : "Play it from another address"}</summary>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (typed.trim() === "") {
            setWrong(null);
            onChange(null);
            return;
          }
          const error = checkAddress(typed);
          setWrong(error);
          if (error === null) onChange(typed.trim());
        }}
      >
        <label class="unseen" for={id}>
          Address of the {side}'s playlist; empty for the usual one
        </label>
        <input
          id={id}
          class="input slim"
          inputMode="url"
          placeholder={side === "output" ? "http://srs:8080/live/stream.m3u8" : "https://…/live.m3u8?key=…"}
          value={typed}
          aria-invalid={wrong !== null}
          aria-describedby={wrong === null ? undefined : `${id}-wrong`}
          onInput={(event) => {
            setTyped(event.currentTarget.value);
          }}
        />
        <button type="submit" class="button slim">
          Use
        </button>
        {wrong !== null && (
          <p id={`${id}-wrong`} class="wrong tone-bad small" role="alert">
            {wrong}
          </p>
        )}
      </form>
    </details>
  );
}
