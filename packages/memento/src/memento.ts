import { Caretaker } from "./caretaker/caretaker.ts";
import type { CollectOptions, CollectReport } from "./caretaker/collect.ts";
import { selectMementos, type Selection } from "./caretaker/listing.ts";
import { declaredPaths } from "./caretaker/queryable.ts";
import type { SecureDeleteOptions, SecureDeleteReport } from "./caretaker/secure-delete.ts";
import type { StatisticsOptions, StatisticsReport } from "./caretaker/statistics.ts";
import { MementoError } from "./core/errors.ts";
import { firstError } from "./core/first-error.ts";
import type { MementoEntry } from "./core/memento.ts";
import { systemClock, systemRandom, type Clock, type Random } from "./core/ports.ts";
import type { TimelineState } from "./core/timeline.ts";
import { cancelRun } from "./orchestrator/control/cancel.ts";
import { pauseRun } from "./orchestrator/control/pause.ts";
import type * as Runs from "./orchestrator/index.ts";
import { forkPipeline } from "./orchestrator/repair/fork.ts";
import { pipelineAddress, pipelineHistory, runPipeline } from "./orchestrator/run/runner.ts";
import {
  exportTo,
  importFrom,
  restoreBackupOf,
  type ExportDestination,
  type ExportToOptions,
  type ImportFromOptions,
  type RestoreFromOptions,
} from "./portable.ts";
import { openPlace } from "./store/open-store.ts";
import type { MementoStore } from "./store/store.ts";
import type { ArchiveInput, ExportReport, ExportSubject, ImportReport } from "./vault/archive/index.ts";
import { holdsParts } from "./vault/chunk-parts.ts";
import { addKeyToFile } from "./vault/keys/key-file.ts";
import { rawKeyRing, type KeyRing } from "./vault/keys/key-ring.ts";
import { resolveKeys, type KeySource } from "./vault/keys/resolve-keys.ts";
import { isMaintenance } from "./vault/maintenance.ts";
import type { StoreDigest } from "./vault/memento-sums.ts";
import type { ApplyRepairOptions, RepairOptions, RepairPlan, RepairResult } from "./vault/repair.ts";
import type { RevokeOptions, RevokeReport } from "./vault/rotation-revoke.ts";
import type { KeySurvey } from "./vault/rotation-survey.ts";
import type { RotateOptions, RotateReport } from "./vault/rotation.ts";
import type { CopyOptions, CopyReport, RestoredBackup, SyncOptions } from "./vault/transfer/index.ts";
import { Vault } from "./vault/vault.ts";
import type { VerifyOptions, VerifyReport } from "./vault/verify.ts";

/** How to open a store of mementos. */
export interface MementoOptions {
  /**
   * Where the keys are; docs/keys.md shows all that can be named. By default those that the environment names (`MEMENTO_KEY`,
   * `MEMENTO_KEY_FILE`, `MEMENTO_KEY_URL`, `MEMENTO_PASSPHRASE`; the first wraps), else for embedded stores the file `<store>.key`,
   * which is made together with a new store (mode 0600). `false` makes a new store without sealing.
   */
  readonly keys?: KeySource;
  /** False: a place without a store is refused with NOT_A_STORE. Default true. */
  readonly create?: boolean;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** A store and keys that a caretaker has for itself, so that security levels live apart. */
export interface CaretakerPlace extends Pick<MementoOptions, "keys" | "create"> {
  /** The store's URL, or a store of one's own. */
  readonly store: string | MementoStore;
}

/**
 * A store of mementos, open: the face of the whole library. What looks after a store, and is not needed to run or save, is
 * loaded when it is called for: a run that starts again after a crash waits for what it needs alone.
 */
export class Memento implements AsyncDisposable {
  readonly vault: Vault;
  readonly #caretakers = new Map<string, Caretaker>();
  readonly #apart = new Map<string, { readonly place: CaretakerPlace; readonly memento: Promise<Memento> }>();
  readonly #options: MementoOptions;

  private constructor(vault: Vault, options: MementoOptions) {
    this.vault = vault;
    this.#options = options;
  }

