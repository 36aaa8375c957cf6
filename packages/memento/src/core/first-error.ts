/**
 * Runs work whose resources are disposed of on the way out, and throws what went wrong first: when the disposal fails too
 * (a full disk refuses the release of a lease as well), it is the first error that says what to do.
 */
export async function firstError<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw unsuppressed(error);
  }
}

/** The error behind those that its own disposal raised. */
export function unsuppressed(error: unknown): unknown {
  let first = error;
  while (first instanceof SuppressedError) first = first.suppressed;
  return first;
}
