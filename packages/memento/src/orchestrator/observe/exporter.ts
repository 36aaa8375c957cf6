import process from "node:process";

import type { RunListener } from "../run/run-event.ts";

/** The listener of an exporter, which ends no run: of what it throws the first is said by a warning, and it is told on. */
export function exporter(what: string, listener: RunListener): RunListener {
  let warned = false;
  return (event) => {
    try {
      listener(event);
    } catch (error) {
      if (!warned) process.emitWarning(`${what} could not take an event of a run, which goes on: ${String(error)}`);
      warned = true;
    }
  };
}
