import type { Sink, SinkMark } from "../../orchestrator/sinks/sink.ts";
import { type KitRow, row } from "./kit.ts";

const ROWS = 1_500;

/** What action `index` of a churn does: every third goes back to where the one before the last had left. */
function actionOf(index: number): { readonly backTo: number } | { readonly rows: readonly KitRow[] } {
  if (index % 3 === 2) return { backTo: index - 2 };
  return { rows: Array.from({ length: ROWS }, (_, place) => row(`${index}:${place}`, place)) };
}

/** The ids that are there after each of the first `count` actions. */
export function churnStates(count: number): string[][] {
  const states: string[][] = [];
  for (let index = 0; index < count; index++) {
    const action = actionOf(index);
    const before = states[index - 1] ?? [];
    states.push("backTo" in action ? (states[action.backTo] ?? []) : [...before, ...action.rows.map(({ id }) => id)]);
  }
  return states;
}

/** Does one action after the other, for ever, from the first whose mark is not known. */
export async function churn(
  sink: Sink<KitRow>,
  epoch: number,
  known: readonly SinkMark[],
  tell: (news: unknown) => void,
): Promise<never> {
  const marks = [...known];
  for (;;) {
    const index = marks.length;
    const action = actionOf(index);
    const write = { epoch, token: `churn:${index}` };
    const { mark } =
      "backTo" in action
        ? await sink.revertTo(marks[action.backTo] ?? null, write, { force: false })
        : await sink.write(action.rows, write);
    marks.push(mark);
    tell({ acted: index, mark });
  }
}
