/** The few pictures of the page, drawn with one pen. */

const pen = { fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-linecap": "round", "stroke-linejoin": "round" } as const;

const icon = (path: string) => (
  <svg class="icon" viewBox="0 0 18 18" aria-hidden="true">
    <path d={path} {...pen} />
  </svg>
);

export const StreamsIcon = () => icon("M2 5.5h14M2 9h4m3 0h7M2 12.5h14");
export const StartIcon = () => icon("M9 3v12M3 9h12");
export const LogIcon = () => icon("M3 4h12M3 7.4h8M3 10.8h10M3 14.2h6");
export const StorageIcon = () =>
  icon("M3 5c0-1.4 2.7-2.3 6-2.3S15 3.600 15 5v8c0 1.400-2.700 2.300-6 2.300S3 14.400 3 13ZM3 5c0 1.400 2.700 2.300 6 2.300S15 6.400 15 5M3 9c0 1.400 2.700 2.300 6 2.300S15 10.400 15 9");

/** Two tracks: the sound's middle is new, the picture below it is as it was. */
export const Mark = () => (
  <svg viewBox="0 0 32 32" aria-hidden="true">
    <g fill="currentColor">
      <path d="M2 19h28v5H2zM2 8h6v5H2zM24 8h6v5h-6z" />
    </g>
    <path class="dub" d="M10 8h12v5H10z" />
  </svg>
);

/** An empty desk. */
export const EmptyIcon = () => (
  <svg viewBox="0 0 96 48" aria-hidden="true">
    <g {...pen} stroke-width={1.4}>
      <path d="M4 14h24M68 14h24M4 34h88" />
      <path d="M36 14h24" stroke-dasharray="2 4" />
      <circle cx="32" cy="14" r="3" />
      <circle cx="64" cy="14" r="3" />
    </g>
  </svg>
);
