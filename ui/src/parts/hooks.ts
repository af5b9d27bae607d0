import { useEffect, useState } from "preact/hooks";

/** Whether a media query holds, also when that changes. */
export function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const change = (): void => {
      setHolds(media.matches);
    };
    change();
    media.addEventListener("change", change);
    return () => {
      media.removeEventListener("change", change);
    };
  }, [query]);
  return holds;
}

/** A phone's width. */
export const useNarrow = (): boolean => useMedia("(max-width: 40rem)");

export interface Task {
  busy: boolean;
  error: string | null;
  run: (work: () => Promise<void>) => void;
  clear: () => void;
}

/** Something that takes a while and may be refused: whether it runs, and what was wrong with it. */
export function useTask(): Task {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  return {
    busy,
    error,
    run(work) {
      setBusy(true);
      setError(null);
      work()
        .catch((reason: unknown) => {
          setError(reason instanceof Error ? reason.message : String(reason));
        })
        .finally(() => {
          setBusy(false);
        });
    },
    clear() {
      setError(null);
    },
  };
}
