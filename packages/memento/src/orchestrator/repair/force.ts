import { MementoError } from "../../core/errors.ts";
import type { PlanPoint, RestorePlan } from "./plan.ts";

type PlannedItems = Pick<RestorePlan<PlanPoint | null>, "sources" | "sinks" | "participants" | "undo">;

/** An item as people name it: `sink:orders`, or `orders` where no other item has that name. */
interface NamedItem {
  readonly kind: string;
  readonly name: string;
}

/** What an item is called in full. */
export const fullName = ({ kind, name }: NamedItem): string => `${kind}:${name}`;

/** The items of which a text may be the name: one by its full name, or all that have the plain one. */
export function itemsNamed<Item extends NamedItem>(items: readonly Item[], text: string): readonly Item[] {
  const byFullName = items.filter((item) => fullName(item) === text);
  return byFullName.length > 0 ? byFullName : items.filter(({ name }) => name === text);
}

/** The shortest name that means an item and no other. */
export function shortestName(items: readonly NamedItem[], item: NamedItem): string {
  return itemsNamed(items, item.name).every((other) => fullName(other) === fullName(item)) ? item.name : fullName(item);
}

/**
 * The forced items of some plans by their full names: `sink:orders`, or `orders` where no other item has that name.
 * INVALID_ARGUMENT for a name that none of them has, or several.
 */
export function forcedItems(plans: readonly PlannedItems[], force: readonly string[] = []): readonly string[] {
  const items = plans.flatMap((plan) => refusableItems(plan));
  const strange = force.filter((text) => itemsNamed(items, text).length === 0);
  if (strange.length > 0)
    throw new MementoError(
      "INVALID_ARGUMENT",
      `The plan has no item ${strange.join(", ")}; it has ${listOf(items.map((item) => shortestName(items, item)))}`,
    );
  return force.map((text) => theOneNamed(items, text));
}

/** The forced items among those that take part, by their full names; other names are left to the plan that is judged next. INVALID_ARGUMENT for a name that several have. */
export function forcedAmong(items: readonly NamedItem[], force: readonly string[]): readonly string[] {
  return force.filter((text) => itemsNamed(items, text).length > 0).map((text) => theOneNamed(items, text));
}

function theOneNamed(items: readonly NamedItem[], text: string): string {
  const [name = text, ...others] = new Set(itemsNamed(items, text).map((item) => fullName(item)));
  if (others.length === 0) return name;
  throw new MementoError(
    "INVALID_ARGUMENT",
    `${JSON.stringify(text)} may be any of ${[name, ...others].join(", ")}: give the one that is to be forced`,
  );
}

/** Throws NOT_REVERTIBLE, naming each item that cannot go there and is not forced by its full name. */
export function demandRevertible(plan: RestorePlan<PlanPoint | null>, forced: readonly string[]): void {
  const items = refusableItems(plan);
  const refused = plan.refused.filter((text) =>
    itemsNamed(items, text).some((item) => !forced.includes(fullName(item))),
  );
  if (refused.length === 0) return;
  const reasons = refused.map((text) => {
    const why = itemsNamed(items, text).map(({ reason }) => reason);
    return `${text} (${why.find((reason) => !UNREFUSED.has(reason)) ?? "refused"})`;
  });
  throw new MementoError("NOT_REVERTIBLE", `These items cannot be reverted: ${reasons.join(", ")}`, {
    details: { items: refused },
  });
}

/** What of a plan can refuse it. */
export function refusableItems(plan: PlannedItems): readonly (NamedItem & { readonly reason: string })[] {
  return [
    ...plan.sources.map(({ name, problem }) => ({ kind: "source", name, reason: problem })),
    ...plan.sinks.map(({ name, verdict }) => ({ kind: "sink", name, reason: verdict })),
    ...plan.participants.map(({ kind, name, problem }) => ({ kind, name, reason: problem })),
    ...plan.undo.map(({ name, problem }) => ({ kind: "stage", name, reason: problem })),
  ];
}

const UNREFUSED: ReadonlySet<string> = new Set(["", "revert", "unchanged", "compensate"]);

const listOf = (names: readonly string[]): string => [...new Set(names)].join(", ");
