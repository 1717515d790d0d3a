import type { Clock } from '../daemon/clock.ts'
import { answersWithinMs, askCamera } from './ask-camera.ts'
import { noAnswer, noVideo, type Diagnosis } from './ffmpeg-diagnosis.ts'
import type { FfmpegRun } from './ffmpeg-run.ts'

export interface Patience {
  stallAfterMs: number
  /** Whether it may last long until the first video comes. */
  lateVideo: boolean
  clock: Clock
}

/**
 * Why an RTSP camera to which FFmpeg does not come through is to be given up: FFmpeg says nothing of how
 * far it has come, so the camera is asked whether it answers at all. Undefined where FFmpeg comes through,
 * or until the signal aborts.
 */
export async function lookAtConnection(
  run: Pick<FfmpegRun, 'camera' | 'connectedMs'>,
  { stallAfterMs, lateVideo, clock }: Patience,
  signal: AbortSignal,
): Promise<Diagnosis | undefined> {
  const { camera } = run
  if (!camera.url.startsWith('rtsp')) return undefined
  const isOver = (): boolean => signal.aborted || run.connectedMs !== undefined
  await clock.sleep(stallAfterMs / 2, signal)
  if (isOver()) return undefined
  const atMostMs = Math.min(answersWithinMs, stallAfterMs / 2)
  const answer = await askCamera(camera.url, atMostMs, signal)
  if (isOver()) return undefined
  if (answer === '') return noAnswer(camera)
  if (lateVideo) return undefined
  await clock.sleep(stallAfterMs / 2, signal)
  return isOver() ? undefined : noVideo(camera)
}
