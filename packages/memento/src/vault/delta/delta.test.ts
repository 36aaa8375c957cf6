import { createHash } from "node:crypto";

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { isMementoError } from "../../core/errors.ts";
import { applyDelta, applyDeltas, composeDeltas, DeltaEncoder, encodeDelta } from "./index.ts";

/** Cases of all properties here together; each takes its share. */
const cases = Number(process.env["MEMENTO_PROPERTY_RUNS"] ?? 10_000);
const share = (part: number): { numRuns: number } => ({ numRuns: Math.ceil(cases * part) });

/** Endless bytes that depend on the seed alone. */
function bytesOf(seed: number, length: number): Buffer {
  const parts: Buffer[] = [];
  for (let block = 0; block * 32 < length; block++) {
    parts.push(createHash("sha256").update(`${seed}.${block}`).digest());
  }
  return Buffer.concat(parts).subarray(0, length);
}

const row = (seed: number, id: number): string =>
  JSON.stringify({
    id,
    name: `name ${bytesOf(seed + id, 6).toString("hex")}`,
    city: ["Oslo", "Lima"][id % 2],
    n: seed % 7,
  });

const rowsOf = (seed: number, count: number): Buffer =>
  Buffer.from(`[${Array.from({ length: count }, (_, id) => row(seed, id)).join(",")}]`);

/** Texts of all sorts: rows, noise, the same over and over, a few letters, nothing. */
const anyText = fc.oneof(
  fc.record({ seed: fc.nat(50), count: fc.nat(60) }).map(({ seed, count }) => rowsOf(seed, count)),
  fc.record({ seed: fc.nat(50), length: fc.nat(3_000) }).map(({ seed, length }) => bytesOf(seed, length)),
  fc
    .record({ seed: fc.nat(3), length: fc.nat(3_000), period: fc.integer({ min: 1, max: 100 }) })
    .map(({ seed, length, period }) => Buffer.alloc(length, bytesOf(seed, period))),
  fc.array(fc.constantFrom(1, 2), { maxLength: 300 }).map((letters) => Buffer.from(letters)),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);

interface Edit {
  readonly kind: "append" | "replace" | "delete" | "insert" | "move" | "swap" | "repeat";
  readonly at: number;
  readonly to: number;
  readonly length: number;
  readonly seed: number;
}

const anyEdit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom("append", "replace", "delete", "insert", "move", "swap", "repeat"),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  to: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.oneof(fc.nat(20), fc.nat(600)),
  seed: fc.nat(1_000),
});

function edited(text: Buffer, { kind, at, to, length, seed }: Edit): Buffer {
  const start = Math.floor(at * text.length);
  const end = Math.min(text.length, start + length);
  const [before, part, after] = [text.subarray(0, start), text.subarray(start, end), text.subarray(end)];
  const rest = Buffer.concat([before, after]);
  const other = Math.floor(to * rest.length);
  switch (kind) {
    case "append":
      return Buffer.concat([text, bytesOf(seed, length)]);
    case "replace":
      return Buffer.concat([before, bytesOf(seed, part.length), after]);
    case "delete":
      return rest;
    case "insert":
      return Buffer.concat([before, bytesOf(seed, length), part, after]);
    case "move":
      return Buffer.concat([rest.subarray(0, other), part, rest.subarray(other)]);
    case "swap":
      return Buffer.concat([after, part, before]);
    case "repeat":
      return Buffer.concat([before, part, part, part, after]);
  }
}

const rowEdit = {
  kind: fc.constantFrom("replace", "drop", "insert", "move", "number", "name"),
  at: fc.double({ min: 0, max: 0.999, noNaN: true }),
  to: fc.double({ min: 0, max: 0.999, noNaN: true }),
  seed: fc.nat(1_000),
} as const;

interface RowEdit {
  readonly kind: string;
  readonly at: number;
  readonly to: number;
  readonly seed: number;
  readonly count: number;
}

