/** What single parts of the page say and do, with made-up streams on a real service. */

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { launch, open } from "./browser";
import { EVERY } from "./fixtures";
import { serve } from "./service";
import { DESKTOP, shown } from "./stage";

let browser: Browser;
let service: Awaited<ReturnType<typeof serve>>;

beforeAll(async () => {
  [browser, service] = await Promise.all([launch(), serve()]);
});

afterAll(async () => {
  await browser.close();
  await service.end("SIGKILL");
});

describe("the page", () => {
  it("says what is wrong with a stream, in words, where all streams are listed and in its own view", async () => {
    const { page } = await shown(browser, service.url, EVERY, "#/", DESKTOP);
    const row = page.locator(".list > li", { hasText: "sports-de" });
    await row.getByText("No connection to the processor at dub.internal:5001").waitFor();
    await row.getByText("In trouble").waitFor();
    await page.getByText("6 running, 4 need attention, 2 stopped").waitFor();
    await row.getByRole("link", { name: "sports-de" }).click();
    await page.getByText("refused the connection; retrying in 4 s", { exact: false }).first().waitFor();
    await page.getByText("1 of 2 connected").waitFor();
    await page.locator(".lane.bypass.active", { hasText: "on air" }).waitFor();
    await page.context().close();
  });

  it("draws each batch with its deadline, and a fallback in another colour, pattern and word", async () => {
    const { page } = await shown(browser, service.url, EVERY, "#/streams/sports-de", DESKTOP);
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

  it("shows in the start form what empty fields mean at this service", async () => {
    const own = await serve({ OVERDUB_BUFFER_DURATION: "10s", OVERDUB_FALLBACK: "silence" });
    const { page } = await open(browser, `${own.url}/#/start`, DESKTOP);
    await page.getByPlaceholder("10 s", { exact: true }).waitFor();
    await page.getByText("The output is 22 s to 32 s behind the source").waitFor();
    await page.getByText("else viewers hear silence for that batch").waitFor();
    expect(await page.getByLabel("When an answer is missing").locator("option").first().textContent()).toBe("silence (default)");
    await page.context().close();
    await own.end("SIGKILL");
  });

  it("keeps a theme that was chosen, before anything is drawn", async () => {
    const { page } = await shown(browser, service.url, EVERY, "#/", { ...DESKTOP, colorScheme: "light" });
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
    const { page } = await shown(browser, service.url, EVERY, "#/streams/news-en", { ...DESKTOP, reducedMotion: "reduce" });
    await page.locator(".line.active").first().waitFor();
    const moving = await page.evaluate(() => document.getAnimations().length);
    expect(moving).toBe(0);
    await page.context().close();
  });

  it("says that the connection is lost, and goes on when it is back", async () => {
    const first = await serve();
    const port = Number(new URL(first.url).port);
    const { page } = await open(browser, first.url, DESKTOP);
    await page.locator(".linkstate", { hasText: "Live" }).waitFor();
    await first.end("SIGKILL");
    await page.getByRole("alert").getByText("The connection to the service is lost.").waitFor();
    const second = await serve({}, port);
    await page.locator(".linkstate", { hasText: "Live" }).waitFor();
    await page.getByRole("alert").waitFor({ state: "detached" });
    await page.context().close();
    await second.end("SIGKILL");
  });
});
