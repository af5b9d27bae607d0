import type { Issue } from "../core/health";
import { Sign } from "./Sign";

/** What is the matter, the worst first. New ones are spoken by the page's live region, not by this list. */
export function Issues({ issues }: { issues: readonly Issue[] }) {
  if (issues.length === 0) return null;
  return (
    <ul class="issues" aria-label="What needs attention">
      {issues.map((issue) => (
        <li key={issue.key} class={`issue ${issue.tone}`}>
          <Sign tone={issue.tone} />
          <strong>{issue.title}</strong>
          <p>{issue.detail}</p>
        </li>
      ))}
    </ul>
  );
}
