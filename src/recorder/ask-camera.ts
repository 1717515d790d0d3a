import { connect } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { defaultPorts, hostOf, withoutCredentials } from './camera-url.ts'

/** A camera that is well answers sooner. */
export const answersWithinMs = 3000
const headAtMostChars = 16_384

/** Asks a camera once, without credentials, what it has at a URL; answers the head of its answer, or nothing if it gives none. */
export async function askCamera(
  url: string,
  atMostMs: number,
  signal: AbortSignal,
): Promise<string> {
  const { protocol, port } = new URL(url)
  const scheme = protocol.slice(0, -1)
  const request = requestFor(scheme, withoutCredentials(url))
  if (request === undefined) return ''
  const address = {
    host: hostOf(url),
    port: Number(port || defaultPorts[scheme]),
  }
  // Cameras sign their own certificates; the camera is told nothing that others may not know.
  const isTls = scheme.endsWith('s')
  const socket = isTls ? connectTls({ ...address, rejectUnauthorized: false }) : connect(address)
  addAbortSignal(AbortSignal.any([signal, AbortSignal.timeout(atMostMs)]), socket)
  let head = ''
  try {
    socket.write(request)
    for await (const piece of socket.setEncoding('latin1')) {
      head += String(piece)
      if (head.includes('\r\n\r\n') || head.length > headAtMostChars) break
    }
  } catch {
    // What has come until then is its answer.
  }
  return head
}

function requestFor(scheme: string, url: string): string | undefined {
  if (scheme.startsWith('rtsp')) return `DESCRIBE ${url} RTSP/1.0\r\nCSeq: 1\r\n\r\n`
  if (!scheme.startsWith('http')) return undefined
  const { host, pathname } = new URL(url)
  return `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
}
