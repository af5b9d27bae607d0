/** The start form: what was typed, what is wrong with it, and the request that comes of it. */

import { bytes, duration } from "./format";
import { FIELDS, type Field, type Kind, type Section, lines, seconds } from "./fields";

export { FIELDS, type Field, SECTIONS, type Section, seconds } from "./fields";

/** What a person typed, by the names of the API. Absent and empty mean the service's default. */
export type Values = Readonly<Record<string, string>>;

export type Errors = Readonly<Record<string, string>>;

const BY_NAME = new Map(FIELDS.map((field) => [field.name, field]));

export const field = (name: string): Field | undefined => BY_NAME.get(name);

/** What is wrong, by field; empty when all is well. */
export function validate(values: Values): Errors {
  const errors: Record<string, string> = {};
  for (const { name, required, check } of FIELDS) {
    const text = given(values, name);
    if (text === "") {
      if (required === true) errors[name] = "This is needed.";
      continue;
    }
    const wrong = check?.(text) ?? null;
    if (wrong !== null) errors[name] = wrong;
  }
  return errors;
}

/** The body of the start request; only what was given. */
export function request(values: Values): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const { name, kind } of FIELDS) {
    const text = given(values, name);
    if (text === "") continue;
    body[name] = converted(name, kind, text);
  }
  return body;
}

function converted(name: string, kind: Kind, text: string): unknown {
  if (name === "sourceHeaders" || name === "audioProcessorHeaders") {
    return Object.fromEntries(
      lines(text).map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
      }),
    );
  }
  switch (kind) {
    case "number":
      return Number(text);
    case "duration":
      return seconds(text) ?? text;
    case "lines": {
      const several = lines(text);
      return name.startsWith("srs") && several.length === 1 ? several[0] : several;
    }
    case "flag":
      return text === "true";
    case "text":
    case "url":
    case "choice":
    case "secret":
      return text;
  }
}

/** The other way: settings as the service tells them, as a person would type them. What it hid stays empty. */
export function fromSettings(settings: Readonly<Record<string, unknown>>): Record<string, string> {
  const values: Record<string, string> = {};
  for (const { name, secret } of FIELDS) {
    const value = settings[name];
    if (value === null || value === undefined || secret === true) continue;
    const text = Array.isArray(value) ? value.map(String).join("\n") : plain(value);
    // An address without its secrets is not the address any more.
    if (text !== null && !text.includes("…") && !text.includes("***")) values[name] = text;
  }
  return values;
}

/** What an empty field means, as a person reads it: the service's own setting, or else the default. */
export function standard(field: Field, defaults: Readonly<Record<string, unknown>>): string | undefined {
  const value = defaults[field.name];
  if (value === null || value === undefined) return field.standard;
  const text = Array.isArray(value) ? value.map(String).join("\n") : plain(value);
  if (text === null || field.secret === true || text.includes("…")) return "as the service has it";
  if (field.kind === "choice") return field.options?.find((option) => option.value === text)?.label ?? text;
  if (typeof value !== "number") return text;
  return field.kind === "duration" ? duration(value) : field.name === "retainBytes" ? bytes(value) : text;
}

/** What was typed, and where nothing was, what the service has set for all streams. */
export function effective(values: Values, defaults: Readonly<Record<string, unknown>>): Values {
  const typed = Object.entries(values).filter(([, text]) => text.trim() !== "");
  return { ...fromSettings(defaults), ...Object.fromEntries(typed) };
}

function plain(value: unknown): string | null {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : null;
}

/** What the browser may keep for the next time. */
export function memorable(values: Values): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const { name, secret } of FIELDS) {
    const text = given(values, name);
    if (text !== "" && secret !== true) kept[name] = text;
  }
  return kept;
}

/** How many of a section's fields say something: shown beside a folded heading. */
export function filled(values: Values, section: Section): number {
  return FIELDS.filter((field) => field.section === section && given(values, field.name) !== "").length;
}

/** How far viewers will be behind the source, in seconds: the batch, the longest segment that may fill it, the budget. */
export function expectedDelay(values: Values): { least: number; most: number } | null {
  const buffer = seconds(given(values, "bufferDuration") || "30");
  const budget = seconds(given(values, "processingBudget") || "12");
  if (buffer === null || budget === null) return null;
  return { least: buffer + budget, most: buffer + budget + LONGEST_SEGMENT };
}

/** Segments of live sources are rarely longer. */
const LONGEST_SEGMENT = 10;

const given = (values: Values, name: string): string => (values[name] ?? "").trim();
