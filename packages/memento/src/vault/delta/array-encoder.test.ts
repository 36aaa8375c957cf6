import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { encodeValue } from "../codec.ts";
import type { ArrayEncoding } from "./array-version.ts";
import { isDeepFrozen } from "./deep-frozen.ts";
import { applyDelta, ArrayEncoder } from "./index.ts";

const cases = Math.ceil(Number(process.env["MEMENTO_PROPERTY_RUNS"] ?? 10_000) / 10);

interface Row {
  readonly id: number;
  name: unknown;
  readonly at: { x: unknown };
  readonly tags: unknown[];
}

/** What a save does with an array: its own encoding, or that of any other value. */
function encodeNext(encoder: ArrayEncoder, array: readonly unknown[], root = "value"): ArrayEncoding {
  return encoder.capture(array, root)?.finish() ?? { encoded: encodeValue(array, root), base: null, delta: null };
}

let nextId = 0;
let version = 0;
const mutable = (): Row => {
  const id = nextId++;
  return { id, name: `näme ${id}`, at: { x: id / 3 }, tags: [id, "a"] };
};
const shallow = (): Row => Object.freeze(mutable());
const deep = (): Row => {
  const row = mutable();
  Object.freeze(row.at);
  Object.freeze(row.tags);
  return Object.freeze(row);
};
const flat = (): Record<string, unknown> => ({
  id: nextId++,
  name: `näme ${nextId}`,
  ok: nextId % 2 === 0,
  gone: null,
});
const makers = [
  flat,
  flat,
  flat,
  deep,
  deep,
  deep,
  deep,
  deep,
  deep,
  shallow,
  mutable,
  () => "a text",
  () => null,
  () => 0,
  () => nextId++ / 7,
  // Frozen, and yet another value from one version to the next.
  () =>
    Object.freeze({
      get n() {
        return version;
      },
    }),
];
/** JSON does not hold these as they are. */
const tagged = [() => -0, () => Object.freeze({ n: -0 }), () => Object.freeze({ at: new Date(0) }), () => undefined];

interface Step {
  readonly kind: "replace" | "remove" | "insert" | "append" | "move" | "mutate" | "swap" | "tag" | "same";
  readonly at: number;
  readonly to: number;
  readonly count: number;
  readonly maker: number;
}

const anyStep: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom("replace", "remove", "insert", "append", "move", "mutate", "mutate", "swap", "tag", "same"),
  at: fc.double({ min: 0, max: 0.999, noNaN: true }),
  to: fc.double({ min: 0, max: 0.999, noNaN: true }),
  count: fc.oneof(fc.nat(3), fc.nat(30)),
  maker: fc.nat(1_000),
});

function changed(items: readonly unknown[], { kind, at, to, count, maker }: Step): unknown[] {
  const place = Math.floor(at * items.length);
  const other = Math.floor(to * items.length);
  const make = (list: readonly (() => unknown)[]): unknown[] =>
    Array.from({ length: count }, (_, index) => list[(maker + index) % list.length]?.());
  switch (kind) {
    case "replace":
      return items.toSpliced(place, count, ...make(makers));
    case "remove":
      return items.length - count < 64 ? [...items] : items.toSpliced(place, count);
    case "insert":
      return items.toSpliced(place, 0, ...make(makers));
    case "append":
      return [...items, ...make(makers)];
    case "move":
      return items.toSpliced(place, count).toSpliced(other, 0, ...items.slice(place, place + count));
    case "swap":
      return [...items.slice(place), ...items.slice(0, place)];
    case "tag":
      return count < 3 ? items.toSpliced(place, 1, ...make(tagged)) : [...items];
    case "same":
      return [...items];
    case "mutate":
      for (const item of items) mutate(item, maker);
      return [...items];
  }
}

/** Changes whatever of an item can be changed. */
function mutate(item: unknown, value: number): void {
  if (typeof item !== "object" || item === null) return;
  if (!("tags" in item)) {
    mutateFlat(item as Record<string, unknown>, value);
    return;
  }
  const row = item as Row;
  Reflect.set(row, "name", value);
  Reflect.set(row.at, "x", value);
  if (!Object.isFrozen(row.tags)) row.tags.push(value);
}

