import { answersWithinMs, askCamera } from './ask-camera.ts'
import type { Camera } from './config.ts'
import type { Diagnosis } from './ffmpeg-diagnosis.ts'

/** Measured with FFmpeg 5.1, 7.1 and 9.0: of what comes before the @ no more is passed on. */
const rtspUserinfoChars = 127

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
  const algorithm = unknownDigest(
    challengesIn(await askCamera(camera.url, answersWithinMs, signal)),
  )
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

function challengesIn(head: string): string[] {
  return [...head.matchAll(/^WWW-Authenticate:[ \t]*(.+)$/gim)].map(
    ([, challenge]) => challenge ?? '',
  )
}
