/** A failure that the bench explains in one sentence instead of a stack; `exitCode` is what the process ends with. */
export class BenchError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.name = "BenchError";
    this.exitCode = exitCode;
  }
}

/** Names the peer in whatever went wrong with it, so that no peer is ever missing without a word. */
export function peerFailed(peer: string, doing: string, cause: unknown): BenchError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BenchError(`peer "${peer}" failed to ${doing}: ${reason}`, 1, { cause });
}
