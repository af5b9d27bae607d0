/** The service and its surroundings as processes, each on a port that the system chooses. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARY = process.env["OVERDUB_BIN"] ?? join(import.meta.dirname, "../../target/debug/overdub");

/**
 * How long anything may take that has to happen. Nothing waits that long when all is well; on a machine that builds
 * at the same time things take their time.
 */
export const PATIENCE_MS = 60_000;

export class Process {
  readonly #child: ChildProcess;
  output = "";

  constructor(args: readonly string[], environment: Record<string, string> = {}) {
    this.#child = spawn(BINARY, args, { env: { ...process.env, ...environment }, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
      });
    }
  }

  /** Waits until it has printed what matches. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    return waitFor(`${BINARY} to print ${pattern}`, () => {
      const match = pattern.exec(this.output);
      if (match === null && this.#child.exitCode !== null) throw new Error(`it ended: ${this.output}`);
      return match;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}; it said:\n${this.output}\n(is ${BINARY} built, with the page? make ui-test does)`);
    });
  }

  /** As a crash or a person would end it. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const over = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill(signal);
    // Streams play out what they have captured; a test need not wait for that.
    const impatience = setTimeout(() => this.#child.kill("SIGKILL"), 3_000);
    await over;
    clearTimeout(impatience);
  }
}

export interface Demo {
  process: Process;
  /** The service's address. */
  url: string;
  /** The live source's playlist. */
  source: string;
  processor: string;
  /** An RTMP server's address without a stream's name. */
  rtmp: string;
  end: () => Promise<void>;
}

/** `overdub demo`: the service with a stream called demo, and a source and a sink for others. */
export async function demo(environment: Record<string, string> = {}): Promise<Demo> {
  const storage = mkdtempSync(join(tmpdir(), "overdub-ui-"));
  const it = new Process(["demo", "--port", "0", "--storage", storage], environment);
  const [, preview = ""] = await it.printed(/preview\s+(http:\S+)\/preview\/demo\/index\.m3u8/);
  const [, source = ""] = await it.printed(/source\s+(http:\S+)/);
  const [, processor = ""] = await it.printed(/processor\s+(http:\S+)/);
  const [, output = ""] = await it.printed(/output\s+(rtmp:\S+\/live)\//);
  return {
    process: it,
    url: preview,
    source,
    processor,
    rtmp: output,
    end: async () => {
      await it.end();
      rmSync(storage, { recursive: true, force: true });
    },
  };
}

/** `overdub serve` without a stream. */
export async function serve(environment: Record<string, string> = {}, port = 0): Promise<{ url: string; end: (signal?: NodeJS.Signals) => Promise<void> }> {
  const storage = mkdtempSync(join(tmpdir(), "overdub-ui-"));
  const it = new Process(["serve", "--port", String(port), "--storage", storage], environment);
  const [, url = ""] = await it.printed(/overdub on (http:\S+)/);
  return {
    url,
    end: async (signal) => {
      await it.end(signal);
      rmSync(storage, { recursive: true, force: true });
    },
  };
}

/** `overdub echo`: a processor that can be broken. */
export async function echo(port = 0): Promise<{ url: string; port: number; end: () => Promise<void> }> {
  const it = new Process(["echo", "--port", String(port)]);
  const [, url = "", found = ""] = await it.printed(/(http:\/\/[^\s:]+:(\d+))/);
  return { url, port: Number(found), end: () => it.end("SIGKILL") };
}

/** Asks until there is an answer. */
export async function waitFor<T>(what: string, ask: () => T | null | Promise<T | null>): Promise<T> {
  const limit = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (Date.now() > limit) throw new Error(`waited ${PATIENCE_MS} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
