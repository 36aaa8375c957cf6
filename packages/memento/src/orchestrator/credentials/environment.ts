import type { AcquireContext, Credential, CredentialOptions, CredentialProvider } from "./provider.ts";
import { unavailable } from "./unavailable.ts";

/** How a credential in the environment is to be understood. */
export interface EnvironmentOptions extends CredentialOptions {
  /** How long it may be used after it was read; default: for ever. */
  readonly lifetimeMs?: number;
  /** Default: this process's environment. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** A credential in an environment variable, read anew each time it is acquired. CREDENTIAL_UNAVAILABLE, naming the variable, when it is unset or empty. */
export function fromEnvironment(variable: string, options: EnvironmentOptions = {}): CredentialProvider {
  const { scope = variable, seal = false, lifetimeMs, environment = process.env } = options;
  return {
    kind: "environment",
    scope,
    seal,
    acquire: async ({ name, clock }) => {
      const value = environment[variable];
      if (value === undefined || value === "")
        throw unavailable(
          name,
          `is read from ${variable}, which is not set`,
          `Set ${variable} and start again; nothing was read or written.`,
        );
      return { value, scope, expiresAt: lifetimeMs === undefined ? null : clock.now() + lifetimeMs };
    },
  };
}

/**
 * A credential that a function gives, for example from a secret store's own client. Whatever the function throws becomes
 * CREDENTIAL_UNAVAILABLE without its text, unless it is that already; so does what it gives without a text or an expiry.
 */
export function fromFunction(
  scope: string,
  acquire: (context: AcquireContext) => Promise<Omit<Credential, "scope"> | string>,
  options: Pick<CredentialOptions, "seal"> = {},
): CredentialProvider {
  return {
    kind: "function",
    scope,
    seal: options.seal ?? false,
    acquire: async (context) => {
      const given = await acquire(context);
      return typeof given === "object" && given !== null
        ? { value: given.value, scope, expiresAt: given.expiresAt }
        : { value: given, scope, expiresAt: null };
    },
  };
}
