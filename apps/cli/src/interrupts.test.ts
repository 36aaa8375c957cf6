import { isMementoError } from "@mementojs/memento";
import { systemClock } from "@mementojs/memento/core";
import { describe, expect, test } from "vitest";

import { failureOf } from "./failure.ts";
import { catchInterrupts, signalExitCode, type Interrupts } from "./interrupts.ts";
import type { Io, StopSignal } from "./io.ts";

interface Caught {
  readonly stop: Interrupts;
  readonly notes: string[];
  readonly exits: number[];
  send(signal: StopSignal): void;
  readonly listeners: Set<(signal: StopSignal) => void>;
}

function caught(): Caught {
  const [notes, exits]: [string[], number[]] = [[], []];
  const listeners = new Set<(signal: StopSignal) => void>();
  const output = { isTerminal: false, columns: 80, colours: false, write: () => undefined };
  const io: Io = {
    cwd: "/",
    env: {},
    clock: systemClock,
    out: output,
    err: output,
    ask: null,
    onStop: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    reserveOutput: () => undefined,
    enter: () => undefined,
    exit: (code) => void exits.push(code),
  };
  const stop = catchInterrupts({ io, note: (text) => void notes.push(text) }, "it ends soon");
  return { stop, notes, exits, listeners, send: (signal) => listeners.forEach((listener) => listener(signal)) };
}

describe("catchInterrupts()", () => {
  test("the first signal aborts and says what follows; the second ends the process", () => {
    const { stop, notes, exits, send } = caught();
    expect(stop.received).toBeNull();
    send("SIGINT");
    expect(stop.signal.aborted).toBe(true);
    expect(stop.received).toBe("SIGINT");
    expect(notes).toEqual(["SIGINT: it ends soon; once more stops at once"]);
    expect(exits).toEqual([]);
    send("SIGTERM");
    expect(exits).toEqual([143]);
    expect(stop.received).toBe("SIGINT");
  });

  test("gives the signals back when it is disposed of", () => {
    const { stop, listeners } = caught();
    stop[Symbol.dispose]();
    expect(listeners.size).toBe(0);
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("work that %s cut off ends with %i", (signal, exitCode) => {
    const { stop, send } = caught();
    send(signal);
    expect(isMementoError(stop.signal.reason, "CANCELLED")).toBe(true);
    expect(failureOf(stop.signal.reason).exitCode).toBe(exitCode);
    expect(signalExitCode(signal)).toBe(exitCode);
  });
});
