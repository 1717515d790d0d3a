import type { Clock } from '../daemon/clock.ts'
import { answersWithinMs, askCamera } from './ask-camera.ts'
import { noAnswer, noVideo, type Diagnosis } from './ffmpeg-diagnosis.ts'
import type { FfmpegRun } from './ffmpeg-run.ts'
import type { RunEnd } from './run-end.ts'

export interface Patience {
  stallAfterMs: number
  /** Whether it may last long until the first video comes. */
  lateVideo: boolean
  /** Whether the camera was silent when it was tried last, so that it is so again, or has come back. */
  wasSilent: boolean
  clock: Clock
}

/**
 * Why an RTSP camera to which FFmpeg does not come through is to be given up: FFmpeg says nothing of how
 * far it has come, so the camera is asked whether it answers at all. One that comes back while FFmpeg waits
 * may have lost what FFmpeg had asked. Undefined where FFmpeg comes through, or until the signal aborts.
 */
export async function lookAtConnection(
  run: Pick<FfmpegRun, 'camera' | 'connectedMs'>,
  { stallAfterMs, lateVideo, wasSilent, clock }: Patience,
  signal: AbortSignal,
): Promise<RunEnd | undefined> {
  const { camera } = run
  if (!camera.url.startsWith('rtsp')) return undefined
  const isOver = (): boolean => signal.aborted || run.connectedMs !== undefined
  const soonMs = Math.min(answersWithinMs, stallAfterMs / 2)
  await clock.sleep(wasSilent ? soonMs : stallAfterMs / 2, signal)
  if (isOver()) return undefined
  const answer = await askCamera(camera.url, soonMs, signal)
  if (isOver()) return undefined
  if (answer === '') return endedBy(noAnswer(camera))
  if (wasSilent) return { why: 'answers again' }
  if (lateVideo) return undefined
  await clock.sleep(stallAfterMs / 2, signal)
  return isOver() ? undefined : endedBy(noVideo(camera))
}

function endedBy(diagnosis: Diagnosis): RunEnd {
  return { why: 'ended', diagnosis }
}
