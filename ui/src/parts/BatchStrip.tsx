import { fate, outcome } from "../core/timeline";
import type { BatchStatus } from "../core/types";

/** The newest batches as a strip of blocks, oldest first. */
export function BatchStrip({ batches, most }: { batches: readonly BatchStatus[]; most: number }) {
  const shown = batches.slice(-most);
  const of = (wanted: string): number => shown.filter((batch) => fate(batch) === wanted).length;
  const label = `Last ${shown.length} batches: ${of("processed")} processed, ${of("fallback")} on the fallback, ${of("open")} not decided`;
  return (
    <span class="strip" role="img" aria-label={shown.length === 0 ? "No batch yet" : label}>
      {Array.from({ length: most - shown.length }, (_, index) => (
        <i key={`none${index}`} class="none" />
      ))}
      {shown.map((batch) => (
        <i key={batch.number} class={fate(batch)} title={`#${batch.number}: ${outcome(batch)}`} />
      ))}
    </span>
  );
}
