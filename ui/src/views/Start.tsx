import { useEffect, useId, useRef, useState } from "preact/hooks";

import { duration } from "../core/format";
import * as form from "../core/form";
import { ApiError } from "../shell/api";
import { recallTexts, remember } from "../shell/memory";
import { api, ask, go, speak, streams } from "../shell/store";

const MEMORY = "form";

/** The start form; with `from` filled with the settings of a stream that is known. */
export function Start({ from }: { from?: string }) {
  const [values, setValues] = useState<Record<string, string>>(() => (from === undefined ? recallTexts(MEMORY) : {}));
  const [errors, setErrors] = useState<form.Errors>({});
  const [refusal, setRefusal] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [defaults, setDefaults] = useState<Record<string, unknown>>({});
  const element = useRef<HTMLFormElement>(null);

  useEffect(() => {
    // Without them the form says what holds for most services.
    api.defaults().then(setDefaults, () => undefined);
  }, []);

  useEffect(() => {
    if (from === undefined) return;
    api
      .settings(from)
      .then((settings) => {
        setValues(form.fromSettings(settings));
      })
      .catch((error: unknown) => {
        setRefusal(`The settings of ${from} could not be read: ${error instanceof Error ? error.message : String(error)}`);
      });
  }, [from]);

  const change = (name: string, text: string): void => {
    const next = { ...values, [name]: text };
    setValues(next);
    // A field that was found wrong is judged while it is being mended, others are left in peace.
    if (errors[name] !== undefined) setErrors(without(errors, name, form.validate(next)[name]));
  };

  const blur = (name: string): void => {
    if ((values[name] ?? "").trim() === "") return;
    setErrors(without(errors, name, form.validate(values)[name]));
  };

  const show = (found: form.Errors): void => {
    setErrors(found);
    const first = form.FIELDS.find((field) => found[field.name] !== undefined)?.name;
    const control = first === undefined ? null : element.current?.elements.namedItem(first);
    if (control instanceof HTMLElement) {
      const fold = control.closest("details");
      if (fold !== null) fold.open = true;
      control.focus();
    }
  };

  const submit = async (): Promise<void> => {
    const found = form.validate(values);
    setRefusal(null);
    if (Object.keys(found).length > 0) {
      show(found);
      return;
    }
    setBusy(true);
    try {
      const done = await api.start(form.request(values));
      remember(MEMORY, form.memorable(values));
      speak(`${done.streamId}: ${done.message}`);
      await ask();
      go({ view: "stream", id: done.streamId });
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      if (error instanceof ApiError && error.field !== null && form.field(error.field) !== undefined) {
        show({ [error.field]: capital(said.replace(new RegExp(`^${error.field}: `), "")) });
      } else {
        setRefusal(said);
      }
    } finally {
      setBusy(false);
    }
  };

  const running = streams.value.get((values["streamId"] ?? "").trim())?.status.isRunning === true;
  return (
    <>
      <div class="head">
        <div>
          <h1>Start a stream</h1>
          <p class="lead">
            {from === undefined ? "Only the source and a name are needed; empty fields mean the default." : `The settings of ${from}; what was secret in them has to be typed again.`}
          </p>
        </div>
      </div>
      <form
        ref={element}
        class="start"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <div class="stack">
          {form.SECTIONS.map((section) => (
            <Section key={section.key} section={section} values={values} defaults={defaults} errors={errors} onChange={change} onBlur={blur} />
          ))}
        </div>
        <aside class="panel aside">
          <Outlook values={form.effective(values, defaults)} />
          {running && (
            <p class="small tone-warn">
              A stream of this name is running. With the same settings nothing changes; with others it has to be stopped
              first.
            </p>
          )}
          {refusal !== null && (
            <p class="tone-bad break" role="alert">
              {capital(refusal)}
            </p>
          )}
          {Object.keys(errors).length > 0 && (
            <p class="tone-bad small" role="alert">
              {Object.keys(errors).length === 1 ? "One field needs another look." : `${Object.keys(errors).length} fields need another look.`}
            </p>
          )}
          <div class="actions">
            <button type="submit" class="button main" disabled={busy}>
              {busy ? "Starting…" : "Start the stream"}
            </button>
            <button
              type="button"
              class="button bare"
              onClick={() => {
                setValues({});
                setErrors({});
                remember(MEMORY, {});
              }}
            >
              Empty the form
            </button>
          </div>
        </aside>
      </form>
    </>
  );
}

