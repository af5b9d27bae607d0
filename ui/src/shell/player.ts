/** hls.js around one video element. Loaded only where something is played. */

import Hls from "hls.js";

import type { Fault } from "../core/preview";

export interface Playing {
  /** Seconds behind the live edge; null while nothing plays. */
  latency(): number | null;
  /** The calendar time of what is shown, in epoch milliseconds, where the playlist tells it. */
  date(): number | null;
  stop(): void;
}

export interface Callbacks {
  onFault: (fault: Fault, fatal: boolean) => void;
  onPlaying: () => void;
}

/** How often a player that gave up begins anew. */
const AGAIN_MS = 3_000;

export function play(video: HTMLVideoElement, url: string, token: string | null, callbacks: Callbacks): Playing {
  const native = !Hls.isSupported() && video.canPlayType("application/vnd.apple.mpegurl") !== "";
  if (native) return playNatively(video, url, token, callbacks);
  let gone = false;
  let again: ReturnType<typeof setTimeout> | undefined;
  let hls = begin();

  function begin(): Hls {
    const it = new Hls({
      // A worker would need a blob: script, which the content security policy refuses.
      enableWorker: false,
      liveSyncDurationCount: 2,
      maxBufferLength: 12,
      backBufferLength: 20,
      xhrSetup: (request, address) => {
        // The token is for our own service only.
        if (token !== null && new URL(address, location.href).origin === location.origin) {
          request.setRequestHeader("authorization", `Bearer ${token}`);
        }
      },
    });
    it.on(Hls.Events.ERROR, (_, error) => {
      const status = error.response?.code ?? null;
      callbacks.onFault({ details: error.details, status }, error.fatal);
      if (!error.fatal || gone) return;
      it.destroy();
      again = setTimeout(() => {
        hls = begin();
      }, AGAIN_MS);
    });
    it.on(Hls.Events.MANIFEST_PARSED, () => {
      void video.play().catch(() => undefined);
    });
    it.loadSource(url);
    it.attachMedia(video);
    return it;
  }

  video.addEventListener("playing", callbacks.onPlaying);
  return {
    latency: () => (video.readyState >= 2 && hls.latency > 0 ? hls.latency : null),
    date: () => hls.playingDate?.getTime() ?? null,
    stop() {
      gone = true;
      clearTimeout(again);
      video.removeEventListener("playing", callbacks.onPlaying);
      hls.destroy();
      video.removeAttribute("src");
      video.load();
    },
  };
}

/** Browsers on iOS play HLS by themselves, and set no headers. */
function playNatively(video: HTMLVideoElement, url: string, token: string | null, callbacks: Callbacks): Playing {
  const address = new URL(url, location.href);
  if (token !== null && address.origin === location.origin) address.searchParams.set("token", token);
  const failed = (): void => {
    callbacks.onFault({ details: "manifestLoadError", status: null }, true);
  };
  video.addEventListener("error", failed);
  video.addEventListener("playing", callbacks.onPlaying);
  video.src = address.href;
  void video.play().catch(() => undefined);
  return {
    latency: () => (video.seekable.length === 0 ? null : video.seekable.end(video.seekable.length - 1) - video.currentTime),
    date: () => null,
    stop() {
      video.removeEventListener("error", failed);
      video.removeEventListener("playing", callbacks.onPlaying);
      video.removeAttribute("src");
      video.load();
    },
  };
}
