import { isMementoError } from "./core/errors.ts";
import { shownUrl } from "./core/shown-url.ts";
import { Memento, type MementoOptions } from "./memento.ts";
import { openStore } from "./store/open-store.ts";
import type { MementoStore } from "./store/store.ts";
import type { ReplicaPlace, ReplicatedStore, ReplicateOptions } from "./store/wrap/index.ts";

/** A replica by its URL, or a store of one's own; and the file that keeps how far it has come, where there is one. */
export interface ReplicaSource {
  readonly store: string | MementoStore;
  readonly progressFile?: string;
}

/** How to open a store that has replicas. */
export interface OpenReplicatedOptions
  extends MementoOptions, Omit<ReplicateOptions, "primary" | "replicas" | "authority" | "clock"> {
  readonly replicas: readonly ReplicaSource[];
}

/** A store of mementos with replicas, open: close the memento, and all of it is closed. */
export interface ReplicatedMemento {
  readonly memento: Memento;
  /** Tells the lag, catches up, compares, heals. */
  readonly store: ReplicatedStore;
}

/**
 * Opens a store together with its replicas, by one set of keys; makes what is not there yet. A replica that cannot be reached just
 * now is opened once it can be, and lags until then. docs/wrappers.md says what is copied and what holds when a replica takes over.
 * What `Memento.open` and `replicateStore` raise.
 */
export async function openReplicated(
  primary: string | MementoStore,
  options: OpenReplicatedOptions,
): Promise<ReplicatedMemento> {
  const { fileReplicaState, replicateStore } = await import("./store/wrap/index.ts");
  const { replicaAuthority } = await import("./vault/replica-authority.ts");
  const { replicas, mode, onReplicaFailure, pollMs, surveyMs, onHealed, onProblem, ...own } = options;
  await using opened = new AsyncDisposableStack();
  const keeper = opened.use(await Memento.open(primary, own));
  const places: ReplicaPlace[] = [];
  for (const { store, progressFile } of replicas) {
    const bare = opened.use(typeof store === "string" ? await replicaAt(store) : store);
    places.push({ store: bare, ...(progressFile === undefined ? {} : { state: fileReplicaState(progressFile) }) });
  }
  const store = replicateStore({
    primary: keeper.vault.store,
    replicas: places,
    mode,
    authority: replicaAuthority(keeper.vault),
    ...(onReplicaFailure === undefined ? {} : { onReplicaFailure }),
    ...(pollMs === undefined ? {} : { pollMs }),
    ...(surveyMs === undefined ? {} : { surveyMs }),
    ...(onHealed === undefined ? {} : { onHealed }),
    ...(onProblem === undefined ? {} : { onProblem }),
    ...(own.clock === undefined ? {} : { clock: own.clock }),
  });
  const memento = await Memento.open(store, { ...own, keys: keeper.vault.ring ?? false });
  // From here on closing the memento closes the replicated store, and that one all the others.
  opened.move();
  return { memento, store };
}

/** A replica by its URL; one that cannot be opened now, and may be later, is opened by the first call that finds it. */
async function replicaAt(url: string): Promise<MementoStore> {
  const open = async (): Promise<MementoStore> => (await openStore(url)).store;
  try {
    return await open();
  } catch (error) {
    if (!isMementoError(error) || !error.retryable) throw error;
    const { lateStore } = await import("./store/wrap/replicate/late-store.ts");
    return lateStore(shownUrl(url), open);
  }
}
