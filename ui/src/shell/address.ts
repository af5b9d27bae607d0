/**
 * The whole address of something that the service has, by its path without a slash in front: relative to the page, which
 * a reverse proxy may have put below a path. All views are behind `#`, so the page itself is always at its root.
 */
export function address(path: string): string {
  return new URL(path, document.baseURI).href;
}
