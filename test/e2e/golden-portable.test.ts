import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { Memento, verifyFile } from "@mementojs/memento";
import { openStore } from "@mementojs/memento/store";
import { parseKeys } from "@mementojs/memento/vault";
import { describe, expect, onTestFinished, test } from "vitest";

import { goldenStates } from "../fixtures/golden-content.ts";
import { tellStore } from "../fixtures/tell-store.ts";
import { applyDelta } from "../independent/pack-reader.ts";
import { readPortable, type Portable } from "../independent/portable-reader.ts";

const golden = fileURLToPath(new URL("../fixtures/portable-1/", import.meta.url));
const at = (name: string): string => path.join(golden, name);
const json = (name: string): unknown => JSON.parse(readFileSync(at(name), "utf8"));

interface Told {
  readonly digest: string;
  readonly contentDigest: string;
  readonly values: Readonly<Record<string, string>>;
}

const told = json("told.json") as Readonly<Record<string, Readonly<Record<string, Told>>>>;
const [key = new Uint8Array()] = parseKeys(readFileSync(at("key"), "utf8"), "the key");
const FILES = ["caretaker.memento", "timeline.memento", "memento.memento"];

async function emptyStore(): Promise<Memento> {
  const memento = await Memento.open((await openStore("memory:")).store, {
    keys: { raw: [new Uint8Array(32).fill(6)] },
  });
  onTestFinished(async () => await memento.close());
  return memento;
}

describe("P9 readable for ever: a portable file of version 1", () => {
  test.each(["caretaker.memento", "timeline.memento"])("%s is imported to the byte, and verified", async (name) => {
    const memento = await emptyStore();
    const report = await memento.importFrom(at(name), { keys: { file: at("key") } });
    expect(report.imported).toBe(Object.keys(told[name] ?? {}).length);
    expect(((await tellStore(memento)) as { readonly mementos: unknown }).mementos).toEqual(told[name]);
    expect((await memento.verify()).damages).toEqual([]);
  });

  test("memento.memento is imported, with the same content", async () => {
    const memento = await emptyStore();
    await memento.importFrom(at("memento.memento"), { keys: { file: at("key") } });
    expect(await memento.caretaker("golden").load("special")).toEqual(goldenStates()["special"]);
    const { contentDigest } = await memento.caretaker("golden").info("special");
    expect(contentDigest).toBe(Object.values(told["memento.memento"] ?? {})[0]?.contentDigest);
  });

  test.each(FILES)("%s is verified without any store", async (name) => {
    expect(await verifyFile(at(name), { keys: { file: at("key") } })).toMatchObject({ opened: true });
  });
});

describe("a second reader, written from docs/format.md alone", () => {
  test.each(FILES)("reads %s: signature, seal, digests and every piece", (name) => {
    const { mementos } = readPortable(readFileSync(at(name)), key);
    const read = [...mementos].map(([id, { digest, pieces }]) => {
      const values = [...pieces].map(([piece, { encoding, bytes }]) => {
        return [piece, `${encoding}:${bytes.toString(encoding === "bytes" ? "base64" : "utf8")}`];
      });
      return [id, { digest, values: Object.fromEntries(values) as unknown }];
    });
    const wanted = Object.entries(told[name] ?? {}).map(([id, { digest, values }]) => [id, { digest, values }]);
    expect(Object.fromEntries(read)).toEqual(Object.fromEntries(wanted));
  });

  test("decodes every kind of value", () => {
    const { mementos } = readPortable(readFileSync(at("caretaker.memento")), key);
    const states = Object.fromEntries([...mementos.values()].map((memento) => [nameOf(memento), stateOf(memento)]));
    for (const [id, state] of Object.entries(goldenStates())) expect(states[id]).toEqual(state);
  });

  test.each(FILES)("refuses %s when a byte of it is changed", (name) => {
    const file = readFileSync(at(name));
    for (let position = 0; position < file.length; position += 97) {
      const changed = Buffer.from(file);
      changed[position] = (changed[position] ?? 0) ^ 1;
      expect(() => readPortable(changed, key)).toThrow();
    }
  });

  test("finds the values of vectors.json on the way", () => {
    const { header, steps } = readPortable(readFileSync(at("memento.memento")), key);
    const vectors = json("vectors.json") as {
      readonly ringKey: string;
      readonly wrapping: { readonly fileKey: string; readonly wrapped: string };
      readonly headerDigest: string;
      readonly frames: unknown;
      readonly signature: { readonly digest: string; readonly signature: string; readonly signer: string };
      readonly deltas: readonly { readonly base: string; readonly delta: string; readonly makes: string }[];
    };
    expect(Buffer.from(key).toString("hex")).toBe(vectors.ringKey);
    expect([steps.fileKey, header.key?.wrapped]).toEqual([vectors.wrapping.fileKey, vectors.wrapping.wrapped]);
    expect([steps.headerDigest, steps.frames]).toEqual([vectors.headerDigest, vectors.frames]);
    const { digest, signature, signer } = vectors.signature;
    expect([steps.digest, steps.signature, header.signer]).toEqual([digest, signature, signer]);
    for (const { base, delta, makes } of vectors.deltas)
      expect(applyDelta(Buffer.from(base, "hex"), Buffer.from(delta, "hex")).toString()).toBe(makes);
  });
});

type Read = Portable["mementos"] extends ReadonlyMap<string, infer Memento> ? Memento : never;

function nameOf({ entry }: Read): string {
  return (entry[12] as { readonly name?: string } | undefined)?.name ?? "";
}

function stateOf({ values }: Read): unknown {
  const keys = values["keys"] as readonly string[] | undefined;
  return keys === undefined
    ? values["value"]
    : Object.fromEntries(keys.map((member) => [member, values[`state/${member}`]]));
}
