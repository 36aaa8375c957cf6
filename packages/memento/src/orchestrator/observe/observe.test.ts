import process from "node:process";

import * as api from "@opentelemetry/api";
import { Registry, type Counter } from "prom-client";
import { describe, expect, test, vi } from "vitest";

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

describe("exporters that fail", () => {
  test("end no run: one warning says so, and what works is told on", async () => {
    const made = await bench();
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue(undefined);
    const register = new Registry();
    const metrics = await RunMetrics.open({ register });
    const broken = rememberingTracer();
    let calls = 0;
    const startSpan: api.Tracer["startSpan"] = (...given) => {
      calls += 1;
      if (calls % 2 === 1) throw new Error("the exporter is down");
      return broken.tracer.startSpan(...given);
    };
    const saves = vi.spyOn(register.getSingleMetric("memento_saves_total") as Counter, "inc");
    saves.mockImplementation(() => {
      throw new Error("no such label");
    });
    const onEvent = together(runSpans({ tracer: { ...broken.tracer, startSpan }, api }), metrics.listener("load"));
    expect(await made.memento.run(load(made), { onEvent })).toMatchObject({ status: "completed" });
    expect(rowsOf(made.data)).toEqual(upTo(20));
    expect(broken.spans.length).toBeGreaterThan(2);
    expect(await register.metrics()).toContain('memento_runs_active{pipeline="load"} 0');
    expect(warn.mock.calls.map(([warning]) => String(warning))).toEqual([
      expect.stringContaining("the exporter is down"),
      expect.stringContaining("no such label"),
    ]);
  });
});

describe("items of a list", () => {
  const list = (): Pipeline => {
    const seen = new Set<unknown>();
    const failOnce = (what: unknown): void => {
      const isFirst = !seen.has(what);
      seen.add(what);
      if (isFirst) throw new Error("the first time");
    };
    const retry = { attempts: 2, initialMs: 1 };
    return definePipeline({
      name: "load",
      version: "1",
      stages: (stage) => [
        stage.task("odd[7]", { retry }, () => failOnce("odd")),
        stage.each("load", { items: () => [1, 2, 3], retry }, (_context, item) => failOnce(item)),
      ],
    });
  };

  test("are counted under the name of their stage: labels do not grow with the list", async () => {
    const { memento } = await bench();
    const register = new Registry();
    const metrics = await RunMetrics.open({ register });
    await memento.run(list(), { onEvent: metrics.listener("load") });
    const lines = (await register.metrics()).split("\n").filter((line) => line.startsWith("memento_stage_retries"));
    expect(lines).toEqual([
      'memento_stage_retries_total{pipeline="load",stage="odd[7]"} 1',
      'memento_stage_retries_total{pipeline="load",stage="load"} 3',
    ]);
  });

  test("tell the span of their stage of their attempts", async () => {
    const { memento } = await bench();
    const { tracer, spans } = rememberingTracer();
    await memento.run(list(), { onEvent: runSpans({ tracer, api }) });
    const events = spans.filter(({ name }) => name === "memento.stage").map((span) => span.events.length);
    expect(events).toEqual([1, 3]);
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

  test("writes what is no JSON in the fields of a log line all the same, for it ends no run", async () => {
    const made = await bench();
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    const pipeline = definePipeline({
      name: "load",
      version: "1",
      stages: (stage) => [
        stage.task("one", (context) => {
          context.log("large", { id: 2n ** 60n } as never);
          context.log("circle", circle as never);
        }),
      ],
    });
    const lines: string[] = [];
    const onEvent = eventLines((line) => void lines.push(line), { only: ["log"] });
    expect(await made.memento.run(pipeline, { onEvent })).toMatchObject({ status: "completed" });
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { message: "large", fields: { id: "1152921504606846976" } },
      { message: "circle", fields: { unreadable: expect.stringContaining("circular") as string } },
    ]);
  });
});
