import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { MementoEntry } from "../core/memento.ts";
import { entryText, expandEntry } from "./entry-text.ts";

const text = fc.string({ unit: "grapheme" });
const count = fc.nat();
const entry: fc.Arbitrary<MementoEntry> = fc
  .record(
    {
      id: count.map((sequence) => `abcdefghjkmn-${sequence + 1}-0123qz`),
      parent: fc.option(text),
      epoch: count,
      generation: count,
      caretaker: text,
      originator: text,
      kind: fc.constantFrom("pipeline", "value"),
      reason: fc.constantFrom("save", "stage"),
      status: fc.constantFrom("saved", "running"),
      created: text,
      name: text,
      run: text,
      version: text,
      stage: text,
      stageIndex: count,
      resumeCount: count,
      labels: fc.dictionary(text, text, { noNullPrototype: true }),
      metadata: fc.dictionary(text, fc.jsonValue(), { noNullPrototype: true }),
      sizes: fc.record({ logicalBytes: count, heldBytes: count }),
    },
    {
      requiredKeys: [
        "id",
        "parent",
        "epoch",
        "generation",
        "caretaker",
        "originator",
        "kind",
        "reason",
        "status",
        "created",
        "labels",
        "metadata",
        "sizes",
      ],
    },
  )
  .map(
    (fields) =>
      ({ ...fields, timeline: fields.id.slice(0, 12), sequence: Number(fields.id.split("-")[1]) }) as MementoEntry,
  );

describe("entryText() and expandEntry()", () => {
  test("any entry comes back as it was, and has the same text again", () => {
    fc.assert(
      fc.property(entry, (original) => {
        const expanded = expandEntry(JSON.parse(entryText(original)));
        expect(expanded).toEqual(JSON.parse(JSON.stringify(original)));
        expect(entryText(expanded as MementoEntry)).toBe(entryText(original));
      }),
      { numRuns: Number(process.env["MEMENTO_CASES"] ?? 1_000) },
    );
  });

  test("anything else is no entry", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(expandEntry(value)).toBeNull();
      }),
    );
  });
});
