import type { Tone } from "../core/health";

/** The shape of a state: readable without its colour. The word stands beside it. */
export function Sign({ tone }: { tone: Tone }) {
  return (
    <svg class={`sign tone-${tone}${tone === "busy" ? " turning" : ""}`} viewBox="0 0 12 12" aria-hidden="true">
      {SHAPES[tone]}
    </svg>
  );
}

const SHAPES = {
  good: <circle cx="6" cy="6" r="4.5" fill="currentColor" />,
  busy: <path d="M6 1.5A4.5 4.5 0 1 1 1.5 6" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" />,
  warn: <path d="M6 .8 11.6 11H.4Z" fill="currentColor" stroke-linejoin="round" />,
  bad: <path d="M6 .4 11.6 6 6 11.6.4 6Z" fill="currentColor" />,
  off: <circle cx="6" cy="6" r="3.8" fill="none" stroke="currentColor" stroke-width="1.5" />,
};

/** A state as sign and word. */
export function State({ tone, label }: { tone: Tone; label: string }) {
  return (
    <span class={`state tone-${tone}`}>
      <Sign tone={tone} />
      {label}
    </span>
  );
}
