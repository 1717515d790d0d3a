import { createHash } from 'node:crypto'

export interface Credentials {
  user: string
  password: string
}

const REALM = 'Emulated camera'

/** The WWW-Authenticate header that asks for a digest (RFC 2617 without qop, as cameras do). */
export function digestChallenge(nonce: string, algorithm?: string): string {
  return `Digest realm="${REALM}", nonce="${nonce}"${algorithm ? `, algorithm=${algorithm}` : ''}`
}

/** Whether an Authorization header answers the challenge with the right password. */
export function isDigestValid(
  authorization: string | undefined,
  request: { method: string; url: string },
  { user, password }: Credentials,
  nonce: string,
): boolean {
  if (!authorization?.startsWith('Digest ')) return false
  const fields = new Map(
    [...authorization.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
  )
  const secret = md5(`${user}:${REALM}:${password}`)
  const response = md5(`${secret}:${nonce}:${md5(`${request.method}:${request.url}`)}`)
  return (
    fields.get('username') === user &&
    fields.get('nonce') === nonce &&
    fields.get('uri') === request.url &&
    fields.get('response') === response
  )
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex')
}
