import { readFile } from "node:fs/promises";

import { describe, expect, test } from "vitest";

import { ERROR_CATALOGUE, isMementoError, MementoError } from "./errors.ts";

describe("the catalogue of errors", () => {
  test("docs/errors.md and the table say the same, both ways", async () => {
    const page = await readFile(new URL("../../../../docs/errors.md", import.meta.url), "utf8");
    const documented = page
      .split("\n")
      .filter((line) => line.startsWith("| `"))
      .map((line) => line.split("|").map((cell) => cell.trim()));
    const wanted = Object.entries(ERROR_CATALOGUE).map(([code, row]) => [
      "",
      `\`${code}\``,
      row.meaning,
      row.hint,
      "retryable" in row ? "yes" : "",
      "",
    ]);
    expect(documented).toEqual(wanted);
  });

  test("is in alphabetical order", () => {
    expect(Object.keys(ERROR_CATALOGUE)).toEqual(Object.keys(ERROR_CATALOGUE).toSorted());
  });
});

describe("isMementoError()", () => {
  test("knows an error by its code, also one of another copy of the library", () => {
    const error = new MementoError("FENCED", "m");
    expect(isMementoError(error)).toBe(true);
    expect(isMementoError(error, "FENCED")).toBe(true);
    expect(isMementoError(error, "LOCKED")).toBe(false);
    expect(isMementoError(Object.assign(new Error("m"), { name: "MementoError", code: "FENCED" }), "FENCED")).toBe(
      true,
    );
    expect(isMementoError(new Error("m"))).toBe(false);
    expect(isMementoError(undefined)).toBe(false);
  });
});