/** Some of the ways in which a flat object can become another one. */
function mutateFlat(row: Record<string, unknown>, value: number): void {
  if (Object.isFrozen(row) || Number(row["id"]) % 5 !== value % 5) return;
  switch (value % 13) {
    case 0:
      Reflect.deleteProperty(row, "ok");
      break;
    case 1:
      row["more"] = value;
      break;
    case 2: {
      const { name } = row;
      Reflect.deleteProperty(row, "name");
      row["name"] = name;
      break;
    }
    case 3:
      row["gone"] = { nested: [value] };
      break;
    case 4:
      row[String(value)] = "a key that comes first";
      break;
    default:
      row["name"] = `changed ${value}`;
  }
}

describe("ArrayEncoder.capture()", () => {
  test("gives what encodeValue() gives, byte for byte, and a delta that fits", () => {
    let deltas = 0;
    fc.assert(
      fc.property(
        fc.nat(1_000),
        fc.array(fc.array(anyStep, { maxLength: 3 }), { minLength: 1, maxLength: 8 }),
        (first, steps) => {
          const encoder = new ArrayEncoder();
          const usual = first % 2 === 0 ? flat : deep;
          let items: unknown[] = Array.from({ length: 64 + (first % 80) }, (_, index) =>
            index % 9 === 8 ? makers[(first + index) % makers.length]?.() : usual(),
          );
          encodeNext(encoder, items);
          for (const edits of steps) {
            items = edits.reduce(changed, items);
            version += 1;
            const expected = encodeValue(items);
            const { encoded, base, delta } = encodeNext(encoder, items);
            expect(encoded.encoding).toBe(expected.encoding);
            if (Buffer.compare(encoded.bytes, expected.bytes) !== 0) {
              expect(Buffer.from(encoded.bytes).toString()).toBe(Buffer.from(expected.bytes).toString());
            }
            if (delta === null || base === null) continue;
            deltas += 1;
            expect(delta.length).toBeLessThanOrEqual(expected.bytes.length * 0.75);
            expect(Buffer.compare(applyDelta(base, delta, expected.bytes.length), expected.bytes)).toBe(0);
          }
        },
      ),
      { numRuns: cases },
    );
    expect(deltas).toBeGreaterThan(cases);
  });

  test("captures: what becomes of the objects later is not in the text, which may be made much later", () => {
    let made = 0;
    fc.assert(
      fc.property(
        fc.nat(1_000),
        fc.array(fc.record({ value: fc.nat(1_000), finish: fc.boolean() }), { maxLength: 12 }),
        (first, steps) => {
          const encoder = new ArrayEncoder();
          const items: Record<string, unknown>[] = Array.from({ length: 64 + (first % 80) }, flat);
          const pending: (() => void)[] = [];
          for (const { value, finish } of steps) {
            for (const item of items) mutate(item, value);
            if (value % 3 === 0) items.splice(value % items.length, 1, flat(), flat());
            const expected = Buffer.from(encodeValue(items).bytes).toString();
            const taken = encoder.capture(items);
            pending.push(() => {
              if (taken === null) return;
              const { encoded, base, delta } = taken.finish();
              expect(Buffer.from(encoded.bytes).toString()).toBe(expected);
              if (base !== null && delta !== null)
                expect(Buffer.compare(applyDelta(base, delta, encoded.bytes.length), encoded.bytes)).toBe(0);
              made += 1;
            });
            if (finish) pending.pop()?.();
          }
          for (const end of pending.toReversed()) end();
        },
      ),
      { numRuns: cases },
    );
    expect(made).toBeGreaterThan(cases);
  });

  test("rests after a version of which all objects were new", () => {
    const encoder = new ArrayEncoder();
    const rows = (): unknown[] => Array.from({ length: 100 }, flat);
    expect(encoder.capture(rows())).not.toBeNull();
    expect(encoder.capture(rows())).toBeNull();
    expect(encoder.capture(rows())).toBeNull();
  });

  test("refuses a symbol again when the refused array is captured again, and not once it is gone", () => {
    const encoder = new ArrayEncoder();
    const rows = Array.from({ length: 100 }, flat);
    encodeNext(encoder, rows);
    const mark = Symbol("x");
    const bad = Object.assign(flat(), { [mark]: 1 });
    const next = [...rows, bad];
    expect(() => encodeNext(encoder, next)).toThrow("[100]");
    expect(() => encodeNext(encoder, next)).toThrow("[100]");
    Reflect.deleteProperty(bad, mark);
    expect(Buffer.from(encodeNext(encoder, next).encoded.bytes).toString()).toBe(JSON.stringify(next));
  });

  test("sees a change within an item that is frozen on its surface alone", () => {
    const rows = Array.from({ length: 200 }, shallow);
    const encoder = new ArrayEncoder();
    encodeNext(encoder, rows);
    const [row] = rows;
    if (row !== undefined) row.at.x = "changed";
    expect(Buffer.from(encodeNext(encoder, rows).encoded.bytes).toString()).toBe(JSON.stringify(rows));
  });

  test("gives its delta against the very bytes that it gave before", () => {
    const rows = Array.from({ length: 200 }, deep);
    const encoder = new ArrayEncoder();
    const first = encodeNext(encoder, rows);
    expect(first).toMatchObject({ base: null, delta: null });
    const second = encodeNext(encoder, [...rows, deep()]);
    expect(second.base).toBe(first.encoded.bytes);
    // One row and some numbers.
    expect(second.delta?.length).toBeLessThan(100);
    expect(encodeNext(encoder, rows.slice(1)).base).toBe(second.encoded.bytes);
  });

  test.each([
    ["a function", () => 1, "rows[150]"],
    ["a frozen object with a function", Object.freeze({ f: () => 1 }), "rows[150].f"],
    ["a symbol as a key", Object.freeze({ [Symbol("x")]: 1 }), "rows[150]"],
  ])("refuses %s by path, and goes on after it", (_what, bad, path) => {
    const rows: unknown[] = Array.from({ length: 200 }, deep);
    const encoder = new ArrayEncoder();
    encodeNext(encoder, rows, "rows");
    expect(() => encodeNext(encoder, rows.with(150, bad), "rows")).toThrow(
      expect.objectContaining({ code: "UNSUPPORTED_VALUE", message: expect.stringContaining(path) }),
    );
    expect(Buffer.from(encodeNext(encoder, rows, "rows").encoded.bytes).toString()).toBe(JSON.stringify(rows));
  });

  test("finds a window that moves on, and gives a small delta", () => {
    const rows = Array.from({ length: 2_000 }, deep);
    const encoder = new ArrayEncoder();
    const { encoded } = encodeNext(encoder, rows);
    const next = encodeNext(encoder, [...rows.slice(40), ...Array.from({ length: 4 }, deep)]);
    expect(next.base).toBe(encoded.bytes);
    expect(next.delta?.length).toBeLessThan(400);
  });
});

