import { createHash, createHmac } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

const mostSkewMs = 15 * 60_000

/** Checks an AWS Signature Version 4 as S3 does; the code of the error, or undefined. */
export function signatureFault(
  request: IncomingMessage,
  keys: { accessKeyId: string; secretAccessKey: string },
): string | undefined {
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/
  const match = pattern.exec(request.headers.authorization ?? '')
  if (!match) return 'AccessDenied'
  const [, id = '', day = '', region = '', signedHeaders = '', signature = ''] = match
  if (id !== keys.accessKeyId) return 'InvalidAccessKeyId'
  const date = String(request.headers['x-amz-date'])
  if (Math.abs(parseDate(date) - Date.now()) > mostSkewMs) return 'RequestTimeTooSkewed'

  const canonical = canonicalRequest(request, signedHeaders)
  const scope = `${day}/${region}/s3/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n')
  const key = [day, region, 's3', 'aws4_request'].reduce<Buffer>(
    (secret, part) => hmac(secret, part),
    Buffer.from(`AWS4${keys.secretAccessKey}`),
  )
  return hmac(key, toSign).toString('hex') === signature ? undefined : 'SignatureDoesNotMatch'
}

function canonicalRequest({ method, url = '', headers }: IncomingMessage, signed: string): string {
  const [path = '', query = ''] = url.split('?')
  const parameters = query
    .split('&')
    .filter(Boolean)
    .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
    .sort()
  const lines = signed.split(';').map((name) => {
    const value = String(headers[name] ?? '')
    return `${name}:${value.trim().replaceAll(/ +/g, ' ')}\n`
  })
  const payload = String(headers['x-amz-content-sha256'])
  return [method, path, parameters.join('&'), lines.join(''), signed, payload].join('\n')
}

function parseDate(date: string): number {
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? []
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.map(Number)
  return Date.UTC(year, month - 1, day, hour, minute, second)
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
