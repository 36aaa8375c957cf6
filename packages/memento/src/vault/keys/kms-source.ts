import { awsKms, type AwsKmsOptions } from "./aws-kms.ts";
import { azureKeyVault, type AzureKeyVaultOptions } from "./azure-key-vault.ts";
import { googleKms, type GoogleKmsOptions } from "./google-kms.ts";
import type { KeyRing } from "./key-ring.ts";
import { kmsFromUrl } from "./key-url.ts";
import { kmsKeyRing } from "./kms-ring.ts";
import { vaultTransit, type VaultTransitOptions } from "./vault-transit.ts";

/** A key of a key-management service. */
export type KmsSource =
  | { readonly aws: AwsKmsOptions }
  | { readonly azure: AzureKeyVaultOptions }
  | { readonly google: GoogleKmsOptions }
  | { readonly transit: VaultTransitOptions }
  /** The URL of a key of a key-management service; see docs/keys.md. */
  | { readonly url: string };

/** The ring of such a key. `environment` says where a Transit engine is, and with which token, unless the source does. */
export function kmsRing(source: KmsSource, environment: Readonly<Record<string, string | undefined>>): KeyRing {
  if ("aws" in source) return kmsKeyRing(awsKms(source.aws));
  if ("azure" in source) return kmsKeyRing(azureKeyVault(source.azure));
  if ("google" in source) return kmsKeyRing(googleKms(source.google));
  if ("transit" in source) return kmsKeyRing(vaultTransit({ environment, ...source.transit }));
  return kmsKeyRing(kmsFromUrl(source.url, environment));
}
