import { MementoError } from "@mementojs/memento";

import type { Invocation } from "./invocation.ts";
import type { StopSignal } from "./io.ts";

/** Ctrl-C and SIGTERM while a command works: the first asks it to end well, the second ends it at once. */
export interface Interrupts extends Disposable {
  /** Aborted by the first one. */
  readonly signal: AbortSignal;
  /** The first one, once it came. */
  readonly received: StopSignal | null;
}

/** The exit code of a command that a signal ended. */
export function signalExitCode(signal: StopSignal): number {
  return signal === "SIGINT" ? 130 : 143;
}

/** Takes the stop signals over until it is disposed of. `answer` says what the first one leads to. */
export function catchInterrupts({ io, note }: Pick<Invocation, "io" | "note">, answer: string): Interrupts {
  const controller = new AbortController();
  let received: StopSignal | null = null;
  const release = io.onStop((signal) => {
    if (received !== null) {
      io.exit(signalExitCode(signal));
      return;
    }
    received = signal;
    note(`${signal}: ${answer}; once more stops at once`);
    const message = signal === "SIGINT" ? "Stopped by Ctrl-C" : "Stopped by SIGTERM";
    controller.abort(new MementoError("CANCELLED", message, { details: { signal } }));
  });
  return {
    signal: controller.signal,
    get received() {
      return received;
    },
    [Symbol.dispose]: release,
  };
}
