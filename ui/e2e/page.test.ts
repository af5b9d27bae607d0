/** The page in Chromium against a running demo, from the start form to the stop. */

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { type Watched, launch, open, pictureOnFailure } from "./browser";
import { type Demo, demo, echo, waitFor } from "./service";

/** What the first load may take, compressed. */
const FIRST_LOAD = 300_000;

let it_: { demo: Demo; browser: Browser };
let watched: Watched;
let page: Page;
let processor: Awaited<ReturnType<typeof echo>>;

beforeAll(async () => {
  const [running, browser, answering] = await Promise.all([demo(), launch(), echo()]);
  it_ = { demo: running, browser };
  processor = answering;
});

afterAll(async () => {
  await it_.browser.close();
  await Promise.all([it_.demo.end(), processor.end()]);
});

const stream = (): string => `${it_.demo.url}/#/streams/dub`;

/** What the API says is wrong with the stream. */
async function lastError(): Promise<string> {
  const answer = await fetch(`${it_.demo.url}/api/pipeline/status?streamId=dub`);
  return ((await answer.json()) as { lastError: string | null }).lastError ?? "";
}

/** The instant that a player shows, in seconds. */
const shown = (side: string): Promise<number> =>
  page.getByLabel(`${side} of dub`).evaluate((video: HTMLVideoElement) => video.currentTime);

/** Whether its pictures really differ: the sum of a few pixels. */
const pixels = (side: string): Promise<string> =>
  page.getByLabel(`${side} of dub`).evaluate((video: HTMLVideoElement) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [64, 36];
    const context = canvas.getContext("2d");
    context?.drawImage(video, 0, 0, 64, 36);
    return Array.from(context?.getImageData(0, 0, 64, 36).data ?? []).join();
  });

