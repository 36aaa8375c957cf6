import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { toRow } from "../report.ts";
import { compareSequences, type SequenceResult } from "./vault-targets.ts";

const figures = (saveMs: number, bytes: number, loadMs: number) => [{ saveMs, firstSaveMs: saveMs, bytes, loadMs }];
const result: SequenceResult = {
  size: "1MB",
  kind: "scattered",
  figures: new Map([
    ["ours", figures(2, 100, 10)],
    ["gzip", figures(8, 1100, 5)],
  ]),
};

describe("compareSequences()", () => {
  test("divides the peer's figure by ours and judges it by the target of size, kind and measure", () => {
    const rows = compareSequences(50, [result]).map(toRow);
    const verdicts = rows
      .filter(({ peers }) => "gzip-6 files" in peers)
      .map(({ work, ratio, target, met }) => [work, ratio, target, met]);
    assert.deepEqual(verdicts, [
      ["vault/1MB/scattered: time vs gzip", 4, ">= 4x", true],
      ["vault/1MB/scattered: first save vs gzip", 4, "", null],
      ["vault/1MB/scattered: bytes vs gzip", 11, ">= 12x", false],
      ["vault/1MB/scattered: load vs gzip", 0.5, "", null],
    ]);
    assert.ok(rows.some(({ peers, met }) => peers["borg"] === null && met === null));
  });

  test("has no targets for another number of saves", () => {
    assert.ok(compareSequences(49, [result]).every(({ isMet }) => isMet === null));
  });

  test("leaves restic and borg out of small and of immutable states", () => {
    const comparisons = compareSequences(50, [
      { ...result, size: "100KB" },
      { ...result, kind: "immutable" },
    ]);
    assert.ok(comparisons.every(({ peers }) => !("restic" in peers) && !("borg" in peers)));
  });
});
