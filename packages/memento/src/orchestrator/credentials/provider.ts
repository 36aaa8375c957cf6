import type { Clock } from "../../core/ports.ts";

/** A short-lived secret. Lives in memory only: it is never serialised, printed or logged. */
export interface Credential {
  /** The secret itself. */
  readonly value: string;
  readonly scope: string;
  /** Milliseconds since 1970; null when it does not expire. */
  readonly expiresAt: number | null;
}

/** What a memento keeps of a credential: enough to acquire it anew, never the secret. */
export interface CredentialReference {
  readonly provider: string;
  readonly scope: string;
  /** ISO 8601, UTC; null when it does not expire. */
  readonly expires: string | null;
}

/** What a provider is told. */
export interface AcquireContext {
  /** The credential's name in its pipeline. */
  readonly name: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Where a credential comes from. Throws CREDENTIAL_UNAVAILABLE, naming what is missing and never the value, when it cannot be had. */
export interface CredentialProvider {
  /** For example `environment`. */
  readonly kind: string;
  readonly scope: string;
  acquire(context: AcquireContext): Promise<Credential>;
}
