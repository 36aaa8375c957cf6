import { ObjectId } from "mongodb";
import { describe, expect, test } from "vitest";

import { bench } from "../../../../../test/harness/number-runs.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import type { FlowSummary } from "../pipeline/stage.ts";
import { memorySink, MemoryTable } from "../sinks/index.ts";
import { fromIterable } from "../sources/index.ts";
import { recordBytes } from "./record-bytes.ts";

/** An object of a class that leads back to itself, as a driver's often do. */
class Cursor {
  readonly at = 7n;
  readonly own = this;
  readonly next = (): null => null;
}

const ids = ["0123456789abcdef01234567", "89abcdef0123456789abcdef"];
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");

describe("records that are objects of classes", () => {
  const rows = new MemoryTable<{ id: string; n: number }>();
  const refused = new MemoryTable<{ stage: string; record: string; issues: string }>();
  const flow = (documents: readonly unknown[]): Pipeline =>
    definePipeline({
      name: "documents",
      version: "1",
      sources: { documents: () => fromIterable(() => documents) },
      sinks: { rows: () => memorySink({ table: rows }), refused: () => memorySink({ table: refused }) },
      stages: (stage) => {
        const read = stage.read("read", { source: "documents" });
        const made = stage.map("make", {
          after: read,
          schema: {
            "~standard": {
              version: 1,
              vendor: "test",
              validate: (value) => {
                const document = value as { _id: ObjectId; n: number };
                return document.n === 0 ? { issues: [{ message: "nothing" }] } : { value: document };
              },
            },
          },
          onInvalid: "quarantine",
          quarantine: "refused",
          run: ({ _id, n }: { readonly _id: ObjectId; readonly n: number }) => ({ id: _id.toHexString(), n }),
        });
        return [read, made, stage.write("write", { after: made, sink: "rows" })];
      },
    });

  test("go through a flow as they are, and are kept by what they hold", async () => {
    const { memento } = await bench();
    const [first, second] = ids.map((id) => ObjectId.createFromHexString(id));
    const documents = [
      { _id: first, n: 1, cursor: new Cursor() },
      { _id: second, n: 0, cursor: new Cursor() },
    ];
    const result = await memento.run(flow(documents));
    expect([...rows.rows]).toEqual([{ id: ids[0], n: 1 }]);
    const summary = (await result.output("make")) as FlowSummary;
    expect(summary.invalidSamples).toEqual([
      { record: { _id: ids[1], n: 0, cursor: { at: 7n, own: null, next: null } }, issues: "nothing" },
    ]);
    expect([...refused.rows]).toEqual([
      expect.objectContaining({ stage: "make", record: expect.stringContaining(ids[1] ?? "?") }),
    ]);
    const other = await memento.run(flow([{ _id: second, n: 1 }, documents[1]]), { partition: "other" });
    const otherwise = (await other.output("make")) as FlowSummary;
    expect(otherwise.inputDigest).not.toBe(summary.inputDigest);
  });

  test("are plain data inside maps, sets and lists, too; plain data is as it is", () => {
    const id = ObjectId.createFromHexString(ids[0] ?? "");
    const shared = { id };
    const kept = recordBytes([new Map([["a", new Set([id])]]), Buffer.of(1), shared, shared]);
    expect(kept).toEqual(
      recordBytes([new Map([["a", new Set([ids[0]])]]), Buffer.of(1), { id: ids[0] }, { id: ids[0] }]),
    );
    expect(text(recordBytes({ a: 1 }).bytes)).toBe('{"a":1}');
  });
});
