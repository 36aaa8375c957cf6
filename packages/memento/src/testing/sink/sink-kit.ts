import { foreignTests } from "./foreign.ts";
import { killTests } from "./kills.ts";
import { declareSinkTests, type SinkKitOptions } from "./kit.ts";
import { revertTests } from "./reverts.ts";
import { sequenceGroups } from "./sequences.ts";
import { stopTests } from "./stops.ts";
import { writeTests } from "./writes.ts";

/**
 * Declares the sink kit's tests for one sink of rows, with the functions of any test framework. Every test has a place of
 * its own. A sink that passes may be used wherever Memento takes one that reverts row by row.
 */
export function testSink(options: SinkKitOptions): void {
  declareSinkTests(options, [
    ...writeTests,
    ...revertTests,
    ...foreignTests,
    ...sequenceGroups(options),
    ...killTests,
    ...stopTests,
  ]);
}
