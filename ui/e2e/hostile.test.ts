/**
 * Every view with words of others that try to be more than words. The service cuts them and shows control characters
 * as text; the page is shown them here as if it did not.
 */

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { LogLine, StreamStatus } from "../src/core/types";
import { type Watched, launch, overflow, pictureOnFailure } from "./browser";
import { failed, inTrouble, lines, running, slowProcessor, sourceAway } from "./fixtures";
import { serve } from "./service";
import { DESKTOP, PHONE, shown, to } from "./stage";

/** Each would set `globalThis.ran`, open a dialog, break a line or the layout. */
const WORDS: Record<string, string> = {
  image: `<img src=x onerror="globalThis.ran='image';alert(1)">`,
  script: `</script><script>globalThis.ran='script';alert(1)</script>`,
  drawing: `"'><svg onload="globalThis.ran='drawing'"><style>body{display:none}</style>`,
  address: `javascript:globalThis.ran='address'`,
  template: "{{constructor.constructor('globalThis.ran=1')()}}${globalThis.ran=2}<%= globalThis.ran=3 %>",
  endless: "x".repeat(1_000),
  wide: "W".repeat(500) + "\u{fdfd}".repeat(100),
  reversed: "\u{202e}\u{2066}fdp.exe\u{202d} and \u{2067}what follows".repeat(10),
  control: "one\ntwo\r\nthree\u{1b}[2J\u{7}\0\u{8}\u{7f}\u{9b}31m\u{2028}four\u{2029}".repeat(10),
  stacked: `Z${"\u{0300}\u{0301}\u{0302}\u{0327}".repeat(200)}`,
  prototype: "__proto__",
};

/** What the page decides by, and what the service has checked. */
const OURS = new Set(["streamId", "phase", "state", "startTime", "outcome", "failure", "sound", "timestamp", "level", "module"]);

/** The same with every other string, and every name of a free choice, replaced. */
function said<T>(value: T, word: string): T {
  const walk = (it: unknown, name: string): unknown => {
    if (typeof it === "string") return OURS.has(name) ? it : word;
    if (it === null && name === "lastError") return word;
    if (Array.isArray(it)) return it.map((one) => walk(one, name));
    if (typeof it !== "object" || it === null) return it;
    const free = name === "fallbackReasons" || name === "fields";
    return Object.fromEntries(Object.entries(it).map(([key, one], index) => [free ? `${word}${index}` : key, walk(one, key)]));
  };
  return walk(value, "") as T;
}

type Make = (now: number, id: string) => StreamStatus;
const STATES: Record<string, Make> = { running, inTrouble, slowProcessor, sourceAway, failed };

/** A stream for each word, in all states by turns. */
function list(now: number): StreamStatus[] {
  const makes = Object.values(STATES);
  return Object.entries(WORDS).map(([name, word], index) => said((makes[index % makes.length] ?? running)(now, name), word));
}

function log(now: number): LogLine[] {
  return Object.entries(WORDS).flatMap(([name, word]) => lines(now).slice(0, 6).map((line) => ({ ...said(line, word), streamId: name })));
}

const storage = {
  originalStreamSize: 1,
  processedFragmentsSize: 1,
  totalSize: 2,
  availableSpace: 48_120_000_000,
  breakdown: Object.values(WORDS).map((streamId) => ({ streamId, originalStreamSize: 1, processedFragmentsSize: 1, totalSize: 2, oldestBatch: 1, newestBatch: 2 })),
};

let browser: Browser;
let service: Awaited<ReturnType<typeof serve>>;

beforeAll(async () => {
  [browser, service] = await Promise.all([launch(), serve()]);
});

afterAll(async () => {
  await browser.close();
  await service.end("SIGKILL");
});

/** What came of it: nothing. */
async function harmless({ page, faults }: Watched, dialogs: string[]): Promise<void> {
  expect(await page.evaluate(() => (globalThis as { ran?: unknown }).ran)).toBeUndefined();
  // What the page draws itself has none of these.
  expect(await page.locator("img[src=x], [onerror], [onload], a[href^='javascript' i], body script:not([src])").count()).toBe(0);
  expect(await page.evaluate(() => getComputedStyle(document.body).display)).not.toBe("none");
  expect(dialogs).toEqual([]);
  expect(faults).toEqual([]);
  if (await overflow(page) > 0) expect(await wide(page)).toEqual([]);
}

