import { setTimeout as sleep } from "node:timers/promises";

import { describe, expect, onTestFinished, test, vi } from "vitest";

import { systemClock } from "./ports.ts";

describe("systemClock.sleep()", () => {
  test.each([30 * 86_400_000, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY])(
    "of %s ms, which no timer holds, neither ends at once nor warns",
    async (ms) => {
      const warn = vi.fn<(warning: Error) => void>();
      process.on("warning", warn);
      onTestFinished(() => void process.off("warning", warn));
      const stop = new AbortController();
      const ended = vi.fn<() => void>();
      const sleeping = systemClock.sleep(ms, stop.signal).finally(ended);
      await sleep(50);
      expect(ended).not.toHaveBeenCalled();
      stop.abort(new Error("enough"));
      await expect(sleeping).rejects.toThrow("enough");
      expect(warn).not.toHaveBeenCalled();
    },
  );

  test("of more than a timer holds goes on for the rest", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const ended = vi.fn<() => void>();
    const sleeping = systemClock.sleep(2 ** 32).finally(ended);
    await vi.advanceTimersByTimeAsync(2 ** 32 - 1);
    expect(ended).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    await sleeping;
    expect(ended).toHaveBeenCalledOnce();
  });
});
