import * as api from "@opentelemetry/api";
import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";

import { bench, numbers, rowsOf, upTo, type Bench, type Row } from "../../../../../test/harness/number-runs.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import type { RunEvent } from "../run/run-event.ts";
import { memorySink } from "../sinks/index.ts";
import { eventLines, RunMetrics, runSpans, together } from "./index.ts";

/** Loads numbers; throws once at `failAt`, and the task after it once, which is tried again. */
function load({ data }: Bench, failAt = 0): Pipeline {
  let [fails, tries] = [failAt, 0];
  return definePipeline({
    name: "load",
    version: "1",
    batchRecords: 5,
    sources: {
      numbers: () =>
        numbers(20, {
          before: (n) => {
            if (n !== fails) return;
            fails = 0;
            throw new Error("once");
          },
        }),
    },
    sinks: { table: () => memorySink<Row>({ table: data }) },
    stages: (stage) => {
      const read = stage.read("read", { source: "numbers" });
      const write = stage.write("write", { after: read, sink: "table" });
      const report = stage.task("report", { after: { write }, retry: { attempts: 2, initialMs: 1 } }, () => {
        tries += 1;
        if (tries === 1) throw new Error("the first time");
        return "done";
      });
      return [read, write, report, stage.task("never", { after: { report }, when: () => false }, () => 0)];
    },
  });
}

interface Made {
  readonly name: string;
  readonly parent: string | null;
  readonly attributes: Record<string, unknown>;
  readonly events: string[];
  status: number;
  ended: boolean;
}

/** A tracer of OpenTelemetry's own types that remembers what it made. */
function rememberingTracer(): { tracer: api.Tracer; spans: Made[] } {
  const spans: Made[] = [];
  const known = new Map<api.Span, Made>();
  const startSpan: api.Tracer["startSpan"] = (name, options, context) => {
    const parentSpan = context === undefined ? undefined : api.trace.getSpan(context);
    const parent = parentSpan === undefined ? null : (known.get(parentSpan)?.name ?? "other");
    const made: Made = { name, parent, attributes: { ...options?.attributes }, events: [], status: 0, ended: false };
    const span = api.trace.wrapSpanContext({ traceId: "1".repeat(32), spanId: "2".repeat(16), traceFlags: 1 });
    Object.assign(span, {
      setAttribute(key: string, value: unknown): api.Span {
        made.attributes[key] = value;
        return span;
      },
      setStatus({ code }: api.SpanStatus): api.Span {
        made.status = code;
        return span;
      },
      addEvent(event: string): api.Span {
        made.events.push(event);
        return span;
      },
      end(): void {
        made.ended = true;
      },
    });
    spans.push(made);
    known.set(span, made);
    return span;
  };
  return { tracer: { startSpan, startActiveSpan: () => undefined as never }, spans };
}

