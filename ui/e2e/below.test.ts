/** The page below a path of a reverse proxy, which strips the path or keeps it. */

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { type Watched, launch, open, pictureOnFailure } from "./browser";
import { type Proxy, proxy } from "./proxy";
import { type Demo, demo, waitFor } from "./service";

let browser: Browser;

beforeAll(async () => {
  browser = await launch();
});

afterAll(async () => {
  await browser.close();
});

describe.each([
  { name: "strips", path: "/overdub/", strip: true, environment: {} },
  { name: "keeps", path: "/tools/overdub/", strip: false, environment: { OVERDUB_BASE_PATH: "/tools/overdub" } },
])("behind a proxy that $name its path", ({ path, strip, environment }) => {
  let running: Demo;
  let between: Proxy;
  let watched: Watched;
  let page: Page;

  beforeAll(async () => {
    running = await demo(environment);
    between = await proxy(running.url, path, strip);
    watched = await open(browser, between.url, { viewport: { width: 1360, height: 900 } });
    page = watched.page;
  });

  afterAll(async () => {
    between.end();
    await running.end();
  });

  beforeEach(() => {
    pictureOnFailure(() => page);
  });

  it("the page lists the stream and is told of its events", async () => {
    await page.getByRole("link", { name: "demo" }).first().waitFor();
    await page.locator(".linkstate", { hasText: "Live" }).waitFor();
    // A WebSocket, not the long polling that it falls back to.
    expect(between.asked.filter((line) => line.includes("/socket.io/") && line.endsWith(" 101"))).not.toEqual([]);
  });

  it("the preview plays", async () => {
    await page.goto(`${between.url}#/streams/demo`);
    await page.getByRole("button", { name: "Play the output" }).click();
    const shown = (): Promise<number> => page.getByLabel("Output of demo").evaluate((video: HTMLVideoElement) => video.currentTime);
    await waitFor("the output to play", async () => ((await shown()) > 0 ? true : null));
    const pictures = process.env["PICTURES"];
    if (pictures !== undefined) await page.screenshot({ path: `${pictures}/below-${strip ? "stripped" : "kept"}.png` });
  });

  it("the start form is filled with what the service knows", async () => {
    await page.goto(`${between.url}#/start?from=demo`);
    const asked = (what: string): boolean => between.asked.includes(`GET ${path}api/${what} 200`);
    await waitFor("the defaults and the stream's settings", () => (asked("pipeline/defaults") && asked("pipelines/demo/settings") ? true : null));
  });

  it("nothing was asked elsewhere, and nothing in vain", () => {
    // Before the first batch there is no preview yet, which the player asks for again.
    const wrong = between.asked.filter((line) => / [45]\d\d$/.test(line) && !line.includes("/preview/"));
    expect(wrong).toEqual([]);
    expect([...watched.faults, ...watched.outside]).toEqual([]);
  });

  it("the description of the API is styled, and its document is where it says", async () => {
    const other = await browser.newPage();
    await other.goto(`${between.url}docs`);
    const body = other.locator("body");
    expect(await body.evaluate((element) => getComputedStyle(element).fontFamily)).not.toMatch(/^"?Times/);
    await other.getByRole("link", { name: "openapi.json" }).click();
    await other.waitForURL(`${between.url}openapi.json`);
    const document = JSON.parse(await other.locator("body").innerText()) as { servers: { url: string }[] };
    expect(new URL(document.servers[0]?.url ?? "", other.url()).href).toBe(between.url);
    await other.close();
  });

  it("the path without its slash leads to the page where the service can know it", async () => {
    const response = await fetch(`${running.url}${path.slice(0, -1)}`, { redirect: "manual" });
    expect([response.status, response.headers.get("location")]).toEqual(strip ? [404, null] : [307, path]);
  });
});
