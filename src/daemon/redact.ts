/** Shorter secrets would blot out harmless text; in a URL they are masked all the same. */
const shortestLiteral = 4
const mask = '***'

/** Masks secrets in text: those it was told of, in every spelling, and whatever a URL carries. */
export class Redactor {
  #secrets: string[] = []

  add(...secrets: (string | undefined)[]): void {
    const spellings = secrets
      .filter((secret) => secret !== undefined)
      .flatMap((secret) => [secret, percentDecoded(secret), encodeURIComponent(secret)])
      .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)])
      .filter((secret) => secret.length >= shortestLiteral)
    this.#secrets = [...new Set([...this.#secrets, ...spellings])].sort(
      (a, b) => b.length - a.length,
    )
  }

  scrub(text: string): string {
    let scrubbed = text
    for (const secret of this.#secrets) scrubbed = scrubbed.replaceAll(secret, mask)
    return maskUrls(scrubbed)
  }
}

/**
 * Masks the password in every URL of a text: in the userinfo, or as a parameter, which cameras
 * carry in the query (`?user=admin&password=…`) or the path (`/user=admin_password=…_channel=1`).
 */
export function maskUrls(text: string): string {
  return text.replaceAll(/(\w+:\/\/)([^\s"'<>]*)/g, (_, scheme: string, rest: string) => {
    const end = endOfUserinfo(rest)
    const user = rest.slice(0, end).split(':')
    const userinfo = end === 0 ? '' : `${user[0]}${user.length > 1 ? `:${mask}` : ''}@`
    const place = end === 0 ? rest : rest.slice(end + 1)
    return `${scheme}${userinfo}${place.replaceAll(passwordParameter, `$1${mask}`)}`
  })
}

/**
 * Masks all that may be a credential in URLs that a camera has made up: nobody knows by which name,
 * so the whole userinfo and the whole query.
 */
export function maskForeignUrls(text: string): string {
  return text.replaceAll(/(\w+:\/\/)([^\s"'<>]*)/g, (_, scheme: string, rest: string) => {
    const end = endOfUserinfo(rest)
    const place = (end === 0 ? rest : rest.slice(end + 1)).replace(/[?#].*/, `?${mask}`)
    return `${scheme}${end === 0 ? '' : `${mask}@`}${place}`
  })
}

/** The passwords that a URL carries as parameters. */
export function passwordParameters(url: string): string[] {
  return [...url.matchAll(passwordParameter)].map(([, , password = '']) => password)
}

const passwordParameter =
  /([?&;/_](?:password|passwd|passwort|pass|pwd|loginpas|pw|token|auth|key)=)((?:(?!_[a-z]+=)[^&;/?#\s"'<>])*)/gi

/** Where the `@` behind the userinfo is, 0 if there is none; an unescaped `/` may be in a password. */
function endOfUserinfo(rest: string): number {
  const authority = /^[^/?#]*/.exec(rest)?.[0] ?? ''
  const at = authority.lastIndexOf('@')
  if (at > 0) return at
  const isHost = /^(\[[^\]]*\]|[^:@/?#]+)(:\d+)?([/?#]|$)/.test(rest)
  return isHost ? 0 : Math.max(0, rest.lastIndexOf('@'))
}

/** `text` with its percent-escapes resolved; as it is where they are malformed. */
export function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
