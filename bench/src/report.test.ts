import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ratioByRound, renderTable, toRow, type Comparison } from "./report.ts";

const comparison: Comparison = {
  work: "stages/x vs peer",
  unit: "stages/s",
  ours: [100, 300, 200],
  peers: { peer: [50, 100, 25] },
  ratioIs: "ours / peer",
  ratioOf: (ours, [peer = Number.NaN]) => ours / peer,
  target: ">= 5x",
  isMet: (ratio) => ratio >= 5,
};

describe("toRow()", () => {
  test("is the ratio of the medians, in exactly the fields of the JSON report", () => {
    assert.deepEqual(toRow(comparison), {
      work: "stages/x vs peer",
      unit: "stages/s",
      ours: 200,
      peers: { peer: 50 },
      ratio: 4,
      target: ">= 5x",
      met: false,
    });
  });

  test("has neither ratio nor verdict when a peer was not run", () => {
    const { ours, peers, ratio, met } = toRow({ ...comparison, peers: { peer: "not run" } });
    assert.deepEqual({ ours, peers, ratio, met }, { ours: 200, peers: { peer: null }, ratio: null, met: null });
  });

  test("judges the ratio before it is rounded", () => {
    const { ratio, met } = toRow({ ...comparison, ours: [4.9999], peers: { peer: [1] } });
    assert.deepEqual({ ratio, met }, { ratio: 5, met: false });
  });
});

describe("ratioByRound()", () => {
  test("pairs the figures of one round", () => {
    assert.deepEqual(ratioByRound(comparison), [2, 3, 8]);
  });
});

describe("renderTable()", () => {
  test("says MISSED, and not run", () => {
    const lines = renderTable([comparison, { ...comparison, peers: { peer: "not run" } }]).split("\n");
    assert.match(lines[2] ?? "", /200 stages\/s .*4x {2}\(ours \/ peer\) .*2 - 8 .*MISSED$/);
    assert.match(lines[4] ?? "", /not run$/);
  });
});
