/** Debian's Chromium, and what the tests ask a page. */

import type { AxeResults } from "axe-core";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, type BrowserContextOptions, type Page, chromium } from "playwright-core";

const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

export function launch(): Promise<Browser> {
  // Containers forbid the namespaces that the sandbox needs.
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"] });
}

export interface Watched {
  page: Page;
  /** What went wrong in the page: errors, and breaches of its content security policy. */
  faults: string[];
  /** Addresses asked beside the service's own. */
  outside: string[];
}

/** A page that notes what no page should do. `before` runs before it is loaded. */
export async function open(browser: Browser, url: string, options: BrowserContextOptions = {}, before?: (page: Page) => Promise<void>): Promise<Watched> {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
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
  await before?.(page);
  await page.goto(url);
  await page.locator("main").waitFor();
  return { page, faults, outside };
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds that keeps people out, in one line each. */
export async function barriers(page: Page): Promise<string[]> {
  // Evaluated, not added as a script element, which the content security policy would refuse.
  await page.evaluate(AXE);
  const results = await page.evaluate<AxeResults>("axe.run(document, { resultTypes: ['violations'] })");
  return results.violations
    .filter((violation) => violation.impact === "serious" || violation.impact === "critical")
    .map((violation) => `${violation.id}: ${violation.help}: ${violation.nodes.map((node) => `${node.html} ${node.failureSummary ?? ""}`).join(" | ").slice(0, 600)}`);
}

/** How far the page is wider than its window, in pixels. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
