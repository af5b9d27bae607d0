/** The page without a mouse. */

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { launch, open, pictureOnFailure } from "./browser";
import { type Demo, demo } from "./service";

let browser: Browser;
let running: Demo;
let page: Page;

beforeAll(async () => {
  [browser, running] = await Promise.all([launch(), demo()]);
  ({ page } = await open(browser, running.url, { viewport: { width: 1360, height: 900 } }));
});

afterAll(async () => {
  await browser.close();
  await running.end();
});

/** What has the focus, and whether something is drawn around it or around what stands for it. */
const focused = (): Promise<{ name: string; visible: boolean }> =>
  page.evaluate(() => {
    const element = document.activeElement;
    if (!(element instanceof HTMLElement)) return { name: "", visible: false };
    const label = element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement ? element.labels?.[0]?.textContent : undefined;
    const drawn = [getComputedStyle(element), getComputedStyle(element, "::after"), getComputedStyle(element.nextElementSibling ?? element)];
    return {
      name: (element.getAttribute("aria-label") ?? label ?? element.textContent).trim(),
      visible: element.matches(":focus-visible") && drawn.some((style) => style.outlineStyle !== "none" && style.outlineWidth !== "0px"),
    };
  });

/** Tabs until what has the focus is called so; every stop on the way must be visible. */
async function tabTo(wanted: RegExp, most = 60): Promise<void> {
  const seen: string[] = [];
  for (let presses = 0; presses < most; presses += 1) {
    await page.keyboard.press("Tab");
    const { name, visible } = await focused();
    expect(visible, `the focus on "${name.slice(0, 60)}" can be seen`).toBe(true);
    if (wanted.test(name)) return;
    seen.push(name.slice(0, 40));
  }
  throw new Error(`no stop called ${wanted}; there were: ${seen.join(" | ")}`);
}

describe("by keyboard alone", () => {
  beforeEach(() => {
    pictureOnFailure(() => page);
  });

  it("the first stop leads past the navigation", async () => {
    await page.getByRole("link", { name: "demo" }).first().waitFor();
    await tabTo(/Skip to the content/, 1);
    await page.keyboard.press("Enter");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("main");
    await tabTo(/Start a stream/, 2);
  });

  it("a stream is started", async () => {
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Start a stream" }).waitFor();
    // The new view has the focus, so that its first field is the next stop.
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("main");
    await tabTo(/^Source/, 2);
    await page.keyboard.type(running.source);
    await tabTo(/^Name of the stream/, 1);
    await page.keyboard.type("keys");
    await tabTo(/^Audio processor/, 1);
    await page.keyboard.type(running.processor);
    await tabTo(/^Outputs/, 1);
    await page.keyboard.type(`${running.rtmp}/keys`);
    await tabTo(/^Length of a batch/, 1);
    await page.keyboard.type("4");
    await tabTo(/^Processing budget/, 1);
    await page.keyboard.type("2");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "keys" }).waitFor();
  });

  it("a folded part of the form opens", async () => {
    await page.goto(`${running.url}/#/start`);
    await page.getByRole("heading", { level: 1, name: "Start a stream" }).waitFor();
    await tabTo(/^Access to the source/, 30);
    await page.keyboard.press("Enter");
    await tabTo(/^Authorisation/, 1);
    await page.goto(`${running.url}/#/streams/keys`);
    await page.getByRole("heading", { level: 1, name: "keys" }).waitFor();
  });

  it("a choice is made with the arrow keys", async () => {
    await tabTo(/^5 min/);
    await page.keyboard.press("ArrowLeft");
    expect(await page.getByRole("radio", { name: "2 min" }).isChecked()).toBe(true);
  });

  it("a dialog keeps the focus, gives it back, and stops the stream", async () => {
    await page.getByRole("button", { name: "Stop", exact: true }).focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog", { name: "Stop keys?" });
    await dialog.waitFor();
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Cancel");
    for (let presses = 0; presses < 6; presses += 1) {
      await page.keyboard.press("Tab");
      const outside = await page.evaluate(() => {
        const element = document.activeElement;
        return element !== null && element !== document.body && element.closest("dialog") === null;
      });
      expect(outside).toBe(false);
    }
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Stop");
    await page.keyboard.press("Enter");
    await dialog.waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.locator(".title .state", { hasText: "Stopped" }).waitFor();
  });
});
