import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { KINDS, SIZES, StateSequence, type KindName, type SizeName } from "./state-sequence.ts";

function texts(size: SizeName, kind: KindName, steps: number): string[] {
  const sequence = new StateSequence(size, kind);
  return Array.from({ length: steps }, () => {
    const text = JSON.stringify(sequence.state);
    sequence.advance();
    return text;
  });
}

describe("StateSequence", () => {
  for (const kind of KINDS) {
    test(`${kind}: gives every contender the same states, each unlike the one before`, () => {
      const first = texts("10KB", kind, 20);
      assert.deepEqual(texts("10KB", kind, 20), first);
      assert.equal(new Set(first).size, 20);
    });
  }

  test("starts at the size asked for, with rows of about 125 bytes", () => {
    const { state } = new StateSequence("1MB", "scattered");
    const bytes = JSON.stringify(state).length;
    assert.ok(bytes >= SIZES["1MB"] && bytes < SIZES["1MB"] * 1.01, `${bytes} bytes`);
    const rowBytes = bytes / state.rows.length;
    assert.ok(rowBytes > 110 && rowBytes < 140, `${rowBytes} bytes a row`);
  });

  test("scattered and immutable are the same states", () => {
    assert.deepEqual(texts("10KB", "immutable", 10), texts("10KB", "scattered", 10));
  });

  test("immutable: frozen, and rows that did not change are the same objects", () => {
    const sequence = new StateSequence("100KB", "immutable");
    const before = sequence.state;
    sequence.advance();
    const after = sequence.state;
    assert.ok(Object.isFrozen(after) && Object.isFrozen(after.rows) && after.rows.every((row) => Object.isFrozen(row)));
    const same = before.rows.filter((row, index) => row === after.rows[index]).length;
    const share = Math.round(before.rows.length / 100);
    assert.ok(same >= before.rows.length - share && same < before.rows.length, `${same} of ${before.rows.length}`);
  });

  test("heads: drops the first rows and keeps the number; inserts: keeps the order of what was there", () => {
    const heads = new StateSequence("100KB", "heads");
    const count = heads.state.rows.length;
    const second = heads.state.rows[Math.round(count / 100)];
    heads.advance();
    assert.equal(heads.state.rows[0], second);
    assert.equal(heads.state.rows.length, count);

    const inserts = new StateSequence("100KB", "inserts");
    const before = inserts.state.rows.map(({ id }) => id);
    inserts.advance();
    const kept = inserts.state.rows.map(({ id }) => id).filter((id) => id < before.length);
    assert.deepEqual(kept, before);
    assert.ok(inserts.state.rows.length > before.length);
    assert.ok((inserts.state.rows.at(-1)?.id ?? 0) < inserts.state.rows.length - 1, "not merely appended");
  });
});
