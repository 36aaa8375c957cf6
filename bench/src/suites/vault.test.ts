import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, test } from "node:test";

import { readArguments } from "../arguments.ts";
import { renderTargets, toRow } from "../report.ts";
import { Scratch } from "../scratch.ts";
import { vaultSuite } from "./vault.ts";

describe("vaultSuite()", () => {
  test("measures every part with ours, gzip and LangGraph SQLite, and leaves its folders empty", async () => {
    const line = "vault --sizes 10KB --saves 5 --rounds 1 --only ours,gzip,langgraph-sqlite";
    const args = readArguments(line.split(" "), tmpdir());
    assert.ok(args !== "help");
    using scratch = new Scratch(tmpdir());
    const printed: string[] = [];
    const comparisons = await vaultSuite({
      ...args,
      scratch,
      say: () => undefined,
      print: (text) => void printed.push(text),
    });

    const rows = comparisons.map(toRow);
    const scattered = rows.filter(({ work }) => work.startsWith("vault/10KB/scattered: bytes"));
    const notRun = new Set(["zstd-3 files", "LangGraph PostgresSaver"]);
    assert.deepEqual(
      scattered.map(({ peers }) => Object.keys(peers)[0]),
      ["gzip-6 files", "zstd-3 files", "LangGraph SqliteSaver", "LangGraph PostgresSaver"],
    );
    assert.equal(new Set(rows.map(({ work }) => work)).size, rows.length, "each row has a name of its own");
    for (const { ours, peers, ratio, met } of rows) {
      const [name = "", figure] = Object.entries(peers)[0] ?? [];
      assert.ok(ours > 0);
      assert.equal(met, null, "the targets are for other sizes and numbers");
      if (notRun.has(name)) assert.deepEqual([figure, ratio], [null, null]);
      else assert.ok(typeof figure === "number" && figure > 0 && ratio !== null && ratio > 0);
    }
    assert.ok(rows.some(({ work }) => work.startsWith("vault/increments of 10KB")));
    assert.ok(rows.some(({ work }) => work.startsWith("vault/event loop, next save of 10KB")));
    assert.match(printed.join("\n"), /10KB, immutable: 5 saves[^]+10 deleted at random/);
    assert.match(renderTargets(comparisons), /^No target/);
    for (const part of ["sequences", "increments", "event-loop"])
      assert.deepEqual(readdirSync(scratch.folder(part)), []);
  });
});
