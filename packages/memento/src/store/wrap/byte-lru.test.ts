import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { ByteLru } from "./byte-lru.ts";

type Step =
  | { readonly do: "set"; readonly key: string; readonly bytes: number }
  | { readonly do: "get"; readonly key: string }
  | { readonly do: "delete"; readonly key: string }
  | { readonly do: "grow"; readonly key: string; readonly bytes: number };

const key = fc.constantFrom("a", "b", "c", "d", "e", "f");
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("set" as const), key, bytes: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ do: fc.constant("get" as const), key }),
  fc.record({ do: fc.constant("delete" as const), key }),
  fc.record({ do: fc.constant("grow" as const), key, bytes: fc.integer({ min: -10, max: 30 }) }),
);

/** The same by the simplest means: a list, what was asked for last at its end. */
class Model {
  #list: { key: string; value: number; bytes: number }[] = [];

  take(one: Step, value: number): number | undefined {
    const found = this.#list.find((each) => each.key === one.key);
    const others = this.#list.filter((each) => each.key !== one.key);
    if (one.do === "set")
      this.#list = one.bytes > 100 ? others : [...others, { key: one.key, value, bytes: one.bytes }];
    else if (one.do === "get" && found !== undefined) this.#list = [...others, found];
    else if (one.do === "delete") this.#list = others;
    else if (one.do === "grow" && found !== undefined) found.bytes += one.bytes;
    while (this.bytes > 100) this.#list.shift();
    return found?.value;
  }

  get bytes(): number {
    return this.#list.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get keys(): string[] {
    return this.#list.map((each) => each.key);
  }
}

describe("ByteLru", () => {
  test("holds what a list that is kept in the order of use would hold, and never more than its bound", () => {
    const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const gone: string[] = [];
      const lru = new ByteLru<number>(100, (left) => gone.push(left));
      const model = new Model();
      for (const [value, one] of steps.entries()) {
        const before = model.keys;
        const wanted = model.take(one, value);
        gone.length = 0;
        if (one.do === "set") lru.set(one.key, value, one.bytes);
        else if (one.do === "get") expect(lru.get(one.key)).toBe(wanted);
        else if (one.do === "delete") lru.delete(one.key);
        else lru.grow(one.key, one.bytes);
        expect(lru.bytes).toBe(model.bytes);
        expect(lru.bytes).toBeLessThanOrEqual(100);
        expect(lru.size).toBe(model.keys.length);
        for (const left of before) if (!model.keys.includes(left)) expect(gone).toContain(left);
      }
    });
    fc.assert(property, { numRuns: 300 });
  });

  test("does not keep what is larger than all of it", () => {
    const lru = new ByteLru<number>(100);
    lru.set("a", 1, 90);
    lru.set("b", 2, 101);
    expect([lru.get("a"), lru.get("b"), lru.size]).toEqual([1, undefined, 1]);
  });
});
