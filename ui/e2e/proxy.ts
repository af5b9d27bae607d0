/** A reverse proxy that offers a service below a path, and nothing else. */

import { type IncomingMessage, createServer, request } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export interface Proxy {
  /** Where the service is, with the path and a slash at its end. */
  url: string;
  /** What was asked and answered: `GET /overdub/api/health 200`. */
  asked: string[];
  end: () => void;
}

/**
 * `strip` takes the path away, as nginx does for `location /x/ { proxy_pass http://host/; }`; otherwise the service is
 * asked with it, as for `proxy_pass http://host;`.
 */
export async function proxy(service: string, path: string, strip: boolean): Promise<Proxy> {
  const target = new URL(service);
  const asked: string[] = [];
  const open = new Set<Socket>();
  const note = (from: IncomingMessage, status: number): void => {
    asked.push(`${from.method ?? ""} ${from.url ?? ""} ${status}`);
  };
  const pass = (from: IncomingMessage): ReturnType<typeof request> | null => {
    const address = from.url ?? "/";
    if (!address.startsWith(path)) return null;
    return request({
      host: target.hostname,
      port: target.port,
      method: from.method,
      path: strip ? address.slice(path.length - 1) : address,
      headers: from.headers,
    });
  };
  const server = createServer((from, to) => {
    const upstream = pass(from);
    if (upstream === null) {
      note(from, 404);
      to.writeHead(404).end();
      return;
    }
    upstream.on("response", (answer) => {
      note(from, answer.statusCode ?? 0);
      to.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(to);
    });
    upstream.on("error", () => to.destroy());
    from.pipe(upstream);
  });
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
  });
  server.on("upgrade", (from, socket: Socket, head: Buffer) => {
    const upstream = pass(from);
    if (upstream === null) {
      note(from, 404);
      socket.destroy();
      return;
    }
    upstream.on("upgrade", (answer, other, rest) => {
      note(from, answer.statusCode ?? 0);
      const headers = answer.rawHeaders.map((text, at) => (at % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join("");
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers}\r\n`);
      socket.write(rest);
      other.write(head);
      other.pipe(socket).pipe(other);
      other.on("error", () => socket.destroy());
      socket.on("error", () => other.destroy());
    });
    upstream.on("error", () => socket.destroy());
    upstream.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${path}`,
    asked,
    end: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