function editedRows(rows: readonly string[], { kind, at, to, seed, count }: RowEdit): readonly string[] {
  const start = Math.floor(at * rows.length);
  const fresh = Array.from({ length: count }, (_, id) => row(seed + 100, id));
  const part = rows.slice(start, start + count);
  const rest = rows.toSpliced(start, count);
  if (kind === "replace") return rows.toSpliced(start, count, ...fresh);
  if (kind === "drop") return rest;
  if (kind === "insert") return rows.toSpliced(start, 0, ...fresh);
  if (kind === "move") return rest.toSpliced(Math.floor(to * rest.length), 0, ...part);
  if (kind === "number") return rows.map((old) => old.replace(/"n":\d+/u, `"n":${seed}`));
  return rows.map((old, id) => (id % 7 === 0 ? old.replace(/name \w+/u, `name ${seed + id}`) : old));
}

const anyChain = fc
  .record({ text: anyText, steps: fc.array(fc.array(anyEdit, { maxLength: 4 }), { minLength: 1, maxLength: 6 }) })
  .map(({ text, steps }) => {
    const texts = [text];
    for (const edits of steps) texts.push(edits.reduce(edited, texts.at(-1) ?? text));
    return texts;
  });

/** A delta for any two texts: where none pays, one that is all new bytes. */
function deltaOf(base: Uint8Array, next: Uint8Array): Uint8Array {
  const added = next.length === 0 ? [] : [0, 0, ...varint(next.length)];
  return (
    encodeDelta(base, next) ??
    Buffer.concat([
      Buffer.from([...varint(next.length), ...varint(base.length), added.length === 0 ? 0 : 1, ...added]),
      next,
    ])
  );
}

const varint = (value: number): number[] => (value < 128 ? [value] : [(value % 128) + 128, ...varint(value >> 7)]);

/** A delta that says a text of this length again and again. */
const copies = (length: number, times: number): Uint8Array =>
  Buffer.from([
    ...varint(length * times),
    ...varint(length),
    ...varint(times),
    ...Array.from({ length: times }, (_, index) => [
      ...varint(index === 0 ? 0 : length * 2 - 1),
      ...varint(length),
      0,
    ]).flat(),
  ]);

/** Both as one delta, which is there. */
function composed(first: Uint8Array, second: Uint8Array): Uint8Array {
  return composeDeltas(first, second) ?? expect.fail("the deltas have few runs");
}

function expectEqual(actual: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(actual, expected) !== 0) expect(Buffer.from(actual)).toEqual(Buffer.from(expected));
}

