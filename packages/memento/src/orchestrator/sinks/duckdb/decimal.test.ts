import { describe, expect, test } from "vitest";

import { decimalText } from "./decimal.ts";

describe("decimalText()", () => {
  test.each([
    ["12.50", 5, 2, "12.5"],
    ["-0.005", 5, 3, "-0.005"],
    [".5", 3, 1, "0.5"],
    ["007", 3, 0, "7"],
    ["1e3", 4, 0, "1000"],
    ["1.5E-7", 9, 8, "0.00000015"],
    ["1e+21", 22, 0, "1000000000000000000000"],
    ["99999999999999999999999999999999999999", 38, 0, "99999999999999999999999999999999999999"],
    ["0.000", 2, 2, "0"],
    ["-0", 1, 0, "-0"],
  ])("writes %s for DECIMAL(%i,%i) as %s", (said, width, scale, text) => {
    expect(decimalText(said, width, scale)).toEqual({ text });
  });

  test.each([
    ["1.005", 9, 2, "has more decimals than its column keeps"],
    ["1000", 5, 2, "is out of its column's range"],
    ["1e4", 4, 0, "is out of its column's range"],
    ["", 5, 2, "is no number"],
    [".", 5, 2, "is no number"],
    ["1,5", 5, 2, "is no number"],
    ["NaN", 5, 2, "is no number"],
  ])("refuses %s for DECIMAL(%i,%i)", (said, width, scale, problem) => {
    expect(decimalText(said, width, scale)).toEqual({ text: null, problem });
  });
});
