import assert from "node:assert/strict";

import { isMementoError, type ErrorCode } from "../../core/errors.ts";
import type { MementoStore, StoreSupports } from "../../store/store.ts";
import { StoreFixture } from "./fixture.ts";

/** A place where one store can be: a folder, a database, a bucket. Empty when it is made. */
export interface StorePlace {
  /**
   * Opens the place. Called again while the first store is open only where `supports.sharedBy` is more than "process",
   * and after it was closed only where `supports.durable`.
   */
  open(): Promise<MementoStore>;
  /** What `openStore` of the worker module needs to open the same place in another process. */
  readonly address: string;
  /** Takes the place away, after all of its stores were closed. */
  dispose(): Promise<void>;
}

/** What `testStore` needs. */
export interface StoreKitOptions {
  /** Declares a test: the `test` of vitest, jest, node:test or the like. */
  readonly test: (name: string, run: () => Promise<void>, timeoutMs?: number) => unknown;
  readonly describe: (name: string, declare: () => void) => unknown;
  /** What the driver under test says of itself; decides which tests are declared. */
  readonly supports: StoreSupports;
  /** Makes a fresh, empty place; called for each test. */
  readonly place: () => Promise<StorePlace>;
  /**
   * A module that exports `openStore(address): Promise<MementoStore>`; it is loaded in processes that race and are killed.
   * Needed where `supports.sharedBy` is more than "process".
   */
  readonly workerModule?: URL;
  /** Tests that the driver is known to fail, by their full name ("append() > refuses ..."), each with its reason. Printed, not run. */
  readonly knownGaps?: Readonly<Record<string, string>>;
  /** How often the kill test kills; 5 by default. */
  readonly kills?: number;
  /** Where all randomness of the kit starts; 1 by default. */
  readonly seed?: number;
}

/** What one test of the kit is lent. */
export interface StoreLoan {
  readonly options: StoreKitOptions;
  /** Open, and made as an unsealed store. */
  readonly store: MementoStore;
  readonly make: StoreFixture;
  readonly place: StorePlace;
  /** A second opening of the same place; the same store where no two may be open at once. */
  readonly second: () => Promise<MementoStore>;
  /** A place that holds no store yet. */
  readonly emptyPlace: () => Promise<StorePlace>;
}

/** The tests of one method, by their names. */
export interface StoreTestGroup {
  readonly method: string;
  /** Left out: for every store. */
  readonly appliesTo?: (supports: StoreSupports) => boolean;
  readonly timeoutMs?: number;
  readonly tests: Readonly<Record<string, (loan: StoreLoan) => Promise<void>>>;
}

/** Declares groups of tests with the functions of the test framework; known gaps are printed in place of being run. */
export function declareStoreTests(options: StoreKitOptions, groups: readonly StoreTestGroup[]): void {
  const gapsLeft = new Set(Object.keys(options.knownGaps ?? {}));
  for (const { method, appliesTo, timeoutMs = 180_000, tests } of groups) {
    if (appliesTo !== undefined && !appliesTo(options.supports)) continue;
    options.describe(method, () => {
      for (const [name, run] of Object.entries(tests)) {
        const fullName = `${method} > ${name}`;
        const gap = options.knownGaps?.[fullName];
        gapsLeft.delete(fullName);
        if (gap === undefined) options.test(name, async () => await withLoan(options, run), timeoutMs);
        else
          options.test(`${name} (not run, a known gap: ${gap})`, async () =>
            process.emitWarning(`${fullName}: ${gap}`),
          );
      }
    });
  }
  const unknown = [...gapsLeft];
  options.test("every known gap names a test", async () => assert.deepEqual(unknown, []));
}

async function withLoan(options: StoreKitOptions, run: (loan: StoreLoan) => Promise<void>): Promise<void> {
  await using lent = new AsyncDisposableStack();
  const borrow = async (): Promise<StorePlace> => {
    const place = await options.place();
    lent.defer(async () => await place.dispose());
    const open = async (): Promise<MementoStore> => lent.use(await place.open());
    return { open, address: place.address, dispose: async () => await place.dispose() };
  };
  const place = await borrow();
  const store = await place.open();
  const make = new StoreFixture(options.seed ?? 1);
  await store.create(make.meta(), make.key("integrity"));
  const second = async (): Promise<MementoStore> =>
    options.supports.sharedBy === "process" ? store : await place.open();
  await run({ options, store, make, place, second, emptyPlace: borrow });
}

/** Everything that an async iterable gives. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(items);
}

/** Fails unless the call throws a MementoError of this code. */
export async function expectCode(code: ErrorCode, call: () => Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => {
    if (!isMementoError(error, code)) assert.fail(`expected ${code}, got ${String(error)}`);
    return true;
  });
}
