import { describe, expect, test } from "vitest";

import { testWrapped } from "../../../../../test/workers/embedded-places.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { MemoryStore } from "../memory/store.ts";
import { mementoQuery } from "../query.ts";
import { interceptStore } from "./intercept.ts";
import { DURATION_BOUNDS_MS, StoreMetrics, type ObservedCall } from "./metrics.ts";
import { observeStore, type ObserveOptions, type SpanLike, type TracerLike } from "./observe.ts";

testWrapped("observeStore()", (store) => observeStore(store, { metrics: new StoreMetrics(), onCall: () => undefined }));

/** A store in which every call takes `ms`. */
async function slowStore(options: Omit<ObserveOptions, "clock">, ms = 3) {
  const clock = new ManualClock();
  const inner = await MemoryStore.open();
  const make = new StoreFixture(1);
  await inner.create(make.meta(), make.key("integrity"));
  const slow = interceptStore(inner, async (_, proceed) => {
    await clock.tick(ms);
    return await proceed();
  });
  return { store: observeStore(slow, { ...options, clock }), make };
}

describe("observeStore()", () => {
  test("tells of each call: method, what it was about, duration, outcome and bytes", async () => {
    const calls: ObservedCall[] = [];
    const { store, make } = await slowStore({ onCall: (call) => void calls.push(call) });
    const timeline = await make.timeline(store);
    calls.length = 0;
    const batch = make.batch([timeline.next()]);
    const bytes = batch.header.byteLength + batch.body.byteLength;
    const id = batch.records[0]?.entry.id ?? "";
    await store.append(batch);
    await store.read(id);
    await expectCode("NOT_FOUND", () => store.requestOf("nobody", "pause"));
    expect(calls).toEqual([
      {
        method: "append",
        about: `append(${id})`,
        step: null,
        durationMs: 3,
        outcome: "ok",
        bytesIn: bytes,
        bytesOut: 0,
      },
      { method: "read", about: `read(${id})`, step: null, durationMs: 3, outcome: "ok", bytesIn: 0, bytesOut: bytes },
      {
        method: "requestOf",
        about: "requestOf(nobody)",
        step: null,
        durationMs: 3,
        outcome: "NOT_FOUND",
        bytesIn: 0,
        bytesOut: 0,
      },
    ]);
  });

  test("counts calls, steps, outcomes, bytes and durations as plain data", async () => {
    const metrics = new StoreMetrics();
    const { store, make } = await slowStore({ metrics }, 7);
    const timeline = await make.timeline(store);
    for (let saves = 0; saves < 3; saves++) await timeline.save(store);
    await collect(store.query(mementoQuery()));
    await collect(store.commits(null));
    await expectCode("NOT_FOUND", () => store.requestOf("nobody", "pause"));
    const snapshot = JSON.parse(JSON.stringify(metrics.snapshot())) as ReturnType<StoreMetrics["snapshot"]>;
    expect(snapshot["append"]).toMatchObject({ calls: 3, steps: 3, outcomes: { ok: 3 }, bytesOut: 0 });
    expect(snapshot["append"]?.bytesIn).toBe(snapshot["commits"]?.bytesOut);
    expect(snapshot["query"]).toMatchObject({ calls: 1, steps: 4, outcomes: { ok: 4 } });
    expect(snapshot["requestOf"]).toMatchObject({ calls: 1, outcomes: { NOT_FOUND: 1 } });
    const { durations } = snapshot["append"] ?? {};
    expect(durations).toMatchObject({ count: 3, sumMs: 21, maxMs: 7 });
    expect(durations?.counts[DURATION_BOUNDS_MS.indexOf(10)]).toBe(3);
    expect(durations?.counts.length).toBe(DURATION_BOUNDS_MS.length + 1);
  });

  test("gives a tracer one span for each call and for each iterable, and ends them all", async () => {
    const open = new Set<string>();
    const seen: string[] = [];
    const tracer: TracerLike = {
      startSpan: (name, options) => {
        const about = `${name} ${String(options?.attributes?.["memento.store.call"])}`;
        open.add(about);
        const span: SpanLike = {
          setAttribute: () => span,
          setStatus: ({ code, message }) => void seen.push(`${name} status ${code} ${message ?? ""}`),
          end: () => {
            open.delete(about);
            seen.push(name);
          },
        };
        return span;
      },
    };
    const { store, make } = await slowStore({ tracer });
    const timeline = await make.timeline(store);
    await timeline.save(store);
    await timeline.save(store);
    seen.length = 0;
    await collect(store.query(mementoQuery()));
    await expectCode("NOT_FOUND", () => store.requestOf("nobody", "pause"));
    expect(seen).toEqual([
      "memento.store.query",
      "memento.store.requestOf status 2 NOT_FOUND",
      "memento.store.requestOf",
    ]);
    expect(open.size).toBe(0);
  });

  test("shows no wrapped key, body or error text to anybody", async () => {
    const told: unknown[] = [];
    const metrics = new StoreMetrics();
    const tracer: TracerLike = {
      startSpan: (...all) => {
        told.push(all);
        const span: SpanLike = {
          setAttribute: (...facts) => told.push(facts),
          setStatus: (status) => told.push(status),
          end: () => undefined,
        };
        return span;
      },
    };
    const { store, make } = await slowStore({ metrics, tracer, onCall: (call) => told.push(call) });
    const dataKey = make.key("data");
    const timeline = await make.timeline(store);
    const body = Buffer.from("the secret of the body");
    await store.append(make.batch([timeline.next()], { dataKey, body }));
    await store.rewrapKey({ ...dataKey, wrapped: "another secret" }, "ring-1");
    await store.requestOf("the secret of the text", "pause").catch(() => undefined);
    const text = JSON.stringify([told, metrics.snapshot()]);
    for (const secret of [dataKey.wrapped, "another secret", "secret of the body", "There is no timeline"])
      expect(text).not.toContain(secret);
  });

  test("an observer that throws is turned off, and nobody else notices", async () => {
    let calls = 0;
    const onCall = (): void => {
      calls += 1;
      throw new Error("broken observer");
    };
    const { store } = await slowStore({ onCall });
    const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
    expect(await store.timeline("none")).toBe(null);
    expect(await store.timeline("none")).toBe(null);
    expect(calls).toBe(1);
    expect((await warned).message).toContain("broken observer");
  });
});