/** What the timing means for viewers. */
function Outlook({ values }: { values: form.Values }) {
  const delay = form.expectedDelay(values);
  if (delay === null) return null;
  const buffer = form.seconds((values["bufferDuration"] ?? "").trim() || "30") ?? 0;
  const budget = form.seconds((values["processingBudget"] ?? "").trim() || "12") ?? 0;
  const total = buffer + budget;
  const share = (part: number): string => `${(part / total) * 100}%`;
  return (
    <div class="outlook">
      <h2>What viewers get</h2>
      <div class="bars" aria-hidden="true">
        <i class="buffer" style={{ width: share(buffer) }} />
        <i class="budget" style={{ width: share(budget) }} />
      </div>
      <p class="small">
        The output is <b>{duration(delay.least)}</b> to <b>{duration(delay.most)}</b> behind the source:{" "}
        <i class="swatch buffer" aria-hidden="true" />
        {duration(buffer)} to fill a batch, <i class="swatch budget" aria-hidden="true" />
        {duration(budget)} for the processor, and up to one segment. The processor has{" "}
        <b>{Number(Math.max(0, budget - 0.5).toFixed(1))} s</b> to answer, else viewers hear{" "}
        {form.field("fallback")?.options?.find((option) => option.value === values["fallback"])?.label ?? "the original sound"}
        {values["fallback"] === "drop-audio" ? "." : " for that batch."}
      </p>
    </div>
  );
}

interface SectionProps {
  section: (typeof form.SECTIONS)[number];
  values: form.Values;
  defaults: Readonly<Record<string, unknown>>;
  errors: form.Errors;
  onChange: (name: string, text: string) => void;
  onBlur: (name: string) => void;
}

function Section({ section, values, defaults, errors, onChange, onBlur }: SectionProps) {
  const heading = useId();
  const fields = form.FIELDS.filter((field) => field.section === section.key);
  const inside = (
    <div class="fields">
      {fields.map((field) => (
        <Control
          key={field.name}
          field={field}
          standard={form.standard(field, defaults)}
          set={defaults[field.name] !== undefined}
          value={values[field.name] ?? ""}
          error={errors[field.name]}
          onInput={(text) => {
            onChange(field.name, text);
          }}
          onBlur={() => {
            onBlur(field.name);
          }}
        />
      ))}
    </div>
  );
  if (!section.folded) {
    return (
      <section class="panel" aria-labelledby={heading}>
        <header>
          <h2 id={heading}>{section.title}</h2>
        </header>
        <div class="inside">{inside}</div>
      </section>
    );
  }
  const filled = form.filled(values, section.key);
  return (
    <details class="panel fold">
      <summary>
        <span class="name">{section.title}</span>
        <span class="quiet small">{filled === 0 ? section.hint : `${filled} set`}</span>
      </summary>
      <div class="inside">{inside}</div>
    </details>
  );
}

interface ControlProps {
  field: form.Field;
  /** What an empty field means. */
  standard: string | undefined;
  /** The service has a setting of its own for it. */
  set: boolean;
  value: string;
  error: string | undefined;
  onInput: (text: string) => void;
  onBlur: () => void;
}

function Control({ field, standard, set, value, error, onInput, onBlur }: ControlProps) {
  const id = useId();
  const shared = {
    id,
    name: field.name,
    class: "input",
    "aria-describedby": error === undefined ? `${id}-hint` : `${id}-hint ${id}-wrong`,
    "aria-invalid": error !== undefined,
    "aria-required": field.required === true,
    onBlur,
  };
  const example = set ? undefined : field.placeholder;
  const placeholder = example ?? standard;
  const wide = field.kind === "lines" || field.kind === "url";
  return (
    <div class={`field${wide ? " wide" : ""}`}>
      <label for={id}>
        {field.label}
        {field.required === true && <span class="quiet"> (needed)</span>}
      </label>
      {field.kind === "choice" ? (
        <select
          {...shared}
          value={value}
          onChange={(event) => {
            onInput(event.currentTarget.value);
          }}
        >
          <option value="">{standard} (default)</option>
          {field.options
            ?.filter((option) => option.label !== standard)
            .map((option) => (
              <option key={option.value} value={option.value}>
                {option.label}
              </option>
            ))}
        </select>
      ) : field.kind === "lines" ? (
        <textarea
          {...shared}
          rows={2}
          spellcheck={false}
          autocomplete="off"
          value={value}
          placeholder={placeholder}
          onInput={(event) => {
            onInput(event.currentTarget.value);
          }}
        />
      ) : (
        <input
          {...shared}
          {...(field.kind === "secret"
            ? ({ type: "password", autocomplete: "new-password" } as const)
            : ({ type: "text", autocomplete: "off" } as const))}
          inputMode={field.kind === "number" ? "decimal" : field.kind === "url" ? "url" : "text"}
          spellcheck={false}
          autocapitalize="none"
          value={value}
          placeholder={placeholder}
          onInput={(event) => {
            onInput(event.currentTarget.value);
          }}
        />
      )}
      {error !== undefined && (
        <p id={`${id}-wrong`} class="wrong tone-bad">
          {error}
        </p>
      )}
      <p id={`${id}-hint`} class="hint">
        {field.hint}
        {standard !== undefined && example === undefined && field.kind !== "choice" && (
          <span class="unseen"> Default: {standard}.</span>
        )}
      </p>
    </div>
  );
}

function without(errors: form.Errors, name: string, error: string | undefined): form.Errors {
  const next = { ...errors };
  Reflect.deleteProperty(next, name);
  return error === undefined ? next : { ...next, [name]: error };
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
