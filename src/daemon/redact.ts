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

/** Masks the password in every URL of a text: userinfo, or a query as FLV cameras carry it. */
export function maskUrls(text: string): string {
  return text
    .replaceAll(/(\w+:\/\/)([^\s"'<>]*)@/g, (_, scheme: string, userinfo: string) => {
      const user = userinfo.split(':')[0] ?? ''
      return userinfo.includes(':') ? `${scheme}${user}:${mask}@` : `${scheme}${user}@`
    })
    .replaceAll(/([?&](?:password|pass|pwd|token)=)[^&\s"'<>]*/gi, `$1${mask}`)
}

/** `text` with its percent-escapes resolved; as it is where they are malformed. */
export function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
