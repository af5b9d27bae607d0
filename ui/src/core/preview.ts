/** What a player's trouble means, and how far it is behind. */

import { duration, host } from "./format";

export type Side = "output" | "source";

/** What hls.js tells about an error, without its types: the core does not depend on the player. */
export interface Fault {
  /** hls.js's `details`. */
  details: string;
  /** The HTTP status; 0 where the browser got no answer it may read. */
  status: number | null;
}

/** What is the matter with a player, in a sentence that says what to do. */
export function explain(fault: Fault, side: Side, url: string, isRunning: boolean): string {
  const { details, status } = fault;
  const unreadable = side === "source" && (status === 0 || status === null);
  if (details.startsWith("manifestLoad") || details.startsWith("levelLoad")) {
    if (status === 404 && side === "output") {
      return isRunning
        ? "Nothing has been played yet: the preview begins with the first batch."
        : "The stream has ended, and its preview with it.";
    }
    if (status === 401) return "The service asks for a token: enter it, then play again.";
    if (status !== null && status >= 400) return `${host(url)} answers with HTTP ${status}.`;
    if (unreadable) return forbidden(url);
    return `${host(url)} does not answer.`;
  }
  if (details.startsWith("fragLoad") || details.startsWith("keyLoad")) {
    if (unreadable) return forbidden(url);
    return status !== null && status >= 400
      ? `A segment from ${host(url)} answers with HTTP ${status}; the player goes on at the next.`
      : `Segments from ${host(url)} do not arrive.`;
  }
  if (details === "manifestIncompatibleCodecsError" || details === "bufferAddCodecError") {
    return "This browser cannot decode what the stream carries (HEVC, AC-3 or E-AC-3 need Safari, Edge or a recent Chrome).";
  }
  if (details === "manifestParsingError") return `What ${host(url)} answers is no HLS playlist.`;
  if (details === "bufferStalledError") return "The player waits for the next segment.";
  if (details.startsWith("buffer")) return "The player could not take a segment; it begins anew.";
  if (details.startsWith("frag")) return "A segment is damaged; the player goes on at the next.";
  return `The player reports ${details}.`;
}

function forbidden(url: string): string {
  return `The browser may not read ${host(url)}: the server does not allow pages of other origins (CORS), needs a key that this page does not have, or is away. Overdub itself does not mind.`;
}

/** Whether a player's latency and the stream's make sense to a reader: `6.1 s behind its live edge`. */
export function latency(seconds: number | null): string {
  return seconds === null || !Number.isFinite(seconds) || seconds <= 0
    ? "–"
    : `${duration(seconds)} behind its live edge`;
}

/** A playlist address as a person types it, or what is wrong with it. */
export function checkAddress(text: string): string | null {
  const trimmed = text.trim();
  if (trimmed === "") return "Enter the address of an HLS playlist.";
  if (!/^https?:\/\/[^/\s]+/i.test(trimmed)) return "Must begin with http:// or https://.";
  return URL.canParse(trimmed) ? null : "Is no address.";
}