/** What reaches beyond the window, the innermost first. */
function wide(page: Page): Promise<string[]> {
  return page.evaluate(() => [...document.querySelectorAll("body *")]
    .filter((it) => it.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5 && it.closest(".scroll") === null)
    .map((it) => `${it.parentElement?.className ?? ""} > ${it.tagName}.${it.getAttribute("class") ?? ""}: ${it.textContent.slice(0, 40)}`)
    .reverse());
}

/** Whether the words are there, as words. */
async function readable(page: Page, word: string): Promise<void> {
  const start = word.slice(0, 12).trim();
  await expect.poll(() => page.evaluate(() => document.querySelector("main")?.textContent ?? "")).toContain(start);
}

describe.each([
  { device: "desktop", options: DESKTOP },
  { device: "phone", options: PHONE },
])("words of others on a $device", ({ options }) => {
  let watched: Watched;
  const dialogs: string[] = [];

  beforeAll(async () => {
    watched = await shown(browser, service.url, list, "#/", options, { log, storage });
    watched.page.on("dialog", (dialog) => {
      dialogs.push(dialog.message());
      void dialog.dismiss();
    });
  });

  afterAll(async () => {
    await watched.page.context().close();
  });

  it("do nothing in the list of streams", async () => {
    const { page } = watched;
    pictureOnFailure(() => page);
    await expect.poll(async () => [await page.locator(".list > li").count(), ...watched.faults]).toEqual([Object.keys(WORDS).length]);
    await readable(page, WORDS["image"] ?? "");
    await harmless(watched, dialogs);
  });

  it.each(Object.entries(WORDS))("do nothing in the view of a stream: %s", async (name, word) => {
    const { page } = watched;
    pictureOnFailure(() => page);
    await to(page, `#/streams/${name}`);
    await page.locator("main h1", { hasText: name }).waitFor();
    await page.locator(".pipeline").first().waitFor();
    await readable(page, word);
    for (const summary of await page.locator("main summary").all()) await summary.click();
    await page.locator(".timeline .batch").first().click();
    await harmless(watched, dialogs);
  });

  it("do nothing in the log", async () => {
    const { page } = watched;
    pictureOnFailure(() => page);
    await to(page, "#/log");
    await page.locator(".lines .row").first().waitFor();
    await readable(page, WORDS["script"] ?? "");
    await page.getByPlaceholder("Search").fill("<img");
    await page.locator(".lines .row").first().waitFor();
    await harmless(watched, dialogs);
    for (const name of Object.keys(WORDS)) {
      await to(page, `#/log?stream=${name}`);
      await page.locator(".lines").waitFor();
      await harmless(watched, dialogs);
    }
  });

  it("do nothing where storage is shown", async () => {
    const { page } = watched;
    pictureOnFailure(() => page);
    await to(page, "#/storage");
    await page.locator(".bystream").waitFor();
    await readable(page, WORDS["image"] ?? "");
    await harmless(watched, dialogs);
  });

  it("do nothing in the form that starts a stream, nor in a question", async () => {
    const { page } = watched;
    pictureOnFailure(() => page);
    await page.route("**/settings", (route) => route.fulfill({ json: { sourceUrl: WORDS["image"], srsRtmpUrl: WORDS["drawing"], audioProcessorUrl: WORDS["address"], sourceAudioName: WORDS["reversed"] } }));
    await page.route("**/api/pipeline/start", (route) => route.fulfill({ status: 400, json: { success: false, error: WORDS["script"], field: WORDS["image"] } }));
    await to(page, "#/start?from=image");
    await page.locator("form").waitFor();
    await harmless(watched, dialogs);
    await page.getByLabel("Source", { exact: false }).first().fill("http://h/a.m3u8");
    await page.getByRole("button", { name: "Start the stream" }).click();
    await harmless(watched, dialogs);
    await to(page, "#/streams/script");
    await page.locator(".head .danger").first().click();
    await page.getByRole("dialog").waitFor();
    await harmless(watched, dialogs);
    await page.keyboard.press("Escape");
  });
});