describe("the page", () => {
  beforeEach(() => {
    pictureOnFailure(() => page);
  });

  it("loads in less than 300 KB and asks nobody but its own service", async () => {
    let size = 0;
    const context = await it_.browser.newContext();
    const fresh = await context.newPage();
    const asked: string[] = [];
    const sizes: Promise<void>[] = [];
    fresh.on("requestfinished", (request) => {
      asked.push(request.url());
      sizes.push(request.sizes().then(({ responseBodySize, responseHeadersSize }) => void (size += responseBodySize + responseHeadersSize)));
    });
    await fresh.goto(it_.demo.url);
    await fresh.getByRole("link", { name: "demo" }).first().waitFor();
    await Promise.all(sizes);
    console.log(`first load: ${(size / 1_000).toFixed(1)} kB in ${asked.length} requests`);
    expect(size).toBeGreaterThan(10_000);
    expect(size).toBeLessThan(FIRST_LOAD);
    expect(asked.filter((url) => !url.startsWith(it_.demo.url))).toEqual([]);
    await context.close();
  });

  it("says what is wrong in the form before anything is sent", async () => {
    watched = await open(it_.browser, `${it_.demo.url}/#/start`, { viewport: { width: 1360, height: 900 } });
    page = watched.page;
    await page.getByLabel("Source", { exact: false }).first().fill("live.m3u8");
    await page.getByLabel("Name of the stream").fill("../x");
    await page.getByRole("button", { name: "Start the stream" }).click();
    await page.getByText("Must be an http:// or https:// address.").waitFor();
    await page.getByText("2 fields need another look.").waitFor();
    // The first of them has the focus.
    expect(await page.evaluate(() => document.activeElement?.getAttribute("name"))).toBe("sourceUrl");
    expect(await page.getByLabel("Name of the stream").getAttribute("aria-invalid")).toBe("true");
  });

  it("starts a stream by the form and shows it running", async () => {
    await page.getByLabel("Source", { exact: false }).first().fill(it_.demo.source);
    await page.getByLabel("Name of the stream").fill("dub");
    await page.getByLabel("Audio processor").fill(processor.url);
    await page.getByLabel("Outputs").fill(`${it_.demo.rtmp}/{streamId}`);
    await page.getByLabel("Length of a batch").fill("4");
    await page.getByLabel("Processing budget").fill("3s");
    await page.getByText("The output is 7.0 s to 17 s behind the source").waitFor();
    await page.getByRole("button", { name: "Start the stream" }).click();
    await page.getByRole("heading", { level: 1, name: "dub" }).waitFor();
    expect(new URL(page.url()).hash).toBe("#/streams/dub");
    await page.locator(".title .state", { hasText: "On air" }).waitFor();
    await page.locator('[data-stage="processor"]', { hasText: "Ready" }).waitFor();
    await page.locator(".timeline .batch.processed").first().waitFor();
    await page.locator(".linkstate", { hasText: "Live" }).waitFor();
  });

  it("remembers what was typed", async () => {
    const second = await page.context().newPage();
    await second.goto(`${it_.demo.url}/#/start`);
    await expect.poll(() => second.getByLabel("Processing budget").inputValue()).toBe("3s");
    expect(await second.getByLabel("Outputs").inputValue()).toBe(`${it_.demo.rtmp}/{streamId}`);
    await second.close();
  });

  it("refuses other settings for a running stream, at the field", async () => {
    const second = await page.context().newPage();
    await second.goto(`${it_.demo.url}/#/start`);
    await second.getByLabel("Length of a batch").fill("5");
    await second.getByText("A stream of this name is running.", { exact: false }).waitFor();
    await second.getByRole("button", { name: "Start the stream" }).click();
    await second.locator(".field", { hasText: "Name of the stream" }).getByText("runs already with other settings", { exact: false }).waitFor();
    await second.close();
  });

  it("plays output and source, and says how far behind they are", async () => {
    await page.getByRole("button", { name: "Play both" }).click();
    for (const side of ["Output", "Source"]) {
      const first = await waitFor(`${side} to play`, async () => ((await shown(side)) > 0 ? shown(side) : null));
      const picture = await pixels(side);
      await waitFor(`${side} to advance by a second`, async () => ((await shown(side)) >= first + 1 ? true : null));
      expect(await pixels(side)).not.toBe(picture);
    }
    await page.locator(".player .said", { hasText: "behind its live edge" }).first().waitFor();
    await page.getByRole("button", { name: "Stop both" }).click();
  });

  it("shows log lines as they come, and filters, searches and holds them", async () => {
    const log = page.getByRole("log", { name: "Log lines" });
    await page.getByRole("radio", { name: "debug" }).check();
    await log.locator(".row").first().waitFor();
    const before = await log.locator(".row").count();
    await waitFor("another line", async () => ((await log.locator(".row").count()) > before ? true : null));
    // By module: what is left is of that one.
    await page.getByRole("checkbox", { name: "source" }).check();
    const modules = await waitFor("lines of one module", async () => {
      const left = await log.locator(".row .module").allTextContents();
      return left.length > 0 ? left : null;
    });
    expect(new Set(modules).size).toBe(1);
    await page.getByRole("checkbox", { name: "source" }).uncheck();
    // By words.
    await page.getByRole("searchbox", { name: "Search the log" }).fill("surely in no line");
    await log.getByText("No line matches the filter.").waitFor();
    await page.getByRole("searchbox", { name: "Search the log" }).fill("");
    // Paused, lines wait and are counted.
    await page.getByRole("button", { name: "Pause" }).click();
    const held = await log.locator(".row").count();
    await page.getByRole("button", { name: /Go on \([1-9]\d* new\)/ }).waitFor();
    expect(await log.locator(".row").count()).toBe(held);
    await page.getByRole("button", { name: /Go on/ }).click();
    await waitFor("the lines that waited", async () => ((await log.locator(".row").count()) > held ? true : null));
    // By level: nothing of less weight is left.
    await page.getByRole("radio", { name: "error" }).check();
    await log.locator(".row:not(.error)").waitFor({ state: "detached" });
    await page.getByRole("radio", { name: "info" }).check();
    await log.locator(".row.info").first().waitFor();
  });

  it("says that the processor is away, what viewers hear, and that it is back", async () => {
    await processor.end();
    await page.getByText(`No connection to the processor at ${new URL(processor.url).host}`).first().waitFor();
    await page.locator('[data-stage="processor"]', { hasText: "Not connected" }).waitFor();
    await page.locator(".timeline .batch.fallback").first().waitFor();
    await page.locator(".lane.bypass.active", { hasText: "on air" }).waitFor();
    // In one sentence: who, what, until when, and what viewers hear; the API says the same.
    const told = new RegExp(`rocessor at ${processor.url} refused the connection; retrying (in \\d+ s|now); output runs on original audio`);
    await page.locator(".issue.bad", { hasText: told }).waitFor();
    await expect.poll(lastError).toMatch(told);
    // And aloud.
    await expect.poll(() => watched.spoken()).toContainEqual(expect.stringMatching(/^dub: No connection to the processor/));
    processor = await echo(processor.port);
    await page.locator('[data-stage="processor"]', { hasText: "Ready" }).waitFor();
    await page.locator(".lane.bypass.active").waitFor({ state: "detached" });
  });

  it("says what is wrong with a source that is not there", async () => {
    const second = await page.context().newPage();
    await second.goto(`${it_.demo.url}/#/start`);
    await second.getByLabel("Source", { exact: false }).first().fill("http://127.0.0.1:1/live.m3u8");
    await second.getByLabel("Name of the stream").fill("lost");
    await second.getByRole("button", { name: "Start the stream" }).click();
    await second.getByRole("heading", { level: 1, name: "lost" }).waitFor();
    const issue = second.locator(".issue.bad", { hasText: "The source at 127.0.0.1:1" });
    await issue.getByText("http://127.0.0.1:1/live.m3u8 is unreachable", { exact: false }).waitFor();
    await second.locator('[data-stage="fetch"].bad').waitFor();
    await second.getByRole("button", { name: "Stop", exact: true }).click();
    await second.getByRole("dialog").getByRole("button", { name: "Stop the stream" }).click();
    await second.locator(".title .state", { hasText: /Stopped|Failed/ }).waitFor();
    await second.close();
  });

  it("shows the batches and the measurements as tables too", async () => {
    await page.locator("summary", { hasText: "As a table: batches" }).click();
    await page.getByRole("columnheader", { name: "deadline" }).waitFor();
    await page.locator("summary", { hasText: "As a table: Behind the source" }).click();
    await page.getByRole("columnheader", { name: "lag" }).waitFor();
    await page.locator(".timeline .batch").first().click();
    await page.locator(".picked", { hasText: "captured" }).waitFor();
  });

  it("cleans the storage after asking", async () => {
    await page.getByRole("link", { name: "Storage" }).click();
    await page.getByRole("rowheader", { name: "dub" }).waitFor();
    await page.getByRole("button", { name: "Clean dub" }).click();
    const dialog = page.getByRole("dialog", { name: "Clean dub?" });
    await dialog.getByLabel("Keep the newest batches").fill("-1");
    await dialog.getByRole("button", { name: "Delete the files" }).click();
    await dialog.getByText("Must be a whole number from 0.").waitFor();
    await dialog.getByLabel("Keep the newest batches").fill("1");
    await dialog.getByRole("button", { name: "Delete the files" }).click();
    await page.getByText(/[1-9]\d* files? deleted, .* freed\./).first().waitFor();
    await dialog.waitFor({ state: "detached" });
  });

  it("restarts a stream with its own settings", async () => {
    await page.goto(stream());
    const lead = page.locator(".head .lead");
    const since = (await lead.textContent())?.split("since ")[1];
    await page.getByRole("button", { name: "Restart" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Start again" }).click();
    await expect.poll(async () => (await lead.textContent())?.split("since ")[1]).not.toBe(since);
    await page.getByRole("link", { name: "Settings" }).click();
    await expect.poll(() => page.getByLabel("Length of a batch").inputValue()).toMatch(/^4/);
    await page.goto(stream());
  });

  it("stops a stream after asking, and forgets it", async () => {
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await page.getByRole("dialog", { name: "Stop dub?" }).getByRole("button", { name: "Stop the stream" }).click();
    await page.locator(".title .state", { hasText: "Stopped" }).waitFor();
    await page.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.getByRole("heading", { level: 1, name: "Streams" }).waitFor();
    await page.getByRole("main").getByRole("link", { name: "dub" }).waitFor({ state: "detached" });
  });

  it("kept to its content security policy, and asked only the source outside, when told to", () => {
    expect(watched.faults).toEqual([]);
    const { origin } = new URL(it_.demo.source);
    expect(watched.outside.filter((url) => !url.startsWith(origin))).toEqual([]);
  });
});
