import { definePipeline, type Pipeline } from "@mementojs/memento";
import { describe, expect, test } from "vitest";

import { droppedParams, paramsFor } from "./run-params.ts";

interface Problem {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[];
}

/** A pipeline whose parameters are judged by a function, as a schema library would. */
function pipeline(judge?: (params: Record<string, unknown>) => Problem[]): Pipeline {
  const schema = {
    "~standard": {
      version: 1 as const,
      vendor: "test",
      validate: (value: unknown) => {
        const issues = judge?.(value as Record<string, unknown>) ?? [];
        return issues.length === 0 ? { value: value as Record<string, unknown> } : { issues };
      },
    },
  };
  return definePipeline({
    name: "p",
    version: "1",
    ...(judge === undefined ? {} : { params: schema }),
    stages: () => [],
  });
}

const typed =
  (types: Record<string, string>) =>
  (params: Record<string, unknown>): Problem[] =>
    Object.entries(types).flatMap(([name, type]) =>
      typeof params[name] === type
        ? []
        : [{ message: `expected ${type}, received ${typeof params[name]}`, path: [name] }],
    );

describe("paramsFor()", () => {
  test("reads JSON as such, and anything else as text", async () => {
    const texts = {
      n: "42",
      yes: "true",
      no: "null",
      list: "[1,2]",
      deep: '{"a":1}',
      quoted: '"42"',
      text: "a b",
      empty: "",
      half: "[1,",
    };
    expect(await paramsFor(pipeline(), texts)).toEqual({
      n: 42,
      yes: true,
      no: null,
      list: [1, 2],
      deep: { a: 1 },
      quoted: "42",
      text: "a b",
      empty: "",
      half: "[1,",
    });
  });

  test.each([["01234"], ["1e999"], ["1e3"], ["12345678901234567890"], ["0.10"], ["-"], ["2013-01-02"], ["NaN"]])(
    "keeps %s as text: reading would change it",
    async (text) => {
      expect(await paramsFor(pipeline(), { value: text })).toEqual({ value: text });
    },
  );

  test("gives text where the schema wants text", async () => {
    const judged = pipeline(typed({ code: "string", limit: "number" }));
    expect(await paramsFor(judged, { code: "42", limit: "7" })).toEqual({ code: "42", limit: 7 });
  });

  test("gives a number where the schema wants a number, however it is written", async () => {
    expect(await paramsFor(pipeline(typed({ rate: "number" })), { rate: "0.10" })).toEqual({ rate: 0.1 });
  });

  test.each(["9007199254740993", "12345678901234567890", "1e999", "1e-999"])(
    "never makes another number of %s",
    async (number) => {
      const refused = {
        code: "INVALID_ARGUMENT",
        message: `The number ${number} in parameter id cannot be kept exactly`,
        hint: expect.stringContaining(`"${number}"`) as string,
      };
      const open = pipeline();
      expect(await paramsFor(open, { id: number })).toEqual({ id: number });
      await expect(paramsFor(open, { id: `[${number}]` })).rejects.toMatchObject(refused);
      await expect(paramsFor(open, { id: `{"a":${number}}` })).rejects.toMatchObject(refused);
      const wanting = (type: string): Pipeline => pipeline(typed({ id: type }));
      await expect(paramsFor(wanting("number"), { id: number })).rejects.toMatchObject(refused);
      await expect(paramsFor(wanting("boolean"), { id: number })).rejects.toMatchObject(refused);
      expect(await paramsFor(wanting("string"), { id: `[${number}]` })).toEqual({ id: `[${number}]` });
    },
  );

  test("names only what fits in no form, with its place inside", async () => {
    const judged = pipeline(typed({ code: "string", limit: "number", missing: "string" }));
    await expect(paramsFor(judged, { code: "42", limit: "many" })).rejects.toMatchObject({
      code: "PARAMS_INVALID",
      message: expect.stringMatching(/limit: expected number.*missing: expected string/u) as string,
      details: { params: ["limit", "missing"] },
    });
    await expect(paramsFor(judged, { code: "42", limit: "many" })).rejects.not.toThrow(/code/u);
    const nested = pipeline(() => [{ message: "too small", path: [{ key: "deep" }, "a"] }]);
    await expect(paramsFor(nested, { deep: '{"a":1}' })).rejects.toThrow("deep.a: too small");
  });

  test("judges them together with those that are kept, and gives back the new ones", async () => {
    const judged = pipeline(typed({ limit: "number", into: "string" }));
    expect(await paramsFor(judged, { limit: "5" }, { limit: 1, into: "x.db" })).toEqual({ limit: 5 });
  });
});

describe("droppedParams()", () => {
  const taking = (value: unknown): Pipeline => {
    const schema = { "~standard": { version: 1 as const, vendor: "test", validate: () => ({ value }) } };
    return definePipeline({ name: "p", version: "1", params: schema as never, stages: () => [] });
  };

  test("names what a schema accepts and drops, and what it takes", async () => {
    expect(await droppedParams(taking({ limit: 1, input: "a" }), { limt: 2, input: "a" })).toEqual([
      "p takes no parameter limt, but limit, input",
    ]);
    expect(await droppedParams(taking({ limit: 1 }), { limit: 2 })).toEqual([]);
  });

  test("says nothing where nobody says what there is", async () => {
    expect(await droppedParams(pipeline(), { limt: 2 })).toEqual([]);
    expect(
      await droppedParams(
        pipeline(() => [{ message: "no" }]),
        { limt: 2 },
      ),
    ).toEqual([]);
    expect(await droppedParams(taking(undefined), { limt: 2 })).toEqual([]);
  });
});
