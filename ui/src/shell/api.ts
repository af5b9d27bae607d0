/** The service's HTTP API. */

import type { Cleaned, Done, StorageStats, StreamStatus } from "../core/types";
import { address } from "./address";

/** Longest wait for an answer; a stop may take ten seconds. */
const TIMEOUT_MS = 20_000;

/** A refusal in the service's own words, or why there was no answer. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** 0: no answer. */
    readonly status: number,
    /** The setting that is at fault. */
    readonly field: string | null = null,
  ) {
    super(message);
  }
}

export interface Health {
  status: string;
  version: string;
  uptime: number;
}

export class Api {
  /** Called when the service asks for a token, or for another one. */
  onUnauthorized: () => void = () => undefined;
  token: string | null = null;

  health(): Promise<Health> {
    return this.#call<Health>("GET", "api/health");
  }

  async pipelines(): Promise<StreamStatus[]> {
    return (await this.#call<{ pipelines: StreamStatus[] }>("GET", "api/pipelines")).pipelines;
  }

  settings(id: string): Promise<Record<string, unknown>> {
    return this.#call("GET", `api/pipelines/${encodeURIComponent(id)}/settings`);
  }

  /** What is set for all streams. */
  defaults(): Promise<Record<string, unknown>> {
    return this.#call("GET", "api/pipeline/defaults");
  }

  start(body: Record<string, unknown>): Promise<Done> {
    return this.#call("POST", "api/pipeline/start", body);
  }

  stop(streamId: string): Promise<Done> {
    return this.#call("POST", "api/pipeline/stop", { streamId });
  }

  restart(id: string): Promise<Done> {
    return this.#call("POST", `api/pipelines/${encodeURIComponent(id)}/restart`, {});
  }

  /** Forgets a stopped stream. */
  remove(id: string): Promise<unknown> {
    return this.#call("DELETE", `api/pipelines/${encodeURIComponent(id)}`);
  }

  storage(): Promise<StorageStats> {
    return this.#call("GET", "api/storage/stats");
  }

  clean(request: { streamId?: string; keepLast?: number }): Promise<Cleaned> {
    return this.#call("POST", "api/storage/clean", request);
  }

  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const headers: Record<string, string> = {};
    if (this.token !== null) headers["authorization"] = `Bearer ${this.token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    let response: Response;
    try {
      response = await fetch(address(path), {
        method,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch {
      throw new ApiError("The service does not answer.", 0);
    }
    if (response.status === 401) this.onUnauthorized();
    const answer = (await response.json().catch(() => null)) as (T & { error?: string; field?: string }) | null;
    if (!response.ok) {
      throw new ApiError(answer?.error ?? `The service answers with HTTP ${response.status}.`, response.status, answer?.field ?? null);
    }
    if (answer === null) throw new ApiError("The service's answer is not JSON.", response.status);
    return answer;
  }
}
