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

/** Writes each event as a line of JSON with its time, for logs: `{"time":"...","type":"saved",...}`. A big integer that a stage logs is text. */
export function eventLines(
  write: (line: string) => void,
  options: { readonly clock?: Pick<Clock, "now">; readonly only?: readonly RunEvent["type"][] } = {},
): RunListener {
  const { clock = systemClock, only } = options;
  return (event) => {
    if (only === undefined || only.includes(event.type))
      write(`${JSON.stringify({ time: new Date(clock.now()).toISOString(), ...event }, digits)}\n`);
  };
}

/** Records have whole numbers of any size, and what is logged of them is no reason to end a run. */
const digits = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? value.toString() : value);
