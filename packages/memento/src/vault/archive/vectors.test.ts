import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { MemoryStore } from "../../store/memory/index.ts";
import { applyDelta } from "../delta/index.ts";
import { rawKeyRing } from "../keys/key-ring.ts";
import { Vault } from "../vault.ts";
import { openFrame, sealFrame } from "./frame-seal.ts";
import { isSignedBy, signerFromSeed, signerOf } from "./signing.ts";

interface Vectors {
  readonly ringKey: string;
  readonly wrapping: {
    readonly ring: string;
    readonly wrapped: string;
    readonly bound: string;
    readonly fileKey: string;
  };
  readonly headerDigest: string;
  readonly frames: readonly { readonly word: string; readonly packed: string }[];
  readonly signature: { readonly digest: string; readonly signature: string; readonly signer: string };
  readonly signer: { readonly seed: string; readonly publicKey: string };
  readonly deltas: readonly { readonly base: string; readonly delta: string; readonly makes: string }[];
}

const place = new URL("../../../../../test/fixtures/portable-1/vectors.json", import.meta.url);
const vectors = JSON.parse(readFileSync(place, "utf8")) as Vectors;
const hex = (text: string): Buffer => Buffer.from(text, "hex");

test("the key of a file is wrapped as in the vectors", async () => {
  const { bound, fileKey, ring, wrapped } = vectors.wrapping;
  const opened = await rawKeyRing([hex(vectors.ringKey)]).unwrap({ ring, wrapped }, bound);
  expect(Buffer.from(opened).toString("hex")).toBe(fileKey);
});

test("frames are sealed and opened as in the vectors", () => {
  const [key, headerDigest] = [hex(vectors.wrapping.fileKey), hex(vectors.headerDigest)];
  expect(vectors.frames.length).toBeGreaterThan(0);
  for (const [index, { word, packed }] of vectors.frames.entries()) {
    const at = { headerDigest, index, word: hex(word) };
    const sealed = sealFrame(hex(packed), key, at);
    expect(sealed).toHaveLength(hex(word).readUInt32BE(0) % 2 ** 31);
    expect(Buffer.from(openFrame(sealed, key, at, "it")).toString("hex")).toBe(packed);
    expect(() => openFrame(sealed, key, { ...at, index: index + 1 }, "it")).toThrow(/it is refused/u);
  }
});

test("signatures are those of the vectors", () => {
  const { digest, signature, signer } = vectors.signature;
  expect(isSignedBy(Buffer.from(signer, "base64url"), hex(digest), hex(signature))).toBe(true);
  expect(isSignedBy(Buffer.from(signer, "base64url"), hex(digest).fill(0, 0, 1), hex(signature))).toBe(false);
  const derived = signerFromSeed(hex(vectors.signer.seed));
  expect(Buffer.from(derived.publicKey).toString("base64url")).toBe(vectors.signer.publicKey);
});

test("a store's signing key comes from its integrity key alone, and needs it", async () => {
  const keys = rawKeyRing([hex(vectors.ringKey)]);
  const store = await MemoryStore.open();
  await using vault = await Vault.open(store, { keys });
  const signer = signerOf(vault).publicKey;
  await using again = await Vault.open(store, { keys });
  expect(signerOf(again).publicKey).toEqual(signer);
  await using other = await Vault.open(await MemoryStore.open(), { keys });
  expect(signerOf(other).publicKey).not.toEqual(signer);
});

test("deltas make what the vectors say", () => {
  for (const { base, delta, makes } of vectors.deltas)
    expect(Buffer.from(applyDelta(hex(base), hex(delta), makes.length)).toString()).toBe(makes);
});
