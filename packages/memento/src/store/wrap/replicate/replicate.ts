import { isMementoError, MementoError } from "../../../core/errors.ts";
import { firstError } from "../../../core/first-error.ts";
import { systemClock, type Clock } from "../../../core/ports.ts";
import type { TimelineState } from "../../../core/timeline.ts";
import type { LeaseChange, MementoStore, PackReplacement, StoredMemento } from "../../store.ts";
import { interceptStore, type StoreCall, type StoreMethod } from "../intercept.ts";
import type { ReplicaAuthority } from "./authority.ts";
import { Follower, type ReplicaComparison, type ReplicaLag } from "./follower.ts";
import { healFrom, problemOf, type HealReport } from "./heal.ts";
import { memoryReplicaState, type ReplicaState } from "./replica-state.ts";

/** One replica. */
export interface ReplicaPlace {
  readonly store: MementoStore;
  /** Where it is kept how far it has come; in this process by default, so that a new one compares it from the start. */
  readonly state?: ReplicaState;
}

/** A primary, its replicas, and how they are kept behind it. */
export interface ReplicateOptions {
  readonly primary: MementoStore;
  readonly replicas: readonly ReplicaPlace[];
  /** `synchronous`: a write is acknowledged once the replicas have it. `streamed`: they follow the primary's log. */
  readonly mode: "synchronous" | "streamed";
  readonly authority: ReplicaAuthority;
  /**
   * What a synchronous write does when a replica fails. `fail`, the default: it throws STORE_UNREACHABLE, though the primary
   * has it. `lag`: it is acknowledged, and the replica catches up once it can; `lag()` shows it.
   */
  readonly onReplicaFailure?: "fail" | "lag";
  /** How often the log is looked at for what other processes wrote, and a failing replica tried again; 250 ms by default. */
  readonly pollMs?: number;
  /** How often timelines, epochs and keys are looked through; 5000 ms by default. */
  readonly surveyMs?: number;
  /** Told of each damaged pack that a read met, mended or not. */
  readonly onHealed?: (report: HealReport) => void;
  /** Told when a replica begins to fail or was taken over. */
  readonly onProblem?: (problem: MementoError, replica: string) => void;
  readonly clock?: Clock;
}

/** A store that has replicas. */
export interface ReplicatedStore extends MementoStore {
  /** How far each replica is behind. */
  lag(): Promise<readonly ReplicaLag[]>;
  /** Resolves once each replica has all that the primary had when this was called; throws what keeps one from it. */
  catchUp(): Promise<void>;
  /** Looks at every memento on both sides, and copies what is another one. */
  compare(): Promise<readonly ReplicaComparison[]>;
  /** Looks at a memento's pack on the primary, and puts a replica's in its place if it is damaged; null when it is whole. */
  heal(id: string): Promise<HealReport | null>;
}

/** What of a replica a call may have changed: what the log says, one timeline, its epoch, packs that are there already, or the rest. */
type Touched = "log" | "timeline" | "epoch" | "packs" | "rest";

/** What each call that writes touches. What is not here changes nothing that a replica has. */
const TOUCHES: Partial<Record<StoreMethod, Touched>> = {
  create: "rest",
  createTimeline: "timeline",
  acquireLease: "epoch",
  rewrapKey: "rest",
  retireKey: "rest",
  dropKey: "rest",
  replacePack: "packs",
  reclaim: "packs",
  append: "log",
  remove: "log",
  note: "log",
  saveCaretaker: "log",
  removeCaretaker: "log",
};

/** Those keep or give up a lease, or change nothing that a replica has; they too are refused once it was taken over. */
const ALSO_WRITING: ReadonlySet<string> = new Set<StoreMethod>(["renewLease", "requestOf", "compact", "rebuildIndex"]);

/**
 * A store with replicas: every call goes to the primary, and what it changes is brought to the replicas, each of which is a
 * full store with the same id, keys, timelines, mementos and caretakers. A damaged pack that is read is put back from a
 * replica that has it whole. Takes all stores over: closing this one closes them. docs/wrappers.md says what is copied, and
 * what holds when a replica takes over.
 *
 * Throws what the primary throws; STORE_UNREACHABLE where a synchronous replica did not get what the primary has; FENCED
 * for every write once a replica was taken over.
 */
export function replicateStore(options: ReplicateOptions): ReplicatedStore {
  const replication = new Replication(options);
  const store = interceptStore(options.primary, async <T>(call: StoreCall, proceed: () => Promise<T>): Promise<T> => {
    if (call.method === "close") {
      await replication.close(proceed);
      return undefined as T;
    }
    if (call.method === "read") {
      const read = async (): Promise<StoredMemento | null> => (await proceed()) as StoredMemento | null;
      return (await replication.read(String(call.args[0]), read)) as T;
    }
    if (TOUCHES[call.method] === undefined && !ALSO_WRITING.has(call.method)) return await proceed();
    await replication.before();
    const answer = await proceed();
    await replication.after(call, answer);
    return answer;
  });
  return Object.assign(store, {
    lag: async () => await replication.lag(),
    catchUp: async () => await replication.catchUp(),
    compare: async () => await replication.compare(),
    heal: async (id: string) => await replication.heal(id),
  });
}

