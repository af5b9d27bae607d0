/** The page of a service that asks for a token. */

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { type Watched, barriers, launch, open, pictureOnFailure } from "./browser";
import { type Demo, demo, waitFor } from "./service";

// What has to be escaped in an address is in it.
const TOKEN = "open+sesame/1234&5678";

let browser: Browser;
let running: Demo;
let watched: Watched;
let page: Page;

beforeAll(async () => {
  [browser, running] = await Promise.all([launch(), demo({ OVERDUB_API_TOKEN: TOKEN })]);
  watched = await open(browser, running.url, { viewport: { width: 1360, height: 900 } });
  page = watched.page;
});

afterAll(async () => {
  await browser.close();
  await running.end();
});

const give = async (token: string): Promise<void> => {
  await page.getByRole("textbox", { name: "Token" }).fill(token);
  await page.getByRole("button", { name: "Go on" }).click();
};

describe("with a token", () => {
  beforeEach(() => {
    pictureOnFailure(() => page);
  });

  it("the page shows nothing and asks for it", async () => {
    await page.getByRole("dialog", { name: "This service asks for a token" }).waitFor();
    expect(await page.getByRole("link", { name: "demo" }).count()).toBe(0);
    expect(await barriers(page)).toEqual([]);
  });

  it("another one is refused", async () => {
    await give("open sesame");
    await page.getByText("The last one was not accepted.").waitFor();
    expect(await page.getByRole("link", { name: "demo" }).count()).toBe(0);
  });

  it("the right one opens the list, the events and the log", async () => {
    await give(TOKEN);
    await page.getByRole("link", { name: "demo" }).first().waitFor();
    expect(await page.getByRole("dialog").count()).toBe(0);
    await page.getByText("Live", { exact: true }).first().waitFor();
    await page.goto(`${running.url}/#/log`);
    await page.getByRole("log", { name: "Log lines" }).getByText("demo").first().waitFor();
  });

  it("the preview plays, and no address has the token in it", async () => {
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.goto(`${running.url}/#/streams/demo`);
    await page.getByRole("button", { name: "Play the output" }).click();
    const shown = (): Promise<number> => page.getByLabel("Output of demo").evaluate((video: HTMLVideoElement) => video.currentTime);
    const first = await waitFor("the output to play", async () => ((await shown()) > 0 ? shown() : null));
    await waitFor("the output to go on", async () => ((await shown()) > first + 1 ? true : null));
    expect(asked.filter((url) => url.includes("/preview/demo/")).length).toBeGreaterThan(2);
    expect(asked.filter((url) => url.includes("sesame"))).toEqual([]);
  });

  it("the tab remembers it, another one does not", async () => {
    await page.reload();
    await page.getByRole("link", { name: "demo" }).first().waitFor();
    expect(await page.getByRole("dialog").count()).toBe(0);
    const other = await open(browser, running.url);
    await other.page.getByRole("dialog", { name: "This service asks for a token" }).waitFor();
    await other.page.context().close();
    expect([...watched.faults, ...watched.outside]).toEqual([]);
  });
});
