import type * as OpenTelemetry from "@opentelemetry/api";
import type { Attributes, Span, Tracer } from "@opentelemetry/api";

import { systemClock, type Clock } from "../../core/ports.ts";
import type { RunEvent, RunListener } from "../run/run-event.ts";
import { exporter } from "./exporter.ts";
import { ownerOf } from "./owner.ts";

/** `SpanStatusCode` of OpenTelemetry's API, which is needed for its types alone. */
const [OK, ERROR] = [1, 2];

/** What is called of the package `@opentelemetry/api`. */
export type TracingApi = Pick<typeof OpenTelemetry, "trace" | "context">;

/** Where spans go. */
export interface RunSpansOptions {
  /** What `trace.getTracer(...)` gives. */
  readonly tracer: Tracer;
  /** The package `@opentelemetry/api`, as it was imported: it knows which span is whose parent. */
  readonly api: TracingApi;
  /** Default: the machine's. */
  readonly clock?: Pick<Clock, "now">;
}

/**
 * Makes OpenTelemetry spans of a run: `memento.run`, in it a `memento.stage` for each stage, and a `memento.save` for each memento;
 * `memento.restore` for a rollback that was finished first. For one run at a time: make one for each. Attributes are names and counts,
 * never records, parameters or secrets. What a tracer throws ends no run: a warning says so.
 */
export function runSpans({ tracer, api, clock = systemClock }: RunSpansOptions): RunListener {
  const spans = new Spans(tracer, api, clock);
  return exporter("A tracer", (event) => spans.hear(event));
}

class Spans {
  readonly #tracer: Tracer;
  readonly #api: TracingApi;
  readonly #clock: Pick<Clock, "now">;
  #run: Span | null = null;
  readonly #stages = new Map<string, Span>();

  constructor(tracer: Tracer, api: TracingApi, clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#tracer = tracer;
    this.#api = api;
  }

  hear(event: RunEvent): void {
    switch (event.type) {
      case "run-started":
      case "run-resumed":
        this.#run = this.#begin("memento.run", {
          "memento.pipeline": event.pipeline,
          "memento.run": event.run,
          "memento.timeline": event.timeline,
          "memento.resumed": event.type === "run-resumed",
        });
        break;
      case "stage-started":
        this.#stages.set(event.stage, this.#begin("memento.stage", { "memento.stage": event.stage }));
        break;
      case "stage-retry":
        this.#retried(event);
        break;
      case "stage-completed":
      case "stage-skipped":
        this.#endStage(event);
        break;
      case "saved":
        this.#saved(event);
        break;
      case "restore-finished":
        this.#begin("memento.restore", { "memento.target": event.target, "memento.id": event.memento }).end();
        break;
      case "save-failed":
        this.#run?.addEvent("memento.save_failed", { "memento.error": event.error });
        break;
      case "run-ended":
        this.#end(event);
        break;
      default:
        break;
    }
  }

  #begin(name: string, attributes: Attributes, startTime?: number): Span {
    const active = this.#api.context.active();
    const parent = this.#run === null || name === "memento.run" ? active : this.#api.trace.setSpan(active, this.#run);
    return this.#tracer.startSpan(name, { attributes, ...(startTime === undefined ? {} : { startTime }) }, parent);
  }

  #retried({ stage: name, failed }: Extract<RunEvent, { readonly type: "stage-retry" }>): void {
    const { stage, item } = ownerOf(name, this.#stages);
    const attributes = { "memento.attempt": failed, ...(item === null ? {} : { "memento.item": item }) };
    this.#stages.get(stage)?.addEvent("memento.retry", attributes);
  }

  #endStage(event: Extract<RunEvent, { readonly type: "stage-completed" | "stage-skipped" }>): void {
    // A later stage of a flow has no beginning of its own.
    const span = this.#stages.get(event.stage) ?? this.#begin("memento.stage", { "memento.stage": event.stage });
    if (event.type === "stage-completed") span.setAttribute("memento.records", event.records);
    span.setAttribute("memento.skipped", event.type === "stage-skipped");
    span.setStatus({ code: OK });
    span.end();
    this.#stages.delete(event.stage);
  }

  #saved({ entry, ms }: Extract<RunEvent, { readonly type: "saved" }>): void {
    const attributes = {
      "memento.id": entry.id,
      "memento.reason": entry.reason,
      "memento.sequence": entry.sequence,
      "memento.logical_bytes": entry.sizes.logicalBytes,
      "memento.held_bytes": entry.sizes.heldBytes,
    };
    this.#begin("memento.save", attributes, this.#clock.now() - ms).end();
  }

  #end({ status, error }: Extract<RunEvent, { readonly type: "run-ended" }>): void {
    for (const [stage, span] of this.#stages) {
      if (status === "failed") span.setStatus({ code: ERROR, message: error ?? status });
      span.end();
      this.#stages.delete(stage);
    }
    this.#run?.setAttribute("memento.status", status);
    this.#run?.setStatus(status === "failed" ? { code: ERROR, message: error ?? status } : { code: OK });
    this.#run?.end();
    this.#run = null;
  }
}