describe("encodeDelta()", () => {
  test("gives back any text from any other", () => {
    fc.assert(
      fc.property(anyText, anyText, (base, next) => {
        const delta = encodeDelta(base, next);
        if (delta === null) return;
        expect(delta.length).toBeLessThanOrEqual(next.length * 0.75);
        expectEqual(applyDelta(base, delta, next.length), next);
      }),
      share(0.15),
    );
  });

  test("gives back every text of a line of edits", () => {
    fc.assert(
      fc.property(anyChain, (texts) => {
        for (const [index, next] of texts.slice(1).entries()) {
          const base = texts[index] ?? next;
          expectEqual(applyDelta(base, deltaOf(base, next), next.length), next);
        }
      }),
      share(0.25),
    );
  });

  test("gives the same in steps, however small", () => {
    fc.assert(
      fc.property(
        anyText,
        fc.array(anyEdit, { maxLength: 4 }),
        fc.integer({ min: 1, max: 2_000 }),
        (base, edits, work) => {
          const next = edits.reduce(edited, base);
          const encoder = new DeltaEncoder(base, next);
          let steps = 0;
          while (!encoder.step(work)) steps += 1;
          expect(steps).toBeLessThan(100_000);
          const delta = encoder.finish();
          if (delta !== null) expectEqual(applyDelta(base, delta, next.length), next);
        },
      ),
      share(0.1),
    );
  });

  test("gives back large texts of rows, in any steps", () => {
    const texts = fc.record({
      seed: fc.nat(20),
      edits: fc.array(fc.record({ ...rowEdit, count: fc.oneof(fc.nat(3), fc.nat(900)) }), { maxLength: 12 }),
      noise: fc.oneof(fc.constant(0), fc.nat(200_000)),
      work: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 1_000, max: 100_000 })),
    });
    fc.assert(
      fc.property(texts, ({ seed, edits, noise, work }) => {
        const old = Array.from({ length: 1_000 }, (_, id) => row(seed, id));
        const list = edits.reduce(editedRows, old);
        const base = Buffer.from(old.join("\n"));
        const next = Buffer.concat([Buffer.from(list.join("\n")), bytesOf(seed, noise)]);
        const encoder = new DeltaEncoder(base, next);
        for (let steps = 0; !encoder.step(work); steps++) expect(steps).toBeLessThan(100_000);
        const delta = encoder.finish();
        if (delta !== null) expectEqual(applyDelta(base, delta, next.length), next);
      }),
      share(0.02),
    );
  });

  const rows = Array.from({ length: 2_000 }, (_, id) => row(1, id));
  const text = (list: readonly string[]): Buffer => Buffer.from(`[${list.join(",")}]`);
  test.each([
    ["a row in fifty replaced", rows.map((old, id) => (id % 50 === 7 ? row(2, id) : old)), 4_000],
    ["the first rows dropped", rows.slice(40), 20],
    ["rows added at the end", [...rows, ...Array.from({ length: 20 }, (_, id) => row(3, 2_000 + id))], 1_700],
    ["rows inserted", rows.flatMap((old, id) => (id % 50 === 7 ? [row(2, id), old] : [old])), 3_600],
    ["rows dropped", rows.filter((_, id) => id % 50 !== 7), 260],
    ["halves swapped", [...rows.slice(1_000), ...rows.slice(0, 1_000)], 60],
    ["nothing changed", rows, 13],
  ])("is small for %s", (_what, next, most) => {
    const delta = encodeDelta(text(rows), text(next)) ?? Buffer.alloc(0);
    expect(delta.length).toBeGreaterThan(0);
    expect(delta.length).toBeLessThan(most);
    expectEqual(applyDelta(text(rows), delta, text(next).length), text(next));
  });

  test.each([
    ["noise", bytesOf(1, 300_000), bytesOf(2, 300_000)],
    ["other rows", rowsOf(1, 3_000), bytesOf(2, 200_000)],
    ["an empty text", rowsOf(1, 10), Buffer.alloc(0)],
    ["an empty base", Buffer.alloc(0), rowsOf(1, 10)],
  ])("is null for %s", (_what, base, next) => {
    expect(encodeDelta(base, next)).toBeNull();
  });
});

