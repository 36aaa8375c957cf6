import { Readable } from "node:stream";

import { isMementoError, MementoError } from "../core/errors.ts";
import { bytesOfInput, type StreamInput } from "./stream-input.ts";

/** The bytes of an input until the signal is aborted: then CANCELLED, also where the input gives nothing any more. */
export async function* bytesUntilStopped(input: StreamInput, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const source = bytesOfInput(input);
  try {
    for (;;) {
      const { done = false, value } = await nextUntilStopped(source, signal);
      if (done) return;
      yield value as Uint8Array;
    }
  } finally {
    const ended = source.return(undefined);
    // An input that is stuck does not end by being asked to.
    if (signal.aborted) letGo(input, ended);
    else await ended;
  }
}

async function nextUntilStopped(
  source: AsyncGenerator<Uint8Array>,
  signal: AbortSignal,
): Promise<IteratorResult<Uint8Array, unknown>> {
  if (signal.aborted) throw cancelled(signal);
  return await new Promise((resolve, reject) => {
    const stop = (): void => reject(cancelled(signal));
    signal.addEventListener("abort", stop, { once: true });
    const settled = <T>(settle: (outcome: T) => void) => {
      return (outcome: T): void => {
        signal.removeEventListener("abort", stop);
        settle(outcome);
      };
    };
    source.next().then(settled(resolve), settled(reject));
  });
}

/** What the input still does, or fails with, is nobody's any more. */
function letGo(input: StreamInput, ended: Promise<unknown>): void {
  ended.catch(() => undefined);
  if (input instanceof Readable) input.destroy();
}

function cancelled({ reason }: AbortSignal): MementoError {
  return isMementoError(reason, "CANCELLED")
    ? reason
    : new MementoError("CANCELLED", "The stream's saving was stopped", { cause: reason });
}
