import { describe, expect, test } from "vitest";

import { retryDelayMs, retryPolicy } from "./retry.ts";

const random = { bytes: (count: number) => new Uint8Array(count).fill(255) };

describe("retryDelayMs()", () => {
  test.each([
    [{ initialMs: 0 }, 0],
    [{ initialMs: 0, factor: 1e200 }, 0],
    [{ initialMs: 1 }, 60_000],
    [{ initialMs: 1, maxMs: 0 }, 0],
  ])("is a wait however many attempts have failed: %j", (options, most) => {
    const policy = retryPolicy("load", { attempts: 1e6, ...options });
    for (const failed of [1_024, 1_025, 1_026, 999_999]) expect(retryDelayMs(policy, failed, random)).toBe(most);
  });
});
