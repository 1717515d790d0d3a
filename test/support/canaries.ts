import { randomBytes } from 'node:crypto'

export type Settings = Record<string, string | number>

/** A password that nothing else on this machine says, with whatever is special in a URL or a shell. */
export function canary(): string {
  return `${canaryWord()}@/:#%40 '"$&\\${canaryWord()}`
}

/** The keys of an AWS account that nothing else on this machine names. */
export function canaryKeys(): { accessKeyId: string; secretAccessKey: string } {
  return {
    accessKeyId: `AKIA${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: `${canaryWord()}/${canaryWord()}+${canaryWord()}`,
  }
}

/** As a URL carries it; encodeURIComponent leaves the apostrophe, which ends a value in `.env`. */
export function inUrl(secret: string): string {
  return encodeURIComponent(secret).replaceAll("'", '%27')
}

/** The settings with secrets where they have none: what doesn't ask for a password ignores one. */
export function withCanaries(settings: Settings): Settings {
  const guarded: Settings = { CAMERA_1_URL: 'rtsp://127.0.0.1:9/main', ...settings }
  for (const [name, value] of Object.entries(guarded)) {
    const url = String(value)
    if (isCameraUrl(name) && URL.canParse(url) && !/@|password=/.test(url))
      guarded[name] = url.replace('://', `://operator:${inUrl(canary())}@`)
  }
  if (Object.keys(settings).some((name) => name.startsWith('AWS_'))) return guarded
  const { accessKeyId, secretAccessKey } = canaryKeys()
  return { ...guarded, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
}

/** The secrets in the value of a variable, as they are written. */
export function secretsIn(name: string, value: string): string[] {
  if (isCameraUrl(name)) return passwordsIn(value)
  if (name === 'ALERT_WEBHOOK_URL' || name === 'HEARTBEAT_URL') return placesIn(value)
  const isKey = /^AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)$/.test(name)
  return isKey && value !== '' ? [value] : []
}

/** A token that nothing else on this machine says. */
export function canaryWord(): string {
  return `canary${randomBytes(5).toString('hex')}`
}

function isCameraUrl(name: string): boolean {
  return /^CAMERA_\d+_URL$/.test(name)
}

/** Of a URL, or of what was meant to be one. */
function passwordsIn(url: string): string[] {
  const isWhole = URL.canParse(url) && new URL(url).hostname !== ''
  const password = isWhole ? new URL(url).password : /^\w+:\/*[^:]*:(.+)@/.exec(url)?.[1]
  const [, parameter] = /\b(?:password|loginpas)=([^&]+)/.exec(url) ?? []
  return [password, parameter].flatMap((secret) => (secret ? [secret] : []))
}

/** Where on its server a URL leads, which is what makes it secret. */
function placesIn(url: string): string[] {
  return URL.canParse(url) ? [url.slice(new URL(url).origin.length)] : []
}
