/** Which view the address names. The part behind `#` never reaches the server. */

export type Route =
  | { view: "streams" }
  | { view: "start"; from?: string }
  | { view: "stream"; id: string }
  | { view: "log"; stream?: string }
  | { view: "storage" };

/** A stream's name as the service takes it. */
export const STREAM_ID = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;

/** Reads `location.hash`; what names nothing leads to the list. */
export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const parameters = new URLSearchParams(query);
  const [head, id] = path.split("/");
  switch (head) {
    case "streams": {
      const name = decoded(id);
      return name !== null && STREAM_ID.test(name) ? { view: "stream", id: name } : { view: "streams" };
    }
    case "start": {
      const from = parameters.get("from");
      return from !== null && STREAM_ID.test(from) ? { view: "start", from } : { view: "start" };
    }
    case "log": {
      const stream = parameters.get("stream");
      return stream !== null && STREAM_ID.test(stream) ? { view: "log", stream } : { view: "log" };
    }
    case "storage":
      return { view: "storage" };
    default:
      return { view: "streams" };
  }
}

/** The address of a view. */
export function href(route: Route): string {
  switch (route.view) {
    case "streams":
      return "#/";
    case "start":
      return route.from === undefined ? "#/start" : `#/start?from=${encodeURIComponent(route.from)}`;
    case "stream":
      return `#/streams/${encodeURIComponent(route.id)}`;
    case "log":
      return route.stream === undefined ? "#/log" : `#/log?stream=${encodeURIComponent(route.stream)}`;
    case "storage":
      return "#/storage";
  }
}

/** The document's title: what a tab and a screen reader say first. */
export function title(route: Route): string {
  switch (route.view) {
    case "streams":
      return "Streams · Overdub";
    case "start":
      return "Start a stream · Overdub";
    case "stream":
      return `${route.id} · Overdub`;
    case "log":
      return "Log · Overdub";
    case "storage":
      return "Storage · Overdub";
  }
}

function decoded(text: string | undefined): string | null {
  if (text === undefined || text === "") return null;
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
