import { LogView } from "../parts/LogView";
import { link } from "../shell/store";

export function LogPage({ stream }: { stream?: string }) {
  return (
    <div class="page-log">
      <div class="head">
        <div>
          <h1>Log</h1>
          <p class="lead">
            {link.value === "live"
              ? "Every line of the service as it is written, the last 500 from before this page was opened."
              : "Lines arrive by the event channel, which is not connected at the moment."}
          </p>
        </div>
      </div>
      <LogView {...(stream === undefined ? {} : { initialStream: stream })} />
    </div>
  );
}