interface Member {
  readonly follower: Follower;
  /** Calls that it may have missed, and one more for all from before: what failed, and what was left to the next look through all. */
  misses: number;
  /** How many of them had been missed when all was looked through the last time. */
  madeUpFor: number;
  isBusy: boolean;
  /** What came up while it was busy. */
  next: "nothing" | "drain" | "survey";
  surveyedAt: number;
}

/** True while there is something that only a look through all can make up for. */
function hasMissed({ misses, madeUpFor }: Member): boolean {
  return madeUpFor < misses;
}

class Replication {
  readonly #options: ReplicateOptions;
  readonly #clock: Clock;
  readonly #members: readonly Member[];
  readonly #stopPolling: () => void;
  #checked: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: ReplicateOptions) {
    const { primary, replicas, authority, clock = systemClock, pollMs = 250 } = options;
    this.#options = options;
    this.#clock = clock;
    this.#members = replicas.map(({ store, state = memoryReplicaState() }) => ({
      follower: new Follower({ primary, replica: store, authority }, state, clock),
      misses: 1,
      madeUpFor: 0,
      isBusy: false,
      next: "nothing",
      surveyedAt: clock.monotonic(),
    }));
    this.#stopPolling = clock.every(pollMs, () => this.#poll());
  }

  /** Called before the primary is written: it must not be any more once a replica was taken over. */
  async before(): Promise<void> {
    const fenced = this.#members.find(({ follower }) => follower.problem?.code === "FENCED");
    if (fenced?.follower.problem) throw fenced.follower.problem;
    this.#checked ??= this.#firstLook();
    try {
      await this.#checked;
    } catch (error) {
      this.#checked = null;
      throw error;
    }
  }

  /** Called once the primary has done a call. */
  async after(call: StoreCall, answer: unknown): Promise<void> {
    const touched = TOUCHES[call.method];
    if (touched === undefined) return;
    const { mode, onReplicaFailure } = this.#options;
    const followed = this.#members.map(async (member) => {
      const { follower } = member;
      const missed = hasMissed(member);
      // A refusal changes nothing; but it may be of the caller's own first try, which a replica has missed.
      if (answer === false && !missed) return;
      if (touched === "packs") follower.owe(packsOf(call));
      // A failing one is tried again by and by, and then looked through: once more if that has begun already.
      if (missed && (mode === "streamed" ? follower.problem !== null : onReplicaFailure === "lag")) member.misses += 1;
      else if (mode === "streamed") {
        const isLogged = touched === "log" || touched === "packs";
        this.#kick(member, isLogged && !missed ? "drain" : "survey");
      } else if (missed || touched === "rest") await this.#attempt(member, async () => await this.#survey(member));
      else await this.#attempt(member, async () => await follow(follower, touched, call, answer));
    });
    const outcomes = await Promise.allSettled(followed);
    const failed = outcomes.filter((outcome) => outcome.status === "rejected");
    const first = failed.find(({ reason }) => isMementoError(reason, "FENCED")) ?? failed[0];
    if (first !== undefined) throw first.reason;
  }

  async read(id: string, proceed: () => Promise<StoredMemento | null>): Promise<StoredMemento | null> {
    const { stored, problem, error } = await this.#examine(id, proceed);
    if (problem === null) return stored;
    const report = await this.#heal(id, problem);
    if (report.from !== null) return await proceed();
    if (error !== null) throw error;
    // Whoever reads finds what is wrong with it, as without replicas.
    return stored;
  }

  async heal(id: string): Promise<HealReport | null> {
    const { problem } = await this.#examine(id, async () => await this.#options.primary.read(id));
    return problem === null ? null : await this.#heal(id, problem);
  }

  async lag(): Promise<readonly ReplicaLag[]> {
    return await Promise.all(
      this.#members.map(async (member) => {
        const { follower } = member;
        if (!follower.wasTried) await this.#quietly(member, async () => await follower.check());
        return await follower.lag();
      }),
    );
  }

  async catchUp(): Promise<void> {
    await firstError(async () => {
      for (const member of this.#members) await this.#survey(member);
    });
  }

  async compare(): Promise<readonly ReplicaComparison[]> {
    const compared: ReplicaComparison[] = [];
    for (const { follower } of this.#members) compared.push(await follower.compare());
    return compared;
  }

  /** A streamed replica gets what is left first, if it can be had. Then everything is closed, whatever fails. */
  async close(closePrimary: () => Promise<unknown>): Promise<void> {
    this.#closing ??= this.#close(closePrimary);
    await this.#closing;
  }

  async #close(closePrimary: () => Promise<unknown>): Promise<void> {
    this.#stopPolling();
    for (const member of this.#members) {
      if (this.#options.mode === "streamed") await this.#quietly(member, async () => await this.#survey(member));
      await member.follower.idle();
    }
    const closings = [
      closePrimary(),
      ...this.#members.map(async ({ follower }) => await follower.pair.replica.close()),
    ];
    const outcomes = await Promise.allSettled(closings);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  /** A synchronous replica is brought up to date before the first write; of a streamed one it is only asked whether it still is one. */
  async #firstLook(): Promise<void> {
    for (const member of this.#members) {
      if (this.#options.mode === "streamed") {
        await this.#quietly(member, async () => await member.follower.check());
        this.#kick(member, "survey");
      } else await this.#attempt(member, async () => await this.#survey(member));
      if (member.follower.problem?.code === "FENCED") throw member.follower.problem;
    }
  }

  /** Does something for a member by the rules of `onReplicaFailure`. */
  async #attempt(member: Member, work: () => Promise<void>): Promise<void> {
    const hadProblem = member.follower.problem !== null;
    try {
      await work();
    } catch (error) {
      member.misses += 1;
      const problem = this.#tell(member, hadProblem, error);
      if (problem.code === "FENCED") throw problem;
      if (this.#options.onReplicaFailure === "lag") return;
      const { replica } = member.follower.pair;
      // A code that says "nothing was done" would be a lie: the primary has it.
      throw new MementoError(
        "STORE_UNREACHABLE",
        `The replica ${replica.url} does not have what the primary has: ${problem.message}`,
        {
          cause: problem,
          details: { replica: replica.url, code: problem.code },
        },
      );
    }
  }

  /** What fails is kept as the follower's problem, and shown by `lag()`. */
  async #quietly(member: Member, work: () => Promise<unknown>): Promise<void> {
    const hadProblem = member.follower.problem !== null;
    try {
      await work();
    } catch (error) {
      member.misses += 1;
      this.#tell(member, hadProblem, error);
    }
  }

  async #survey(member: Member): Promise<void> {
    const { misses } = member;
    await member.follower.survey();
    member.madeUpFor = Math.max(member.madeUpFor, misses);
    member.surveyedAt = this.#clock.monotonic();
  }

  #poll(): void {
    const { mode, surveyMs = 5_000 } = this.#options;
    for (const member of this.#members) {
      const isDue = hasMissed(member) || this.#clock.monotonic() - member.surveyedAt >= surveyMs;
      if (mode === "streamed" || hasMissed(member)) this.#kick(member, isDue ? "survey" : "drain");
    }
  }

  /** Brings a member up to date in the background. What is asked for meanwhile is done once, after that. */
  #kick(member: Member, what: "drain" | "survey"): void {
    if (this.#closing !== null || member.follower.problem?.code === "FENCED") return;
    if (member.next !== "survey") member.next = what;
    if (member.isBusy) return;
    member.isBusy = true;
    const work = async (): Promise<void> => {
      while (member.next !== "nothing" && this.#closing === null) {
        const now = member.next;
        member.next = "nothing";
        await this.#quietly(member, async () => {
          await (now === "survey" ? this.#survey(member) : member.follower.drained());
        });
        if (member.follower.problem !== null) break;
      }
      member.next = "nothing";
      member.isBusy = false;
    };
    void work();
  }

  #tell(member: Member, hadProblem: boolean, error: unknown): MementoError {
    const { follower } = member;
    if (!isMementoError(error)) throw error;
    if (!hadProblem || error.code === "FENCED") this.#options.onProblem?.(error, follower.pair.replica.url);
    return error;
  }

  async #examine(
    id: string,
    proceed: () => Promise<StoredMemento | null>,
  ): Promise<{
    readonly stored: StoredMemento | null;
    readonly problem: string | null;
    readonly error: MementoError | null;
  }> {
    try {
      const stored = await proceed();
      const problem = stored === null ? null : await problemOf(id, stored, this.#options.authority);
      return { stored, problem, error: null };
    } catch (error) {
      if (!isMementoError(error, "DAMAGED") && !isMementoError(error, "FORMAT_UNKNOWN")) throw error;
      return { stored: null, problem: error.message, error };
    }
  }

  async #heal(id: string, problem: string): Promise<HealReport> {
    const { primary, replicas, authority, onHealed } = this.#options;
    const stores = replicas.map(({ store }) => store);
    const report = await healFrom(id, problem, primary, stores, authority);
    onHealed?.(report);
    return report;
  }
}

function packsOf({ method, args: [first] }: StoreCall): readonly string[] {
  return method === "replacePack" ? (first as PackReplacement).ids : (first as readonly string[]);
}

async function follow(
  follower: Follower,
  touched: Exclude<Touched, "rest">,
  call: StoreCall,
  answer: unknown,
): Promise<void> {
  if (touched === "timeline") await follower.timeline((answer as TimelineState).record.key);
  else if (touched === "epoch") await follower.epoch((call.args[0] as LeaseChange).timeline);
  else await follower.drained();
}
