import { describe, expect, onTestFinished, test } from "vitest";
import type { MementoError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import { Memento } from "../memento.ts";
import { MemoryStore } from "../store/memory/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { fromFunction } from "./credentials/environment.ts";
import type { ProcessProbe } from "./process-identity.ts";
import { definePipeline, type Pipeline } from "./pipeline.ts";
import type { RunEvent } from "./run-event.ts";
import type { Sink } from "./sinks/sink.ts";
import { MemoryTable, memorySink } from "./sinks/index.ts";
import type { Source } from "./sources/source.ts";
import type { CheckpointPolicy } from "./stage.ts";

interface Row {
  readonly n: number;
}

/** The numbers from 1 to `count`; `failAt` throws once when that number is read. */
function numbers(count: number, hooks: { before?: (n: number) => void } = {}): Source<Row> {
  return {
    kind: "numbers",
    schemaVersion: "1",
    describe: () => `the numbers to ${count}`,
    open: async () => undefined,
    close: async () => undefined,
    inspect: async (from, to) => ({ available: true, problem: "", recordsBetween: Number(to["0"] ?? 0) - Number(from["0"] ?? 0) }),
    async *read({ from, batchRecords, signal }) {
      for (let next = Number(from["0"] ?? 0) + 1; next <= count; ) {
        signal.throwIfAborted();
        const records: Row[] = [];
        for (; records.length < batchRecords && next <= count; next++) {
          hooks.before?.(next);
          records.push({ n: next });
        }
        yield { records, partition: "0", offset: next - 1 };
      }
    },
  };
}

interface Bench {
  readonly memento: Memento;
  readonly store: MemoryStore;
  readonly data: MemoryTable<Row>;
  readonly events: RunEvent[];
  readonly onEvent: (event: RunEvent) => void;
}

async function bench(clock?: Clock): Promise<Bench> {
  const store = await MemoryStore.open();
  const memento = await Memento.open(store, { keys: { raw: [new Uint8Array(32).fill(7)] }, ...(clock === undefined ? {} : { clock }) });
  onTestFinished(async () => await memento.close());
  const events: RunEvent[] = [];
  return { memento, store, data: new MemoryTable<Row>(), events, onEvent: (event) => void events.push(event) };
}

interface LoadOptions {
  readonly count?: number;
  readonly checkpoint?: CheckpointPolicy;
  readonly before?: (n: number) => void;
  readonly map?: (row: Row) => Row | undefined;
  readonly version?: string;
}

function load(sink: () => Sink<Row>, options: LoadOptions = {}): Pipeline {
  const { count = 95, checkpoint = { records: 20 }, before, map = (row) => row, version = "1" } = options;
  return definePipeline({
    name: "load",
    version,
    checkpoint,
    batchRecords: 10,
    sources: { numbers: () => numbers(count, before === undefined ? {} : { before }) },
    sinks: { table: () => sink() },
    stages: (stage) => {
      const extract = stage.read("extract", { source: "numbers" });
      const transform = stage.map("transform", { after: extract, run: map });
      const write = stage.write("write", { after: transform, sink: "table" });
      const report = stage.task("report", { after: { write } }, (_context, { write: summary }) => ({ rows: summary.recordsOut }));
      return [extract, transform, write, report];
    },
  });
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const rowsOf = (data: MemoryTable<Row>): number[] => [...data.rows].map(({ n }) => n).toSorted((a, b) => a - b);

describe("runPipeline()", () => {
  test("runs a flow to its end, with a memento at each interval and after each stage", async () => {
    const { memento, data, events, onEvent } = await bench();
    const result = await memento.run(load(() => memorySink<Row>({ table: data })), { onEvent });
    expect(result).toMatchObject({ status: "completed", resumed: false, skipped: [] });
    expect(await result.output("report")).toEqual({ rows: 95 });
    expect(rowsOf(data)).toEqual(upTo(95));
    const reasons = events.flatMap((event) => (event.type === "saved" ? [event.entry.reason] : []));
    expect(reasons).toEqual(["start", "interval", "interval", "interval", "interval", "stage", "stage", "stage", "stage"]);
    expect(await memento.verify()).toMatchObject({ sound: true, damages: [] });
  });

  test("takes up after a failure: done records stay, undone ones are taken back and read again, none is lost or doubled", async () => {
    const { memento, data, events, onEvent } = await bench();
    let armed = true;
    const pipeline = load(() => memorySink<Row>({ table: data }), {
      before: (n) => {
        if (armed && n === 58) throw new Error("the disk hums");
      },
    });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED", message: expect.stringContaining("the disk hums") });
    armed = false;
    const result = await memento.run(pipeline, { onEvent });
    expect(result).toMatchObject({ status: "completed", resumed: true, recordsReadAgain: 10 });
    expect(rowsOf(data)).toEqual(upTo(95));
    expect(events.find(({ type }) => type === "sink-reverted")).toMatchObject({ rows: 10, records: 10 });
    expect(await result.output("report")).toEqual({ rows: 95 });
  });

  test("a failure at every record ends, after resuming, in the same data and the same digests", async () => {
    const whole = await bench();
    const complete = await whole.memento.run(load(() => memorySink<Row>({ table: whole.data }), { count: 45 }));
    const wanted = await complete.output("write");
    for (let failAt = 1; failAt <= 45; failAt++) {
      const { memento, data } = await bench();
      let armed = true;
      const pipeline = load(() => memorySink<Row>({ table: data }), {
        count: 45,
        before: (n) => {
          if (armed && n === failAt) throw new Error("once");
        },
      });
      await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
      armed = false;
      const result = await memento.run(pipeline);
      expect(rowsOf(data), `failed at ${failAt}`).toEqual(upTo(45));
      expect(await result.output("write"), `failed at ${failAt}`).toEqual(wanted);
    }
  });

  test("a new run starts at the head's offsets and state", async () => {
    const { memento, data } = await bench();
    await memento.run(load(() => memorySink<Row>({ table: data }), { count: 30 }));
    const second = await memento.run(load(() => memorySink<Row>({ table: data }), { count: 50 }));
    expect(await second.output("report")).toEqual({ rows: 20 });
    expect(rowsOf(data)).toEqual(upTo(50));
  });

  test("the same key is the same run", async () => {
    const { memento, data } = await bench();
    const pipeline = load(() => memorySink<Row>({ table: data }));
    const first = await memento.run(pipeline, { key: "2026-01-01" });
    const again = await memento.run(pipeline, { key: "2026-01-01" });
    expect(again).toMatchObject({ alreadyDone: true, run: first.run, head: first.head });
    await memento.run(pipeline, { key: "2026-01-02" });
    expect(await memento.run(pipeline, { key: "2026-01-01" })).toMatchObject({ alreadyDone: true, head: first.head });
  });

  test("asks before it goes on with a run of other parameters, and goes on, or starts anew, when told", async () => {
    const { memento } = await bench();
    let fail = true;
    const pipeline = definePipeline({
      name: "p",
      version: "1",
      stages: (stage) => [
        stage.task("one", () => 1),
        stage.task("two", () => {
          if (fail) throw new Error("not yet");
        }),
      ],
    });
    await expect(memento.run(pipeline, { params: { day: 1 } })).rejects.toMatchObject({ code: "STAGE_FAILED" });
    await expect(memento.run(pipeline, { params: { day: 2 } })).rejects.toMatchObject({ code: "RUN_PENDING" });
    fail = false;
    expect(await memento.run(pipeline, { params: { day: 2 }, fresh: true })).toMatchObject({ status: "completed", resumed: false });
    await expect(memento.run(pipeline, { resume: true })).rejects.toMatchObject({ code: "NOTHING_TO_RESUME" });
  });

  test("a stop between two batches keeps all finished work, and the next run goes on from there", async () => {
    const { memento, data } = await bench();
    const stop = new AbortController();
    const before = (n: number): void => {
      if (n === 35) stop.abort();
    };
    const stopped = await memento.run(load(() => memorySink<Row>({ table: data }), { before }), { signal: stop.signal });
    expect(stopped.status).toBe("interrupted");
    expect(rowsOf(data)).toEqual(upTo(40));
    const result = await memento.run(load(() => memorySink<Row>({ table: data })));
    expect(result).toMatchObject({ status: "completed", resumed: true, recordsReadAgain: 0 });
    expect(rowsOf(data)).toEqual(upTo(95));
  });

  test("a paused run goes on only when it is told to", async () => {
    const { memento, data } = await bench();
    let fail = true;
    const pipeline = load(() => memorySink<Row>({ table: data }), {
      before: (n) => {
        if (fail && n === 55) throw new Error("stop here");
      },
    });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    fail = false;
    let run = "";
    for await (const entry of memento.history(pipeline)) run = entry.run ?? run;
    expect(await memento.pause(run)).toMatchObject({ status: "paused" });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "RUN_PENDING" });
    expect(await memento.run(pipeline, { resume: true })).toMatchObject({ status: "completed" });
    expect(rowsOf(data)).toEqual(upTo(95));
  });

  test("a live run that is asked to pause does so between two batches", async () => {
    const clock = new ManualClock();
    const { memento, data } = await bench(clock);
    let asked = false;
    const pipeline = definePipeline({
      name: "load",
      version: "1",
      batchRecords: 10,
      sources: { numbers: () => numbers(95) },
      sinks: { table: () => memorySink<Row>({ table: data }) },
      stages: (stage) => [
        stage.task("copy", async (context) => {
          for await (const { records } of context.read("numbers")) {
            await context.write("table", records);
            if (asked) continue;
            asked = true;
            expect(await memento.pause(context.run.id)).toMatchObject({ status: "requested" });
            await clock.tick(3_000);
          }
        }),
      ],
    });
    expect(await memento.run(pipeline)).toMatchObject({ status: "paused" });
    expect(rowsOf(data)).toEqual(upTo(10));
    expect(await memento.run(pipeline, { resume: true })).toMatchObject({ status: "completed" });
    expect(rowsOf(data)).toEqual(upTo(95));
  });

  test("records that fail their schema are quarantined, stop the run, or fail it, as the stage says", async () => {
    const { memento, data } = await bench();
    const odd = { "~standard": { version: 1 as const, vendor: "test", validate: (value: unknown) => ((value as Row).n % 2 === 1 ? { value: value as Row } : { issues: [{ message: "even" }] }) } };
    const with_ = (name: string, onInvalid: "fail" | "quarantine" | { stopAfter: number }): Pipeline =>
      definePipeline({
        name,
        version: "1",
        batchRecords: 10,
        sources: { numbers: () => numbers(40) },
        sinks: { table: () => memorySink<Row>({ table: data }) },
        stages: (stage) => {
          const extract = stage.read("extract", { source: "numbers" });
          const validate = stage.map("validate", { after: extract, schema: odd, onInvalid });
          return [extract, validate, stage.write("write", { after: validate, sink: "table" })];
        },
      });
    const result = await memento.run(with_("q", "quarantine"));
    expect(await result.output("validate")).toMatchObject({ recordsIn: 40, recordsOut: 20, invalid: 20 });
    await expect(memento.run(with_("f", "fail"))).rejects.toMatchObject({ code: "RECORD_INVALID", message: expect.stringContaining("even") });
    await expect(memento.run(with_("s", { stopAfter: 7 }))).rejects.toMatchObject({ code: "TOO_MANY_INVALID" });
  });
});

