import type { RepairItem, RepairPlan, RepairResult } from "@mementojs/memento";

import type { Style } from "../terminal/style.ts";
import { counted } from "../terminal/words.ts";

/** What a repair is shown with. */
export interface RepairTextOptions {
  readonly style: Style;
  readonly url: string;
  /** The command line that applies the plan, without its hash. */
  readonly apply: string;
  /** The command line that copies what can still be read. */
  readonly takeOut: string;
}

/** A plan for people: what each item would do, and how to apply it. */
export function repairPlanText(plan: RepairPlan, { style, url, apply, takeOut }: RepairTextOptions): string {
  const { sound, items, before, hash } = plan;
  if (sound)
    return `${style.green("Sound:")} every byte of ${url} was read (${counted(before.mementos, "memento")}); there is nothing to repair.`;
  const head = `${style.red("Damaged:")} ${url}, ${counted(before.damages.length, "damage")} found; ${counted(before.mementos, "memento")} whole.`;
  const helpless = items.every(({ action }) => action === "none");
  const end = helpless
    ? [`${style.red("Nothing here can be repaired.")} What can still be read is taken out by ${style.bold(takeOut)}`]
    : [`To repair it: ${style.bold(`${apply} --apply --plan ${hash}`)}`];
  return [head, ...items.map((item) => itemText(item, helpless, style)), ...end].join("\n\n");
}

const ACTIONS: Readonly<Record<RepairItem["action"], string>> = {
  "rebuild-index": "make the index anew from the commits",
  restore: "take the pack from a replica",
  quarantine: "set aside what is lost, and mark it as removed",
  "go-on": "let the timeline go on",
  accept: "make the check anew",
  none: "nothing can be done",
};

function itemText(
  { name, action, problem, mementos, from, refused, nearestGood, needsConsent }: RepairItem,
  helpless: boolean,
  style: Style,
): string {
  // It may follow from what the other items mend.
  const own = action === "none" && !helpless ? "nothing of its own; looked at again after the others" : ACTIONS[action];
  const what = from === null ? own : `take the pack from ${from}`;
  const colour = action === "quarantine" || action === "none" ? style.yellow : style.green;
  const consent = needsConsent ? [`  only with ${style.bold(`--accept ${name}`)}`] : [];
  const given = action === "quarantine" ? mementos.map((id) => `  given up: ${id}${nearestText(nearestGood[id])}`) : [];
  const asked = refused.map(({ from: place, why }) => style.dim(`  ${place}: ${why}`));
  return [`${style.bold(name)}  ${colour(what)}`, `  ${problem}`, ...consent, ...given, ...asked].join("\n");
}

function nearestText(good: string | null | undefined): string {
  return good === null || good === undefined ? "; no good memento is left on its timeline" : `; nearest good: ${good}`;
}

/** What a repair came to, for people. */
export function repairResultText(
  { done, left, quarantined, after }: RepairResult,
  { style, url, takeOut }: Omit<RepairTextOptions, "apply">,
  aside: string | null,
): string {
  const head = after.sound
    ? `${style.green("Sound:")} ${url} was repaired and verified (${counted(after.mementos, "memento")}).`
    : `${style.red("Still damaged:")} ${url}, ${counted(after.damages.length, "damage")} left.`;
  const kept = aside === null || quarantined.length === 0 ? [] : [`Damaged bytes were set aside in ${aside}`];
  return [
    head,
    ...done.map((name) => `  done: ${name}`),
    ...left.map(({ name, why }) => style.yellow(`  left: ${name}: ${why}`)),
    ...quarantined.map((id) => style.yellow(`  given up: ${id}`)),
    ...kept,
    ...(after.sound ? [] : [`What can still be read is taken out by ${style.bold(takeOut)}`]),
  ].join("\n");
}
