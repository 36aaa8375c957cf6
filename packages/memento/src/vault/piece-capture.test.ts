import { expect, test } from "vitest";

import { KnownArrays } from "./piece-capture.ts";

const rowsOf = (text: string): object[] => Array.from({ length: 1_000 }, (_, id) => ({ id, text }));

test("many captures share what may be remembered of arrays, and the one that was used longest ago is forgotten first", () => {
  const known = new KnownArrays();
  // Some 10 MB each.
  const lines = Array.from({ length: 6 }, () => ({ capture: known.newCapture(), rows: rowsOf("x".repeat(10_000)) }));
  const isKnown = ({ capture, rows }: (typeof lines)[number]): boolean => {
    const piece = capture.capture(new Map([["rows", rows]])).get("rows");
    return piece?.change().base !== null;
  };
  for (let round = 0; round < 3; round++)
    for (const { capture, rows } of lines) capture.capture(new Map([["rows", rows]]));
  for (const { rows } of lines) rows.push({ id: -1, text: "new" });
  const [first, last] = [lines.at(0), lines.at(-1)];
  expect(last && isKnown(last)).toBe(true);
  expect(first && isKnown(first)).toBe(false);
});
