import { describe, expect, test } from "vitest";

import { Rate } from "./rate.ts";

describe("Rate", () => {
  test("is unknown until there is enough to tell", () => {
    const rate = new Rate();
    expect(rate.perSecond).toBeNull();
    rate.add(0, 0);
    rate.add(10, 500);
    expect(rate.perSecond).toBeNull();
  });

  test("is what was counted in the last seconds, not since the beginning", () => {
    const rate = new Rate();
    for (let second = 0; second <= 10; second++) rate.add(second * 1_000, second * 100);
    for (let second = 11; second <= 20; second++) rate.add(second * 1_000, 1_000 + (second - 10) * 900);
    expect(rate.perSecond).toBe(900);
  });
});
