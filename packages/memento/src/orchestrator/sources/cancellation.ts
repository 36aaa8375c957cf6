import { MementoError } from "../../core/errors.ts";

/** Throws CANCELLED once the signal has fired, with the signal's reason as its cause. */
export function throwIfCancelled(signal: AbortSignal, what: string): void {
  if (signal.aborted) throw new MementoError("CANCELLED", `reading ${what} was stopped`, { cause: signal.reason });
}

/** What the work gives; CANCELLED as soon as the signal fires, however long a server still takes for it. */
export async function unlessCancelled<Result>(
  work: Promise<Result>,
  signal: AbortSignal,
  what: string,
): Promise<Result> {
  let stop = (): void => undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = () => {
      reject(new MementoError("CANCELLED", `reading ${what} was stopped`, { cause: signal.reason }));
    };
    signal.addEventListener("abort", stop);
  });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
