import { Calendar } from "./calendar.ts";
import { momentBefore } from "./duration.ts";
import { CALENDAR_RULES, type CaretakerPolicy } from "./policy.ts";

/** What retention needs to know of a live memento. */
export interface RetentionEntry {
  readonly id: string;
  readonly timeline: string;
  readonly sequence: number;
  /** Its place in the order of the store's log: orders mementos of several timelines. */
  readonly position: number;
  /** ISO 8601. Says only in which hour, day or year it was saved, and how old it is; never the order. */
  readonly created: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Encoded bytes that it holds. */
  readonly heldBytes: number;
}

/** What becomes of a caretaker's live mementos. */
export interface RetentionChoice {
  /** Those that stay, each with every reason. */
  readonly keep: ReadonlyMap<string, readonly string[]>;
  /** Those that go, each with the rule by which it goes. */
  readonly remove: ReadonlyMap<string, string>;
}

/**
 * Decides which mementos a policy removes. Pure: the same set in any order gives the same choice, and what stays is
 * chosen again by a second call. `protectedIds` (heads, pins, and what a restore needs, each with its reason) and mementos with a protected
 * label are never removed, nor are the `last` ones. A timeline is ordered by sequence numbers, several by the log:
 * a wrong clock may put a memento into another hour or day, and never in front of another one.
 */
export function selectForRemoval(
  entries: readonly RetentionEntry[],
  policy: CaretakerPolicy,
  nowMs: number,
  protectedIds: ReadonlyMap<string, string>,
): RetentionChoice {
  const keep = new Map<string, string[]>();
  const remove = new Map<string, string>();
  const groups = Map.groupBy(entries, ({ timeline }) => (policy.over === "caretaker" ? "" : timeline));
  for (const group of groups.values()) {
    const newestFirst = group.toSorted(policy.over === "caretaker" ? byPosition : bySequence);
    new GroupChoice(newestFirst, policy, nowMs, protectedIds).decide(keep, remove);
  }
  return { keep, remove };
}

const bySequence = (a: RetentionEntry, b: RetentionEntry): number => b.sequence - a.sequence;
const byPosition = (a: RetentionEntry, b: RetentionEntry): number => b.position - a.position;

class GroupChoice {
  readonly #entries: readonly RetentionEntry[];
  readonly #policy: CaretakerPolicy;
  readonly #nowMs: number;
  /** Reasons that nothing overrules: protection, and being one of the last. */
  readonly #firm = new Map<string, string[]>();
  /** Reasons by the calendar; ages past `ttl` and limits overrule them. */
  readonly #soft = new Map<string, string[]>();

  constructor(
    newestFirst: readonly RetentionEntry[],
    policy: CaretakerPolicy,
    nowMs: number,
    protectedIds: ReadonlyMap<string, string>,
  ) {
    this.#entries = newestFirst;
    this.#policy = policy;
    this.#nowMs = nowMs;
    for (const { id, labels } of newestFirst) {
      const why = protectedIds.get(id);
      if (why !== undefined) note(this.#firm, id, why);
      const label = policy.keepLabels?.find((wanted) => hasLabel(labels, wanted));
      if (label !== undefined) note(this.#firm, id, `label ${label}`);
    }
    for (const [index, { id }] of newestFirst.slice(0, policy.keep?.last ?? 0).entries()) {
      note(this.#firm, id, index === 0 ? "the last one" : `one of the last ${policy.keep?.last}`);
    }
    this.#byCalendar();
    this.#within();
  }

  /** Adds this group's part of the choice. */
  decide(keep: Map<string, readonly string[]>, remove: Map<string, string>): void {
    const stays = this.#entries.filter((entry) => {
      const why = this.#goesByAge(entry);
      if (why !== null) remove.set(entry.id, why);
      return why === null;
    });
    for (const [id, why] of this.#overLimits(stays)) remove.set(id, why);
    for (const { id } of stays) {
      if (remove.has(id)) continue;
      const reasons = [...(this.#firm.get(id) ?? []), ...(this.#soft.get(id) ?? [])];
      keep.set(id, reasons.length > 0 ? reasons : [this.#hasRules ? "not yet old enough" : "no rule removes it"]);
    }
  }

  get #hasRules(): boolean {
    const { keep, olderThan, ttl } = this.#policy;
    return keep !== undefined || olderThan !== undefined || ttl !== undefined;
  }

  #goesByAge({ id, created }: RetentionEntry): string | null {
    if (this.#firm.has(id)) return null;
    const { keep, olderThan, ttl } = this.#policy;
    const older = (span: string): boolean => Date.parse(created) < momentBefore(this.#nowMs, span, "the policy");
    if (ttl !== undefined && older(ttl)) return `older than its time to live, ${ttl}`;
    if (this.#soft.has(id) || (keep === undefined && olderThan === undefined)) return null;
    if (olderThan === undefined) return "no rule keeps it";
    return older(olderThan) ? `older than ${olderThan}` : null;
  }

  /** Takes the oldest away until both limits hold, or only firm ones are left. */
  #overLimits(newestFirst: readonly RetentionEntry[]): ReadonlyMap<string, string> {
    const { maxCount = Infinity, maxBytes = Infinity } = this.#policy;
    const over = new Map<string, string>();
    let count = newestFirst.length;
    let bytes = newestFirst.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
    for (const { id, heldBytes } of newestFirst.toReversed()) {
      if (count <= maxCount && bytes <= maxBytes) break;
      if (this.#firm.has(id)) continue;
      over.set(id, count > maxCount ? `more than ${maxCount} mementos` : `more than ${maxBytes} bytes`);
      count -= 1;
      bytes -= heldBytes;
    }
    return over;
  }

  #byCalendar(): void {
    const { keep, timeZone = "UTC" } = this.#policy;
    const calendar = new Calendar(timeZone);
    for (const rule of CALENDAR_RULES) {
      const count = keep?.[rule] ?? 0;
      if (count === 0) continue;
      const buckets = new Set<string>();
      for (const { id, created } of this.#entries) {
        if (buckets.size === count) break;
        const bucket = calendar.bucket(rule, Date.parse(created));
        if (buckets.has(bucket)) continue;
        buckets.add(bucket);
        note(this.#soft, id, rule);
      }
      // As long as there are not as many buckets as wanted, the oldest one bounds what can be gone back to.
      const oldest = this.#entries.at(-1);
      if (buckets.size < count && oldest !== undefined) note(this.#soft, oldest.id, `oldest ${rule}`);
    }
  }

  #within(): void {
    const within = this.#policy.keep?.within;
    const [newest] = this.#entries;
    if (within === undefined || newest === undefined) return;
    // A newest one from the future must not make all others look old.
    const fromMs = momentBefore(Math.min(Date.parse(newest.created), this.#nowMs), within, "the policy");
    for (const { id, created } of this.#entries) {
      if (Date.parse(created) >= fromMs) note(this.#soft, id, `within ${within}`);
    }
  }
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const split = wanted.indexOf("=");
  const key = split < 0 ? wanted : wanted.slice(0, split);
  return Object.hasOwn(labels, key) && (split < 0 || labels[key] === wanted.slice(split + 1));
}

function note(reasons: Map<string, string[]>, id: string, why: string): void {
  const known = reasons.get(id);
  if (known === undefined) reasons.set(id, [why]);
  else if (!known.includes(why)) known.push(why);
}
