import { PIECE } from "@mementojs/memento";

/** What stands under a prefix, in words. */
const UNDER: readonly (readonly [string, string])[] = [
  [PIECE.offsets, "offsets of source"],
  [PIECE.sink, "marks of sink"],
  [PIECE.state, "state"],
  [PIECE.output, "output of stage"],
  [PIECE.underWay, "progress of stage"],
  [PIECE.attempts, "failed attempts of stage"],
  [PIECE.sleep, "sleep of stage"],
  [PIECE.approval, "approval"],
  [PIECE.list, "list of stage"],
  [PIECE.item, "item of stage"],
];

const WHOLE: Readonly<Record<string, string>> = {
  [PIECE.run]: "the run's facts",
  [PIECE.schema]: "schema versions",
  [PIECE.credentials]: "credential references",
  [PIECE.progress]: "progress of the stage under way",
  [PIECE.restore]: "the rollback under way",
  "@fields": "description, error and provenance",
  keys: "the order of the state's keys",
  value: "the value",
};

/** A piece by what it is to a person: `output of stage load`; its key where that says nothing more. */
export function pieceName(key: string): string {
  const under = UNDER.find(([prefix]) => key.startsWith(prefix));
  if (under !== undefined) return `${under[1]} ${key.slice(under[0].length)}`;
  return Object.hasOwn(WHOLE, key) ? (WHOLE[key] ?? key) : key;
}
