/** The state of the page, and what changes it. */

import { batch, computed, signal } from "@preact/signals";

import * as logs from "../core/log";
import { type Route, href, parse, title } from "../core/route";
import { type Event, type Streams, reduce } from "../core/streams";
import type { Level, LogLine, StreamStatus } from "../core/types";
import { Api, ApiError } from "./api";
import { Events, type LineFilter } from "./events";
import { forgetToken, recall, recallToken, remember, rememberToken } from "./memory";

/** How the page hears of changes: by events, by asking, or not at all. */
export type Link = "connecting" | "live" | "asking" | "lost";

export const streams = signal<Streams>(new Map());
/** The list was read at least once: an empty one is empty. */
export const listed = signal(false);
export const log = signal<logs.Log>(logs.EMPTY);
export const link = signal<Link>("connecting");
/** The browser's clock when the link was lost. */
export const lostAt = signal<number | null>(null);
export const tokenWanted = signal(false);
/** A token was given and refused. */
export const tokenRefused = signal(false);
export const version = signal<string | null>(null);
export const route = signal<Route>(parse(location.hash));
/** What a screen reader says next. */
export const spoken = signal("");
/** The browser's clock, once a second. */
export const now = signal(Date.now());
/** The least level that the service sends. */
export const level = signal<Level>(logs.LEVELS.find((name) => name === recall("level")) ?? "info");
export const theme = signal<Theme>(recalledTheme());

export type Theme = "system" | "light" | "dark";

/** Minutes east of Greenwich. */
export const zone = computed(() => -new Date(now.value).getTimezoneOffset());

export const api = new Api();

/** Events are gathered for this long: a hundred streams are drawn four times a second, not a hundred. */
const GATHER_MS = 250;
/** How often the list is asked for while there are no events. */
const ASK_MS = 2_000;
/** And with events, so that a lost one is made good. */
const CHECK_MS = 30_000;

const pending: Event[] = [];
const pendingLines: { lines: LogLine[]; replay: boolean }[] = [];
let gathering = false;

const events = new Events(
  {
    connected: () => {
      batch(() => {
        link.value = "live";
        lostAt.value = null;
        tokenWanted.value = false;
      });
      events.filter(wanted());
      void ask();
    },
    disconnected: (refused) => {
      if (refused) wantToken();
      if (link.value === "live") link.value = "connecting";
      void ask();
    },
    status: (status) => {
      gather({ kind: "status", status, at: Date.now() });
    },
    removed: (streamId) => {
      gather({ kind: "removed", streamId });
    },
    lines: (lines, replay) => {
      pendingLines.push({ lines, replay });
      arm();
    },
    missed: (count) => {
      log.value = logs.missed(log.value, count);
    },
  },
  () => api.token,
);

export function begin(): void {
  api.token = recallToken();
  api.onUnauthorized = wantToken;
  addEventListener("hashchange", () => {
    route.value = parse(location.hash);
    document.title = title(route.value);
  });
  document.title = title(route.value);
  setInterval(() => {
    now.value = Date.now();
  }, 1_000);
  setInterval(() => {
    if (link.value !== "live") void ask();
  }, ASK_MS);
  setInterval(() => void ask(), CHECK_MS);
  applyTheme();
  void ask();
  events.connect();
}

/** Reads the list; how that went decides what the page says about its connection. */
export async function ask(): Promise<void> {
  if (tokenWanted.value) return;
  try {
    const statuses = await api.pipelines();
    gather({ kind: "listed", statuses, at: Date.now() });
    if (link.value !== "live") link.value = "asking";
    lostAt.value = null;
    version.value ??= (await api.health()).version;
  } catch (error) {
    if (error instanceof ApiError && error.status !== 0) return;
    link.value = "lost";
    lostAt.value ??= Date.now();
  }
}

/** Where the page has a newer status at hand than the next event would bring. */
export function take(status: StreamStatus): void {
  gather({ kind: "status", status, at: Date.now() });
}

export function wantToken(): void {
  batch(() => {
    tokenRefused.value = api.token !== null;
    tokenWanted.value = true;
  });
}

export function giveToken(token: string, keep: boolean): void {
  api.token = token;
  rememberToken(token, keep);
  tokenWanted.value = false;
  void ask();
  events.connect();
}

export function dropToken(): void {
  api.token = null;
  forgetToken();
}

/** Another level is another choice of lines, which the service sends anew. */
export function setLevel(next: Level): void {
  level.value = next;
  remember("level", next);
  events.filter(wanted());
}

/** The stream whose lines are looked at, or null for all: the service keeps more of one than of one among all. */
export function lookAt(streamId: string | null): void {
  if (streamId === looked) return;
  looked = streamId;
  log.value = logs.resume(log.value);
  events.filter(wanted());
}

let looked: string | null = null;

const wanted = (): LineFilter => ({ level: level.value, ...(looked === null ? {} : { streamId: looked }) });

export function go(to: Route): void {
  location.hash = href(to);
}

export function setTheme(next: Theme): void {
  theme.value = next;
  remember("theme", next);
  applyTheme();
}

export function speak(text: string): void {
  spoken.value = text;
}

function gather(event: Event): void {
  pending.push(event);
  arm();
}

function arm(): void {
  if (gathering) return;
  gathering = true;
  setTimeout(flush, GATHER_MS);
}

function flush(): void {
  gathering = false;
  batch(() => {
    let next = streams.value;
    const said: string[] = [];
    for (const event of pending.splice(0)) {
      if (event.kind === "listed") listed.value = true;
      const change = reduce(next, event);
      next = change.streams;
      said.push(...change.said);
    }
    streams.value = next;
    // One sentence at a time: a screen reader that is fed faster says nothing to the end.
    const last = said.at(-1);
    if (last !== undefined) spoken.value = last;
    let lines = log.value;
    for (const { lines: fresh, replay } of pendingLines.splice(0)) {
      lines = replay ? logs.replay(lines, fresh) : logs.append(lines, fresh);
    }
    log.value = lines;
  });
}

function recalledTheme(): Theme {
  const value = recall("theme");
  return value === "light" || value === "dark" ? value : "system";
}

/** As `public/theme.js` does before the page is drawn. */
function applyTheme(): void {
  if (theme.value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
}
