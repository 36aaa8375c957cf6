import type { Clock } from "../../core/ports.ts";

/** A short-lived secret. Lives in memory only: it is never serialised, printed or logged. A run's credentials are renewed in place: read `value` where it is used. */
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
  /**
   * True: mementos keep the value too, encrypted under a key that only the store's own keys give, with its expiry. It is used where
   * the provider has none any more. A store that is not sealed refuses it with CAPABILITY_MISSING. Default false.
   */
  readonly seal?: boolean;
  acquire(context: AcquireContext): Promise<Credential>;
}

/** What every provider takes. */
export interface CredentialOptions {
  /** What the credential is for; kept in mementos. */
  readonly scope?: string;
  /** True: mementos keep the value too, sealed; see `CredentialProvider.seal`. */
  readonly seal?: boolean;
}
