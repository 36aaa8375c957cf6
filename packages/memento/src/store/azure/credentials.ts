import type { TokenCredential } from "@azure/identity";

import { MementoError } from "../../core/errors.ts";
import { endpointOf } from "../blobs/object-url.ts";

/** Who asks: the account's key, a shared access signature, or a credential of Microsoft Entra. */
export type AzureAccess =
  | { readonly kind: "key"; readonly accountKey: string }
  | { readonly kind: "sas"; readonly sasToken: string }
  | { readonly kind: "token"; readonly credential: TokenCredential | null };

/** What may be given besides the account. */
export interface AzureCredentials {
  /** As the portal shows it: `AccountName=...;AccountKey=...` or `...;SharedAccessSignature=...`. */
  readonly connectionString?: string | undefined;
  readonly accountKey?: string | undefined;
  /** With or without `?`. */
  readonly sasToken?: string | undefined;
  readonly credential?: TokenCredential | undefined;
}

/** The account's access and where its service is, as far as the credentials say so. */
export interface AzureAccount {
  readonly access: AzureAccess;
  readonly endpoint: string | null;
}

/** What the environment has: AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN; empty is not set. */
export function credentialsOf(environment: Readonly<Record<string, string | undefined>>): AzureCredentials {
  const of = (name: string): string | undefined => environment[name] || undefined;
  return {
    connectionString: of("AZURE_STORAGE_CONNECTION_STRING"),
    accountKey: of("AZURE_STORAGE_KEY"),
    sasToken: of("AZURE_STORAGE_SAS_TOKEN"),
  };
}

/**
 * Chooses among what is given: connection string, key, shared access signature, credential; with nothing given, the chain
 * of @azure/identity (managed identity, workload identity, `az login`). INVALID_ARGUMENT, without what it says, for a
 * connection string of another account or without a secret.
 */
export function accountOf(account: string, given: AzureCredentials): AzureAccount {
  if (given.connectionString !== undefined) return accountInString(account, given.connectionString);
  if (given.accountKey !== undefined) {
    return { access: { kind: "key", accountKey: given.accountKey }, endpoint: null };
  }
  if (given.sasToken !== undefined) return { access: sasOf(given.sasToken), endpoint: null };
  return { access: { kind: "token", credential: given.credential ?? null }, endpoint: null };
}

/** The texts that must not be shown; of a signature its `sig` too, as it stands and decoded. */
export function secretsOf(access: AzureAccess): readonly string[] {
  if (access.kind === "key") return [access.accountKey];
  if (access.kind === "token") return [];
  return [access.sasToken, new URLSearchParams(access.sasToken).get("sig") ?? ""].filter((secret) => secret !== "");
}

function accountInString(account: string, text: string): AzureAccount {
  const fields = new Map<string, string>();
  for (const field of text.split(";")) {
    const at = field.indexOf("=");
    if (at > 0) fields.set(field.slice(0, at).trim(), field.slice(at + 1).trim());
  }
  const named = fields.get("AccountName");
  if (named !== undefined && named !== account) {
    throw invalid(`The connection string is for the account ${named}, and the store is in ${account}`);
  }
  const blobEndpoint = fields.get("BlobEndpoint");
  const suffix = fields.get("EndpointSuffix");
  const made =
    suffix === undefined ? null : `${fields.get("DefaultEndpointsProtocol") ?? "https"}://${account}.blob.${suffix}`;
  const endpoint = blobEndpoint === undefined ? made : endpointOf(blobEndpoint);
  const accountKey = fields.get("AccountKey");
  if (accountKey !== undefined) return { access: { kind: "key", accountKey }, endpoint };
  const signature = fields.get("SharedAccessSignature");
  if (signature === undefined) {
    throw invalid("The connection string has neither an AccountKey nor a SharedAccessSignature");
  }
  return { access: sasOf(signature), endpoint };
}

function sasOf(token: string): AzureAccess {
  return { kind: "sas", sasToken: token.replace(/^\?/, "") };
}

function invalid(message: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", message);
}
