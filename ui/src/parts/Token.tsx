import { useId, useState } from "preact/hooks";

import { dropToken, giveToken, tokenRefused, tokenWanted } from "../shell/store";
import { Dialog } from "./Dialog";

/** Asks for the service's token. */
export function Token() {
  const [token, setToken] = useState("");
  const [keep, setKeep] = useState(false);
  const id = useId();
  return (
    <Dialog
      title="This service asks for a token"
      onClose={() => {
        tokenWanted.value = false;
        dropToken();
      }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (token.trim() !== "") giveToken(token.trim(), keep);
        }}
      >
        <p class="quiet">It is the value of OVERDUB_API_TOKEN where the service runs.</p>
        <div class="field">
          <label for={id}>Token</label>
          <input
            id={id}
            class="input"
            type="password"
            autocomplete="current-password"
            autofocus
            value={token}
            aria-invalid={tokenRefused.value}
            aria-describedby={tokenRefused.value ? `${id}-wrong` : undefined}
            onInput={(event) => {
              setToken(event.currentTarget.value);
            }}
          />
          {tokenRefused.value && (
            <p id={`${id}-wrong`} class="wrong tone-bad" role="alert">
              The last one was not accepted.
            </p>
          )}
        </div>
        <label class="check">
          <input
            type="checkbox"
            checked={keep}
            onChange={(event) => {
              setKeep(event.currentTarget.checked);
            }}
          />
          Remember it in this browser
        </label>
        <div class="actions">
          <button type="submit" class="button main" disabled={token.trim() === ""}>
            Go on
          </button>
        </div>
      </form>
    </Dialog>
  );
}
