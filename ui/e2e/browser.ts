/** Debian's Chromium, and what the tests ask a page. */

import type { AxeResults } from "axe-core";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContextOptions, type Page, chromium } from "playwright-core";
import { onTestFailed } from "vitest";

import { PATIENCE_MS } from "./service";

const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

export function launch(): Promise<Browser> {
  if (!existsSync(CHROMIUM)) throw new Error(`there is no ${CHROMIUM}: scripts/setup-tests.sh installs it, or CHROMIUM names another`);
  // Containers forbid the namespaces that the sandbox needs.
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"] });
}

export interface Watched {
  page: Page;
  /** What went wrong in the page: errors, and breaches of its content security policy. */
  faults: string[];
  /** Addresses asked beside the service's own. */
  outside: string[];
  /** What a screen reader was told so far, in order. */
  spoken: () => Promise<string[]>;
}

/** A page that notes what no page should do. `before` runs before it is loaded. */
export async function open(browser: Browser, url: string, options: BrowserContextOptions = {}, before?: (page: Page) => Promise<void>): Promise<Watched> {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const faults: string[] = [];
  const outside: string[] = [];
  const { origin } = new URL(url);
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (/content security policy/i.test(message.text())) faults.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(origin) && !/^(blob|data):/.test(request.url())) outside.push(request.url());
  });
  await page.addInitScript(LISTEN);
  await before?.(page);
  await page.goto(url);
  await page.locator("main").waitFor();
  return { page, faults, outside, spoken: () => page.evaluate<string[]>("globalThis.spoken") };
}

/** Notes every sentence of the page's live region: the next one replaces it, perhaps before a test has looked. */
const LISTEN = `
  globalThis.spoken = [];
  new MutationObserver(() => {
    const said = document.querySelector("p[role=status][aria-live]")?.textContent ?? "";
    if (said !== "" && said !== globalThis.spoken.at(-1)) globalThis.spoken.push(said);
  }).observe(document, { subtree: true, childList: true, characterData: true });
`;

/** When the test that calls this fails, it tells where the page then was, and keeps a picture of it. */
export function pictureOnFailure(page: () => Page): void {
  onTestFailed(async () => {
    const path = join(mkdtempSync(join(tmpdir(), "overdub-ui-failed-")), "page.png");
    // A browser that does not answer any more must not hide why the test failed.
    const taken = await page().screenshot({ path }).catch(() => null);
    console.error(`at ${page().url()}; ${taken === null ? "no picture could be taken" : `a picture is in ${path}`}`);
  });
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds that keeps people out, in one line each. */
export async function barriers(page: Page): Promise<string[]> {
  // Evaluated, not added as a script element, which the content security policy would refuse.
  await page.evaluate(AXE);
  const results = await page.evaluate<AxeResults>("axe.run(document, { resultTypes: ['violations'], preload: false })");
  return results.violations
    .filter((violation) => violation.impact === "serious" || violation.impact === "critical")
    .map((violation) => `${violation.id}: ${violation.help}: ${violation.nodes.map((node) => `${node.html} ${node.failureSummary ?? ""}`).join(" | ").slice(0, 600)}`);
}

/** How far the page is wider than its window, in pixels. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
