import { isSecretParameter } from "./secret-names.ts";

/** Stores on this machine: what follows is a path, and no part of it a secret. */
const EMBEDDED = /^(?:sqlite|file|memory):/u;
/** Stores elsewhere. What does not begin like this may be anything that was typed in a URL's place. */
const REMOTE =
  /^(?<scheme>(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?(?:\+cluster)?|s3|azure|gs):\/\/)(?<authority>[^/?#]*)(?<rest>.*)$/su;
/** One host or several, each perhaps with its port. */
const HOSTS = /^(?:(?:\[[^\]]*\]|[^:,]*)(?::\d+)?(?:,|$))*$/u;
/** Up to where parameters begin, if they do: a name, and its value. */
const PARAMETERS = /^[^?#]*\?[\w.-]+=/u;
/** A parameter's name, and its value with what has no name behind it. */
const PARAMETER = /(?<=[?&;#])([^=&;#]*)=([^&;#]*(?:[&;#](?![^=&;#]*=)[^&;#]*)*)/gu;
/** User and password in a URL that is a value. */
const SECRETS_IN_VALUES = /(?<=(?:\/\/|%2F%2F))[^@&/]*(?=@|%40)/giu;

/**
 * A store's URL as it may be shown, and copied where no secret is in it: `***` stands for its password, and for values of its
 * parameters that are named like a secret. What is no store's URL is cut where user, password or parameters might begin.
 */
export function shownUrl(url: string): string {
  if (EMBEDDED.test(url)) return url;
  const { scheme, authority = "", rest = "" } = REMOTE.exec(url)?.groups ?? {};
  if (scheme === undefined) return cut(url);
  const [place = "", ...parameters] = withoutPassword(scheme, authority, rest).split(/(?=[?#])/u);
  const shown = parameters
    .join("")
    .replace(PARAMETER, (whole, name: string) => (isSecretParameter(name) ? `${name}=***` : whole))
    .replace(SECRETS_IN_VALUES, "***");
  return `${scheme}${place}${shown}`;
}

/** Where a store is: its URL without user, password and parameters. */
export function placeOfUrl(url: string): string {
  const shown = shownUrl(url);
  return REMOTE.test(url) ? shown.replace(/(?<=:\/\/)[^/?#]*@/u, "").replace(/[?#].*$/su, "") : shown;
}

function withoutPassword(scheme: string, authority: string, rest: string): string {
  if (authority.includes("@")) {
    // Redis is often given its password as if it were a user.
    const secret = scheme.startsWith("redis") ? /^[^:]*@|:.*@/su : /:.*@/su;
    return `${authority.replace(secret, (found) => (found.startsWith(":") ? ":***@" : "***@"))}${rest}`;
  }
  if (!authority.includes(":")) return `${authority}${rest}`;
  // A password with a slash, a question mark or a hash in it, which should have been written with %.
  const [path = ""] = rest.split(/[?#]/u, 1);
  const isCut = rest.includes("@") && (path.includes("@") || !HOSTS.test(authority) || !PARAMETERS.test(rest));
  if (isCut) return `${authority.replace(/:.*$/su, ":***")}${rest.slice(rest.lastIndexOf("@"))}`;
  // A password without its host.
  return `${HOSTS.test(authority) ? authority : authority.replace(/:.*$/su, ":***")}${rest}`;
}

function cut(text: string): string {
  return text
    .replace(/^(?<scheme>[a-z][a-z0-9+.-]*:\/\/)?.*@/su, "$<scheme>***@")
    .replace(/^(?<user>[a-z][a-z0-9+.-]*:(?:\/\/)?[^:/@]*:)(?!\d+(?:\/|$)|\/\/).*$/su, "$<user>***")
    .replace(/(?<end>[?=;\s]).*$/su, "$<end>…");
}