describe("runSpans()", () => {
  test("a run has a span, its stages and saves have theirs inside, and all of them end", async () => {
    const made = await bench();
    const { tracer, spans } = rememberingTracer();
    await made.memento.run(load(made), { onEvent: runSpans({ tracer, api }) });
    const names = spans.map(({ name, parent }) => `${parent ?? "-"} > ${name}`);
    expect(names[0]).toBe("- > memento.run");
    expect(names.slice(1).every((name) => name.startsWith("memento.run > "))).toBe(true);
    const stages = spans
      .filter(({ name }) => name === "memento.stage")
      .map(({ attributes }) => attributes["memento.stage"]);
    expect(stages.toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual(["never", "read", "report", "write"]);
    expect(spans.filter(({ name }) => name === "memento.save").length).toBeGreaterThan(3);
    expect(spans.every(({ ended }) => ended)).toBe(true);
    expect(spans[0]).toMatchObject({
      status: api.SpanStatusCode.OK,
      attributes: { "memento.pipeline": "load", "memento.status": "completed" },
    });
    expect(spans.find(({ attributes }) => attributes["memento.stage"] === "report")?.events).toEqual(["memento.retry"]);
  });

  test("a failure is the status of the run and of the stage that was under way; the resumed run says so", async () => {
    const made = await bench();
    const { tracer, spans } = rememberingTracer();
    const pipeline = load(made, 12);
    await made.memento.run(pipeline, { onEvent: runSpans({ tracer, api }) }).catch(() => undefined);
    expect(spans[0]?.status).toBe(api.SpanStatusCode.ERROR);
    expect(spans.find(({ attributes }) => attributes["memento.stage"] === "read")?.status).toBe(
      api.SpanStatusCode.ERROR,
    );
    const next = rememberingTracer();
    await made.memento.run(pipeline, { onEvent: runSpans({ tracer: next.tracer, api }) });
    expect(next.spans[0]).toMatchObject({ attributes: { "memento.resumed": true }, status: api.SpanStatusCode.OK });
  });
});

describe("RunMetrics", () => {
  test("counts runs, stages, records, retries and saves by name", async () => {
    const made = await bench();
    const register = new Registry();
    const metrics = await RunMetrics.open({ register });
    const pipeline = load(made, 12);
    await made.memento.run(pipeline, { onEvent: metrics.listener("load") }).catch(() => undefined);
    await made.memento.run(pipeline, { onEvent: metrics.listener("load") });
    expect(rowsOf(made.data)).toEqual(upTo(20));
    const text = await register.metrics();
    for (const line of [
      'memento_runs_total{pipeline="load",status="failed"} 1',
      'memento_runs_total{pipeline="load",status="completed"} 1',
      'memento_runs_resumed_total{pipeline="load"} 1',
      'memento_runs_active{pipeline="load"} 0',
      'memento_stages_total{pipeline="load",stage="write",outcome="completed"} 1',
      'memento_stages_total{pipeline="load",stage="never",outcome="skipped"} 1',
      'memento_stage_retries_total{pipeline="load",stage="report"} 1',
      'memento_records_total{pipeline="load",stage="write"} 20',
      'memento_saves_total{pipeline="load",reason="failure"} 1',
    ])
      expect(text).toContain(line);
    expect(text).toMatch(/memento_save_seconds_count\{pipeline="load"\} [1-9]/);
    expect(text).not.toContain("failed_saves_total{");
  });

  test("P12 loud: a save that was not acknowledged is counted by its error, and fails the run", async () => {
    const made = await bench();
    const register = new Registry();
    const metrics = await RunMetrics.open({ register, prefix: "etl_" });
    const pipeline = definePipeline({
      name: "load",
      version: "1",
      stages: (stage) => [
        stage.task("one", async () => {
          await made.store.close();
        }),
      ],
    });
    await expect(made.memento.run(pipeline, { onEvent: metrics.listener("load") })).rejects.toThrow("closed");
    const text = await register.metrics();
    expect(text).toContain('etl_failed_saves_total{pipeline="load",code="STORE_CLOSED"}');
    expect(text).toContain('etl_runs_total{pipeline="load",status="failed"} 1');
  });
});

describe("eventLines()", () => {
  test("writes a line of JSON for each event, and nothing but what is asked for", async () => {
    const made = await bench();
    const lines: string[] = [];
    const some: string[] = [];
    const clock = { now: () => Date.UTC(2026, 0, 1) };
    const onEvent = together(
      eventLines((line) => void lines.push(line), { clock }),
      eventLines((line) => void some.push(line), { only: ["run-ended"] }),
    );
    await made.memento.run(load(made), { onEvent });
    const events = lines.map((line) => JSON.parse(line) as RunEvent & { time: string });
    expect(events[0]).toMatchObject({ time: "2026-01-01T00:00:00.000Z", type: "run-started", pipeline: "load" });
    expect(events.at(-1)).toMatchObject({ type: "run-ended", status: "completed", error: null });
    expect(lines.every((line) => line.endsWith("\n") && line.indexOf("\n") === line.length - 1)).toBe(true);
    expect(some).toHaveLength(1);
  });

  test("writes the digits of a big integer that a stage logs", async () => {
    const { memento } = await bench();
    const lines: string[] = [];
    const pipeline = definePipeline({
      name: "p",
      version: "1",
      stages: (stage) => [stage.task("a", ({ log }) => log("last", { id: (2n ** 64n) as never }))],
    });
    await memento.run(pipeline, { onEvent: eventLines((line) => void lines.push(line), { only: ["log"] }) });
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ message: "last", fields: { id: "18446744073709551616" } });
  });
});
