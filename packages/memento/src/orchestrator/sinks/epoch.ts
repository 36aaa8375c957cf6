import { MementoError } from "../../core/errors.ts";

/** INVALID_ARGUMENT for an epoch that no lease can have. */
export function checkEpoch(epoch: number): void {
  if (Number.isSafeInteger(epoch) && epoch >= 0) return;
  throw new MementoError("INVALID_ARGUMENT", `The epoch ${epoch} is not a whole number from 0 on`);
}
