/** Every view in every state, without waiting for it to happen: the service is real, what it lists is made up. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { StreamStatus } from "../src/core/types";
import { barriers, launch, open, overflow } from "./browser";
import { inTrouble, running, starting, stopped, storage } from "./fixtures";
import { serve } from "./service";

/** A folder for pictures of all views, for whoever wants to look at them. */
const PICTURES = process.env["PICTURES"];

const DESKTOP: BrowserContextOptions = { viewport: { width: 1360, height: 900 } };
const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

type List = (now: number) => StreamStatus[];

const ALL: List = (now) => [running(now), inTrouble(now), stopped(now), starting(now)];
const NONE: List = () => [];

const VIEWS: { name: string; hash: string; list: List; ready: string }[] = [
  { name: "streams", hash: "#/", list: ALL, ready: ".list > li" },
  { name: "streams-empty", hash: "#/", list: NONE, ready: ".empty" },
  { name: "stream-running", hash: "#/streams/news-en", list: ALL, ready: ".chart canvas" },
  { name: "stream-fault", hash: "#/streams/sports-de", list: ALL, ready: ".issue.bad" },
  { name: "stream-stopped", hash: "#/streams/weather", list: ALL, ready: ".pipeline" },
  { name: "stream-starting", hash: "#/streams/concert", list: ALL, ready: ".pipeline" },
  { name: "stream-unknown", hash: "#/streams/nobody", list: ALL, ready: ".empty" },
  { name: "start", hash: "#/start", list: ALL, ready: "form" },
  { name: "log", hash: "#/log", list: ALL, ready: ".lines" },
  { name: "storage", hash: "#/storage", list: ALL, ready: ".bystream" },
];

let browser: Browser;
let service: Awaited<ReturnType<typeof serve>>;

beforeAll(async () => {
  [browser, service] = await Promise.all([launch(), serve()]);
});

afterAll(async () => {
  await browser.close();
  await service.end("SIGKILL");
});

/** A page that is shown these streams. */
async function shown(list: List, hash: string, options: BrowserContextOptions) {
  const watched = await open(browser, service.url, options, async (page) => {
    // Without events the page asks for the list, which is made up.
    await page.routeWebSocket(/socket\.io/, (socket) => socket.close());
    await page.route("**/socket.io/**", (route) => route.abort());
    await page.route("**/api/pipelines", (route) => route.fulfill({ json: { pipelines: list(Date.now()) } }));
    await page.route("**/api/storage/stats", (route) => route.fulfill({ json: storage }));
  });
  await to(watched.page, hash);
  return watched;
}

async function to(page: Page, hash: string): Promise<void> {
  await page.evaluate((where) => {
    location.hash = where;
  }, hash);
}

async function picture(page: Page, name: string): Promise<void> {
  if (PICTURES === undefined) return;
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
}

