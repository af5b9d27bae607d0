import { useCallback, useEffect, useId, useState } from "preact/hooks";

import * as format from "../core/format";
import { href } from "../core/route";
import { type Share, keepLast, shares, used } from "../core/storage";
import type { StorageStats } from "../core/types";
import { Confirm } from "../parts/Dialog";
import { useTask } from "../parts/hooks";
import { Panel } from "../parts/Panel";
import { Scroll } from "../parts/Scroll";
import { api, speak, streams } from "../shell/store";

/** How often sizes are read while they are looked at: counting them is work for the disk. */
const READ_MS = 10_000;

export function Storage() {
  const [stats, setStats] = useState<StorageStats | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [asked, setAsked] = useState<string | null>(null);
  const [done, setDone] = useState<string | null>(null);
  const read = useCallback(() => {
    api
      .storage()
      .then((next) => {
        setStats(next);
        setError(null);
      })
      .catch((reason: unknown) => {
        setError(reason instanceof Error ? reason.message : String(reason));
      });
  }, []);
  useEffect(() => {
    read();
    const timer = setInterval(read, READ_MS);
    return () => {
      clearInterval(timer);
    };
  }, [read]);
  return (
    <>
      <div class="head">
        <div>
          <h1>Storage</h1>
          <p class="lead">What was written beside the streams: captured segments, and the files of each batch.</p>
        </div>
        <div class="actions">
          <button
            type="button"
            class="button"
            disabled={stats === null || stats.totalSize === 0}
            onClick={() => {
              setAsked("");
            }}
          >
            Clean all…
          </button>
        </div>
      </div>
      {error !== null && <p class="tone-bad">{error}</p>}
      <p class="done" role="status">
        {done}
      </p>
      {stats === null ? (
        error === null && <p class="quiet">Counting…</p>
      ) : (
        <div class="stack">
          <Whole stats={stats} />
          <ByStream
            all={shares(stats)}
            onClean={(id) => {
              setDone(null);
              setAsked(id);
            }}
          />
        </div>
      )}
      {asked !== null && (
        <Clean
          streamId={asked}
          onClose={() => {
            setAsked(null);
          }}
          onDone={(said) => {
            setAsked(null);
            setDone(said);
            speak(said);
            read();
          }}
        />
      )}
    </>
  );
}

function Whole({ stats }: { stats: StorageStats }) {
  const share = used(stats);
  const width = (bytes: number): string =>
    stats.availableSpace === null ? "0" : `${(bytes / (stats.totalSize + stats.availableSpace)) * 100}%`;
  return (
    <Panel title="Sizes">
      <div class="sizes">
        <Size value={stats.totalSize} name="in all" />
        <Size value={stats.originalStreamSize} name="captured segments" kind="segments" />
        <Size value={stats.processedFragmentsSize} name="batch files" kind="fragments" />
        <Size value={stats.availableSpace} name="free on the disk" />
      </div>
      {share !== null && (
        <div
          class="meter"
          role="img"
          aria-label={`Overdub's files take ${(share * 100).toFixed(1)} % of the space that is theirs or free`}
        >
          <i class="segments" style={{ width: width(stats.originalStreamSize) }} />
          <i class="fragments" style={{ width: width(stats.processedFragmentsSize) }} />
        </div>
      )}
    </Panel>
  );
}

function Size({ value, name, kind }: { value: number | null; name: string; kind?: string }) {
  return (
    <div class="measure">
      <b class="num">{format.bytes(value)}</b>
      <span>
        {kind !== undefined && <i class={`swatch ${kind}`} aria-hidden="true" />}
        {name}
      </span>
    </div>
  );
}

function ByStream({ all, onClean }: { all: readonly Share[]; onClean: (id: string) => void }) {
  if (all.length === 0) {
    return (
      <Panel title="By stream">
        <p class="quiet">Nothing is stored. Streams write here unless their settings say “nothing”.</p>
      </Panel>
    );
  }
  const batches = all.some((share) => share.newest !== null);
  return (
    <Panel title="By stream">
      <Scroll label="Sizes by stream">
        <table class="bystream">
          <thead>
            <tr>
              <th scope="col">stream</th>
              <th scope="col" class="num part">
                segments
              </th>
              <th scope="col" class="num part">
                files
              </th>
              <th scope="col" class="num">
                in all
              </th>
              {batches && (
                <th scope="col" class="batches">
                  batches
                </th>
              )}
              <th scope="col">
                <span class="unseen">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {all.map((share) => (
              <tr key={share.streamId}>
                <th scope="row" class="break">
                  {streams.value.has(share.streamId) ? (
                    <a href={href({ view: "stream", id: share.streamId })}>{share.streamId}</a>
                  ) : (
                    share.streamId
                  )}
                  {/* In place of the two columns, where there is no room for them. */}
                  <span class="parts quiet small">
                    {format.bytes(share.segments)} segments, {format.bytes(share.fragments)} files
                  </span>
                </th>
                <td class="num part">{format.bytes(share.segments)}</td>
                <td class="num part">{format.bytes(share.fragments)}</td>
                <td class="num">{format.bytes(share.total)}</td>
                {batches && (
                  <td class="num left batches">
                    {share.newest === null ? format.UNKNOWN : `#${format.count(share.oldest)} to #${format.count(share.newest)}`}
                  </td>
                )}
                <td class="num">
                  <button
                    type="button"
                    class="button slim"
                    aria-label={`Clean ${share.streamId}`}
                    onClick={() => {
                      onClean(share.streamId);
                    }}
                  >
                    Clean…
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Panel>
  );
}

interface CleanProps {
  /** Empty: all streams. */
  streamId: string;
  onClose: () => void;
  onDone: (said: string) => void;
}

function Clean({ streamId, onClose, onDone }: CleanProps) {
  const [typed, setTyped] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const task = useTask();
  const id = useId();
  const confirm = (): void => {
    const keep = keepLast(typed);
    if ("wrong" in keep) {
      setWrong(keep.wrong);
      return;
    }
    setWrong(null);
    task.run(async () => {
      const cleaned = await api.clean({
        ...(streamId === "" ? {} : { streamId }),
        ...(keep.value === 0 ? {} : { keepLast: keep.value }),
      });
      onDone(`${format.plural(cleaned.deletedFiles, "file")} deleted, ${format.bytes(cleaned.freedBytes)} freed.`);
    });
  };
  return (
    <Confirm
      title={streamId === "" ? "Clean the whole storage?" : `Clean ${streamId}?`}
      action="Delete the files"
      danger
      busy={task.busy}
      error={task.error}
      onClose={onClose}
      onConfirm={confirm}
    >
      <p>
        Captured segments and batch files {streamId === "" ? "of all streams" : "of this stream"} are deleted for good.
        Batches that are still to be published are never touched.
      </p>
      <div class="field">
        <label for={id}>Keep the newest batches</label>
        <input
          id={id}
          class="input"
          inputMode="numeric"
          placeholder="none"
          value={typed}
          aria-invalid={wrong !== null}
          aria-describedby={wrong === null ? undefined : `${id}-wrong`}
          onInput={(event) => {
            setTyped(event.currentTarget.value);
          }}
        />
        {wrong !== null && (
          <p id={`${id}-wrong`} class="wrong tone-bad" role="alert">
            {wrong}
          </p>
        )}
      </div>
    </Confirm>
  );
}
