import { MementoError } from "../../core/errors.ts";

/** CREDENTIAL_UNAVAILABLE for the credential `name`. `reason` is for people, and never has anything that the provider answered. */
export function unavailable(name: string, reason: string, hint?: string): MementoError {
  return new MementoError("CREDENTIAL_UNAVAILABLE", `The credential ${name} ${reason}`, {
    ...(hint === undefined ? {} : { hint }),
    details: { credential: name },
  });
}
