import { systemClock, type Clock } from "../../core/ports.ts";
import type { RunEvent, RunListener } from "../run/run-event.ts";

export { RunMetrics, type RunMetricsOptions } from "./run-metrics.ts";
export { runSpans, type RunSpansOptions, type TracingApi } from "./run-spans.ts";
export type { RunEvent, RunListener } from "../run/run-event.ts";

/** One listener that tells several, in their order. */
export function together(...listeners: readonly RunListener[]): RunListener {
  return (event) => {
    for (const listener of listeners) listener(event);
  };
}

/**
 * Writes each event as a line of JSON with its time, for logs: `{"time":"...","type":"saved",...}`. In the fields of a log line big integers
 * are texts; `{ unreadable }` stands for fields that JSON cannot hold.
 */
export function eventLines(
  write: (line: string) => void,
  options: { readonly clock?: Pick<Clock, "now">; readonly only?: readonly RunEvent["type"][] } = {},
): RunListener {
  const { clock = systemClock, only } = options;
  return (event) => {
    if (only === undefined || only.includes(event.type))
      write(`${lineOf({ time: new Date(clock.now()).toISOString(), ...event })}\n`);
  };
}

/** Code without types may log anything, and is not to fail by it. */
function lineOf(event: RunEvent & { readonly time: string }): string {
  const digits = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);
  try {
    return JSON.stringify(event, digits);
  } catch (error) {
    if (event.type !== "log") throw error;
    const [unreadable = ""] = String(error).split("\n");
    return JSON.stringify({ ...event, fields: { unreadable } });
  }
}