describe("ArrayEncoder.suits()", () => {
  class List extends Array {}
  test.each([
    ["a long array of frozen objects", Array.from({ length: 64 }, shallow), true],
    ["one of flat objects", Array.from({ length: 64 }, flat), true],
    ["one of other objects", Array.from({ length: 64 }, mutable), false],
    ["a short one", Array.from({ length: 63 }, deep), false],
    ["numbers", Array.from({ length: 64 }, () => 1), false],
    ["an object", { length: 64 }, false],
    ["an array of another class", List.from({ length: 64 }, deep), false],
  ])("says of %s whether it is worth while", (_what, value, expected) => {
    expect(ArrayEncoder.suits(value)).toBe(expected);
  });
});

describe("isDeepFrozen()", () => {
  const hidden = Object.defineProperty({ a: 1 }, "toJSON", { value: () => 1 });
  test.each([
    ["an object frozen all the way down", deep(), true],
    ["an empty array", Object.freeze([]), true],
    ["an object frozen on its surface", shallow(), false],
    ["an object that is sealed", Object.seal({ a: 1 }), false],
    [
      "an accessor",
      Object.freeze({
        get a() {
          return 1;
        },
      }),
      false,
    ],
    [
      "an accessor deeper down",
      Object.freeze({
        a: Object.freeze([
          Object.freeze({
            get a() {
              return 1;
            },
          }),
        ]),
      }),
      false,
    ],
    ["a proxy", Object.freeze(new Proxy(Object.freeze({ a: 1 }), {})), false],
    ["a toJSON that does not show", Object.freeze(hidden), false],
    ["a list that can grow, inside", Object.freeze({ a: [] }), false],
  ])("of %s", (_what, value, expected) => {
    expect(isDeepFrozen(value)).toBe(expected);
  });
});
