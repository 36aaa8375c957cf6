import { describe, expect, test } from "vitest";

import { sha256 } from "../core/digest.ts";
import { systemRandom } from "../core/ports.ts";
import { compressSection, decompressSection, decompressSectionElsewhere } from "./compression.ts";

/** The same text each time; it compresses to about half, and ends with letters of several bytes. */
function text(bytes: number): Buffer {
  const digests = Array.from({ length: Math.ceil(bytes / 40) }, (_none, index) =>
    sha256(Buffer.from(`${bytes} ${index}`)),
  );
  return Buffer.from(`${digests.join("").slice(0, Math.max(0, bytes - 9))}größe 🚀`, "utf8").subarray(0, bytes);
}

describe("compressSection()", () => {
  test.each([0, 1, 4_095, 4_096, 262_143, 262_144, 524_287, 524_288, 524_289, 786_433, 3_000_001])(
    "%i bytes come back, here and by another thread, of every codec",
    async (length) => {
      const plain = text(length);
      for (const codec of ["zstd", "gzip", "brotli", "none"] as const) {
        const section = await compressSection(plain, { codec });
        const described = { ...section, sealedBytes: section.bytes.length };
        expect(section.plainBytes).toBe(length);
        expect(plain.equals(decompressSection(section.bytes, described, "it"))).toBe(true);
        expect(plain.equals(await decompressSectionElsewhere(section.bytes, described, "it"))).toBe(true);
      }
    },
  );

  test.each(["zstd", "gzip", "brotli"] as const)("of %s what is cut off is noticed", async (codec) => {
    const plain = text(300_000);
    const { bytes } = await compressSection(plain, { codec });
    const section = { codec, plainBytes: plain.length, sealedBytes: bytes.length };
    for (const other of [bytes.subarray(0, -1), bytes.subarray(0, bytes.length >> 1)])
      expect(() => decompressSection(other, section, "it")).toThrow("it ");
  });

  test("what does not get smaller stays as it is", async () => {
    const plain = systemRandom.bytes(600_000);
    expect(await compressSection(plain, { codec: "zstd" })).toEqual({
      codec: "none",
      plainBytes: 600_000,
      bytes: plain,
    });
  });
});
