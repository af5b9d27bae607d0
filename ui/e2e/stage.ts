/**
 * The page with made-up streams: every state at once, without waiting for it to happen. The service, its files and
 * its content security policy are real; what it lists, sends and stores is not.
 */

import type { Browser, BrowserContextOptions, Page } from "playwright-core";

import type { LogLine, StreamStatus } from "../src/core/types";
import { type Watched, open } from "./browser";
import { lines, storage } from "./fixtures";

export const DESKTOP: BrowserContextOptions = { viewport: { width: 1360, height: 900 } };
export const PHONE: BrowserContextOptions = { viewport: { width: 360, height: 780 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** The streams as they are at this moment. */
export type List = (now: number) => StreamStatus[];

/** How far back the page's measurements go, and how far apart they are. */
const PAST_MS = 280_000;
const STEP_MS = 2_000;

/** What else the page is shown, where it is not the usual. */
export interface Beside {
  log?: (now: number) => LogLine[];
  storage?: typeof storage;
}

/** A page that is shown these streams, and has been watching them for some minutes. */
export async function shown(browser: Browser, url: string, list: List, hash: string, options: BrowserContextOptions, beside: Beside = {}): Promise<Watched> {
  const watched = await open(browser, url, options, async (page) => {
    await page.route("**/api/pipelines", (route) => route.fulfill({ json: { pipelines: list(Date.now()) } }));
    await page.route("**/api/storage/stats", (route) => route.fulfill({ json: list(Date.now()).length === 0 ? EMPTY : (beside.storage ?? storage) }));
    await page.routeWebSocket(/socket\.io/, (socket) => {
      const emit = (event: string, value: unknown): void => {
        socket.send(`42${JSON.stringify([event, value])}`);
      };
      socket.onMessage((message) => {
        // Socket.IO's CONNECT; everything else that a page says is a filter or a pong.
        if (!String(message).startsWith("40")) return;
        socket.send('40{"sid":"stage"}');
        const now = Date.now();
        for (let at = now - PAST_MS; at <= now; at += STEP_MS) list(at).forEach((status) => { emit("status", status); });
        emit("logs", list(now).length === 0 ? [] : ((beside.log ?? lines)(now) satisfies LogLine[]));
      });
      socket.send('0{"sid":"stage","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}');
    });
  });
  await watched.page.locator(".linkstate", { hasText: "Live" }).waitFor();
  await to(watched.page, hash);
  return watched;
}

export async function to(page: Page, hash: string): Promise<void> {
  await page.evaluate((where) => {
    location.hash = where;
  }, hash);
}

const EMPTY = { originalStreamSize: 0, processedFragmentsSize: 0, totalSize: 0, availableSpace: 48_120_000_000, breakdown: [] };
