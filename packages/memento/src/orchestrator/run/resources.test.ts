import { describe, expect, test } from "vitest";

import { MementoError } from "../../core/errors.ts";
import { systemClock, systemRandom } from "../../core/ports.ts";
import { fromFunction } from "../credentials/environment.ts";
import { definePipeline } from "../pipeline/pipeline.ts";
import { openResources } from "./resources.ts";

const SECRET = "hunter2-and-more";

/** Opens the sink of a pipeline, which throws what is made of its credential. */
async function failedOpening(make: (secret: string) => Error): Promise<unknown> {
  const pipeline = definePipeline({
    name: "p",
    version: "1",
    credentials: { db: fromFunction("db:write", async () => await Promise.resolve(SECRET)) },
    sinks: {
      table: ({ credentials }) => {
        throw make(credentials.db.value);
      },
    },
    stages: () => [],
  });
  const signal = new AbortController().signal;
  const vault = { clock: systemClock, random: systemRandom, derivedSecret: () => null };
  return await openResources({ pipeline, params: {}, timeline: "t", vault, signal }).catch((error: unknown) => error);
}

describe("openResources()", () => {
  test("what a sink throws while it is opened is told without the credential, its cause and stack too", async () => {
    const error = (await failedOpening(
      (secret) => new Error(`cannot connect to pg://u:${secret}@h`, { cause: new Error(secret) }),
    )) as Error;
    expect(error.message).toBe("cannot connect to pg://u:***@h");
    expect(`${error.stack ?? ""}${(error.cause as Error).stack ?? ""}`).not.toContain(SECRET);
  });

  test("an error of the catalogue keeps its code, and is told without the credential", async () => {
    const refused = (secret: string): Error =>
      new MementoError("ACCESS_DENIED", `${secret} was refused`, { hint: `not ${secret}`, details: { was: secret } });
    const told = { code: "ACCESS_DENIED", message: "*** was refused", hint: "not ***", details: { was: "***" } };
    expect(await failedOpening(refused)).toMatchObject(told);
  });
});
