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
  /** Makes a fresh, empty place; called once per test. */
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
  /** Open, and made as an unsealed store. */
  readonly store: MementoStore;
  readonly make: StoreFixture;
  readonly place: StorePlace;
  /** Opens the place once more; closed after the test. */
  another(): Promise<MementoStore>;
}

/** What the files of the kit declare their tests with. */
export interface StoreKit {
  readonly options: StoreKitOptions;
  /** The tests of one method. */
  group(method: string, declare: (test: DeclareStoreTest) => void): void;
}

/** Declares one test that is lent a store. */
export type DeclareStoreTest = (name: string, run: (loan: StoreLoan) => Promise<void>, timeoutMs?: number) => void;

/** The kit's way to declare tests; counts the known gaps off. */
export class StoreKitRun implements StoreKit {
  readonly options: StoreKitOptions;
  readonly #gapsLeft: Set<string>;

  constructor(options: StoreKitOptions) {
    this.options = options;
    this.#gapsLeft = new Set(Object.keys(options.knownGaps ?? {}));
  }

  group(method: string, declare: (test: DeclareStoreTest) => void): void {
    this.options.describe(method, () => {
      declare((name, run, timeoutMs) => this.#declare(`${method} > ${name}`, name, run, timeoutMs));
    });
  }

  /** Declares the test that fails for gaps that no test is named by; call it last. */
  finish(): void {
    const unknown = [...this.#gapsLeft];
    this.options.test("every known gap names a test", async () => assert.deepEqual(unknown, []));
  }

  #declare(fullName: string, name: string, run: (loan: StoreLoan) => Promise<void>, timeoutMs = 30_000): void {
    this.#gapsLeft.delete(fullName);
    const gap = this.options.knownGaps?.[fullName];
    if (gap === undefined) this.options.test(name, async () => await withLoan(this.options, run), timeoutMs);
    else this.options.test(`${name} (known gap: ${gap})`, async () => console.warn(`not run: ${fullName}: ${gap}`));
  }
}

async function withLoan(options: StoreKitOptions, run: (loan: StoreLoan) => Promise<void>): Promise<void> {
  const place = await options.place();
  const opened: MementoStore[] = [];
  const another = async (): Promise<MementoStore> => {
    const store = await place.open();
    opened.push(store);
    return store;
  };
  try {
    const store = await another();
    const make = new StoreFixture(options.seed ?? 1);
    await store.create(make.meta(), make.key("integrity"));
    await run({ store, make, place, another });
  } finally {
    for (const store of opened) await store.close();
    await place.dispose();
  }
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