  /** Opens the store that a URL names, or a store of one's own (which then belongs to this object); makes it where there is none. PORT_UNKNOWN, KEY_MISSING, KEY_WRONG, NOT_A_STORE, DAMAGED, FORMAT_UNKNOWN, INVALID_ARGUMENT, DISK_FULL, IO_FAILED. */
  static async open(place: string | MementoStore, options: MementoOptions = {}): Promise<Memento> {
    const { create = true, clock = systemClock, random = systemRandom, environment = process.env } = options;
    const { store, keyFile } = await openPlace(place);
    try {
      const meta = await store.meta();
      if (meta === null && create && keyFile !== null) await demandRoomFor(keyFile);
      const inMemory = store.supports.sharedBy === "process" && options.keys === undefined;
      // Where there is no store there are no keys to look for: they would be named as what is missing.
      const keys =
        meta?.sealed === false || (meta === null && !create)
          ? null
          : inMemory
            ? rawKeyRing([random.bytes(32)], random)
            : await resolveKeys(options.keys, {
                environment,
                besideStore: keyFile,
                mayCreate: create && meta === null,
              });
      if (keys === null && options.keys === undefined && meta === null && create) throw unsealed(store);
      return new Memento(await Vault.open(store, { keys, clock, random, create }), options);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** A named collection of mementos; made when it first saves. NAME_INVALID. */
  caretaker(name: string): Caretaker;
  /**
   * The same in a store of its own, with keys of its own: opened here the first time, and closed together with this one. It may
   * be asked for again with the same place; with another one it is refused with INVALID_ARGUMENT. What `open` raises.
   */
  caretaker(name: string, place: CaretakerPlace): Promise<Caretaker>;
  caretaker(name: string, place?: CaretakerPlace): Caretaker | Promise<Caretaker> {
    if (place !== undefined) return this.#caretakerApart(name, place);
    if (this.#apart.has(name)) throw otherPlace(name);
    const caretaker = this.#caretakers.get(name) ?? new Caretaker(this.vault, name);
    this.#caretakers.set(name, caretaker);
    return caretaker;
  }

  async #caretakerApart(name: string, place: CaretakerPlace): Promise<Caretaker> {
    const known = this.#apart.get(name);
    const same = known === undefined || (known.place.store === place.store && known.place.keys === place.keys);
    if (!same || this.#caretakers.has(name)) throw otherPlace(name);
    const { store, ...own } = place;
    const { clock, random, environment } = this.#options;
    const shared = {
      ...(clock === undefined ? {} : { clock }),
      ...(random === undefined ? {} : { random }),
      ...(environment === undefined ? {} : { environment }),
    };
    const memento = known?.memento ?? Memento.open(store, { ...shared, ...own });
    this.#apart.set(name, { place, memento });
    try {
      return (await memento).caretaker(name);
    } catch (error) {
      // It may be asked for again once the cause is mended.
      this.#apart.delete(name);
      throw error;
    }
  }

  /** Runs a pipeline from where it stands; see `runPipeline`. */
  async run(pipeline: Runs.Pipeline, options: Runs.RunOptions = {}): Promise<Runs.RunResult> {
    return await firstError(async () => await runPipeline(this.vault, pipeline, options));
  }

  /** Says what a rollback to a memento would do; see `planPipelineRollback`. */
  async plan(pipeline: Runs.Pipeline, target: string, options: Runs.PlanOptions = {}): Promise<Runs.RollbackPlan> {
    const { planPipelineRollback } = await import("./orchestrator/repair/rollback.ts");
    return await firstError(async () => await planPipelineRollback(this.vault, pipeline, target, options));
  }

  /** Rolls a pipeline and its data back by a plan that was looked at; see `rollbackPipeline`. */
  async rollback(pipeline: Runs.Pipeline, target: string, options: Runs.RollbackOptions): Promise<Runs.RollbackResult> {
    const { rollbackPipeline } = await import("./orchestrator/repair/rollback.ts");
    return await firstError(async () => await rollbackPipeline(this.vault, pipeline, target, options));
  }

  /** Changes state, offsets, outputs or parameters at a timeline's head by hand; see `editPipeline`. */
  async edit(pipeline: Runs.Pipeline, options: Runs.EditOptions): Promise<Runs.EditResult> {
    const { editPipeline } = await import("./orchestrator/repair/edit.ts");
    return await firstError(async () => await editPipeline(this.vault, pipeline, options));
  }

  /** What of a timeline's head can be edited, without the outputs of stages. */
  async editable(pipeline: Runs.Pipeline, place: Runs.RollbackPlace = {}): Promise<Runs.EditDocument> {
    const { readEditDocument } = await import("./orchestrator/repair/edit.ts");
    return await readEditDocument(this.vault, pipeline, place);
  }

  /** Says what a reset would do; see `planPipelineReset`. */
  async planReset(pipeline: Runs.Pipeline, options: Runs.ResetChoice = {}): Promise<Runs.ResetPlan> {
    const { planPipelineReset } = await import("./orchestrator/repair/reset.ts");
    return await firstError(async () => await planPipelineReset(this.vault, pipeline, options));
  }

  /** Takes back all that a pipeline has written, and forgets how far it was; see `resetPipeline`. */
  async reset(pipeline: Runs.Pipeline, options: Runs.ResetOptions): Promise<Runs.ResetResult> {
    const { resetPipeline } = await import("./orchestrator/repair/reset.ts");
    return await firstError(async () => await resetPipeline(this.vault, pipeline, options));
  }

  /** Says what the adoption of a fork would do; see `planPipelineAdoption`. */
  async planAdoption(pipeline: Runs.Pipeline, choice: Runs.AdoptChoice): Promise<Runs.AdoptPlan> {
    const { planPipelineAdoption } = await import("./orchestrator/repair/adopt.ts");
    return await firstError(async () => await planPipelineAdoption(this.vault, pipeline, choice));
  }

  /** Makes a fork's head the new head of the timeline that it came from; see `adoptPipeline`. */
  async adopt(pipeline: Runs.Pipeline, options: Runs.AdoptOptions): Promise<Runs.AdoptResult> {
    const { adoptPipeline } = await import("./orchestrator/repair/adopt.ts");
    return await firstError(async () => await adoptPipeline(this.vault, pipeline, options));
  }

  /** Starts a timeline of its own from a memento; see `forkPipeline`. */
  async fork(memento: string, options: Runs.ForkOptions): Promise<Runs.ForkResult> {
    return await firstError(async () => await forkPipeline(this.vault, memento, options));
  }

  /** Asks a live run to pause, or marks an interrupted one; see `pauseRun`. */
  async pause(run: string, options: Runs.PauseOptions = {}): Promise<Runs.PauseResult> {
    return await firstError(async () => await pauseRun(this.vault, run, options));
  }

  /** Ends a run for good, also one that is live; see `cancelRun`. */
  async cancel(run: string, options: Runs.CancelOptions = {}): Promise<Runs.CancelResult> {
    return await firstError(async () => await cancelRun(this.vault, run, options));
  }

  /** Says which mementos of a pipeline its code can restore; see `checkPipeline`. */
  async check(pipeline: Runs.Pipeline, options: Runs.CheckOptions = {}): Promise<Runs.PipelineCheck> {
    const { checkPipeline } = await import("./orchestrator/schemas/check-pipeline.ts");
    return await firstError(async () => await checkPipeline(this.vault, pipeline, options));
  }

  /** Decides what a run waits for; see `approveRun`. */
  async approve(run: string, options: Runs.ApproveOptions = {}): Promise<Runs.ApproveResult> {
    const { approveRun } = await import("./orchestrator/control/approval.ts");
    return await firstError(async () => await approveRun(this.vault, run, options));
  }

  /** The mementos of a pipeline's timeline, newest first; empty when it has never run. */
  async *history(pipeline: Pick<Runs.Pipeline, "name">, place: Runs.RollbackPlace = {}): AsyncGenerator<MementoEntry> {
    const state = await this.vault.findTimeline(pipelineAddress(pipeline, place));
    if (state !== null) yield* pipelineHistory(this.vault, state.record.key);
  }

  /** The index entries of all mementos that fit, newest first unless sorted otherwise; sealed metadata is looked at by opening candidates. */
  async *select(selection: Selection = {}): AsyncGenerator<MementoEntry> {
    for await (const { entry } of selectMementos(this.vault, selection)) yield entry;
  }

  /** The metadata paths that can be asked for without opening mementos: those that the caretaker, or each of them, declares as queryable. */
  async declaredPaths(caretaker: string | null = null): Promise<ReadonlySet<string>> {
    return await declaredPaths(this.vault, caretaker);
  }

  /** Counts, sizes and times by caretaker, pipeline, stage or day; see `collectStatistics`. INVALID_ARGUMENT. */
  async statistics(options: StatisticsOptions = {}): Promise<StatisticsReport> {
    const { collectStatistics } = await import("./caretaker/statistics.ts");
    return await collectStatistics(this.vault, options);
  }

  /** All timelines, of one caretaker where given, each verified. */
  async *timelines(caretaker: string | null = null): AsyncGenerator<TimelineState> {
    for await (const state of this.vault.store.timelines(caretaker)) {
      if (!isMaintenance(state.record) && !holdsParts(state.record)) yield this.vault.verified(state);
    }
  }

  /** Reads every byte of the store and says what is damaged, what depends on it, and the nearest good memento; see `verifyVault`. */
  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    const { verifyVault } = await import("./vault/verify.ts");
    return await verifyVault(this.vault, options);
  }

  /** Says what could be mended in a damaged store, from what, and what would be given up; changes nothing. */
  async planRepair(options: RepairOptions = {}): Promise<RepairPlan> {
    const { planRepair, shownPlan } = await import("./vault/repair.ts");
    return await firstError(async () => shownPlan(await planRepair(this.vault, options)));
  }

  /** Mends a store by a plan that was looked at; see `applyRepair`. */
  async repair(options: ApplyRepairOptions): Promise<RepairResult> {
    const { applyRepair } = await import("./vault/repair.ts");
    return await firstError(async () => await applyRepair(this.vault, options));
  }

  /** Removes what the policies of caretakers no longer keep, and frees the space of what nobody needs; see `collectGarbage`. */
  async collect(options: CollectOptions = {}): Promise<CollectReport> {
    const { collectGarbage } = await import("./caretaker/collect.ts");
    return await firstError(async () => await collectGarbage(this.vault, options));
  }

  /**
   * Writes one memento, a timeline or a whole caretaker to a portable file: self-contained, compressed, signed, and sealed
   * unless `keys: false`. A path is there whole or not at all; a stream is left open. NOT_FOUND, EXISTS, DAMAGED, CONFLICT.
   */
  async exportTo(
    destination: ExportDestination,
    subject: ExportSubject,
    options: ExportToOptions = {},
  ): Promise<ExportReport> {
    return await firstError(async () => await exportTo(this.vault, destination, subject, options));
  }

  /**
   * Brings a portable file into this store; all of it is read and checked before anything is written. Doing so again
   * changes nothing. DAMAGED, FORMAT_UNKNOWN, KEY_MISSING, KEY_WRONG, SIGNER_UNTRUSTED, EXISTS, CONFLICT, LOCKED.
   */
  async importFrom(input: ArchiveInput, options: ImportFromOptions = {}): Promise<ImportReport> {
    return await firstError(async () => await importFrom(this.vault, input, options));
  }

  /**
   * Copies this store, or a selection of it, into another one, whatever engines and keys they have; stopped or killed at any
   * moment, the same call goes on where it was. See `copyStore`. EXISTS, CONFLICT, LOCKED, DAMAGED, CANCELLED.
   */
  async copyTo(target: Memento, options: CopyOptions = {}): Promise<CopyReport> {
    const { copyStore } = await import("./vault/transfer/index.ts");
    return await copyStore(this.vault, target.vault, options);
  }

  /** Makes another store what this one is, once or, with `watch`, until its signal is aborted; see `syncStores`. */
  async syncTo(target: Memento, options: SyncOptions = {}): Promise<CopyReport> {
    const { syncStores } = await import("./vault/transfer/index.ts");
    return await syncStores(this.vault, target.vault, options);
  }

  /**
   * Brings the backup of a whole store, as `exportTo(file, { store: true })` has written it, into this one, and compares both by
   * their digests. Doing so again changes nothing. What `importFrom` raises.
   */
  async restoreBackup(input: ArchiveInput, options: RestoreFromOptions = {}): Promise<RestoredBackup> {
    return await firstError(async () => await restoreBackupOf(this.vault, input, options));
  }

  /** One digest over all live mementos, the same for a store and its copies; every byte of their bodies is opened for it. DAMAGED. */
  async digest(options: { readonly signal?: AbortSignal } = {}): Promise<StoreDigest> {
    const { digestStore } = await import("./vault/transfer/index.ts");
    return await digestStore(this.vault, { live: null, byLog: true, deep: true, ...options });
  }

  /** Deletes mementos, by their ids, so that nobody can ever open them again; see `secureDelete`. */
  async secureDelete(ids: readonly string[], options: SecureDeleteOptions): Promise<SecureDeleteReport> {
    const { secureDelete } = await import("./caretaker/secure-delete.ts");
    return await firstError(async () => await secureDelete(this.vault, ids, options));
  }

  /** Which keys wrap the store's own, where they come from, and what no key here opens; see `surveyKeys`. INVALID_ARGUMENT for a store that is not sealed. */
  async keys(): Promise<KeySurvey> {
    const { surveyKeys } = await import("./vault/rotation-survey.ts");
    return await surveyKeys(this.vault.store, this.#ring());
  }

  /** Adds a fresh key to the key file as its current one and returns its id; what is there stays wrapped as it is. INVALID_ARGUMENT when the keys are in no file. */
  async newKey(): Promise<string> {
    const file = this.#ring().keys?.()[0]?.file;
    if (file !== undefined) return await addKeyToFile(file, this.vault.random, this.vault.clock);
    throw new MementoError("INVALID_ARGUMENT", "The current key is in no key file, so none can be added to it", {
      hint: "Make the new key where the old one is kept, name both, and rotate; docs/keys.md shows how.",
    });
  }

  /** Wraps all keys of the store by the current ring key; no body is touched; see `rotateKeys`. */
  async rotateKeys(options: RotateOptions = {}): Promise<RotateReport> {
    const { rotateKeys } = await import("./vault/rotation.ts");
    return await rotateKeys(this.vault.store, this.#ring(), options);
  }

  /** Wraps by another key all that a ring key wraps, and takes it out of its key file; see `revokeKey`. */
  async revokeKey(id: string, options: RevokeOptions = {}): Promise<RevokeReport> {
    const { revokeKey } = await import("./vault/rotation-revoke.ts");
    return await revokeKey(this.vault.store, this.#ring(), id, options);
  }

  #ring(): KeyRing {
    if (this.vault.ring !== null) return this.vault.ring;
    throw new MementoError("INVALID_ARGUMENT", `The store at ${this.vault.store.url} is not sealed: it has no keys`);
  }

  /** Waits for saves under way and releases the store, and those of caretakers that have their own; may be called again. */
  async close(): Promise<void> {
    const stack = new AsyncDisposableStack();
    stack.defer(async () => await this.vault.close());
    for (const { memento } of this.#apart.values()) stack.defer(async () => await (await memento).close());
    await firstError(async () => await stack.disposeAsync());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Asked before an embedded store is made; `keyFile` is the one beside it. */
async function demandRoomFor(keyFile: string): Promise<void> {
  const { demandRoom } = await import("./store/room.ts");
  await demandRoom(keyFile.replace(/\.key$/u, ""));
}

const otherPlace = (name: string): MementoError =>
  new MementoError(
    "INVALID_ARGUMENT",
    `The caretaker ${JSON.stringify(name)} is open already, in another place or with other keys`,
  );
/** A store is made without a seal only where that was asked for. */
function unsealed({ url }: MementoStore): MementoError {
  return new MementoError(
    "KEY_MISSING",
    `There is no store at ${url} yet, and no key was named to seal a new one with`,
    {
      details: { url },
      hint: "Name a key by MEMENTO_KEY_FILE, MEMENTO_PASSPHRASE or `keys` (docs/keys.md); `keys: false` makes a store that is not sealed.",
    },
  );
}
