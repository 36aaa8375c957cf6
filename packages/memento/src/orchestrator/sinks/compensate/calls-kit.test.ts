import { describe, test } from "vitest";

import { extent } from "../../../../../../test/harness/extent.ts";
import { callPlace } from "../../../../../../test/workers/call-sink.ts";
import { testSink } from "../../../testing/sink/sink-kit.ts";

for (const [name, rowsPerCall] of [
  ["a call a batch", undefined],
  ["a call for two rows", 2],
] as const) {
  describe(`compensatingCalls(): ${name}`, () => {
    testSink({
      describe,
      test,
      mode: "append",
      compensates: true,
      sequences: extent({ plain: 2, all: 12 }),
      ...(rowsPerCall === undefined ? {} : { bulkRows: 2_000 }),
      place: callPlace(rowsPerCall),
      badRow: { row: { id: null, amount: 1, note: null }, code: "RECORD_INVALID" },
      workerModule: new URL("../../../../../../test/workers/call-sink.ts", import.meta.url),
    });
  });
}
