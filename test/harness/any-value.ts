import * as fc from "fast-check";

/** Everything that a pipeline may hold, nested. */
export const { value: anyValue } = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom(
      null,
      undefined,
      true,
      false,
      Number.NaN,
      -0,
      Infinity,
      -Infinity,
      "\ud800",
      "\udc00x",
      "$",
      "__proto__",
    ),
    fc.double(),
    fc.integer(),
    fc.bigInt(),
    fc.string({ unit: "binary" }),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array(),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  ),
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    tie("leaf"),
    fc.array(tie("value")),
    fc.array(fc.oneof(tie("leaf"), fc.constant("hole"))).map((items) => {
      const sparse: unknown[] = [];
      sparse.length = items.length;
      for (const [index, item] of items.entries()) if (item !== "hole") sparse[index] = item;
      return sparse;
    }),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("$", "toString", "constructor")), tie("value")),
    fc.array(fc.tuple(tie("value"), tie("value"))).map((pairs) => new Map(pairs)),
    fc.array(tie("value")).map((items) => new Set(items)),
  ),
}));
