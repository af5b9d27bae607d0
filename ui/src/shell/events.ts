/** The event channel: Socket.IO on the service's own port. */

import { type Socket, io } from "socket.io-client";

import { parse } from "../core/log";
import type { LogLine, StreamStatus } from "../core/types";
import { address } from "./address";

export interface Listener {
  connected(): void;
  /** `refused`: the service wants a token. */
  disconnected(refused: boolean): void;
  status(status: StreamStatus): void;
  removed(streamId: string): void;
  /** New lines, or with `replay` what takes the place of all before. */
  lines(lines: LogLine[], replay: boolean): void;
  missed(count: number): void;
}

export interface LineFilter {
  level?: string;
  modules?: string[];
  streamId?: string;
}

export class Events {
  readonly #socket: Socket;

  constructor(listener: Listener, token: () => string | null) {
    const socket = io({
      path: new URL(address("socket.io/")).pathname,
      autoConnect: false,
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      reconnectionDelay: 500,
      reconnectionDelayMax: 5_000,
      auth: (give) => {
        const it = token();
        give(it === null ? {} : { token: it });
      },
    });
    socket.on("connect", () => {
      listener.connected();
    });
    socket.on("disconnect", (reason) => {
      listener.disconnected(false);
      // The client leaves a connection alone that the server ended on purpose; a service that restarts does that.
      if (reason === "io server disconnect") setTimeout(() => socket.connect(), 1_000);
    });
    socket.on("connect_error", (error) => {
      const refused = /token|unauthori[sz]ed|401/i.test(error.message);
      listener.disconnected(refused);
      // After a refusal the client does not try again by itself, and with the same token it need not.
      if (!refused && !socket.active) setTimeout(() => socket.connect(), 2_000);
    });
    socket.on("status", (status: StreamStatus) => {
      listener.status(status);
    });
    socket.on("removed", (event: { streamId: string }) => {
      listener.removed(event.streamId);
    });
    socket.on("log", (line: unknown) => {
      listener.lines(all([line]), false);
    });
    socket.on("logs", (lines: unknown) => {
      listener.lines(all(Array.isArray(lines) ? lines : []), true);
    });
    socket.on("missed", (event: { count: number }) => {
      listener.missed(event.count);
    });
    this.#socket = socket;
  }

  /** Connects, or connects anew with another token. */
  connect(): void {
    this.#socket.disconnect().connect();
  }

  /** Which log lines come from now on. */
  filter(filter: LineFilter): void {
    if (this.#socket.connected) this.#socket.emit("filter", filter, () => undefined);
  }
}

function all(values: unknown[]): LogLine[] {
  return values.map(parse).filter((line) => line !== null);
}
