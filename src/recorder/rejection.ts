import { connect } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { defaultPorts, withoutCredentials } from './camera-url.ts'
import type { Camera } from './config.ts'
import type { Diagnosis } from './ffmpeg-diagnosis.ts'

/** Measured with FFmpeg 5.1, 7.1 and 9.0: of what comes before the @ no more is passed on. */
const rtspUserinfoChars = 127
const askAtMostMs = 3000
const headAtMostChars = 16_384

/**
 * Why a camera rejects a user and a password that may be right: FFmpeg cuts long ones, and knows MD5
 * digests only. Any other diagnosis is left as it is.
 */
export async function explainRejection(
  camera: Camera,
  diagnosis: Diagnosis,
  signal: AbortSignal,
): Promise<Diagnosis> {
  if (diagnosis.kind !== 'rejected') return diagnosis
  const { length } = userinfoOf(camera.url)
  if (camera.url.startsWith('rtsp') && length > rtspUserinfoChars)
    return {
      kind: 'rejected',
      text: `user and password in CAMERA_${camera.number}_URL have ${length} characters, of which FFmpeg passes on the first ${rtspUserinfoChars} (an escape such as %40 counts as 3): choose a shorter password`,
    }
  const algorithm = unknownDigest(await challengesOf(camera.url, signal))
  if (algorithm === undefined) return diagnosis
  return {
    kind: 'rejected',
    text: `the camera asks for a ${algorithm} digest, and FFmpeg knows MD5 only: choose MD5 alone, or basic, in the camera (Hikvision: System > Security > Authentication)`,
  }
}

function userinfoOf(url: string): string {
  return /^\w+:\/\/([^/?#]*)@/.exec(url)?.[1] ?? ''
}

/** The algorithm that FFmpeg would have to know; of several digests it takes the last. */
function unknownDigest(challenges: string[]): string | undefined {
  const last = challenges.findLast((challenge) => /^Digest\b/i.test(challenge)) ?? ''
  const [, algorithm = 'MD5'] = /\balgorithm\s*=\s*"?([\w-]+)/i.exec(last) ?? []
  return /^MD5(-sess)?$/i.test(algorithm) ? undefined : algorithm
}

/** The WWW-Authenticate headers of a camera that is asked once, without credentials. */
async function challengesOf(url: string, signal: AbortSignal): Promise<string[]> {
  const { protocol, hostname, port } = new URL(url)
  const scheme = protocol.slice(0, -1)
  const request = requestFor(scheme, withoutCredentials(url))
  if (request === undefined) return []
  const address = {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || defaultPorts[scheme]),
  }
  // Cameras sign their own certificates; the camera is told nothing that others may not know.
  const isTls = scheme.endsWith('s')
  const socket = isTls ? connectTls({ ...address, rejectUnauthorized: false }) : connect(address)
  addAbortSignal(AbortSignal.any([signal, AbortSignal.timeout(askAtMostMs)]), socket)
  let head = ''
  try {
    socket.write(request)
    for await (const piece of socket.setEncoding('latin1')) {
      head += String(piece)
      if (head.includes('\r\n\r\n') || head.length > headAtMostChars) break
    }
  } catch {
    // Then nothing more is known than that it rejects.
  }
  return [...head.matchAll(/^WWW-Authenticate:[ \t]*(.+)$/gim)].map(
    ([, challenge]) => challenge ?? '',
  )
}

function requestFor(scheme: string, url: string): string | undefined {
  if (scheme.startsWith('rtsp')) return `DESCRIBE ${url} RTSP/1.0\r\nCSeq: 1\r\n\r\n`
  if (!scheme.startsWith('http')) return undefined
  const { host, pathname } = new URL(url)
  return `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
}
