import { describe, expect, test } from "vitest";

import { systemClock } from "../../core/ports.ts";
import type { KitRow, SinkPlace } from "../../testing/sink/kit.ts";
import { testSink } from "../../testing/sink/sink-kit.ts";
import { memorySink, type MemorySinkOptions } from "./memory-sink.ts";
import { MemoryTable } from "./memory-table.ts";

const badRow = { row: { id: "bad", amount: () => 1, note: null }, code: "UNSUPPORTED_VALUE" } as const;

function placeWith(key: MemorySinkOptions<KitRow>["key"]): () => Promise<SinkPlace> {
  return async () => {
    const table = new MemoryTable<KitRow>();
    const named = (item: string): string => `rows[${key === undefined ? item : JSON.stringify(item)}]`;
    return {
      sink: () => memorySink(key === undefined ? { table } : { table, key }),
      read: async () => new Map([...table.items].map(([item, row]) => [named(item), row])),
      meddle: async (item, row) => {
        const name = item.slice("rows[".length, -1);
        table.set(key === undefined ? name : (JSON.parse(name) as string), row);
      },
      address: "",
      dispose: async () => undefined,
    };
  };
}

describe("memorySink()", () => {
  testSink({ describe, test, mode: "append", place: placeWith(undefined), badRow });
});

describe("memorySink({ key })", () => {
  testSink({ describe, test, mode: "upsert", place: placeWith(({ id }) => id), badRow });
});

describe("memorySink()'s table", () => {
  test("gives copies of the rows in their order", async () => {
    const sink = memorySink<{ n: number }>();
    await sink.open({ timeline: "one", name: "out", clock: systemClock, signal: new AbortController().signal });
    const row = { n: 1 };
    await sink.write([row, { n: 2 }], { epoch: 1, token: "t" });
    row.n = 99;
    for (const copy of sink.table.rows) copy.n = 98;
    expect(sink.table.rows).toEqual([{ n: 1 }, { n: 2 }]);
  });
});
