import { describe, expect, test } from "vitest";

import { wholePiece, type PieceChain } from "./increments.ts";
import { PieceChains } from "./piece-change.ts";

const chain = (holder: string, bytes = 1_048_576): PieceChain =>
  wholePiece(holder, `digest of ${holder}`, { encoding: "json", bytes: new Uint8Array(bytes) });
const ref = (holder: string) => ({ holder, digest: `digest of ${holder}`, bytes: 1, encoding: "json" as const });

describe("PieceChains", () => {
  test("many timelines share what may be remembered, and the one that changed longest ago is forgotten first", () => {
    const chains = new PieceChains();
    for (let n = 0; n < 200; n++)
      chains.take(`t${n}`, { chains: new Map([["rows", chain(`m${n}`)]]), latest: new Map() });
    const known = Array.from({ length: 200 }, (_, n) => chains.get(`t${n}`, "rows", ref(`m${n}`)) !== null);
    expect(known.filter(Boolean)).toHaveLength(64);
    expect(known.lastIndexOf(false)).toBe(135);
  });

  test("a piece that was held whole again takes the place of its chain", () => {
    const chains = new PieceChains();
    chains.take("t", { chains: new Map([["rows", chain("m1")]]), latest: new Map() });
    chains.take("t", { chains: new Map(), latest: new Map([["rows", chain("m2")]]) });
    expect(chains.get("t", "rows", ref("m2"))).not.toBeNull();
    expect(chains.get("t", "rows", ref("m1"))).toBeNull();
  });

  test("what was new in a memento is forgotten with the next one, unless that changed it", () => {
    const chains = new PieceChains();
    chains.take("t", { chains: new Map(), latest: new Map([["output", chain("m1")]]) });
    expect(chains.get("t", "output", ref("m1"))).not.toBeNull();
    chains.take("t", { chains: new Map(), latest: new Map() });
    expect(chains.get("t", "output", ref("m1"))).toBeNull();
  });
});
