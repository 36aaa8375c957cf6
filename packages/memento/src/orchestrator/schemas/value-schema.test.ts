import { describe, expect, test } from "vitest";

import { castValue, castWay, type ValueSchema } from "./value-schema.ts";

const schema: ValueSchema = {
  id: "totals",
  version: 3,
  upcasters: {
    1: (value: { sum: number }) => ({ total: value.sum }),
    2: (value: { total: number }) => ({ ...value, currency: "EUR" }),
  },
};

describe("castValue()", () => {
  test("takes a value through every version between, and leaves one of the code's version alone", () => {
    const old = { sum: 7 };
    expect(castValue(schema, { id: "totals", version: 1 }, old, "the state")).toEqual({ total: 7, currency: "EUR" });
    expect(old).toEqual({ sum: 7 });
    expect(castValue(schema, { id: "totals", version: 2 }, { total: 1 }, "the state")).toEqual({
      total: 1,
      currency: "EUR",
    });
    const now = { total: 1, currency: "USD" };
    expect(castValue(schema, { id: "totals", version: 3 }, now, "the state")).toBe(now);
  });

  test("a value without a stamp is of version 1", () => {
    expect(castWay(schema, undefined, "the state")).toBe("up");
    expect(castWay({ id: "a", version: 1 }, undefined, "the state")).toBe("same");
  });

  test("goes down for code that was put back, where that has the way", () => {
    const before: ValueSchema = {
      id: "totals",
      version: 1,
      downcasters: {
        3: ({ total }: { total: number }) => ({ total }),
        2: ({ total }: { total: number }) => ({ sum: total }),
      },
    };
    const stamp = { id: "totals", version: 3 };
    expect(castWay(before, stamp, "the state")).toBe("down");
    expect(castValue(before, stamp, { total: 7, currency: "EUR" }, "the state")).toEqual({ sum: 7 });
  });

  test("refuses a version that is a date, at once and by the first caster that is missing", () => {
    const dated = (version: number): ValueSchema => ({ id: "totals", version });
    const begun = performance.now();
    expect(() => castWay(dated(20_261_123_094_100), undefined, "the state")).toThrow("no upcaster from version 1");
    const stamp = { id: "totals", version: 20_261_123_094_100 };
    expect(() => castWay(dated(1), stamp, "the state")).toThrow("no downcaster from version 20261123094100");
    expect(performance.now() - begun).toBeLessThan(1_000);
  });

  test("refuses with SCHEMA_UNREADABLE what it has no way to, naming item and versions", () => {
    const gap: ValueSchema = { ...schema, upcasters: { 1: (value: unknown) => value } };
    const refused = (by: ValueSchema, id: string, version: number): unknown => {
      try {
        return castValue(by, { id, version }, {}, "the output of stage load");
      } catch (error) {
        return error;
      }
    };
    expect(refused(gap, "totals", 1)).toMatchObject({
      code: "SCHEMA_UNREADABLE",
      message: "the output of stage load was saved as totals version 1, and the code has no upcaster from version 2",
    });
    expect(refused(schema, "totals", 4)).toMatchObject({
      message: expect.stringContaining("no downcaster from version 4"),
    });
    expect(refused(schema, "orders", 3)).toMatchObject({ message: expect.stringContaining("saved as orders") });
    const throwing: ValueSchema = {
      id: "totals",
      version: 2,
      upcasters: {
        1: () => {
          throw new Error("no sum in it");
        },
      },
    };
    expect(refused(throwing, "totals", 1)).toMatchObject({
      code: "SCHEMA_UNREADABLE",
      message: expect.stringContaining("no sum in it"),
    });
  });

  const casting = (caster: () => unknown): ValueSchema => ({ id: "totals", version: 2, upcasters: { 1: caster } });
  const failure = (work: () => unknown): unknown => {
    try {
      return work();
    } catch (error) {
      return error;
    }
  };

  test.each([
    ["undefined", undefined],
    ["null", null],
    ["an array", [1]],
    ["a string", "7"],
    ["a number", 7],
    ["an object of another class", new Map([["total", 7]])],
    ["a promise", Promise.resolve({ total: 7 })],
  ])("refuses %s, where an object is due: naming item, version and what the caster gave", (text, given) => {
    const made = failure(() =>
      castValue(
        casting(() => given),
        undefined,
        { sum: 7 },
        "the state",
        true,
      ),
    );
    expect(made).toMatchObject({
      code: "SCHEMA_UNREADABLE",
      message: expect.stringMatching(`^the state could not be made of version 1 of totals: its caster gave ${text}`),
      details: { item: "the state", schema: "totals", saved: 1, code: 2 },
    });
  });

  test("an output may become anything but undefined, which a caster gives that forgets its return, or a promise", () => {
    const cast = (given: unknown, value: unknown): unknown =>
      failure(() =>
        castValue(
          casting(() => given),
          undefined,
          value,
          "the output of stage load",
        ),
      );
    for (const given of [null, 7, [1], ""]) expect(cast(given, { sum: 7 })).toBe(given);
    expect(cast(undefined, null)).toMatchObject({
      code: "SCHEMA_UNREADABLE",
      message: expect.stringContaining("its caster gave undefined"),
    });
    expect(cast(Promise.resolve(1), 7)).toMatchObject({ message: expect.stringContaining("gave a promise") });
    // What gave nothing, or was passed over, has an output of undefined, under the code's version too.
    expect(cast(undefined, undefined)).toBeUndefined();
    expect(cast(7, undefined)).toBe(7);
  });

  test("what stands between two versions is judged too", () => {
    const forgets: ValueSchema = { id: "totals", version: 3, upcasters: { 1: () => undefined, 2: () => ({}) } };
    expect(failure(() => castValue(forgets, undefined, {}, "the state", true))).toMatchObject({
      code: "SCHEMA_UNREADABLE",
      message: expect.stringContaining("version 1 of totals: its caster gave undefined"),
    });
  });
});
