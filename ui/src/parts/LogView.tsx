import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { plural } from "../core/format";
import * as logs from "../core/log";
import { type Level, MODULES } from "../core/types";
import * as store from "../shell/store";
import { Choices } from "./Panel";

/** The service keeps nothing finer than debug. */
const LEVELS = logs.LEVELS.slice(1).map((value) => ({ value, label: value }));

interface Props {
  /** Only lines of this stream, without a choice. */
  streamId?: string;
  /** Which stream is chosen at first. */
  initialStream?: string;
}

/** The live log with its filters. */
export function LogView({ streamId, initialStream }: Props) {
  const [modules, setModules] = useState<readonly string[]>([]);
  const [stream, setStream] = useState<string | null>(streamId ?? initialStream ?? null);
  const [search, setSearch] = useState("");
  const log = store.log.value;
  const level = store.level.value;
  const shown = useMemo(
    () => logs.shown(log, { level, modules, streamId: streamId ?? stream, search }),
    [log, level, modules, stream, streamId, search],
  );
  const searchId = useId();
  useEffect(() => {
    store.lookAt(streamId ?? stream);
  }, [streamId, stream]);
  const streamIds = [...store.streams.value.keys()];
  return (
    <div class="log">
      <div class="filters">
        <Choices<Level> legend="Least level" value={level} options={LEVELS} onChange={store.setLevel} />
        <label class="find" for={searchId}>
          <span class="unseen">Search the log</span>
          <input
            id={searchId}
            class="input slim"
            type="search"
            placeholder="Search"
            value={search}
            onInput={(event) => {
              setSearch(event.currentTarget.value);
            }}
          />
        </label>
        {streamId === undefined && (
          <label class="of">
            <span class="unseen">Stream</span>
            <select
              class="input slim"
              value={stream ?? ""}
              onChange={(event) => {
                setStream(event.currentTarget.value === "" ? null : event.currentTarget.value);
              }}
            >
              <option value="">all streams</option>
              {[...new Set([...streamIds, ...(stream === null ? [] : [stream])])].map((id) => (
                <option key={id} value={id}>
                  {id}
                </option>
              ))}
            </select>
          </label>
        )}
        <div class="doing">
          <button
            type="button"
            class="button slim"
            aria-pressed={log.paused}
            onClick={() => {
              store.log.value = log.paused ? logs.resume(log) : logs.pause(log);
            }}
          >
            {log.paused ? `Go on (${log.held.length} new)` : "Pause"}
          </button>
          <button type="button" class="button slim" disabled={shown.length === 0} onClick={() => { save(shown); }}>
            Save
          </button>
          <button
            type="button"
            class="button slim"
            disabled={log.lines.length === 0}
            onClick={() => {
              store.log.value = logs.clear(log);
            }}
          >
            Clear
          </button>
        </div>
        <fieldset class="modules">
          <legend class="unseen">Modules</legend>
          {MODULES.map((module) => (
            <label key={module}>
              <input
                type="checkbox"
                checked={modules.includes(module)}
                onChange={(event) => {
                  setModules(event.currentTarget.checked ? [...modules, module] : modules.filter((it) => it !== module));
                }}
              />
              <span>{module}</span>
            </label>
          ))}
        </fieldset>
      </div>
      <Lines lines={shown} live={!log.paused} all={log.lines.length} withStream={streamId === undefined} />
      {log.missed > 0 && (
        <p class="quiet small">{plural(log.missed, "line")} left out: this page was too slow to take them.</p>
      )}
    </div>
  );
}

interface LinesProps {
  lines: readonly logs.Line[];
  live: boolean;
  all: number;
  withStream: boolean;
}

/** How near the end counts as the end, in pixels. */
const NEAR = 40;

function Lines({ lines, live, all, withStream }: LinesProps) {
  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const [atEnd, setAtEnd] = useState(true);
  useLayoutEffect(() => {
    const { current } = box;
    if (current !== null && follows.current) current.scrollTop = current.scrollHeight;
  }, [lines]);
  useEffect(() => {
    const { current } = box;
    if (current === null) return;
    const scrolled = (): void => {
      follows.current = current.scrollHeight - current.scrollTop - current.clientHeight < NEAR;
      setAtEnd(follows.current);
    };
    current.addEventListener("scroll", scrolled, { passive: true });
    return () => {
      current.removeEventListener("scroll", scrolled);
    };
  }, []);
  return (
    <div class="paper">
      {/* A log by its role, and silent: what matters in it is said by the page's one live region. */}
      <div class="lines" ref={box} role="log" aria-live="off" aria-label="Log lines" tabIndex={0}>
        {lines.length === 0 ? (
          <p class="none quiet">{all === 0 ? "No lines yet. They appear as they are written." : "No line matches the filter."}</p>
        ) : (
          lines.map((line) => <LogRow key={line.key} line={line} withStream={withStream} />)
        )}
      </div>
      {!atEnd && live && (
        <button
          type="button"
          class="button slim toend"
          onClick={() => {
            follows.current = true;
            const { current } = box;
            if (current !== null) current.scrollTop = current.scrollHeight;
          }}
        >
          To the newest line
        </button>
      )}
    </div>
  );
}

function LogRow({ line, withStream }: { line: logs.Line; withStream: boolean }) {
  return (
    <div class={`row ${line.level}`}>
      <time dateTime={line.timestamp}>{logs.time(line, store.zone.peek())}</time>
      <span class="level">{line.level}</span>
      <span class="module">{line.module}</span>
      {withStream && (
        <span class="of" title={line.streamId ?? undefined}>
          {line.streamId ?? ""}
        </span>
      )}
      <span class="message">
        {line.message}
        {logs.fields(line).map(({ name, value }) => (
          <span key={name} class="field">
            {" "}
            {name}=<b>{value}</b>
          </span>
        ))}
      </span>
    </div>
  );
}

function save(lines: readonly logs.Line[]): void {
  const url = URL.createObjectURL(new Blob([lines.map((line) => `${logs.text(line)}\n`).join("")], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = "overdub.log";
  link.click();
  URL.revokeObjectURL(url);
}
