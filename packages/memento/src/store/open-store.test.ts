import { describe, expect, test } from "vitest";

import { isMementoError } from "../core/errors.ts";
import { shownUrl } from "../core/shown-url.ts";
import { openStore } from "./open-store.ts";

async function refusal(url: string): Promise<{ readonly code: string; readonly told: string }> {
  try {
    await openStore(url);
  } catch (error) {
    if (isMementoError(error))
      return { code: error.code, told: `${error.message} ${error.hint} ${JSON.stringify(error.details)}` };
    throw error;
  }
  throw new Error("It was opened");
}

describe("openStore()", () => {
  test.each([
    ["mongodb://u:hunter2-x@/x", "INVALID_ARGUMENT"],
    ["mongodb://u:hunter2/x@h/x", "INVALID_ARGUMENT"],
    ["mongodb://u:x@hunter2@h/x", "INVALID_ARGUMENT"],
    ["mongodb://u:hunter2@127.0.0.1:1:2/x", "INVALID_ARGUMENT"],
    ["postgres:u:hunter2@h/x", "INVALID_ARGUMENT"],
    ["mysql:u:hunter2@h/x", "INVALID_ARGUMENT"],
    ["redis:u:hunter2@h", "INVALID_ARGUMENT"],
    ["postgres://u:hunter2/x@h/x", "INVALID_ARGUMENT"],
    ["u:hunter2@h/x", "PORT_UNKNOWN"],
    ["oracle://u:hunter2/x@h/x?password=hunter2", "PORT_UNKNOWN"],
    ["oracle:u:hunter2@h", "PORT_UNKNOWN"],
    ["host=h user=u password=hunter2", "PORT_UNKNOWN"],
    ["Server=h;Password=hunter2", "PORT_UNKNOWN"],
    ["jdbc:postgresql://h/db;password=hunter2", "PORT_UNKNOWN"],
  ])("P4: refuses %s, and says no password", async (url, code) => {
    const { code: found, told } = await refusal(url);
    expect(found).toBe(code);
    expect(told).not.toContain("hunter2");
  });

  test("names the kinds that there are, and a URL of each can be shown", async () => {
    const { told } = await refusal("oracle://h");
    const kinds = told.match(/none of (?<kinds>.*?:) /u)?.groups?.["kinds"]?.split(", ") ?? [];
    expect(kinds.length).toBeGreaterThan(10);
    for (const kind of kinds) expect(shownUrl(`${kind}//h/x?a=b`)).toBe(`${kind}//h/x?a=b`);
  });

  test.each(["sqlite:///tmp/x%zz", "file:///tmp/x%zz"])("refuses %s, which cannot be decoded", async (url) => {
    expect(await refusal(url)).toMatchObject({
      code: "INVALID_ARGUMENT",
      told: expect.stringContaining("%25") as string,
    });
  });
});