describe("P4 secret: credentials", () => {
  const secret = "hunter2-öüß/+ secret";

  test("are acquired anew for each run, and are in no memento, event or error", async () => {
    const { memento, store, events, onEvent } = await bench();
    let acquired = 0;
    let fail = true;
    const pipeline = definePipeline({
      name: "p",
      version: "1",
      credentials: {
        warehouse: fromFunction("warehouse:write", async () => {
          acquired += 1;
          return secret;
        }),
      },
      stages: (stage) => [
        stage.task("load", (context) => {
          context.log(`using ${context.credentials.warehouse.value}`, { url: `db://u:${encodeURIComponent(secret)}@h` });
          if (fail) throw new Error(`cannot connect with ${secret}`);
          return Object.keys(context.credentials.warehouse);
        }),
      ],
    });
    const error: unknown = await memento.run(pipeline, { onEvent }).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "STAGE_FAILED" });
    fail = false;
    const result = await memento.run(pipeline, { onEvent });
    expect(acquired).toBe(2);
    const texts = [JSON.stringify(events), String(error), (error as MementoError).stack ?? "", String((error as MementoError).cause), JSON.stringify(await result.output("load"))];
    for await (const entry of memento.history(pipeline)) {
      const opened = await memento.vault.load(entry.id);
      texts.push(JSON.stringify([entry, opened.fields(), ...(await opened.values("")).entries()]));
    }
    for await (const { header, body } of store.commits(null)) texts.push(Buffer.concat([header, body ?? new Uint8Array()]).toString("latin1"));
    for (const text of texts) {
      expect(text).not.toContain("hunter2");
      expect(text).not.toContain(Buffer.from(secret).toString("base64"));
    }
    expect(texts.join("")).toContain("warehouse:write");
  });

  test("one that cannot be had ends the run before anything is read or written", async () => {
    const { memento, data } = await bench();
    const pipeline = definePipeline({
      name: "p",
      version: "1",
      credentials: { warehouse: fromFunction("w", async () => await Promise.reject(new Error(`no ${secret}`))) },
      sources: { numbers: () => numbers(5) },
      sinks: { table: () => memorySink<Row>({ table: data }) },
      stages: (stage) => [stage.write("write", { after: stage.read("extract", { source: "numbers" }), sink: "table" })].flatMap((write) => [stage.read("extract", { source: "numbers" }), write]),
    });
    const error: unknown = await memento.run(pipeline).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "CREDENTIAL_UNAVAILABLE", message: expect.stringContaining("warehouse") });
    expect(JSON.stringify(error)).not.toContain("hunter2");
    expect([...data.rows]).toEqual([]);
  });
});