describe.each(["light", "dark"] as const)("in %s", (colorScheme) => {
  it("no view keeps anybody out (axe), on a desk or on a phone, and none is wider than its window", async () => {
    for (const [device, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      for (const list of [ALL, NONE]) {
        const views = VIEWS.filter((view) => view.list === list);
        const { page, faults } = await shown(list, "#/", { ...options, colorScheme });
        for (const view of views) {
          const name = `${view.name}, ${device}, ${colorScheme}`;
          await to(page, view.hash);
          await page.locator(view.ready).first().waitFor();
          expect(await barriers(page), name).toEqual([]);
          expect(await overflow(page), name).toBeLessThanOrEqual(0);
          await picture(page, `${view.name}-${device}-${colorScheme}`);
        }
        expect(faults).toEqual([]);
        await page.context().close();
      }
    }
  });
});

describe("the page", () => {
  it("says what is wrong with a stream, in words, where all streams are listed and in its own view", async () => {
    const { page } = await shown(ALL, "#/", DESKTOP);
    const row = page.locator(".list > li", { hasText: "sports-de" });
    await row.getByText("No connection to the processor at dub.internal:5001").waitFor();
    await row.getByText("In trouble").waitFor();
    await page.getByText("3 running, 1 needs attention, 1 stopped").waitFor();
    await row.getByRole("link", { name: "sports-de" }).click();
    await page.getByText("refused the connection; retrying in 4 s", { exact: false }).first().waitFor();
    await page.getByText("1 of 2 connected").waitFor();
    await page.locator(".lane.bypass.active", { hasText: "on air" }).waitFor();
    await page.context().close();
  });

  it("draws each batch with its deadline, and a fallback in another colour, pattern and word", async () => {
    const { page } = await shown(ALL, "#/streams/sports-de", DESKTOP);
    const rows = page.locator(".timeline .batch");
    await rows.first().waitFor();
    expect(await rows.count()).toBe(8);
    expect(await page.locator(".timeline .deadline").count()).toBe(8);
    const fallback = page.locator(".timeline .batch.fallback").first();
    expect(await fallback.textContent()).toContain("fallback: disconnected");
    const look = (locator: string) =>
      page.locator(`${locator} .bar.play`).first().evaluate((bar) => getComputedStyle(bar).backgroundImage);
    expect(await look(".timeline .batch.fallback")).toContain("repeating-linear-gradient");
    expect(await look(".timeline .batch.processed")).toBe("none");
    await page.getByRole("button", { name: "Show all 20" }).click();
    expect(await rows.count()).toBe(20);
    await page.context().close();
  });

  it("keeps a theme that was chosen, before anything is drawn", async () => {
    const { page } = await shown(ALL, "#/", { ...DESKTOP, colorScheme: "light" });
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.getByRole("radio", { name: "Dark" }).check();
    const dark = await ground();
    expect(dark).not.toBe(light);
    await page.reload({ waitUntil: "commit" });
    await page.locator("main").waitFor();
    expect(await ground()).toBe(dark);
    await page.context().close();
  });

  it("moves nothing for those who asked for no motion", async () => {
    const { page } = await shown(ALL, "#/streams/news-en", { ...DESKTOP, reducedMotion: "reduce" });
    await page.locator(".line.active").first().waitFor();
    const moving = await page.evaluate(() => document.getAnimations().length);
    expect(moving).toBe(0);
    await page.context().close();
  });

  it("asks for the token that the service wants, and works with the right one only", async () => {
    const closed = await serve({ OVERDUB_API_TOKEN: "right-token" });
    const { page } = await open(browser, closed.url, DESKTOP);
    const dialog = page.getByRole("dialog", { name: "This service asks for a token" });
    await dialog.getByLabel("Token").fill("wrong-token");
    await dialog.getByRole("button", { name: "Go on" }).click();
    await dialog.getByText("The last one was not accepted.").waitFor();
    await dialog.getByLabel("Token").fill("right-token");
    await dialog.getByRole("button", { name: "Go on" }).click();
    await page.getByText("Nothing is running").waitFor();
    await page.locator(".linkstate", { hasText: "Live" }).waitFor();
    await page.reload();
    await page.getByText("Nothing is running").waitFor();
    await page.context().close();
    await closed.end("SIGKILL");
  });

  it("says that the connection is lost, and goes on when it is back", async () => {
    const first = await serve();
    const port = Number(new URL(first.url).port);
    const { page } = await open(browser, first.url, DESKTOP);
    await page.locator(".linkstate", { hasText: "Live" }).waitFor();
    await first.end("SIGKILL");
    await page.getByRole("alert").getByText("The connection to the service is lost.").waitFor();
    const second = await serve({}, port);
    await page.locator(".linkstate", { hasText: "Live" }).waitFor({ timeout: 20_000 });
    await page.getByRole("alert").waitFor({ state: "detached" });
    await page.context().close();
    await second.end("SIGKILL");
  });
});
