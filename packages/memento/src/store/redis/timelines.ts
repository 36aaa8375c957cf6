import { MementoError } from "../../core/errors.ts";
import type { Lease, TimelineAddress, TimelineRecord, TimelineRequest, TimelineState } from "../../core/timeline.ts";
import type { LeaseChange } from "../store.ts";
import type { Answer, StoreCalls } from "./calls.ts";
import { damaged } from "./failure.ts";
import { addressText } from "./keys.ts";
import { FIND_TIMELINE, LEASE, MAKE_TIMELINE, REQUEST, TIMELINE, TIMELINE_PAGE } from "./lua/records.ts";
import { fieldsOf, leaseFields, ownerField, timelineFields, timelineOf } from "./rows.ts";

const TIMELINES_AT_ONCE = 200;

/** Makes a timeline, or gives the one that has this address already. */
export async function createTimeline(calls: StoreCalls, record: TimelineRecord, lease: Lease): Promise<TimelineState> {
  const { keys } = calls;
  const answer = await calls.write(
    MAKE_TIMELINE,
    [keys.addresses, keys.order, keys.timeline(record.key)],
    [addressText(record), record.key, ...timelineFields(record), ...leaseFields(lease)],
  );
  if (answer.outcome === "key") throw new MementoError("INVALID_ARGUMENT", `The timeline key ${record.key} is taken`);
  const state = stateOf(answer);
  if (state === null) throw damaged("A timeline is missing, and an address leads to it");
  return state;
}

/** A timeline as it stands. */
export async function readTimeline(calls: StoreCalls, key: string): Promise<TimelineState | null> {
  return stateOf(await calls.read(TIMELINE, [calls.keys.timeline(key)], []));
}

/** The timeline of an address. DAMAGED when the address leads to none. */
export async function findTimeline(calls: StoreCalls, address: TimelineAddress): Promise<TimelineState | null> {
  const answer = await calls.read(FIND_TIMELINE, [calls.keys.addresses], [addressText(address)]);
  if (answer.outcome === "gone")
    throw damaged(`Timeline ${String(answer.rest[0])} is missing, and an address leads to it`);
  return stateOf(answer);
}

/** All timelines, of one caretaker where given. DAMAGED for one that is missing. */
export async function* listTimelines(calls: StoreCalls, caretaker: string | null): AsyncIterable<TimelineState> {
  for await (const { key, state } of pageTimelines(calls)) {
    if (state === null) throw damaged(`Timeline ${key} is missing`);
    if (caretaker === null || state.record.caretaker === caretaker) yield state;
  }
}

/** All timelines in the order of their making; null for one that is missing. */
export async function* pageTimelines(
  calls: StoreCalls,
): AsyncIterable<{ readonly key: string; readonly state: TimelineState | null }> {
  for (let behind = 0; ; behind += TIMELINES_AT_ONCE) {
    const { rest } = await calls.read(TIMELINE_PAGE, [calls.keys.order], [String(behind), String(TIMELINES_AT_ONCE)]);
    for (let at = 0; at < rest.length; at += 2) {
      const fields = rest[at + 1] as unknown[];
      yield { key: String(rest[at]), state: fields.length === 0 ? null : timelineOf(fieldsOf(fields)) };
    }
    if (rest.length < 2 * TIMELINES_AT_ONCE) return;
  }
}

/** Changes a lease that has this epoch and, where one is named, this owner; null, and no change, where it has not. */
export async function changeLease(
  calls: StoreCalls,
  { timeline, lease }: LeaseChange,
  expected: { readonly epoch: number; readonly owner: string | null; readonly clearsRequest: boolean },
): Promise<TimelineState | null> {
  const { epoch, owner, clearsRequest } = expected;
  return stateOf(
    await calls.write(
      LEASE,
      [calls.keys.timeline(timeline)],
      [String(epoch), owner === null ? "" : ownerField(owner), clearsRequest ? "1" : "0", ...leaseFields(lease)],
    ),
  );
}

/** Leaves a request, or takes it back. NOT_FOUND for an unknown timeline. */
export async function leaveRequest(
  calls: StoreCalls,
  timeline: string,
  request: TimelineRequest | null,
): Promise<void> {
  const { rest } = await calls.write(REQUEST, [calls.keys.timeline(timeline)], [request ?? ""]);
  if (rest[0] !== 1) throw new MementoError("NOT_FOUND", `There is no timeline ${timeline}`);
}

function stateOf({ rest }: Answer): TimelineState | null {
  const fields = rest[0];
  return Array.isArray(fields) && fields.length > 0 ? timelineOf(fieldsOf(fields)) : null;
}
