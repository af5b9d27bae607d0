import { useEffect, useRef } from "preact/hooks";

import { clock, duration } from "./core/format";
import { state } from "./core/health";
import { type Route, href, title } from "./core/route";
import { LogIcon, Mark, StartIcon, StorageIcon, StreamsIcon } from "./parts/Icons";
import { Choices } from "./parts/Panel";
import { Sign } from "./parts/Sign";
import { Token } from "./parts/Token";
import * as store from "./shell/store";
import { LogPage } from "./views/LogPage";
import { Start } from "./views/Start";
import { Storage } from "./views/Storage";
import { Streams } from "./views/Streams";
import { StreamView } from "./views/StreamView";

export function App() {
  const route = store.route.value;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const address = href(route);
  // A new view is a new page to whoever does not see it: the focus goes to its beginning.
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [address]);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <div class="frame">
        <Rail route={route} />
        <div class="body">
          <Banner />
          <main id="main" ref={main} tabIndex={-1} aria-label={title(route).replace(" · Overdub", "")}>
            <View route={route} />
          </main>
        </div>
      </div>
      <p class="unseen" role="status" aria-live="polite">
        {store.spoken.value}
      </p>
      {store.tokenWanted.value && <Token />}
    </>
  );
}

function View({ route }: { route: Route }) {
  switch (route.view) {
    case "streams":
      return <Streams />;
    case "stream":
      return <StreamView key={route.id} id={route.id} />;
    case "start":
      return <Start key={route.from ?? ""} {...(route.from === undefined ? {} : { from: route.from })} />;
    case "log":
      return <LogPage key={route.stream ?? ""} {...(route.stream === undefined ? {} : { stream: route.stream })} />;
    case "storage":
      return <Storage />;
  }
}

function Rail({ route }: { route: Route }) {
  const here = (view: Route["view"]) => (route.view === view ? ({ "aria-current": "page" } as const) : {});
  return (
    <header class="rail">
      <a class="brand" href={href({ view: "streams" })} aria-label="Overdub">
        <Mark />
        <span>Overdub</span>
      </a>
      <nav class="nav" aria-label="Main">
        <ul>
          <li>
            <a href={href({ view: "streams" })} {...here("streams")}>
              <StreamsIcon />
              Streams
            </a>
          </li>
          <li>
            <a href={href({ view: "start" })} {...here("start")}>
              <StartIcon />
              Start
            </a>
          </li>
          <li>
            <a href={href({ view: "log" })} {...here("log")}>
              <LogIcon />
              Log
            </a>
          </li>
          <li>
            <a href={href({ view: "storage" })} {...here("storage")}>
              <StorageIcon />
              Storage
            </a>
          </li>
        </ul>
      </nav>
      <RailStreams route={route} />
      <div class="foot">
        <LinkState />
        <Choices
          legend="Colours"
          value={store.theme.value}
          options={[
            { value: "system", label: "Auto" },
            { value: "light", label: "Light" },
            { value: "dark", label: "Dark" },
          ]}
          onChange={store.setTheme}
        />
        {store.version.value !== null && <span class="version">Overdub {store.version.value}</span>}
      </div>
    </header>
  );
}

function RailStreams({ route }: { route: Route }) {
  const all = [...store.streams.value.values()];
  if (all.length === 0) return null;
  return (
    <nav class="streams" aria-label="Streams">
      <h2>Streams</h2>
      <ul>
        {all.map(({ status }) => {
          const { tone, label } = state(status);
          const current = route.view === "stream" && route.id === status.streamId;
          return (
            <li key={status.streamId}>
              <a href={href({ view: "stream", id: status.streamId })} {...(current ? ({ "aria-current": "page" } as const) : {})}>
                <Sign tone={tone} />
                <span class="name">{status.streamId}</span>
                <span class="unseen">{label}</span>
                <span class="num" aria-hidden="true">
                  {status.stats.lagSeconds === null || !status.isRunning ? "" : duration(status.stats.lagSeconds)}
                </span>
              </a>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}

const LINKS = {
  connecting: { tone: "busy", label: "Connecting" },
  live: { tone: "good", label: "Live" },
  asking: { tone: "busy", label: "Polling" },
  lost: { tone: "bad", label: "No connection" },
} as const;

function LinkState() {
  const { tone, label } = LINKS[store.link.value];
  return (
    <span class="linkstate">
      <Sign tone={tone} />
      {label}
    </span>
  );
}

function Banner() {
  if (store.link.value !== "lost" || store.lostAt.value === null) return null;
  return (
    <div class="banner" role="alert">
      <Sign tone="bad" />
      <span>The connection to the service is lost.</span>
      <span>What you see is from {clock(store.lostAt.value, store.zone.value)}; the page keeps trying.</span>
    </div>
  );
}
