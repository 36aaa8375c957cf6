import { describe, expect, test } from "vitest";

import { systemRandom } from "../core/ports.ts";
import { decodeHeader, type PackHeader } from "../store/header.ts";
import type { CompressedSection } from "./compression.ts";
import { openSection, prepareSeal, sealPack, type DataKey, type SealedPack } from "./seal.ts";

const newKey = (id: string): DataKey => ({ id, key: systemRandom.bytes(32) });

const section = (text: string): CompressedSection => {
  const bytes = Buffer.from(text);
  return { codec: "none", plainBytes: bytes.length, bytes };
};

const seal = (key: DataKey, ...texts: readonly string[]): SealedPack =>
  sealPack([], texts.map(section), key, systemRandom, 1);

function headerOf(pack: SealedPack): PackHeader {
  const header = decodeHeader(pack.header, "a pack");
  if (header.type !== "pack") throw new TypeError("no pack was sealed");
  return header;
}

function opened(pack: SealedPack, key: DataKey): string[] {
  const header = headerOf(pack);
  return header.sections.map((_, index) => Buffer.from(openSection(pack, header, index, key, "a pack")).toString());
}

describe("sealPack()", () => {
  test("P4: what was made ready seals one pack, and never a second", () => {
    const [one, two] = [newKey("one"), newKey("two")];
    const nonces = new Set<string>();
    for (let round = 0; round < 50; round++) {
      // Asked for once, more often, or not at all; for this key and for another one.
      for (let times = 0; times < round % 3; times++) prepareSeal(one, systemRandom);
      if (round % 5 === 0) prepareSeal(two, systemRandom);
      for (const key of [one, two]) {
        const pack = seal(key, `first ${round}`, `second ${round}`);
        expect(opened(pack, key)).toEqual([`first ${round}`, `second ${round}`]);
        nonces.add(headerOf(pack).nonce);
      }
    }
    expect(nonces.size).toBe(100);
  });

  test("P4: what is ready for one key opens with no other", () => {
    const [one, two] = [newKey("same"), newKey("same")];
    prepareSeal(one, systemRandom);
    const pack = seal(two, "text");
    expect(opened(pack, two)).toEqual(["text"]);
    expect(() => opened(pack, one)).toThrow(expect.objectContaining({ code: "DAMAGED" }));
  });
});
