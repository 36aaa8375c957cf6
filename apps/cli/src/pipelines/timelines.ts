import { MementoError, type Memento } from "@mementojs/memento";
import { describeAddress, type TimelineHead, type TimelineRecord, type TimelineState } from "@mementojs/memento/core";

/** A timeline that holds at least one memento. */
export interface LivingTimeline extends TimelineState {
  readonly head: TimelineHead;
}

/** The caretaker whose name goes without saying. */
const PIPELINES = "pipelines";

/** What a timeline is called on the command line: `pipeline@partition#fork`, with its caretaker only where that is another. */
export function timelineName(record: TimelineRecord): string {
  const full = describeAddress(record);
  return record.caretaker === PIPELINES ? full.slice(PIPELINES.length + 1) : full;
}

/** Every timeline that holds mementos, in the order of their making. */
export async function livingTimelines(memento: Memento): Promise<readonly LivingTimeline[]> {
  const found: LivingTimeline[] = [];
  for await (const state of memento.timelines()) if (state.head !== null) found.push({ ...state, head: state.head });
  return found;
}

/** The names of all timelines that hold mementos, by their keys. */
export async function timelineNames(memento: Memento): Promise<ReadonlyMap<string, string>> {
  return new Map((await livingTimelines(memento)).map(({ record }) => [record.key, timelineName(record)]));
}

/** What tells which timeline is meant. */
export interface TimelineHints {
  /** `--timeline`: a key, a name, or the beginning of a key. */
  readonly named?: string | undefined;
  /** A target that may begin with a timeline's key. */
  readonly target?: string | undefined;
  /** True: only timelines of pipelines. */
  readonly pipelines?: boolean;
  /** Only timelines of these pipelines. */
  readonly originators?: readonly string[] | undefined;
}

/** The timeline that is meant: the named one, the one that the target is on, or the only one. INVALID_ARGUMENT lists them where several fit, NOT_FOUND where none does. */
export async function chooseTimeline(memento: Memento, hints: TimelineHints): Promise<LivingTimeline> {
  const all = (await livingTimelines(memento)).filter(({ record }) => fits(record, hints));
  const { named, target } = hints;
  const narrowed = named === undefined ? (target === undefined ? all : onTarget(all, target)) : byName(all, named);
  const [only] = narrowed;
  if (only !== undefined && narrowed.length === 1) return only;
  if (only === undefined) {
    const elsewhere = await chosenOfAll(memento, hints);
    if (elsewhere !== undefined) throw noPipeline(elsewhere);
    throw nothingFits(all, named);
  }
  const list = narrowed.map(({ record }) => `${timelineName(record)} (${record.key})`).join(", ");
  throw new MementoError("INVALID_ARGUMENT", `The store holds ${narrowed.length} timelines: ${list}`, {
    hint: "Say which one by --timeline NAME.",
    details: { timelines: narrowed.map(({ record }) => record.key) },
  });
}

function fits(record: TimelineRecord, { pipelines = false, originators }: TimelineHints): boolean {
  if (pipelines && record.kind !== "pipeline") return false;
  return originators === undefined || originators.includes(record.originator);
}

/** The timeline that is named where one of any kind may be. */
async function chosenOfAll(memento: Memento, { named, target }: TimelineHints): Promise<LivingTimeline | undefined> {
  if (named === undefined && target === undefined) return undefined;
  const all = await livingTimelines(memento);
  const found = named === undefined ? onTarget(all, target ?? "") : byName(all, named);
  return found.length === 1 ? found[0] : undefined;
}

function noPipeline({ record }: LivingTimeline): MementoError {
  return new MementoError("INVALID_ARGUMENT", `${timelineName(record)} is no timeline of a pipeline`, {
    hint: "Only what a pipeline has saved can be rolled back or forked; `memento get` takes out what was put there.",
  });
}

function byName(all: readonly LivingTimeline[], named: string): readonly LivingTimeline[] {
  const exact = all.filter(({ record }) => [record.key, timelineName(record), describeAddress(record)].includes(named));
  return exact.length > 0 ? exact : all.filter(({ record }) => named.length >= 4 && record.key.startsWith(named));
}

/** A memento's id begins with its timeline's key; where the target says nothing of a timeline, all remain. */
function onTarget(all: readonly LivingTimeline[], target: string): readonly LivingTimeline[] {
  const named = all.filter(
    ({ record }) => target.startsWith(`${record.key}-`) || (target.length >= 6 && record.key.startsWith(target)),
  );
  return named.length > 0 ? named : all;
}

function nothingFits(all: readonly LivingTimeline[], named: string | undefined): MementoError {
  if (all.length === 0) {
    return new MementoError("NOT_FOUND", "The store holds no run of a pipeline yet", {
      hint: "Start one by `memento run FILE`.",
    });
  }
  const hint = `There are ${all.map(({ record }) => timelineName(record)).join(", ")}.`;
  return new MementoError("NOT_FOUND", `There is no timeline ${named ?? ""}`, { hint });
}
