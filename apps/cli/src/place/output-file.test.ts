import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { writeOutputFile } from "./output-file.ts";

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-output-"));
  file = path.join(folder, "out");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const text = (...parts: readonly string[]): Uint8Array[] => parts.map((part) => Buffer.from(part));

async function* failing(): AsyncGenerator<Uint8Array> {
  yield* text("half");
  await Promise.resolve();
  throw new Error("damaged");
}

describe("writeOutputFile()", () => {
  test("writes all pieces, and nothing besides", async () => {
    expect(await writeOutputFile(file, text("one ", "two"), false)).toBe(7);
    expect(readFileSync(file, "utf8")).toBe("one two");
    expect(await writeOutputFile(file, text("three"), true)).toBe(5);
    expect(readFileSync(file, "utf8")).toBe("three");
    expect(readdirSync(folder)).toEqual(["out"]);
  });

  test("takes the place of no device: it would be gone for everybody", async () => {
    symlinkSync("/dev/null", file);
    const refused = { code: "IO_FAILED", message: expect.stringContaining(`${file} is a device`) as string };
    await expect(writeOutputFile(file, text("one"), true)).rejects.toMatchObject(refused);
    expect(readlinkSync(file)).toBe("/dev/null");
    expect(readdirSync(folder)).toEqual(["out"]);
  });

  test.each([true, false])(
    "leaves what was there when the content ends in an error (overwrite: %s)",
    async (overwrite) => {
      if (overwrite) writeFileSync(file, "before");
      await expect(writeOutputFile(file, failing(), overwrite)).rejects.toThrow("damaged");
      expect(readdirSync(folder)).toEqual(overwrite ? ["out"] : []);
      if (overwrite) expect(readFileSync(file, "utf8")).toBe("before");
    },
  );

  test("refuses a file that appeared meanwhile, and says why a place cannot be written", async () => {
    const content = (async function* () {
      yield* text("mine");
      writeFileSync(file, "theirs");
      await Promise.resolve();
    })();
    await expect(writeOutputFile(file, content, false)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(readFileSync(file, "utf8")).toBe("theirs");
    expect(readdirSync(folder)).toEqual(["out"]);
    const nowhere = writeOutputFile(path.join(folder, "no", "out"), text("x"), false);
    await expect(nowhere).rejects.toMatchObject({ code: "IO_FAILED" });
  });
});
