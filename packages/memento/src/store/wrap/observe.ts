import { isMementoError } from "../../core/errors.ts";
import { systemClock, type Clock } from "../../core/ports.ts";
import type { MementoStore } from "../store.ts";
import { describeCall, interceptStore, type StoreCall } from "./intercept.ts";
import type { ObservedCall, StoreMetrics } from "./metrics.ts";
import { bytesIn, bytesOut } from "./traffic.ts";

/** As much of an OpenTelemetry span as is used here. */
export interface SpanLike {
  setAttribute(key: string, value: string | number | boolean): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  end(): void;
}

/** As much of an OpenTelemetry tracer as is used here: hand in what `trace.getTracer(...)` gives. */
export interface TracerLike {
  startSpan(name: string, options?: { attributes?: Record<string, string | number | boolean> }): SpanLike;
}

/** Who is told of calls. */
export interface ObserveOptions {
  /** Called after each call; what it throws turns it off, with one warning, and never reaches the store's caller. */
  readonly onCall?: (call: ObservedCall) => void;
  /** Counts calls; ask it for a `snapshot()`. */
  readonly metrics?: StoreMetrics;
  /** Gets a span for each call, and of an iterable for its first step. */
  readonly tracer?: TracerLike;
  readonly clock?: Clock;
}

/** `SpanStatusCode.ERROR` of OpenTelemetry's API. */
const SPAN_ERROR = 2;

/** A store that tells of each of its calls, and changes nothing of them. */
export function observeStore(store: MementoStore, options: ObserveOptions): MementoStore {
  const { metrics, tracer, clock = systemClock } = options;
  let { onCall } = options;
  const tell = (observed: ObservedCall): void => {
    metrics?.add(observed);
    try {
      onCall?.(observed);
    } catch (error) {
      onCall = undefined;
      process.emitWarning(`A store's observer threw and is not called any more: ${String(error)}`);
    }
  };
  return interceptStore(store, async (call, proceed) => {
    const span = tracer !== undefined && (call.step ?? 0) === 0 ? startSpan(tracer, call, store.url) : null;
    const begun = clock.monotonic();
    const observe = (outcome: string, answer: unknown): void => {
      const durationMs = clock.monotonic() - begun;
      const { method, step } = call;
      const observed = { method, about: describeCall(call), step, durationMs, outcome };
      const traffic = { bytesIn: (step ?? 0) === 0 ? bytesIn(call) : 0, bytesOut: bytesOut(answer) };
      if (span !== null) endSpan(span, outcome, traffic);
      tell({ ...observed, ...traffic });
    };
    try {
      const answer = await proceed();
      observe("ok", answer);
      return answer;
    } catch (error) {
      observe(isMementoError(error) ? error.code : "other", null);
      throw error;
    }
  });
}

function startSpan(tracer: TracerLike, call: StoreCall, url: string): SpanLike {
  const attributes = { "memento.store.url": url, "memento.store.call": describeCall(call) };
  return tracer.startSpan(`memento.store.${call.method}`, { attributes });
}

function endSpan(span: SpanLike, outcome: string, traffic: Pick<ObservedCall, "bytesIn" | "bytesOut">): void {
  span.setAttribute("memento.store.bytes_in", traffic.bytesIn);
  span.setAttribute("memento.store.bytes_out", traffic.bytesOut);
  span.setAttribute("memento.store.outcome", outcome);
  if (outcome !== "ok") span.setStatus({ code: SPAN_ERROR, message: outcome });
  span.end();
}
