import type { ComponentChildren } from "preact";

/** Something that may be wider than its place. It takes the focus, so that arrow keys can scroll it. */
export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}
