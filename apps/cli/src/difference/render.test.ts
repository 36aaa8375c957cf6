import type { MementoEntry } from "@mementojs/memento";
import { describe, expect, test } from "vitest";

import { styleOf } from "../terminal/style.ts";
import { PARTS, type MementoDifference, type Part, type PieceDifference } from "./memento-difference.ts";
import { differenceText } from "./render.ts";

const style = styleOf({ colours: false });
const options = { style, columns: 80, full: false };

function difference(parts: Partial<Record<Part, PieceDifference[]>>): MementoDifference {
  const entry = (id: string, sequence: number): MementoEntry =>
    ({ id, sequence, originator: "flights" }) as MementoEntry;
  const all = Object.fromEntries(PARTS.map((part) => [part, parts[part] ?? []])) as Record<Part, PieceDifference[]>;
  return {
    before: entry("k-1-a", 1),
    after: entry("k-2-b", 2),
    same: Object.keys(parts).length === 0,
    facts: [],
    parts: all,
  };
}

const piece = (name: string, differences: PieceDifference["differences"]): PieceDifference => ({
  name,
  kind: "changed",
  differences,
  bytes: { before: 10, after: 12 },
});

describe("differenceText()", () => {
  test("says in a line what is short, in blocks what is long, and leaves out parts that are equal", () => {
    const text = differenceText(
      difference({
        offsets: [piece("flights", [{ path: '["0"].row', kind: "changed", before: 10, after: 20 }])],
        state: [piece("totals", [{ path: "", kind: "added", after: { a: 1, note: "x".repeat(70) } }])],
      }),
      options,
    );
    expect(text).toBe(
      [
        "--- k-1-a  flights #1",
        "+++ k-2-b  flights #2",
        "",
        "offsets",
        '  flights["0"].row: 10 -> 20',
        "",
        "state",
        "  totals",
        "  + {",
        "  +   a: 1,",
        `  +   note: '${"x".repeat(70)}'`,
        "  + }",
      ].join("\n"),
    );
  });

  test("leaves digests and samples to --full, and says so", () => {
    const places = ["recordsIn", "inputDigest", "outputDigest", "invalidSamples[3]"].map((path) => ({
      path,
      kind: "changed" as const,
      before: 1,
      after: 2,
    }));
    const shown = differenceText(difference({ outputs: [piece("load", places)] }), options);
    expect(shown).toContain("load.recordsIn: 1 -> 2");
    expect(shown).not.toContain("Digest");
    expect(shown).toContain("… 3 more places; --full shows them");
    expect(differenceText(difference({ outputs: [piece("load", places)] }), { ...options, full: true })).toContain(
      "load.inputDigest",
    );
  });

  test("a state is shown whatever its keys are called", () => {
    const text = differenceText(
      difference({ state: [piece("s", [{ path: "inputDigest", kind: "changed", before: 1, after: 2 }])] }),
      options,
    );
    expect(text).toContain("s.inputDigest: 1 -> 2");
  });

  test("a large piece is told by its size", () => {
    const large = { ...piece("rows", null), bytes: { before: null, after: 5_000_000 }, kind: "added" as const };
    expect(differenceText(difference({ outputs: [large] }), options)).toContain(
      "rows added: nothing -> 5.0 MB; --full compares it",
    );
  });

  test("says that nothing differs", () => {
    expect(differenceText(difference({}), options)).toMatch(/They hold the same content\.$/u);
  });
});
