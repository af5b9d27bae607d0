/** What the browser keeps for the next visit. A browser that keeps nothing is no fault. */

const PREFIX = "overdub.";

export function recall(key: string): unknown {
  try {
    const text = localStorage.getItem(PREFIX + key);
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** A map of texts, as the form keeps it. */
export function recallTexts(key: string): Record<string, string> {
  const value = recall(key);
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

export function remember(key: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Full, or forbidden.
  }
}

export function forget(key: string): void {
  try {
    localStorage.removeItem(PREFIX + key);
  } catch {
    // Forbidden.
  }
}

const TOKEN = "overdub.token";

/** The token lives as long as the tab, or, when asked for, as long as the browser keeps it. */
export function recallToken(): string | null {
  try {
    return sessionStorage.getItem(TOKEN) ?? localStorage.getItem(TOKEN);
  } catch {
    return null;
  }
}

export function rememberToken(token: string, keep: boolean): void {
  try {
    sessionStorage.setItem(TOKEN, token);
    if (keep) localStorage.setItem(TOKEN, token);
    else localStorage.removeItem(TOKEN);
  } catch {
    // Forbidden: the token lasts until the page is left.
  }
}

export function forgetToken(): void {
  try {
    sessionStorage.removeItem(TOKEN);
    localStorage.removeItem(TOKEN);
  } catch {
    // Forbidden.
  }
}
