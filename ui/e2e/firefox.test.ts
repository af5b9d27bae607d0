/** The basic flow in Debian's Firefox, by WebDriver BiDi. */

import { existsSync } from "node:fs";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Demo, PATIENCE_MS, demo } from "./service";

const FIREFOX = process.env["FIREFOX"] ?? "/usr/bin/firefox-esr";

if (!existsSync(FIREFOX)) throw new Error(`there is no ${FIREFOX}: scripts/setup-tests.sh installs it, or FIREFOX names another`);

let browser: Browser;
let running: Demo;
let page: Page;
const faults: string[] = [];

beforeAll(async () => {
  [browser, running] = await Promise.all([
    puppeteer.launch({ browser: "firefox", executablePath: FIREFOX, headless: true, defaultViewport: { width: 1360, height: 900 } }),
    demo(),
  ]);
  page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("pageerror", (error) => faults.push(String(error)));
});

afterAll(async () => {
  await browser.close();
  await running.end();
});

async function fill(name: string, text: string): Promise<void> {
  await page.locator(`[name="${name}"]`).fill(text);
}

describe("in Firefox", () => {
  it("a stream is started by the form and seen to run", async () => {
    await page.goto(`${running.url}/#/start`);
    await fill("sourceUrl", running.source);
    await fill("streamId", "fox");
    await fill("audioProcessorUrl", running.processor);
    await fill("srsRtmpUrl", `${running.rtmp}/fox`);
    await fill("bufferDuration", "4");
    await fill("processingBudget", "3");
    await page.locator("::-p-text(Start the stream)").click();
    await page.waitForFunction(() => document.querySelector(".title .state")?.textContent.startsWith("On air"));
    await page.waitForSelector(".timeline .batch.processed");
  });

  it("the output plays", async () => {
    await page.locator("::-p-text(Play the output)").click();
    await page.waitForFunction(() => (document.querySelector("video")?.currentTime ?? 0) > 1.5);
  });

  it("log lines arrive, and charts are drawn", async () => {
    await page.waitForSelector(".lines .row");
    await page.waitForSelector(".chart canvas");
  });

  it("the stream is stopped after asking", async () => {
    await page.locator(".head .danger").click();
    await page.locator("dialog .main").click();
    await page.waitForFunction(() => document.querySelector(".title .state")?.textContent === "Stopped");
    expect(faults).toEqual([]);
  });
});
