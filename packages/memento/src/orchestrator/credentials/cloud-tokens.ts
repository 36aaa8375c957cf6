import type * as Azure from "@azure/identity";
import type * as Google from "google-auth-library";

import { isMementoError } from "../../core/errors.ts";
import { loadPeer } from "../../store/optional-peer.ts";
import type { Credential, CredentialOptions, CredentialProvider } from "./provider.ts";
import { unavailable } from "./unavailable.ts";

/** Which token of Google Cloud. */
export interface GoogleTokenOptions extends Omit<CredentialOptions, "scope"> {
  /** OAuth scopes, for example `https://www.googleapis.com/auth/bigquery`. */
  readonly scopes: readonly string[];
  /** Default: one with application default credentials. */
  readonly auth?: Google.GoogleAuth;
}

/** An access token of Google Cloud, by the official client and its own chain of credentials. PEER_MISSING, CREDENTIAL_UNAVAILABLE. */
export function fromGoogle(options: GoogleTokenOptions): CredentialProvider {
  const { scopes, seal = false } = options;
  const scope = scopes.join(" ");
  return {
    kind: "google",
    scope,
    seal,
    acquire: async ({ name }) =>
      await tokenOf(name, "Google Cloud", async () => {
        const { GoogleAuth } = await loadPeer<typeof Google>(
          "google-auth-library",
          ">=9 <11",
          "A credential of Google Cloud",
        );
        const auth = options.auth ?? new GoogleAuth({ scopes: [...scopes] });
        const client = await auth.getClient();
        const { token } = await client.getAccessToken();
        const { expiry_date: expiry } = client.credentials;
        return { value: token ?? "", scope, expiresAt: expiry ?? null };
      }),
  };
}

/** Which token of Microsoft Entra ID. */
export interface AzureTokenOptions extends Pick<CredentialOptions, "seal"> {
  /** For example `https://storage.azure.com/.default`. */
  readonly scope: string;
  /** Default: `DefaultAzureCredential`. */
  readonly credential?: Azure.TokenCredential;
}

/** An access token of Azure, by the official client and its own chain of credentials. PEER_MISSING, CREDENTIAL_UNAVAILABLE. */
export function fromAzure({ scope, seal = false, credential }: AzureTokenOptions): CredentialProvider {
  return {
    kind: "azure",
    scope,
    seal,
    acquire: async ({ name, signal }) =>
      await tokenOf(name, "Azure", async () => {
        const chain =
          credential ??
          new (
            await loadPeer<typeof Azure>("@azure/identity", "^4.0.0", "A credential of Azure")
          ).DefaultAzureCredential();
        const token = await chain.getToken(scope, { abortSignal: signal });
        return { value: token?.token ?? "", scope, expiresAt: token?.expiresOnTimestamp ?? null };
      }),
  };
}

/** What an SDK throws may quote what it was given, and what it was answered: only its name is told. */
async function tokenOf(name: string, service: string, acquire: () => Promise<Credential>): Promise<Credential> {
  let credential: Credential;
  try {
    credential = await acquire();
  } catch (error) {
    if (isMementoError(error)) throw error;
    const kind = error instanceof Error ? error.name : "an error";
    throw unavailable(name, `was asked of ${service}, which gave no token (${kind})`);
  }
  if (credential.value === "") throw unavailable(name, `was asked of ${service}, which gave no token`);
  return credential;
}
