import { testAppend } from "./append.ts";
import { testCaretakers } from "./caretakers.ts";
import { testClose } from "./close.ts";
import { testCommits } from "./commits.ts";
import { testCreate } from "./create.ts";
import { testKeys } from "./keys.ts";
import { StoreKitRun, type StoreKitOptions } from "./kit.ts";
import { testLeases } from "./leases.ts";
import { testNames } from "./names.ts";
import { testQueryOrder } from "./query-order.ts";
import { testQuery } from "./query.ts";
import { testRead } from "./read.ts";
import { testRemove } from "./remove.ts";
import { testTimelines } from "./timelines.ts";

/**
 * Declares the conformance kit's tests for one driver, with the functions of any test framework. Every test has a place
 * of its own. A driver that passes may be used wherever Memento takes a store.
 */
export function testStore(options: StoreKitOptions): void {
  const kit = new StoreKitRun(options);
  testCreate(kit);
  testKeys(kit);
  testTimelines(kit);
  testLeases(kit);
  testAppend(kit);
  testNames(kit);
  testRead(kit);
  testQuery(kit);
  testQueryOrder(kit);
  testRemove(kit);
  testCommits(kit);
  testCaretakers(kit);
  testClose(kit);
  kit.finish();
}