describe("applyDelta()", () => {
  const base = rowsOf(1, 20);
  const next = edited(edited(base, { kind: "insert", at: 0.3, to: 0, length: 40, seed: 1 }), {
    kind: "replace",
    at: 0.8,
    to: 0,
    length: 9,
    seed: 2,
  });
  const delta = deltaOf(base, next);

  /** DAMAGED, or as many bytes as expected; nothing else may come of it. */
  function expectRefusedOrWhole(attempt: () => Uint8Array, length: number): void {
    try {
      expect(attempt().length).toBe(length);
    } catch (error) {
      if (!isMementoError(error, "DAMAGED")) throw error;
    }
  }

  test("refuses a flipped bit, or gives as many bytes as expected", () => {
    for (let index = 0; index < delta.length; index++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Buffer.from(delta);
        flipped[index] = (flipped[index] ?? 0) ^ (1 << bit);
        expectRefusedOrWhole(() => applyDelta(base, flipped, next.length), next.length);
        expectRefusedOrWhole(() => applyDeltas(base, [flipped, delta], next.length), next.length);
        expectRefusedOrWhole(() => applyDelta(base, composed(flipped, deltaOf(next, base)), base.length), base.length);
      }
    }
  });

  test("refuses every delta that is cut, and one with bytes after its end", () => {
    for (let length = 0; length < delta.length; length++) {
      expect(() => applyDelta(base, delta.subarray(0, length), next.length)).toThrow(
        expect.objectContaining({ code: "DAMAGED" }),
      );
    }
    expect(() => applyDelta(base, Buffer.concat([delta, Buffer.alloc(1)]), next.length)).toThrow(
      expect.objectContaining({ code: "DAMAGED" }),
    );
  });

  test("refuses another base's length, and another length than expected", () => {
    for (const attempt of [
      () => applyDelta(base.subarray(1), delta, next.length),
      () => applyDelta(base, delta, next.length + 1),
      () => applyDeltas(base, [delta, delta], next.length),
      () => applyDeltas(base, [], base.length + 1),
    ]) {
      expect(attempt).toThrow(expect.objectContaining({ code: "DAMAGED" }));
    }
  });

  test.each([
    ["a target of 2 GiB that no run gives", [0xff, 0xff, 0xff, 0xff, 0x07, 0, 0]],
    ["more runs than bytes", [1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ["a length past 2 GiB", [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]],
    ["a number of six bytes", [0x81, 0x80, 0x80, 0x80, 0x80, 0x01, 0, 0]],
    ["a number longer than need be", [0x80, 0x00, 0, 0]],
    ["a copy from before the base", [1, 1, 1, 1, 1, 0]],
    ["a copy from past the base", [2, 1, 1, 0, 2, 0]],
    ["an empty run", [0, 0, 1, 0, 0, 0]],
    ["an empty stretch after the first run", [2, 1, 2, 0, 1, 0, 0, 0, 1, 65]],
  ])("refuses %s", (_what, bytes) => {
    expect(() => applyDelta(Buffer.from("A"), Buffer.from(bytes), 1)).toThrow(
      expect.objectContaining({ code: "DAMAGED" }),
    );
  });

  test("refuses noise, or gives as many bytes as expected", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 30 }),
        fc.uint8Array({ maxLength: 30 }),
        fc.nat(60),
        (noise, old, length) => {
          expectRefusedOrWhole(() => applyDelta(old, noise, length), length);
        },
      ),
      share(0.1),
    );
  });

  test("reads the bytes that the format's description gives", () => {
    // base "hello world", target "hello big world!": 5 copied and " big" added; 6 copied from where that ended, and "!" added.
    const bytes = [16, 11, 2, 0, 5, 4, 0, 6, 1, ...Buffer.from(" big!")];
    expect(Buffer.from(applyDelta(Buffer.from("hello world"), Buffer.from(bytes), 16)).toString()).toBe(
      "hello big world!",
    );
  });
});

describe("composeDeltas()", () => {
  test("gives what one delta after the other gives", () => {
    fc.assert(
      fc.property(anyChain, (texts) => {
        const [base = Buffer.alloc(0)] = texts;
        const last = texts.at(-1) ?? base;
        const deltas = texts.slice(1).map((next, index) => deltaOf(texts[index] ?? next, next));
        const whole = deltas.reduce(composed);
        expectEqual(applyDelta(base, whole, last.length), last);
        expectEqual(
          deltas.reduceRight((second, first) => composed(first, second)),
          whole,
        );
        expectEqual(applyDeltas(base, deltas, last.length), last);
      }),
      share(0.4),
    );
  });

  test("drops new bytes that were overwritten", () => {
    const base = rowsOf(1, 50);
    const between = edited(base, { kind: "replace", at: 0.5, to: 0, length: 500, seed: 1 });
    const last = edited(between, { kind: "replace", at: 0.5, to: 0, length: 500, seed: 2 });
    expect(composed(deltaOf(base, between), deltaOf(between, last)).length).toBeLessThan(530);
  });

  test("gives none for what would have too many runs", () => {
    expect(composeDeltas(copies(2, 3_000), copies(6_000, 3_000))).toBeNull();
  });

  test("refuses deltas that do not follow one another", () => {
    const [a, b, c] = [rowsOf(1, 5), rowsOf(1, 6), rowsOf(1, 9)];
    expect(() => composeDeltas(deltaOf(a, b), deltaOf(c, a))).toThrow(expect.objectContaining({ code: "DAMAGED" }));
  });
});

describe("applyDeltas()", () => {
  test("copies the base for no delta at all", () => {
    const base = rowsOf(1, 3);
    const copy = applyDeltas(base, [], base.length);
    expectEqual(copy, base);
    copy[0] = 0;
    expect(base[0]).not.toBe(0);
  });

  test("applies one by one what would have too many runs as a whole", () => {
    const base = Buffer.from("ab");
    const result = applyDeltas(base, [copies(2, 3_000), copies(6_000, 3_000)], 18_000_000);
    expectEqual(result, Buffer.alloc(18_000_000, "ab"));
  });
});
