import { describe, expect, test } from "vitest";

import { bench, numbers, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import type { MementoError } from "../../core/errors.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import type { ProcessProbe } from "../../vault/process-identity.ts";
import { fromFunction } from "../credentials/environment.ts";
import { definePipeline } from "../pipeline/pipeline.ts";
import { memorySink } from "../sinks/index.ts";

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
          context.log(`using ${context.credentials.warehouse.value}`, {
            url: `db://u:${encodeURIComponent(secret)}@h`,
          });
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
    const texts = [
      JSON.stringify(events),
      String(error),
      (error as MementoError).stack ?? "",
      String((error as MementoError).cause),
      JSON.stringify(await result.output("load")),
    ];
    for await (const entry of memento.history(pipeline)) {
      const opened = await memento.vault.load(entry.id);
      texts.push(JSON.stringify([entry, opened.fields(), ...(await opened.values("")).entries()]));
    }
    for await (const { header, body } of store.commits(null))
      texts.push(Buffer.concat([header, body ?? new Uint8Array()]).toString("latin1"));
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
      stages: (stage) =>
        [stage.write("write", { after: stage.read("extract", { source: "numbers" }), sink: "table" })].flatMap(
          (write) => [stage.read("extract", { source: "numbers" }), write],
        ),
    });
    const error: unknown = await memento.run(pipeline).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "CREDENTIAL_UNAVAILABLE", message: expect.stringContaining("warehouse") });
    expect(JSON.stringify(error)).not.toContain("hunter2");
    expect([...data.rows]).toEqual([]);
  });
});

describe("P6 one writer", () => {
  const dead: ProcessProbe = {
    self: () => ({ host: "h", bootId: "b", pid: 1, processStart: "1" }),
    isKnownDead: () => true,
  };
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
              break;
            }
            await context.write("table", records);
          }
          if (zombie) await context.checkpoint();
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
