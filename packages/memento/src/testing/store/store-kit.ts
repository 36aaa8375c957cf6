import { appendTests } from "./append.ts";
import { caretakersTests } from "./caretakers.ts";
import { closeTests } from "./close.ts";
import { commitsTests } from "./commits.ts";
import { createTests } from "./create.ts";
import { durableTests } from "./durable.ts";
import { keysTests } from "./keys.ts";
import { killsTests } from "./kills.ts";
import { declareStoreTests, type StoreKitOptions } from "./kit.ts";
import { leasesTests } from "./leases.ts";
import { namesTests } from "./names.ts";
import { queryOrderTests } from "./query-order.ts";
import { queryTests } from "./query.ts";
import { racesTests } from "./races.ts";
import { readTests } from "./read.ts";
import { rebuildTests } from "./rebuild.ts";
import { removeTests } from "./remove.ts";
import { replaceTests } from "./replace.ts";
import { timelinesTests } from "./timelines.ts";
import { turnsTests } from "./turns.ts";

/**
 * Declares the conformance kit's tests for one driver, with the functions of any test framework. Every test has a place
 * of its own. A driver that passes may be used wherever Memento takes a store.
 */
export function testStore(options: StoreKitOptions): void {
  declareStoreTests(options, [
    ...createTests,
    ...keysTests,
    ...timelinesTests,
    ...leasesTests,
    ...appendTests,
    ...namesTests,
    ...readTests,
    ...queryTests,
    ...queryOrderTests,
    ...removeTests,
    ...replaceTests,
    ...rebuildTests,
    ...commitsTests,
    ...caretakersTests,
    ...closeTests,
    ...durableTests,
    ...turnsTests,
    ...racesTests,
    ...killsTests,
  ]);
}