describe("P6 one writer", () => {
  const dead: ProcessProbe = { self: () => ({ host: "h", bootId: "b", pid: 1, processStart: "1" }), isKnownDead: () => true };
  const alive: ProcessProbe = { ...dead, isKnownDead: () => false };

  test("a live holder refuses others with LOCKED, an expired or dead one is taken over, and the old one is fenced in store and sink", async () => {
    const clock = new ManualClock();
    const { memento, data } = await bench(clock);
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    let first = true;
    const pipeline = definePipeline({
      name: "load",
      version: "1",
      batchRecords: 10,
      sources: { numbers: () => numbers(40) },
      sinks: { table: () => memorySink<Row>({ table: data }) },
      stages: (stage) => [
        stage.task("copy", async (context) => {
          const zombie = first;
          first = false;
          for await (const { records } of context.read("numbers")) {
            if (zombie) {
              reached.resolve();
              await goOn.promise;
              await expect(context.write("table", records)).rejects.toMatchObject({ code: "FENCED" });
              await context.checkpoint();
            }
            await context.write("table", records);
          }
        }),
      ],
    });
    const frozen = memento.run(pipeline, { probe: alive, selfCheck: false, leaseDurationMs: 1_000_000 });
    await reached.promise;
    await expect(memento.run(pipeline, { probe: alive })).rejects.toMatchObject({ code: "LOCKED", retryable: true });
    expect(await memento.run(pipeline, { probe: dead })).toMatchObject({ status: "completed" });
    goOn.resolve();
    await expect(frozen).rejects.toMatchObject({ code: "FENCED" });
    expect(rowsOf(data)).toEqual(upTo(40));
    expect(await memento.verify()).toMatchObject({ sound: true });
  });
});
