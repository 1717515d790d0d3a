import type { ConfigFault, Environment } from '../daemon/environment.ts'
import { maskUrls, passwordParameters, percentDecoded } from '../daemon/redact.ts'

/** Each scheme that a camera may have, with the port it means. */
export const defaultPorts: Record<string, number> = {
  rtsp: 554,
  rtsps: 322,
  rtmp: 1935,
  rtmps: 443,
  http: 80,
  https: 443,
}

const example = 'for example rtsp://admin:password@192.168.1.10:554/Preview_01_main'

type CameraUrl = { url: string; secrets: string[]; warnings: string[] } | { fault: ConfigFault }

/** Reads CAMERA_N_URL as FFmpeg must have it: credentials percent-encoded, what is ambiguous refused. */
export function readCameraUrl(variable: string, environment: Environment): CameraUrl {
  const value = environment.variables[variable]?.trim() ?? ''
  const scheme = /^(\w+):\/\//.exec(value)?.[1]?.toLowerCase()
  const refuse = (expected: string): { fault: ConfigFault } => ({
    // The rest may be a password in the wrong place.
    fault: { variable, found: `${scheme ? `${scheme}://` : ''}***`, expected },
  })
  if (!scheme || !(scheme in defaultPorts))
    return refuse(`a URL that begins with ${Object.keys(defaultPorts).join(', ')}; ${example}`)

  const rest = value.slice(scheme.length + 3)
  const authorityEnd = /[/?#]|$/.exec(rest)?.index ?? rest.length
  const lastAt = rest.lastIndexOf('@')
  if (lastAt > authorityEnd && isPasswordCut(rest, lastAt))
    return refuse('no unescaped / ? # in the password: write %2F, %3F, %23 (an @ in the path: %40)')
  if (rest.includes('#')) return refuse('no unescaped #: write %23')

  const at = rest.lastIndexOf('@', authorityEnd)
  const userinfo = at === -1 ? '' : rest.slice(0, at)
  const encoded = encodeUserinfo(userinfo)
  const url = `${scheme}://${encoded}${encoded && '@'}${encodeRest(rest.slice(at + 1))}`
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (!parsed?.hostname || parsed.hostname.includes('%'))
    return refuse(`a URL with a host and a port up to 65535; ${example}`)
  return {
    url,
    secrets: secretsIn(userinfo, url),
    warnings:
      encoded === userinfo
        ? []
        : [
            `${variable}: the password has characters that a URL must escape; read as if it were percent-encoded (@ is %40)`,
          ],
  }
}

/** The name or address of a camera's host, as a resolver takes it. */
export function hostOf(url: string): string {
  return new URL(url).hostname.replaceAll(/[[\]]/g, '')
}

/** `192.168.1.10:554` */
export function addressOf(url: string): string {
  const { hostname, port, protocol } = new URL(url)
  return `${hostname}:${port || defaultPorts[protocol.slice(0, -1)]}`
}

/** `rtsp://host:554/path`, for people and files: without whatever could be a credential. */
export function withoutCredentials(url: string): string {
  return maskUrls(url.replace(/^(\w+:\/\/)[^/?#]*@/, '$1').replace(/\?.*$/, ''))
}

/** Whether the `@` behind the first `/` ends a userinfo that has a `/` in it, not a path. */
function isPasswordCut(rest: string, lastAt: number): boolean {
  const beginsWithHost = /^(\[[^\]]*\]|[^:@/?#]+)(:\d+)?[/?#]/.test(rest)
  const beginsWithPort = /^[^:@/?#[]+:\d+\//.test(rest)
  return !beginsWithHost || (beginsWithPort && /^@[^/?]+\//.test(rest.slice(lastAt)))
}

function secretsIn(userinfo: string, url: string): string[] {
  const colon = userinfo.indexOf(':')
  const password = colon === -1 ? [] : [userinfo.slice(colon + 1)]
  // As a camera that asks for it gets it, and may send it back.
  const basic = colon === -1 ? [] : [Buffer.from(percentDecoded(userinfo)).toString('base64')]
  return [...password, ...passwordParameters(url), ...basic].flatMap((secret) => [
    secret,
    percentDecoded(secret),
  ])
}

/** Escapes what would end the userinfo early; a `%` that begins no escape is a literal one. */
function encodeUserinfo(userinfo: string): string {
  const colon = userinfo.indexOf(':')
  const encode = (text: string): string =>
    text.replaceAll(/%(?![0-9a-f]{2})|[^\w%.~!$&()*+,;=-]/gi, (letter) => percentEncoded(letter))
  if (colon === -1) return encode(userinfo)
  return `${encode(userinfo.slice(0, colon))}:${encode(userinfo.slice(colon + 1))}`
}

/** FFmpeg's concat script silently eats quotes, backslashes and spaces. */
function encodeRest(text: string): string {
  return text.replaceAll(/[\s'"\\]/g, (letter) => percentEncoded(letter))
}

function percentEncoded(letter: string): string {
  return [...Buffer.from(letter)]
    .map((byte) => `%${byte.toString(16).padStart(2, '0').toUpperCase()}`)
    .join('')
}
