import { isMementoError, MementoError } from "../core/errors.ts";

/** Each begins with the index as it is by then; more of them are those of a store in which collections follow on one another. */
const ATTEMPTS_MAX = 8;

/** Something was removed, and collected, since the index was read: another round of the index would leave it out. */
export function removedMeanwhile(id: string, what: "copied" | "exported", hint: string): MementoError {
  return new MementoError("CONFLICT", `Memento ${id} was removed while it was ${what}`, {
    hint,
    details: { id, removedMeanwhile: true },
  });
}

/** Does the work again where something was removed beneath it: nobody who copies a store can keep others from collecting in it. */
export async function evenIfRemoved<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isPassing = isMementoError(error, "CONFLICT") && error.details["removedMeanwhile"] === true;
      if (!isPassing || attempt >= ATTEMPTS_MAX) throw error;
    }
  }
}
