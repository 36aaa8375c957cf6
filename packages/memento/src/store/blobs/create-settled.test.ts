import { describe, expect, test } from "vitest";

import { MementoError } from "../../core/errors.ts";
import { createSettled, hasBytes } from "./create-settled.ts";

const parts = [Buffer.from("mine, "), Buffer.from("whole")];
const lost = (): MementoError => new MementoError("STORE_UNREACHABLE", "the answer was lost");

describe("createSettled()", () => {
  test.each([
    ["created", "true", "nothing is read", true],
    ["refused, and it is our own", "false", "mine, whole", true],
    ["refused, and it is another's", "false", "somebody else's", false],
    ["refused, and it is gone since", "false", null, false],
    ["lost, and it is our own", "lost", "mine, whole", true],
    ["lost, and it is another's", "lost", "mine, whole and more", false],
  ])("%s", async (_, outcome, there, expected) => {
    const created = await createSettled({
      parts,
      create: async () => {
        if (outcome === "lost") throw lost();
        return outcome === "true";
      },
      read: async () => {
        if (there === "nothing is read") throw new Error("read");
        return there === null ? null : Buffer.from(there);
      },
    });
    expect(created).toBe(expected);
  });

  test("lost, and nothing is there: the answer stays lost", async () => {
    const creation = { parts, create: async () => await Promise.reject(lost()), read: async () => null };
    await expect(createSettled(creation)).rejects.toMatchObject({ code: "STORE_UNREACHABLE" });
  });

  test("another failure is no lost answer", async () => {
    const denied = async (): Promise<never> => await Promise.reject(new MementoError("ACCESS_DENIED", "no"));
    const creation = { parts, create: denied, read: async () => Buffer.concat(parts) };
    await expect(createSettled(creation)).rejects.toMatchObject({ code: "ACCESS_DENIED" });
  });
});

describe("hasBytes()", () => {
  test("tells bytes that are shorter, longer or other", () => {
    expect(hasBytes(Buffer.from("mine, whole"), parts)).toBe(true);
    for (const other of ["", "mine, ", "mine, whol", "mine, whole!", "mine, Whole"])
      expect(hasBytes(Buffer.from(other), parts)).toBe(false);
    expect(hasBytes(new Uint8Array(), [])).toBe(true);
  });
});
