import process from "node:process";

import { describe, expect, test } from "vitest";

import { runProcess } from "../../../../../../test/harness/process.ts";
import { publicData } from "../../../../../../test/harness/source-reading.ts";

/**
 * V8 lets its heap grow over a process's life as long as the machine has memory, whatever the program holds. With the
 * heap bounded, what is left to be measured is what the source needs; a source that held more would not get through.
 */
const boundedHeap = ["--max-old-space-size=48", "--min-semi-space-size=16", "--max-semi-space-size=16"];

const RATIO_MAX = 1.2;

async function peakKilobytes(rows: number, batchRecords: number): Promise<number> {
  const script = `
    import { parquetFile } from ${JSON.stringify(new URL("parquet-file.ts", import.meta.url))};
    const source = parquetFile({ path: ${JSON.stringify(publicData("flights-3m.parquet"))} });
    const signal = new AbortController().signal;
    let rows = 0;
    let miles = 0;
    for await (const { records } of source.read({ from: {}, batchRecords: ${batchRecords}, signal })) {
      for (const { distance } of records) miles += distance;
      rows += records.length;
      if (rows >= ${rows}) break;
    }
    if (rows !== ${rows} || !(miles > rows)) throw new Error("read " + rows + " rows");
    console.log(process.resourceUsage().maxRSS);
  `;
  const args = [...boundedHeap, "--input-type=module", "--eval", script];
  const { exitCode, stdout, stderr } = await runProcess(process.execPath, args, { timeoutMs: 60_000 });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return Number(stdout);
}

describe("parquetFile()", () => {
  test.each([1000, 10_000])(
    "needs no more memory for 3 million rows than for 300,000, in batches of %d",
    async (batchRecords) => {
      const small = await peakKilobytes(300_000, batchRecords);
      const peaks: number[] = [];
      // On a machine without a free core the collector of garbage falls behind now and then; what grows with the
      // input is there each time.
      while (peaks.length < 3 && !(Math.min(...peaks) <= small * RATIO_MAX))
        peaks.push(await peakKilobytes(3_000_000, batchRecords));
      expect(Math.min(...peaks) / small).toBeLessThanOrEqual(RATIO_MAX);
    },
    300_000,
  );
});
