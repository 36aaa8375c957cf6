/** Stores on this machine: what follows is a path, and no part of it a secret. */
const EMBEDDED = /^(?:sqlite|file|memory):/u;
/** Stores elsewhere. What does not begin like this may be anything that was typed in a URL's place. */
const REMOTE =
  /^(?<scheme>(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?(?:\+cluster)?|s3|azure|gs):\/\/)(?<authority>[^/?#]*)(?<rest>.*)$/su;
/** One host or several, each perhaps with its port. */
const HOSTS = /^(?:(?:\[[^\]]*\]|[^:,]*)(?::\d+)?(?:,|$))*$/u;
/** Values of parameters that are named like a secret, but for some that are none. */
const SECRET_VALUES =
  /(?<=[?&](?!(?:authSource|authMechanism|sslkey)=)[^=&]*(?:pass|pwd|secret|key|sig|token|sas|auth|cred)[^=&]*=)[^&]*/giu;

/**
 * A store's URL as it may be shown, and copied where no secret is in it: `***` stands for its password, and for values of its
 * parameters that are named like a secret. What is no store's URL is cut where user, password or parameters might begin.
 */
export function shownUrl(url: string): string {
  if (EMBEDDED.test(url)) return url;
  const { scheme, authority = "", rest = "" } = REMOTE.exec(url)?.groups ?? {};
  if (scheme === undefined) return cut(url);
  return `${scheme}${withoutPassword(authority, rest).replace(SECRET_VALUES, "***")}`;
}

/** Where a store is: its URL without user, password and parameters. */
export function placeOfUrl(url: string): string {
  const shown = shownUrl(url);
  return REMOTE.test(url) ? shown.replace(/(?<=:\/\/)[^/?#]*@/u, "").replace(/[?#].*$/su, "") : shown;
}

function withoutPassword(authority: string, rest: string): string {
  if (authority.includes("@")) return `${authority.replace(/:.*@/su, ":***@")}${rest}`;
  // A password with a slash, a question mark or a hash in it, which should have been written with %.
  const [path = ""] = rest.split(/[?#]/u, 1);
  const isCut = path.includes("@") || (rest.includes("@") && !HOSTS.test(authority));
  if (!authority.includes(":") || !isCut) return `${authority}${rest}`;
  return `${authority.replace(/:.*$/su, ":***")}${rest.slice(rest.lastIndexOf("@"))}`;
}

function cut(text: string): string {
  return text
    .replace(/^(?<scheme>[a-z][a-z0-9+.-]*:\/\/)?.*@/su, "$<scheme>***@")
    .replace(/(?<end>[?=;\s]).*$/su, "$<end>…");
}
