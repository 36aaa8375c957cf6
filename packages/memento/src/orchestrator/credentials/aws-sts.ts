import type * as Sts from "@aws-sdk/client-sts";

import { isMementoError } from "../../core/errors.ts";
import { loadPeer } from "../../store/optional-peer.ts";
import type { Credential, CredentialOptions, CredentialProvider } from "./provider.ts";
import { unavailable } from "./unavailable.ts";

/** Which role is assumed, and for how long. */
export interface AwsStsOptions extends CredentialOptions {
  readonly roleArn: string;
  /** Shown in the account's logs; default `memento`. */
  readonly sessionName?: string;
  /** Default 3,600. */
  readonly durationSeconds?: number;
  readonly externalId?: string;
  /** A session policy, as JSON. */
  readonly policy?: string;
  readonly region?: string;
  readonly endpoint?: string;
  /** Default: one by region and endpoint, with the SDK's own chain of credentials. */
  readonly client?: Sts.STSClient;
}

/** Keys of a session, as the AWS clients take them. */
export interface AwsSessionKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/**
 * Temporary keys of an AWS role, by STS `AssumeRole` and the official client; `awsKeys` reads them out of the credential.
 * PEER_MISSING; CREDENTIAL_UNAVAILABLE, with the service's code alone, when it refuses.
 */
export function fromAwsSts(options: AwsStsOptions): CredentialProvider {
  const { roleArn, scope = roleArn, seal = false, sessionName = "memento", durationSeconds = 3_600 } = options;
  return {
    kind: "aws-sts",
    scope,
    seal,
    acquire: async ({ name, signal }) => {
      const sts = await loadPeer<typeof Sts>("@aws-sdk/client-sts", "^3.700.0", "A credential of AWS STS");
      const { region, endpoint, externalId, policy } = options;
      const client =
        options.client ??
        new sts.STSClient({
          ...(region === undefined ? {} : { region }),
          ...(endpoint === undefined ? {} : { endpoint }),
        });
      try {
        const command = new sts.AssumeRoleCommand({
          RoleArn: roleArn,
          RoleSessionName: sessionName,
          DurationSeconds: durationSeconds,
          ...(externalId === undefined ? {} : { ExternalId: externalId }),
          ...(policy === undefined ? {} : { Policy: policy }),
        });
        const { Credentials: keys } = await client.send(command, { abortSignal: signal });
        const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = keys ?? {};
        if (AccessKeyId === undefined || SecretAccessKey === undefined || SessionToken === undefined)
          throw unavailable(name, `was asked of AWS STS for ${roleArn}, which gave no keys`);
        const value: AwsSessionKeys = {
          accessKeyId: AccessKeyId,
          secretAccessKey: SecretAccessKey,
          sessionToken: SessionToken,
        };
        return { value: JSON.stringify(value), scope, expiresAt: Expiration?.getTime() ?? null };
      } catch (error) {
        if (isMementoError(error)) throw error;
        const reason = error instanceof Error ? error.name : "an error";
        throw unavailable(name, `was asked of AWS STS for ${roleArn}, which refused: ${reason}`);
      } finally {
        if (options.client === undefined) client.destroy();
      }
    },
  };
}

/** The keys in a credential of `fromAwsSts`, for the `credentials` of an AWS client. */
export function awsKeys(credential: Credential): AwsSessionKeys {
  return JSON.parse(credential.value) as AwsSessionKeys;
}
