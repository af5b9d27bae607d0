import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface Props {
  title: string;
  /** Stands at the right of the heading. */
  tools?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}

export function Panel({ title, tools, class: name, children }: Props) {
  const heading = useId();
  return (
    <section class={`panel ${name ?? ""}`} aria-labelledby={heading}>
      <header>
        <h2 id={heading}>{title}</h2>
        {tools}
      </header>
      <div class="inside">{children}</div>
    </section>
  );
}

interface ChoicesProps<T extends string> {
  /** For screen readers: what is chosen. */
  legend: string;
  value: T;
  options: readonly { value: T; label: string }[];
  onChange: (value: T) => void;
}

/** One of a few, all visible. */
export function Choices<T extends string>({ legend, value, options, onChange }: ChoicesProps<T>) {
  const name = useId();
  return (
    <div class="choices" role="radiogroup" aria-label={legend}>
      {options.map((option) => (
        <label key={option.value}>
          <input
            type="radio"
            name={name}
            checked={option.value === value}
            onChange={() => {
              onChange(option.value);
            }}
          />
          <span>{option.label}</span>
        </label>
      ))}
    </div>
  );
}
