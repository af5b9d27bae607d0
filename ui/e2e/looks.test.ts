/** Every view in every state, light and dark, on a desk and on a phone: open to everybody, and within its window. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Watched, barriers, launch, overflow, pictureOnFailure } from "./browser";
import { EVERY, ONE } from "./fixtures";
import { serve } from "./service";
import { DESKTOP, type List, PHONE, shown, to } from "./stage";

/** A folder for pictures of all views, for whoever wants to look at them. */
const PICTURES = process.env["PICTURES"];

interface Look {
  name: string;
  hash: string;
  /** There when the view is. */
  ready: string;
  /** What a person does before looking. */
  act?: (page: Page) => Promise<void>;
}

const LOOKS: Record<"every" | "one" | "none", { list: List; looks: Look[] }> = {
  every: {
    list: EVERY,
    looks: [
      { name: "streams", hash: "#/", ready: ".list > li" },
      { name: "stream-running", hash: "#/streams/news-en", ready: ".chart canvas" },
      { name: "stream-fault", hash: "#/streams/sports-de", ready: ".issue.bad" },
      { name: "stream-source-away", hash: "#/streams/parliament", ready: ".issue.bad" },
      { name: "stream-slow-processor", hash: "#/streams/talk-fr", ready: ".issue.warn" },
      { name: "stream-failed", hash: "#/streams/chess", ready: ".issue.bad" },
      { name: "stream-stopped", hash: "#/streams/weather", ready: ".pipeline" },
      { name: "stream-starting", hash: "#/streams/concert", ready: ".pipeline" },
      { name: "stream-long-name", hash: "#/streams/the-very-long-name-of-a-stream.that-takes-all-of-its-64-letters_", ready: ".pipeline" },
      { name: "stream-unknown", hash: "#/streams/nobody", ready: ".empty" },
      {
        name: "stream-batch-chosen",
        hash: "#/streams/talk-fr",
        ready: ".timeline .batch",
        act: async (page) => {
          await page.locator(".timeline .batch.processed").first().click();
          await page.locator(".picked").waitFor();
          await page.locator("summary", { hasText: "As a table: batches" }).click();
          await page.getByRole("columnheader", { name: "deadline" }).waitFor();
        },
      },
      {
        name: "stream-stop-asked",
        hash: "#/streams/sports-de",
        ready: ".head .danger",
        act: async (page) => {
          await page.locator(".head .danger").click();
          await page.getByRole("dialog").waitFor();
        },
      },
      { name: "start", hash: "#/start", ready: "form" },
      {
        name: "start-wrong",
        hash: "#/start",
        ready: "form",
        act: async (page) => {
          await page.getByLabel("Source", { exact: false }).first().fill("live.m3u8");
          await page.locator("summary", { hasText: "Access to the source" }).click();
          await page.getByRole("button", { name: "Start the stream" }).click();
          await page.getByText("fields need another look").waitFor();
        },
      },
      { name: "log", hash: "#/log", ready: ".lines .row" },
      { name: "storage", hash: "#/storage", ready: ".bystream" },
      {
        name: "storage-clean-asked",
        hash: "#/storage",
        ready: ".bystream",
        act: async (page) => {
          await page.getByRole("button", { name: "Clean news-en" }).click();
          await page.getByRole("dialog").waitFor();
        },
      },
    ],
  },
  one: { list: ONE, looks: [{ name: "streams-one", hash: "#/", ready: ".list > li" }] },
  none: {
    list: () => [],
    looks: [
      { name: "streams-none", hash: "#/", ready: ".empty" },
      { name: "log-none", hash: "#/log", ready: ".lines" },
      { name: "storage-none", hash: "#/storage", ready: ".meter, .sizes" },
    ],
  },
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

// A phone has another layout and the same colours: one of the two schemes shows it. Pictures are taken of both.
const GROUNDS = [
  { device: "desktop", options: DESKTOP, colorScheme: "light" },
  { device: "desktop", options: DESKTOP, colorScheme: "dark" },
  { device: "phone", options: PHONE, colorScheme: "dark" },
  ...(PICTURES === undefined ? [] : [{ device: "phone", options: PHONE, colorScheme: "light" } as const]),
] as const;

describe.each(GROUNDS)("on a $device in $colorScheme", ({ device, options, colorScheme }) => {
  describe.each(Object.entries(LOOKS))("with %s of the streams", (_, { list, looks }) => {
    let watched: Watched;

    beforeAll(async () => {
      watched = await shown(browser, service.url, list, "#/", { ...options, colorScheme });
    });

    afterAll(async () => {
      await watched.page.context().close();
    });

    it.each(looks)("$name keeps nobody out (axe), and is no wider than its window", async ({ name, hash, ready, act }) => {
      const { page, faults } = watched;
      pictureOnFailure(() => page);
      await to(page, hash);
      await page.locator(ready).first().waitFor();
      await act?.(page);
      if (PICTURES !== undefined) {
        mkdirSync(PICTURES, { recursive: true });
        await page.screenshot({ path: join(PICTURES, `${name}-${device}-${colorScheme}.png`), fullPage: true });
      }
      expect(await barriers(page)).toEqual([]);
      expect(await overflow(page)).toBeLessThanOrEqual(0);
      expect(faults).toEqual([]);
      // What was opened is closed again for the next look.
      await page.keyboard.press("Escape");
      await to(page, "#/streams/nobody");
      await page.locator(".empty").waitFor();
    });
  });
});
